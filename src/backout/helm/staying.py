# SPDX-License-Identifier: Apache-2.0
"""A revision in whose manifest some objects stay as they are in the cluster, since the API server does not let them go back. Pure.

A claim neither shrinks nor moves (kubernetes pkg/apis/core/validation: ValidatePersistentVolumeClaimUpdate), and a rollback that
asks for it fails before anything else of the release is back. What can stay as it is without harm does; Helm applies the rest.
"""

from __future__ import annotations

import base64
import copy
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from backout.errors import Invalid
from backout.helm.manifest import Object, documents, kind_of, loaded
from backout.helm.payload import unpack
from backout.kube.diff import quantity
from backout.model.change import FieldChange
from backout.model.decoding import UNREADABLE

CLAIM = "PersistentVolumeClaim"
_MUTABLE = ("volumeAttributesClassName",)
"""Fields of a claim's spec that may be changed at any time, beside its size, which may grow."""


class Kept(NamedTuple):
    """The ``spec`` that an object keeps, or the number of its pods alone."""

    kind: str
    namespace: str
    name: str
    spec: Object | None = None
    replicas: int | None = None


def ways_to_stay(base: Object | None, target: Object, live: Object) -> Iterable[Object]:
    """``target`` with as little as possible of ``live``'s spec in it, then with more; none where its kind has to go back wholly.

    Only what one of both manifests says is said: a volume's name that the cluster chose is nothing for a manifest.
    """
    if target.get("kind") != CLAIM:
        return
    found = live.get("spec") or {}
    said = {**((base or {}).get("spec") or {}), **(target.get("spec") or {})}
    spec = {key: copy.deepcopy(found[key]) for key in said if key in found and key not in _MUTABLE}
    wanted = target.get("spec") or {}
    spec |= {key: copy.deepcopy(wanted[key]) for key in _MUTABLE if key in wanted}
    stays = {**copy.deepcopy(target), "spec": spec}
    if (size := _size(wanted)) is not None and (now := _size(found)) is not None and size > now:
        larger = copy.deepcopy(stays)
        larger["spec"].setdefault("resources", {})["requests"] = copy.deepcopy(wanted["resources"]["requests"])
        yield larger
    yield stays


def only_grown(fields: Sequence[FieldChange]) -> bool:
    """Whether nothing stays but a claim's size, which is larger than the target asks for: its data is where it was."""
    sizes = [
        (quantity(one.before), quantity(one.after)) for one in fields if one.path == "spec.resources.requests.storage"
    ]
    grown = all(now is not None and then is not None and now > then for now, then in sizes)
    return bool(sizes) and grown and len(sizes) == len(fields)


def _size(spec: Mapping[str, Any]) -> Any:
    return quantity(((spec.get("resources") or {}).get("requests") or {}).get("storage"))


def staying(manifest: str, namespace: str, kept: Iterable[Kept]) -> str:
    """``manifest`` in which these objects have what they keep. Always the same text for the same arguments; documents
    that hold none of them stay as they are, byte by byte.

    Raises:
        TooLarge, Invalid: it can't be read.
    """
    every = {(one.kind, one.namespace, one.name): one for one in kept}
    kinds = {kind for kind, _, _ in every}
    for document in documents(manifest):
        kind = kind_of(document)
        if kind and kind not in kinds and not kind.endswith("List"):
            continue
        value = loaded(document)
        if _set(value, every, namespace):
            manifest = manifest.replace(document, _comments(document) + _text(value), 1)
    return manifest


def _set(value: Any, kept: Mapping[tuple[str, str, str], Kept], namespace: str) -> bool:
    if not isinstance(value, dict):
        return False
    if str(value.get("kind")).endswith("List") and isinstance(value.get("items"), list):
        found = [_set(item, kept, namespace) for item in value["items"]]
        return any(found)
    meta = value.get("metadata") or {}
    mine = kept.get((str(value.get("kind")), str(meta.get("namespace") or namespace), str(meta.get("name"))))
    if mine is None:
        return False
    if mine.spec is not None:
        value["spec"] = mine.spec
    if mine.replicas is not None:
        value["spec"] = {**(value.get("spec") or {}), "replicas": mine.replicas}
    return True


def _comments(document: str) -> str:
    """What Helm writes above an object: the template that it is from."""
    lines = document.splitlines(keepends=True)
    return "".join(line for line in lines[:1] if line.startswith("#") and line.endswith("\n"))


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def with_manifest(text: str, name: str, manifest: str, *, wrapped: bool) -> str:
    """A stored record with another manifest; all else in it is as it was, byte by byte. ``wrapped`` for one of a Secret.

    Raises:
        TooLarge, Invalid: it can't be read.
    """
    try:
        fields = msgspec.json.decode(unpack(text, name, wrapped=wrapped), type=dict[str, msgspec.Raw])
    except UNREADABLE as error:
        raise Invalid("Release record {name} can't be read: its content is not a Helm release.", name=name) from error
    fields["manifest"] = msgspec.Raw(msgspec.json.encode(manifest))
    packed = base64.b64encode(gzip.compress(msgspec.json.encode(fields), mtime=0))
    return (base64.b64encode(packed) if wrapped else packed).decode()
