# SPDX-License-Identifier: Apache-2.0
"""One reading of a workload, and the way back to each of its templates that it was prepared for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

import msgspec

from backout.cluster.port import SERVICES, ClusterReader, Object
from backout.errors import AccessDenied, Conflict, Invalid, RefusedError, RevisionNotFound
from backout.kube.diff import diff_objects
from backout.kube.needs import needs_of
from backout.kube.templates import plain_template
from backout.mechanisms.common.owned import Keeper, owner_checks, owner_risks, refuse_owned
from backout.mechanisms.common.reading_objects import missing_of
from backout.mechanisms.common.steps import replace_stuck
from backout.mechanisms.port import Draft, unprepared
from backout.mechanisms.workload import advice
from backout.mechanisms.workload import preview as previews
from backout.mechanisms.workload import steps as stepping
from backout.mechanisms.workload.declared import Declared
from backout.mechanisms.workload.history import TemplateRevision, WorkloadHistory, ref_of
from backout.mechanisms.workload.preview import Asked
from backout.model.change import ObjectChange
from backout.model.message import msg
from backout.model.part import Access, Check, Risk
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target
from backout.ownership.owner import Owner, owner_of
from backout.ownership.state import state_of


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a draft stands on beside the history: the owner, the Services around, and what the API server said to the
    template of each prepared digest (None: it is in force, so that nothing was to be asked). ``missing``: what its pods read
    and does not exist."""

    owner: Owner | None = None
    keeper: Keeper | None = None
    services: tuple[Object, ...] | None = None
    asked: dict[str, Asked | None] = {}
    missing: dict[str, tuple[ObjectRef, ...]] = {}
    coming: dict[str, tuple[ObjectRef, ...]] = {}


async def look_around(
    reader: ClusterReader,
    target: Target,
    snapshot: WorkloadHistory,
    wanted: Sequence[TemplateRevision],
    coming: Collection[ObjectRef] = (),
) -> Ground:
    """Reads it, with a dry run for each template."""
    differing = {past.digest: past for past in wanted if past.digest != snapshot.digest}
    if not wanted:
        return Ground(services=await _services(reader, target.namespace))
    owner, services, answers, missing = await asyncio.gather(
        owner_of(reader, snapshot.obj),
        _services(reader, target.namespace),
        asyncio.gather(*(previews.ask(reader, snapshot, past) for past in differing.values())),
        missing_of(reader, [past.template for past in wanted], target.namespace, coming),
    )
    asked: dict[str, Asked | None] = {past.digest: None for past in wanted}
    asked |= dict(zip(differing, answers, strict=True))
    keeper = None
    if owner.manager is not None:
        keeper = Keeper(manager=owner.manager, state=await state_of(reader, owner.manager))
    gone = {past.digest: refs for past, refs in zip(wanted, missing, strict=True)}
    first = {
        past.digest: tuple(
            ref for need in needs_of(past.template.get("spec") or {}) if (ref := need.ref(target.namespace)) in coming
        )
        for past in wanted
    }
    return Ground(owner=owner, keeper=keeper, services=services, asked=asked, missing=gone, coming=first)


class WorkloadReading(msgspec.Struct, frozen=True, kw_only=True):
    """See `mechanisms.port.Reading`."""

    target: Target
    snapshot: WorkloadHistory
    revisions: tuple[Revision, ...]
    ground: Ground

    def between(self, earlier: Revision | None, later: Revision) -> tuple[ObjectChange, ...]:
        """How the pod template changed from one revision to another."""
        after = self.snapshot.state_of(later.digest) or _gone(self.target, later)
        before = self.snapshot.state_of(earlier.digest) if earlier else None
        return (previews.between(self.snapshot, before, after),)

    def draft(self, revision: Revision) -> Draft:
        """The template of a revision, and what its pods need to get there.

        Raises:
            RefusedError: somebody else owns the workload and would undo it; or the API server would not accept it.
        """
        snapshot, target, ground = self.snapshot, self.target, self.ground
        wanted = snapshot.find(revision.digest) or _gone(target, revision)
        if wanted.digest not in ground.asked or ground.owner is None:
            raise unprepared(target, f"revision {revision.number}")
        agreed = _agrees(snapshot, wanted, ground.owner)
        if not agreed:
            refuse_owned(target, ground.owner)
        if snapshot.obj["metadata"].get("deletionTimestamp"):
            raise RefusedError("{target} is being deleted.", target=str(target), hint="Wait, then make it again.")
        asked = ground.asked[wanted.digest]
        if asked is not None and isinstance(asked[1], Invalid | Conflict):
            raise asked[1]
        steps = stepping.steps(snapshot, target, revision)
        return Draft(
            steps=tuple(steps),
            changes=previews.preview(snapshot, wanted, steps, asked),
            risks=(
                *owner_risks(target, ground.keeper, ground.owner),
                *((_as_declared(target, ground.owner, whole=_whole(snapshot, wanted)),) if agreed else ()),
                *advice.risks(snapshot, wanted, steps, ground.missing.get(wanted.digest, ())),
                *_needs_first(ground.coming.get(wanted.digest, ())),
            ),
            checks=(
                *advice.checks(snapshot, target, wanted, list(ground.services or ())),
                *owner_checks(target, ground.keeper),
            ),
            access=_access(target),
        )

    def present_checks(self) -> tuple[Check, ...]:
        """The template in force, whichever it is."""
        if self.ground.services is None:
            raise unprepared(self.target, "checks of the present state")
        current = next((revision for revision in reversed(self.revisions) if revision.current), None)
        past = self.snapshot.state_of(current.digest) if current else None
        if current is None or past is None:
            return ()
        past = msgspec.structs.replace(past, number=current.number)
        return tuple(advice.checks(self.snapshot, self.target, past, list(self.ground.services)))


def _agrees(snapshot: WorkloadHistory, wanted: TemplateRevision, owner: Owner) -> bool:
    """True when the release that owns it says the same, or no field is otherwise that is not so now: the release loses nothing
    by the way back."""
    said = snapshot.declared
    if said is None or owner.kind != "helm" or owner.target is None or said.release != owner.target.name:
        return False
    if said.digest == wanted.digest:
        return True
    live = plain_template(snapshot.obj["spec"]["template"])
    return _strays(said, wanted.template) <= _strays(said, live)


def _whole(snapshot: WorkloadHistory, wanted: TemplateRevision) -> bool:
    return snapshot.declared is not None and snapshot.declared.digest == wanted.digest


def _strays(said: Declared, template: dict[str, Any]) -> set[str]:
    """The fields in which a template is not what the release says."""
    return {field.path for field in diff_objects({"template": said.template}, {"template": template})}


def _as_declared(target: Target, owner: Owner, *, whole: bool) -> Risk:
    if not whole:
        return Risk(
            code="edits-taken-back",
            message=msg(
                "The last edit by hand of {target} is taken back; earlier ones stay, in which it is not as {owner} says.",
                target=str(target),
                owner=str(owner.target),
            ),
        )
    return Risk(
        code="edits-taken-back",
        message=msg(
            "What was edited by hand of {target} is taken back to what {owner} says; {owner} itself stays as it is.",
            target=str(target),
            owner=str(owner.target),
        ),
    )


def _access(target: Target) -> tuple[Access, ...]:
    """Whether pods will have to be deleted shows only once the template is back."""
    ref = ref_of(target)
    may = [replace_stuck(ref, target)] if ref.kind != "Deployment" else []
    return tuple(advice.access(ref.kind, target.namespace, may))


def _gone(target: Target, revision: Revision) -> NoReturn:
    raise RevisionNotFound(
        "Revision {n} of {target} is kept by no ReplicaSet or ControllerRevision.",
        n=revision.number,
        target=str(target),
        hint="Choose one of `backout history {target}` that was rolled out.",
    )


async def _services(reader: ClusterReader, namespace: str) -> tuple[Object, ...]:
    try:
        return tuple(await reader.list_all(SERVICES, namespace))
    except AccessDenied:
        return ()


def _needs_first(refs: Sequence[ObjectRef]) -> tuple[Risk, ...]:
    """What has to be carried out before, so that its pods start."""
    if not refs:
        return ()
    names = ", ".join(map(str, refs))
    return (
        Risk(
            code="needs-first",
            message=msg("Its pods need {objects}, which another plan of this run creates first.", objects=names),
        ),
    )
