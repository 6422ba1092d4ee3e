# SPDX-License-Identifier: Apache-2.0
"""Rendered manifests as objects. The text came out of somebody's templates, so it is read with care.

Documents are split as text first: revisions of one release share most of their documents word for word, so each is
parsed once, and only when somebody asks for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import yaml

from backout.errors import Invalid, TooLarge
from backout.model.target import ObjectRef
from backout.model.yamltext import Unbounded, load

MAX_BYTES = 32 * 1024 * 1024

Object = dict[str, Any]

_SEPARATOR = "\n---"
_KIND = re.compile(r"""kind:[ \t]*["']?([A-Za-z0-9]+)["']?[ \t]*(?:#.*)?(?:\n|\Z)""")
_COMMENT_ONLY = re.compile(r"\A(?:[ \t]*(?:#.*)?(?:\n|\Z))*\Z")


class _Loader(yaml.CSafeLoader):
    """Safe, and without YAML's guess that a text such as 2026-11-22 is a date: Kubernetes knows no dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":value"))]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class Key(NamedTuple):
    """What makes two manifest entries the same object for Helm: the version of the API does not count."""

    group: str
    kind: str
    namespace: str
    name: str


class Entry(NamedTuple):
    """One object of a manifest."""

    object: Object
    text_digest: str

    @property
    def api_version(self) -> str:
        """Group and version."""
        return str(self.object.get("apiVersion") or "")

    @property
    def kind(self) -> str:
        """The kind."""
        return str(self.object.get("kind") or "")

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return str((self.object.get("metadata") or {}).get("name") or "")

    def namespace(self, default: str) -> str:
        """``metadata.namespace``, or the release's."""
        return str((self.object.get("metadata") or {}).get("namespace") or default)

    def key(self, default_namespace: str) -> Key:
        """The identity of the object; a cluster-wide object carries the default namespace, on both sides alike."""
        group, slash, _ = self.api_version.partition("/")
        return Key(group if slash else "", self.kind, self.namespace(default_namespace), self.name)

    def ref(self, default_namespace: str) -> ObjectRef:
        """A reference to the object."""
        return ObjectRef(self.api_version, self.kind, self.name, self.namespace(default_namespace))


def digest(manifest: str) -> str:
    """Names the content of a manifest: two revisions with the same digest are the same state."""
    return hashlib.sha256(manifest.strip().encode()).hexdigest()


def documents(manifest: str) -> list[str]:
    """The documents as text, without empty ones.

    Raises:
        TooLarge: more than 32 MiB.
    """
    if len(manifest) > MAX_BYTES:
        raise TooLarge(
            "A rendered manifest has {size} bytes.",
            size=len(manifest),
            expected="at most {limit} MiB",
            limit=MAX_BYTES // 1024**2,
            hint="Roll back with `helm rollback` itself.",
        )
    # Plain searches: a regular expression over every line of a large history would take most of a second.
    found: list[str] = []
    for index, part in enumerate(("\n" + manifest).split(_SEPARATOR)):
        if index and part[:1] not in {"", "\n", " ", "\t", "\r"}:
            found[-1] += _SEPARATOR + part  # a line such as "----" separates nothing
        else:
            found.append(part.partition("\n")[2] if index else part)
    # The line end before a separator belongs to the document: a block of text at its end would lose it.
    whole = [part + "\n" for part in found[:-1]] + found[-1:]
    stripped = (part.lstrip("\n") for part in whole)
    return [part for part in stripped if part and not _COMMENT_ONLY.match(part)]


def kind_of(document: str) -> str:
    """The kind of a document without parsing it; empty when only parsing can tell."""
    text = "\n" + document
    at = text.find("\nkind:")
    if at < 0 or text.find("\nkind:", at + 1) >= 0:
        return ""
    match = _KIND.match(text, at + 1)
    return match.group(1) if match else ""


def entries(manifest: str, kinds: Iterable[str] | None = None) -> list[Entry]:
    """The objects of a manifest in order, Lists opened up; only of ``kinds`` where given.

    Raises:
        TooLarge: too big, or its aliases expand too far.
        Invalid: not YAML, or not objects.
    """
    wanted = frozenset(kinds) if kinds is not None else None
    found: list[Entry] = []
    for document in documents(manifest):
        kind = kind_of(document)
        if wanted is not None and kind and not kind.endswith("List") and kind not in wanted:
            continue
        found.extend(entry for entry in _parse(document) if wanted is None or entry.kind in wanted)
    return found


@lru_cache(maxsize=2048)
def _parse(document: str) -> tuple[Entry, ...]:
    value = loaded(document)
    if value is None:
        return ()
    text_digest = hashlib.sha256(document.encode()).hexdigest()
    return tuple(Entry(obj, text_digest) for obj in _open(value))


def loaded(document: str) -> Any:
    """What one document says, anew at each call.

    Raises:
        TooLarge: its aliases expand too far.
        Invalid: not YAML.
    """
    try:
        return load(document, _Loader)
    except Unbounded as error:
        raise TooLarge("A rendered manifest of this release can't be read: {problem}.", problem=str(error)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # Not the parser's own words: they quote the text, which may hold a secret.
        mark = getattr(error, "problem_mark", None)
        raise Invalid(
            "A rendered manifest of this release is not YAML (line {line} of a document of kind {kind}).",
            line=mark.line + 1 if mark else 0,
            kind=kind_of(document) or "unknown",
        ) from None


def _open(value: Any) -> Iterator[Object]:
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise Invalid("A rendered manifest of this release holds something that is no Kubernetes object.")
    if value["kind"].endswith("List") and isinstance(value.get("items"), list):
        for item in value["items"]:
            yield from _open(item)
        return
    meta = value.get("metadata")
    if not isinstance(meta, dict) or not meta.get("name"):
        raise Invalid("A rendered manifest of this release holds a {kind} without a name.", kind=value["kind"])
    yield value
