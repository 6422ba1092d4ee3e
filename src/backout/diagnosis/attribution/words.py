# SPDX-License-Identifier: Apache-2.0
"""What failing pods say of the objects that they read: which they name, which keys they ask for, what they quote. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from backout.cluster.port import Object
from backout.diagnosis.evidence.baseline import Expected, contents
from backout.kube.references import Reference
from backout.model.evidence import Symptom
from backout.model.target import ObjectRef


def names(symptom: Symptom, one: Reference) -> bool:
    """True when the pods' messages, events or last log lines name the object, or a file of it.

    As the kubelet words it: ``configmap "web" not found``, ``couldn't find key x in Secret shop/web``.
    """
    marks = [f'{one.kind.lower()} "{one.name}"', f"{symptom.ref.namespace}/{one.name} "]
    if any(mark in text or mark in text.lower() for text in texts(symptom) for mark in marks):
        return True
    return names_file(symptom, one)


def names_file(symptom: Symptom, one: Reference) -> bool:
    """True when the pods complain of a file of the object."""
    if one.how not in ("volume", "subPath", "projected") or len(one.path.strip("/")) <= 2:
        return False
    files = [f"{one.path.rstrip('/')}/"] if not one.files else list(one.files)
    return any(_complains_of(text, files) for text in texts(symptom))


_COMPLAINT = re.compile(
    r"\berr\b|error|fail|fatal|panic|emerg|critical|invalid|illegal|malformed|unexpected|unknown|unable|cannot|can't|"
    r"could ?n[o']t|no such|missing|not found|not allowed|duplicate|denied|pars(e|ing)|unmarshal|syntax|\bbad\b|wrong|"
    r"exception|reject|refus|\bline \d+",
    re.IGNORECASE,
)
_INFORMS = re.compile(r"level=\W?(info|debug|trace)\b|\[?\b(INFO|DEBUG|TRACE)\b\]?|\"level\":\s*\"(info|debug|trace)\"")


def complains(text: str) -> bool:
    """True for words on something that is wrong; ordinary lines tell what a program does, and name nothing."""
    return not _INFORMS.search(text) and _COMPLAINT.search(text) is not None


def _complains_of(text: str, files: Sequence[str]) -> bool:
    """True when the text speaks of one of the files and says that something is wrong with it: that a configuration is
    loaded from a file names nothing."""
    return any(file in text and complains(text.replace(file, " ")) for file in files)


def texts(symptom: Symptom) -> Iterator[str]:
    """Everything in words that a symptom brings along."""
    yield f"{symptom.message.text} "
    for evidence in symptom.evidence:
        yield f"{evidence.message.text} "
        yield from (f"{line} " for line in evidence.data.get("lines", ()))


_MISSING_KEY = re.compile(
    r"couldn't find key (\S+) in (?:ConfigMap|Secret) (\S+)|references non-existent (?:config|secret) key: (\S+)"
)


def missing_key(symptom: Symptom, ref: ObjectRef) -> str:
    """The key of the object that the failing pods ask for in vain, as the kubelet words it; empty when they don't."""
    for text in texts(symptom):
        for match in _MISSING_KEY.finditer(text):
            key, whose, mounted = match.groups()
            if mounted is not None or whose == f"{ref.namespace}/{ref.name}":
                return str(key or mounted).rstrip(".,;")
    return ""


def changed_words(expected: Expected | None, live: Object) -> tuple[str, ...] | None:
    """Keys that hold something else than they should, and what they hold now and held, word by word; None when nothing
    says what they should hold. Of Secrets the keys alone."""
    if expected is None:
        return None
    before, after = contents(expected.content)["data"], contents(live)["data"]
    keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    if live.get("kind") == "Secret":
        return tuple(keys)
    words = [_WORDS.findall(f"{side.get(key, '')}") for key in keys for side in (before, after)]
    old = {word for key in keys for word in _WORDS.findall(str(before.get(key, "")))}
    new = {word for key in keys for word in _WORDS.findall(str(after.get(key, "")))}
    told = {word for found in words for word in found} - (old & new)
    return (*keys, *sorted(told))


_WORDS = re.compile(r"[\w./:@-]{4,}")


def speaks_of(symptom: Symptom, words: Iterable[str]) -> bool:
    """True when what the failing pods complain of holds one of the words, whole; short ones prove nothing."""
    said = " ".join(text for text in texts(symptom) if complains(text))
    return any(
        len(word) > 5 and re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", said) is not None for word in words
    )


def failure_words(symptom: Symptom) -> str:
    """What the program and the cluster said themselves; the word of a probe on the program is none of it."""
    return " ".join(
        word
        for e in symptom.evidence
        if e.source in ("event", "log", "condition") and e.data.get("reason") != "Unhealthy"
        for word in (e.message.text, *e.data.get("lines", ()))
    )
