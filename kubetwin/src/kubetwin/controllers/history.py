# SPDX-License-Identifier: Apache-2.0
"""ControllerRevisions: the history of StatefulSets and DaemonSets (facts: pkg/controller/history)."""

from __future__ import annotations

import json
from typing import Any

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.workload import WorkloadController
from kubetwin.kinds import CONTROLLERREVISIONS
from kubetwin.meta import (
    annotations_of,
    canonical_json,
    fnv32,
    name_of,
    namespace_of,
    owner_index,
    owner_reference,
    safe_encode,
    status_of,
    uid_of,
    without_nulls,
)


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


class RevisionedController(WorkloadController):
    """A workload whose templates are kept as ControllerRevisions."""

    hash_label = "controller.kubernetes.io/hash"

    def setup(self) -> None:
        super().setup()
        self.revisions = self.inform(CONTROLLERREVISIONS)
        self.revisions.add_index("owner", owner_index)

    async def owned_revisions(self, owner: Obj) -> list[Obj]:
        """By revision, oldest first; matching orphans are adopted."""
        return sorted_revisions(await self.claim(self.revisions, CONTROLLERREVISIONS, owner))

    async def present_revision(self, owner: Obj, revisions: list[Obj]) -> tuple[Obj, int]:
        """The revision of the present template, and the collision count.

        Creates it, or bumps the number of an equal old one: that is how a rollback shows in the history.
        """
        data = template_data(owner)
        wanted = data_key(data)
        number = int(revisions[-1]["revision"]) + 1 if revisions else 1
        equal = [r for r in revisions if data_key(r.get("data")) == wanted]
        collisions = int(status_of(owner).get("collisionCount") or 0)
        if equal:
            latest = equal[-1]
            if revisions[-1] is latest:
                return latest, collisions
            return await self.write.replace(CONTROLLERREVISIONS, {**latest, "revision": number}), collisions
        while True:
            revision = self._new_revision(owner, data, collisions, number)
            try:
                return await self.write.create(CONTROLLERREVISIONS, revision), collisions
            except ApiException as error:
                if not error.already_exists:
                    raise
            existing = await self.write.api.get(CONTROLLERREVISIONS, name_of(revision), namespace_of(owner))
            refs = existing["metadata"].get("ownerReferences") or ()
            if data_key(existing.get("data")) == wanted and any(r["uid"] == uid_of(owner) for r in refs):
                self.revisions.observe(existing)
                return existing, collisions
            collisions += 1

    def _new_revision(self, owner: Obj, data: Obj, collisions: int, number: int) -> Obj:
        digest = revision_hash(data, collisions)
        labels = owner["spec"]["template"].get("metadata", {}).get("labels") or {}
        return {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": f"{name_of(owner)[:223]}-{digest}",
                "namespace": namespace_of(owner),
                "labels": {**labels, self.hash_label: digest},
                "annotations": dict(annotations_of(owner)),
                "ownerReferences": [owner_reference(owner)],
            },
            "data": data,
            "revision": number,
        }

    async def truncate(self, owner: Obj, revisions: list[Obj], present: Obj, live: set[str]) -> None:
        """Delete the oldest revisions beyond the owner's limit, but the present one and those named in ``live``."""
        limit = owner["spec"].get("revisionHistoryLimit")
        if limit is None or limit < 0:
            limit = 10
        unused = [r for r in revisions if name_of(r) not in live and name_of(r) != name_of(present)]
        for revision in unused[: max(0, len(unused) - limit)]:
            await self.write.delete(CONTROLLERREVISIONS, revision)
