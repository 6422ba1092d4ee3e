# SPDX-License-Identifier: Apache-2.0
"""Who wrote the content of an object last, and what kind of writer that is.

managedFields name each writer once for each way of writing, with the time (whole seconds) of its last change; a field
belongs to whoever set it last (kubernetes.io/docs/reference/using-api/server-side-apply: field ownership). Who deleted
an object is nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.cluster.port import Object
from backout.kube.names import RESTARTED_AT
from backout.kube.projections import Meta
from backout.model.decoding import UNREADABLE

By = Literal["helm", "argocd", "cluster", "other"]
"""``other``: a person with kubectl, or a program of which nothing is known. ``cluster``: the control plane itself."""

CONTROL_PLANE = frozenset(
    {
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-apiserver",
        "cluster-autoscaler",
        "cloud-controller-manager",
    }
)
_CONTENT = {"ConfigMap": ("data", "binaryData", "immutable"), "Secret": ("data", "stringData", "immutable", "type")}


class Entry(msgspec.Struct, rename="camel", frozen=True):
    """One entry of managedFields; what it owns is decoded when it is asked for."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    time: datetime | None = None
    fields_v1: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def fields(self) -> dict[str, Any]:
        """The tree of what it owns; empty when it is none."""
        try:
            found = msgspec.json.decode(self.fields_v1)
        except UNREADABLE:
            return {}
        return found if isinstance(found, dict) else {}


def entries_of(obj: Object) -> list[Entry]:
    """The writers of an object that was read whole; none where they can't be read."""
    try:
        return msgspec.json.decode(msgspec.json.encode(obj["metadata"].get("managedFields") or []), type=list[Entry])
    except UNREADABLE:
        return []


class WrittenMeta(Meta, frozen=True):
    """Metadata with its writers."""

    managed_fields: tuple[Entry, ...] = ()


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The last write of an object's content. ``keys`` are those of ``data`` that are this writer's, if any.

    ``born`` is True when that write made the object.
    """

    manager: str
    at: datetime
    by: By
    keys: tuple[str, ...] = ()
    born: bool = False


def kind_of(manager: str) -> By:
    """What kind of writer a manager's name means (helm: "helm"; Argo CD: common.ArgoCDSSAManager)."""
    lowered = manager.lower()
    if lowered == "helm" or lowered.startswith("helm-"):
        return "helm"
    if lowered.startswith("argocd"):
        return "argocd"
    return "cluster" if manager in CONTROL_PLANE else "other"


def last_write(kind: str, entries: Iterable[Entry], created: datetime | None) -> Written | None:
    """Who wrote the content last: ``data`` of ConfigMaps and Secrets, ``spec`` of everything else.

    None when nothing says so. Of two writes in one second, the one that did not make the object came later.
    """
    found = [(entry, fields) for entry in entries if (fields := _content(kind, entry)) and entry.time is not None]
    if not found:
        return None
    entry, fields = max(found, key=lambda pair: (pair[0].time, kind_of(pair[0].manager) == "other"))
    assert entry.time is not None
    keys = tuple(sorted({step for part in ("f:data", "f:binaryData") for step in _steps(fields.get(part))}))
    return Written(
        manager=entry.manager,
        at=entry.time,
        by=kind_of(entry.manager),
        keys=keys,
        born=entry.time == created and len({e.time for e, _ in found}) == 1,
    )


def _content(kind: str, entry: Entry) -> dict[str, Any]:
    if entry.subresource:
        return {}
    parts = _CONTENT.get(kind, ("spec",))
    fields = entry.fields
    return {f"f:{part}": fields[f"f:{part}"] for part in parts if f"f:{part}" in fields}


def _steps(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (step.removeprefix("f:") for step in node if step.startswith("f:"))


def template_write(entries: Iterable[Entry]) -> datetime | None:
    """When somebody last changed the pod template of a workload otherwise than by ``kubectl rollout restart``."""
    return max((e.time for e in entries if e.time and not e.subresource and _changes_template(e.fields)), default=None)


def _changes_template(fields: dict[str, Any]) -> bool:
    template = (fields.get("f:spec") or {}).get("f:template") or {}
    return any(path != ("f:metadata", "f:annotations", f"f:{RESTARTED_AT}") for path in _leaves(template))


def _leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for step, inner in node.items() if isinstance(node, dict) else ():
        if step == ".":
            continue
        if isinstance(inner, dict) and any(key != "." for key in inner):
            yield from _leaves(inner, (*path, step))
        else:
            yield (*path, step)
