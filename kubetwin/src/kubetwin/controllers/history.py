# SPDX-License-Identifier: Apache-2.0
"""ControllerRevisions: the history of StatefulSets and DaemonSets (facts: pkg/controller/history)."""

from __future__ import annotations

import json
from typing import Any

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.base import Writer
from kubetwin.controllers.refs import claim
from kubetwin.informer import Informer
from kubetwin.kinds import CONTROLLERREVISIONS
from kubetwin.meta import (
    annotations_of,
    canonical_json,
    fnv32,
    label_selector,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    safe_encode,
    uid_of,
    without_nulls,
)

HASH_LABEL = "controller.kubernetes.io/hash"


def template_data(owner: Obj) -> Obj:
    """What a revision stores: the pod template and the directive that makes a strategic merge replace it.

    Keys are sorted: `kubectl rollout undo` compares the bytes with a patch that it makes itself.
    """
    data = {"spec": {"template": {**without_nulls(owner["spec"]["template"]), "$patch": "replace"}}}
    return dict(json.loads(canonical_json(data)))


def data_key(data: Any) -> bytes:
    """Equal for equal data; an unset creationTimestamp, which older servers store as null, does not count."""
    return canonical_json(without_nulls(data))


def revision_hash(data: Obj, collisions: int) -> str:
    return safe_encode(str(fnv32(canonical_json(data) + str(collisions).encode())))


def sorted_revisions(revisions: list[Obj]) -> list[Obj]:
    return sorted(
        revisions, key=lambda r: (int(r["revision"]), r["metadata"].get("creationTimestamp") or "", name_of(r))
    )


async def owned_revisions(write: Writer, informer: Informer, owner: Obj) -> list[Obj]:
    """By revision, oldest first; matching orphans are adopted."""
    matches = label_selector(owner["spec"].get("selector"))
    found = await claim(write, informer, CONTROLLERREVISIONS, owner, lambda r: matches(labels_of(r)))
    return sorted_revisions(found)


async def current_and_update(
    write: Writer, informer: Informer, owner: Obj, revisions: list[Obj], *, hash_label: str = HASH_LABEL
) -> tuple[Obj, int]:
    """The revision of the present template, and the collision count.

    Creates it, or bumps the number of an equal old one: that is how a rollback shows in the history.
    """
    data = template_data(owner)
    wanted = data_key(data)
    next_number = int(revisions[-1]["revision"]) + 1 if revisions else 1
    equal = [r for r in revisions if data_key(r.get("data")) == wanted]
    collisions = int((owner.get("status") or {}).get("collisionCount") or 0)
    if equal:
        latest = equal[-1]
        if revisions[-1] is latest:
            return latest, collisions
        return await write.replace(CONTROLLERREVISIONS, {**latest, "revision": next_number}), collisions
    while True:
        digest = revision_hash(data, collisions)
        name = f"{name_of(owner)[:223]}-{digest}"
        revision: Obj = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "namespace": namespace_of(owner),
                "labels": {**(owner["spec"]["template"].get("metadata", {}).get("labels") or {}), hash_label: digest},
                "annotations": dict(annotations_of(owner)),
                "ownerReferences": [owner_reference(owner)],
            },
            "data": data,
            "revision": next_number,
        }
        try:
            return await write.create(CONTROLLERREVISIONS, revision), collisions
        except ApiException as error:
            if not error.already_exists:
                raise
        existing = await write.api.get(CONTROLLERREVISIONS, name, namespace_of(owner))
        refs = existing["metadata"].get("ownerReferences") or ()
        if data_key(existing.get("data")) == wanted and any(r["uid"] == uid_of(owner) for r in refs):
            informer.observe(existing)
            return existing, collisions
        collisions += 1


async def truncate(write: Writer, revisions: list[Obj], live: set[str], limit: int | None) -> None:
    """Delete the oldest revisions beyond ``limit`` that nothing uses."""
    if limit is None or limit < 0:
        limit = 10
    history = [r for r in revisions if name_of(r) not in live]
    for revision in history[: max(0, len(history) - limit)]:
        await write.delete(CONTROLLERREVISIONS, revision)
