# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, and how one chooses it.

**By image tag**: a version, then fault words, joined by dashes: ``app:2.0.0-crash-exit3``. Only fault words that end
the tag count, and only after at least one other part, so that ``1.2-crash-reporter`` and ``missing`` are ordinary tags.

========================  =====================================================================================
``crash``                 the program exits with code 1 soon after its start, again and again
``exitN``                 with another exit code (alone: the same as ``crash-exitN``); ``exit0`` completes
``afterNs``, ``afterNm``  with ``crash`` or ``oom``: it first becomes ready and runs so long
``oom``                   killed for its memory: OOMKilled, 137
``missing``               the registry has no such image
``denied``                the registry refuses: authorization failed
``unreachable``           the registry does not answer
``unready``               the readiness probe answers 503 for ever (a container without one is ready: nothing fails)
``unlive``                the liveness probe answers 503 (likewise)
``slowNs``, ``slowNm``    the program answers its probes only after that time
``nokey``                 a ConfigMap key that the container needs is not there: CreateContainerConfigError
``runerror``              the command is not in the image: RunContainerError
``hang``                  ignores SIGTERM: ends only after the grace period, with 137
``ok``                    nothing (in rules and annotations: overrides the image's tag)
========================  =====================================================================================

**By annotation** ``twin.backout.dev/fault`` on a pod, with the same words: ``crash-exit3``; for one container of
several ``name=crash``; several separated by commas.

**By rule**: a ConfigMap in ``kube-system`` with the label ``twin.backout.dev/fault-rule: "true"``. It changes no
workload and takes effect on running pods. Keys of ``data``: ``fault`` (the words, required), and to narrow it, all
optional: ``namespace``, ``workload`` (``Kind/name``: the Deployment, StatefulSet, DaemonSet, Job, ReplicaSet or Pod),
``selector`` (``a=b,c=d``), ``image`` (a shell pattern), ``container``, ``log`` (lines the program
prints before it exits).
A rule wins over an annotation, an annotation over the tag; among rules the last by name.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from kubetwin.client import Obj
from kubetwin.meta import annotations_of, controller_of, labels_of, name_of, namespace_of

ANNOTATION = "twin.backout.dev/fault"
RULE_LABEL = "twin.backout.dev/fault-rule"
RULE_NAMESPACE = "kube-system"
_NUMBER = re.compile(r"^(exit)([0-9]{1,3})$")
_TIME = re.compile(r"^(after|slow)([0-9]+)(s|m)$")


@dataclass(frozen=True, slots=True)
class Fault:
    """What one container does wrong. The default is: nothing."""

    exit_code: int | None = None
    oom: bool = False
    after: float | None = None
    pull: str = ""
    unready: bool = False
    unlive: bool = False
    slow: float = 0.0
    no_key: bool = False
    run_error: bool = False
    hang: bool = False
    log: tuple[str, ...] = ()


HEALTHY = Fault()


def parse_words(words: Iterable[str]) -> Fault | None:
    """None when one of the words is not a fault word."""
    fault = HEALTHY
    for word in words:
        parsed = _word(fault, word)
        if parsed is None:
            return None
        fault = parsed
    return fault


def _word(fault: Fault, word: str) -> Fault | None:
    match word:
        case "ok":
            return fault
        case "crash":
            return replace(fault, exit_code=1 if fault.exit_code is None else fault.exit_code)
        case "oom":
            return replace(fault, oom=True)
        case "missing" | "denied" | "unreachable":
            return replace(fault, pull=word)
        case "unready":
            return replace(fault, unready=True)
        case "unlive":
            return replace(fault, unlive=True)
        case "nokey":
            return replace(fault, no_key=True)
        case "runerror":
            return replace(fault, run_error=True)
        case "hang":
            return replace(fault, hang=True)
    if found := _NUMBER.match(word):
        return replace(fault, exit_code=min(255, int(found.group(2))))
    if found := _TIME.match(word):
        seconds = float(found.group(2)) * (60 if found.group(3) == "m" else 1)
        return replace(fault, after=seconds) if found.group(1) == "after" else replace(fault, slow=seconds)
    return None


def parse_fault(text: str) -> Fault:
    """``crash-exit3`` as in annotations and rules. Raises ValueError when a word is unknown."""
    fault = parse_words(text.strip().split("-"))
    if fault is None:
        raise ValueError(f"unknown fault {text!r}")
    return fault


def tag_of(image: str) -> str:
    """The tag of an image reference, empty for a digest or none."""
    last = image.rpartition("/")[2].partition("@")[0]
    return last.partition(":")[2]


def fault_of_image(image: str) -> Fault:
    parts = tag_of(image).split("-")
    # The longest run of fault words at the end, with something before it.
    for start in range(1, len(parts)):
        fault = parse_words(parts[start:])
        if fault is not None:
            return fault
    return HEALTHY


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    fault: Fault
    namespace: str = ""
    kind: str = ""
    workload: str = ""
    selector: tuple[tuple[str, str], ...] = ()
    image: str = ""
    container: str = ""

    @classmethod
    def from_configmap(cls, obj: Obj) -> Rule | None:
        """None for a ConfigMap that is no rule, or whose fault is not understood."""
        if namespace_of(obj) != RULE_NAMESPACE or labels_of(obj).get(RULE_LABEL) != "true":
            return None
        data = obj.get("data") or {}
        try:
            fault = parse_fault(data.get("fault", ""))
        except ValueError:
            return None
        if data.get("log"):
            fault = replace(fault, log=tuple(data["log"].splitlines()))
        kind, _, workload = data.get("workload", "").rpartition("/")
        pairs = [p.partition("=") for p in data.get("selector", "").split(",") if p]
        return cls(
            name_of(obj),
            fault,
            data.get("namespace", ""),
            kind.lower(),
            workload,
            tuple((k.strip(), v.strip()) for k, _, v in pairs),
            data.get("image", ""),
            data.get("container", ""),
        )

    def matches(self, pod: Obj, container: Obj) -> bool:
        if self.namespace and self.namespace != namespace_of(pod):
            return False
        if self.container and self.container != container["name"]:
            return False
        if self.image and not fnmatch.fnmatchcase(container.get("image", ""), self.image):
            return False
        labels = labels_of(pod)
        if any(labels.get(k) != v for k, v in self.selector):
            return False
        return not self.workload or (self.kind, self.workload) in _workloads(pod)


def _workloads(pod: Obj) -> set[tuple[str, str]]:
    """(kind, name) of the pod and what controls it; a Deployment is known by its ReplicaSet's hash."""
    out = {("pod", name_of(pod)), ("", name_of(pod))}
    ref = controller_of(pod)
    if ref is not None:
        names = {(ref["kind"].lower(), ref["name"])}
        digest = labels_of(pod).get("pod-template-hash")
        if ref["kind"] == "ReplicaSet" and digest and ref["name"].endswith(f"-{digest}"):
            names.add(("deployment", ref["name"].removesuffix(f"-{digest}")))
        out |= names | {("", name) for _, name in names}
    return out


class FaultRules:
    """The rules of a cluster, as its ConfigMaps come and go."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}

    def change(self, old: Obj | None, new: Obj | None) -> bool:
        """Take over a changed ConfigMap; True when a rule changed."""
        name = name_of(new or old or {"metadata": {"name": ""}})
        rule = Rule.from_configmap(new) if new is not None else None
        before = self._rules.get(name) if old is None or namespace_of(old) == RULE_NAMESPACE else None
        if new is not None and namespace_of(new) != RULE_NAMESPACE:
            return False
        if rule == before:
            return False
        if rule is None:
            self._rules.pop(name, None)
        else:
            self._rules[name] = rule
        return True

    def fault(self, pod: Obj, container: Obj) -> Fault:
        for name in sorted(self._rules, reverse=True):
            if self._rules[name].matches(pod, container):
                return self._rules[name].fault
        text = annotations_of(pod).get(ANNOTATION)
        if text:
            for entry in text.split(","):
                where, _, words = entry.strip().rpartition("=")
                if where in ("", container["name"]):
                    fault = parse_words(words.split("-"))
                    if fault is not None:
                        return fault
        return fault_of_image(container.get("image", ""))
