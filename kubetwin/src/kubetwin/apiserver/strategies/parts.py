# SPDX-License-Identifier: Apache-2.0
"""What writes to subresources may change, beyond ``status``.

Sources: the strategies of pkg/registry/core/pod and pkg/registry/certificates/certificates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubetwin.apiserver.store import Object
from kubetwin.apiserver.strategies.context import Context

PartRule = Callable[[Object, Object, Context], None]

_OF_METADATA = ("deletionTimestamp", "generation", "labels", "annotations", "finalizers", "ownerReferences")
_DECIDED = ("Approved", "Denied")


def _kept(new: Object, old: Object, *names: str) -> None:
    for name in names:
        if name in old:
            new[name] = old[name]
        else:
            new.pop(name, None)


def ephemeral_containers(new: Object, old: Object, context: Context) -> None:
    """Of the pod, its ephemeral containers alone."""
    wanted = new["spec"].get("ephemeralContainers")
    new["spec"] = {name: value for name, value in old["spec"].items() if name != "ephemeralContainers"}
    _kept(new, old, "status")
    _kept(new["metadata"], old["metadata"], *_OF_METADATA)
    if wanted:
        new["spec"]["ephemeralContainers"] = wanted


def resize(new: Object, old: Object, context: Context) -> None:
    """Of the pod, its containers' resources alone. With other containers it stays as it is, for validation to refuse."""
    parts = ("containers", "initContainers")
    if any(len(new["spec"].get(part) or ()) != len(old["spec"].get(part) or ()) for part in parts):
        return
    resized = {part: _resized(new["spec"].get(part) or [], old["spec"].get(part) or []) for part in parts}
    resources = new["spec"].get("resources")
    new["spec"] = {**old["spec"], **{part: found for part, found in resized.items() if found}}
    if resources is not None:
        new["spec"]["resources"] = resources
    _kept(new, old, "status")
    _kept(new["metadata"], old["metadata"], *_OF_METADATA)


def _resized(new: list[Object], old: list[Object]) -> list[Object]:
    if [item.get("name") for item in new] != [item.get("name") for item in old]:
        return new
    out = []
    for wanted, before in zip(new, old, strict=True):
        item = dict(before)
        _kept(item, wanted, "resources", "resizePolicy")
        out.append(item)
    return out


def approval(new: Object, old: Object, context: Context) -> None:
    """Of a certificate signing request, its conditions alone."""
    conditions = _stamped(new, old, context.now)
    _kept(new, old, "spec", "status")
    new["status"] = {**(old.get("status") or {})}
    new["status"].pop("conditions", None)
    if conditions:
        new["status"]["conditions"] = conditions


def signing_status(new: Object, old: Object, context: Context) -> None:
    """The signer's word: the certificate, and conditions other than those of the approval."""
    conditions = _stamped(new, old, context.now)
    before = (old.get("status") or {}).get("conditions") or ()
    for kind in _DECIDED:
        known = [item for item in before if item.get("type") == kind]
        places = [index for index, item in enumerate(conditions) if item.get("type") == kind]
        if len(known) == len(places):
            for index, item in zip(places, known, strict=True):
                conditions[index] = item
    if conditions:
        new["status"]["conditions"] = conditions


def _stamped(new: Object, old: Object, now: str) -> list[dict[str, Any]]:
    """The conditions with the times that the writer left out."""
    before = (old.get("status") or {}).get("conditions") or ()
    out = []
    for item in (new.get("status") or {}).get("conditions") or ():
        same = (
            known["lastTransitionTime"]
            for known in before
            if (known.get("type"), known.get("status")) == (item.get("type"), item.get("status"))
            and known.get("lastTransitionTime")
        )
        item = dict(item)
        item["lastUpdateTime"] = item.get("lastUpdateTime") or now
        item["lastTransitionTime"] = item.get("lastTransitionTime") or next(same, now)
        out.append(item)
    return out


_REQUESTS = ("certificates.k8s.io", "certificatesigningrequests")
PARTS: dict[tuple[tuple[str, str], str], PartRule] = {
    (("", "pods"), "ephemeralcontainers"): ephemeral_containers,
    (("", "pods"), "resize"): resize,
    (_REQUESTS, "approval"): approval,
    (_REQUESTS, "status"): signing_status,
}
