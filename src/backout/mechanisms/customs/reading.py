# SPDX-License-Identifier: Apache-2.0
"""One reading of a custom resource, and the way back to each of its revisions that it was prepared for."""

from __future__ import annotations

from typing import NoReturn

import msgspec

from backout.cluster.port import CONTROLLERREVISIONS, REPLICASETS, ClusterReader, Object
from backout.errors import AccessDenied, BackoutError, Conflict, Invalid, NothingToDo, RefusedError, RevisionNotFound
from backout.kube.diff import diff_objects
from backout.mechanisms.common.operated import Subject, checks, params_of, reads, waiting
from backout.mechanisms.common.owned import Keeper, owner_checks, owner_risks, refuse_owned
from backout.mechanisms.customs.body import body_of, meant, patch
from backout.mechanisms.customs.history import SaidHistory, SaidRevision
from backout.mechanisms.customs.params import FromCapture, PutBackParams
from backout.mechanisms.port import Draft, unprepared, wire
from backout.model.change import Changes, ObjectChange
from backout.model.message import Message, msg
from backout.model.part import Access, Check, Compensation, Risk, Step
from backout.model.revision import Revision
from backout.model.target import Target
from backout.ownership.operators import operators_of, silence
from backout.ownership.owner import Owner, owner_of
from backout.ownership.state import state_of

PUT_BACK, WAIT = "customs.put-back", "customs.wait"


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a draft stands on beside the history: the owner, and what the API server said to what each digest stands for."""

    owner: Owner
    keeper: Keeper | None = None
    asked: dict[str, tuple[Object | None, BackoutError | None]] = {}
    deaf: Message | None = None
    """Why nobody would carry out what it says, where that is so."""


async def look_around(reader: ClusterReader, seen: SaidHistory, wanted: list[SaidRevision]) -> Ground:
    """Reads it, with a dry run for each."""
    owner = await owner_of(reader, seen.live)
    keeper = None
    if owner.manager is not None:
        keeper = Keeper(manager=owner.manager, state=await state_of(reader, owner.manager))
    asked = {one.digest: await _ask(reader, seen, one) for one in wanted if one.digest != seen.current.digest}
    deaf = None
    if not seen.live.get("status") and not seen.children:
        deaf = silence(await operators_of(reader, seen.resource, seen.ref.namespace))
    return Ground(owner=owner, keeper=keeper, asked=asked, deaf=deaf)


async def _ask(
    reader: ClusterReader, seen: SaidHistory, one: SaidRevision
) -> tuple[Object | None, BackoutError | None]:
    ref = seen.ref
    place = ref.namespace if seen.resource.namespaced else ""
    try:
        body = patch(seen.live, one.body)
        return await reader.dry_run_patch(seen.resource, ref.name, body, place, type="json"), None
    except (Invalid, Conflict, AccessDenied) as error:
        return None, error


class CustomReading(msgspec.Struct, frozen=True, kw_only=True):
    """See `mechanisms.port.Reading`. Holds secrets: never print it; what it answers holds none but fields of a spec."""

    target: Target
    seen: SaidHistory
    revisions: tuple[Revision, ...]
    ground: Ground | None
    answers: bool = True
    """Somebody is to say in its status how it is."""

    def between(self, earlier: Revision | None, later: Revision) -> tuple[ObjectChange, ...]:
        """How what it says changed from one revision to another."""
        after = self.seen.find(later) or _gone(self.target, later)
        before = self.seen.find(earlier) if earlier else None
        ref = msgspec.structs.replace(self.seen.ref, uid="")
        fields = diff_objects(meant(before.body) if before is not None else {}, meant(after.body))
        return (ObjectChange(ref=ref, action="update" if before is not None else "create", fields=fields),)

    def draft(self, revision: Revision) -> Draft:
        """What it said at a revision, and what its operator needs to get there.

        Raises:
            NothingToDo: it says that already.
            RefusedError: somebody else owns it, nobody would carry it out, or the API server would not take it.
        """
        seen, target, ground = self.seen, self.target, self.ground
        wanted = seen.find(revision) or _gone(target, revision)
        if ground is None:
            raise unprepared(target, f"revision {revision.number}")
        refuse_owned(target, ground.owner)
        if seen.live["metadata"].get("deletionTimestamp"):
            raise RefusedError("{target} is being deleted.", target=str(target), hint="Wait, then make it again.")
        if wanted.digest == seen.current.digest:
            raise NothingToDo(
                "{target} says what it said at revision {number} already.",
                target=str(target),
                number=wanted.number,
                hint="If something is wrong all the same, name another: `backout history {target}`.",
            )
        if self.answers and ground.deaf is not None:
            raise RefusedError(
                "Nobody carries out what {target} says, so that another content would have no effect.",
                target=str(target),
                why=ground.deaf,
                expected="a custom resource whose operator has taken it up once",
                found="one without a status. {why}",
                hint="Start its operator first; then plan anew.",
            )
        if wanted.digest not in ground.asked:
            raise unprepared(target, f"revision {revision.number}")
        answer, problem = ground.asked[wanted.digest]
        if isinstance(problem, Invalid | Conflict):
            raise problem
        subject = self._subject(changed=True)
        steps = [self._put_back(wanted, subject), *waiting([subject], target, WAIT)]
        fields = diff_objects(meant(body_of(seen.live)), meant(body_of(answer) if answer is not None else wanted.body))
        notes = (msg("You may not write it, so that the API server was not asked."),) if problem is not None else ()
        return Draft(
            steps=tuple(steps),
            changes=Changes(objects=(ObjectChange(ref=seen.ref, action="update", fields=fields, notes=notes),)),
            risks=(*owner_risks(target, ground.keeper, ground.owner), *self._risks(wanted)),
            checks=(*checks([subject], target), *owner_checks(target, ground.keeper)),
            access=tuple(sorted(self._access(subject))),
        )

    def present_checks(self) -> tuple[Check, ...]:
        """That it is as its operator says, whatever it says."""
        return tuple(checks([self._subject(changed=False)], self.target))

    def _subject(self, *, changed: bool) -> Subject:
        seen = self.seen
        params = params_of(
            seen.ref, seen.resource, seen.children, seen.ref.namespace, changed=changed, answers=self.answers
        )
        return Subject(params=params, children=seen.children, changed=changed, waits=self.answers)

    def _put_back(self, wanted: SaidRevision, subject: Subject) -> Step:
        seen, base = self.seen, msgspec.structs.asdict(subject.params)
        assert wanted.origin is not None
        forward = PutBackParams(**base, origin=wanted.origin, digest=wanted.digest, expect=seen.current.digest)
        back = PutBackParams(**base, origin=FromCapture(), digest=seen.current.digest, expect=wanted.digest)
        return Step(
            id="put-back",
            action=PUT_BACK,
            target=self.target,
            title=msg("Put what {ref} says back to revision {n}", ref=str(seen.ref), n=wanted.number),
            params=wire(forward),
            precondition={"uid": seen.ref.uid},
            effect=msg("Its operator carries that out."),
            compensation=Compensation(PUT_BACK, wire(back), tuple(sorted(self._writing()))),
            timeout=60.0,
        )

    def _writing(self) -> set[Access]:
        resource, place = self.seen.resource, self.seen.ref.namespace if self.seen.resource.namespaced else ""
        return {Access(verb, resource.group, resource.plural, place) for verb in ("get", "list", "watch", "patch")}

    def _access(self, subject: Subject) -> set[Access]:
        found = self._writing()
        for resource, namespace, verbs in reads([subject]):
            found |= {Access(verb, resource.group, resource.plural, namespace) for verb in verbs}
        for resource in (REPLICASETS, CONTROLLERREVISIONS):
            found.add(Access("list", resource.group, resource.plural, self.seen.ref.namespace))
        return found

    def _risks(self, wanted: SaidRevision) -> list[Risk]:
        found, live = [], self.seen.live
        status, kept = live.get("status") or {}, wanted.kept
        steps = (((live.get("spec") or {}).get("strategy") or {}).get("canary") or {}).get("steps")
        if kept is not None and "stableRS" in status and not kept.stable and steps:
            text = msg(
                "Revision {number} is not the stable one: {ref} goes through its canary steps to get there, and waits where one of them "
                "pauses (`kubectl argo rollouts promote`).",
                number=wanted.number,
                ref=str(self.seen.ref),
            )
            found.append(Risk(code="canary-steps", message=text))
        if status.get("abort"):
            text = msg(
                "Its rollout was aborted: the stable pods serve. With its former template it is no longer degraded."
            )
            found.append(Risk(code="aborted", message=text))
        if (live.get("spec") or {}).get("paused") is True:
            text = msg(
                "{ref} is paused, so that its operator does nothing until that is taken back.", ref=str(self.seen.ref)
            )
            found.append(Risk(code="paused", message=text))
        if (live.get("spec") or {}).get("workloadRef"):
            text = msg("It takes its template from another object, which stays as it is.")
            found.append(Risk(code="template-elsewhere", message=text))
        return found


def _gone(target: Target, revision: Revision) -> NoReturn:
    raise RevisionNotFound(
        "Revision {n} of {target} is kept nowhere any more.",
        n=revision.number,
        target=str(target),
        hint="`backout history {target}` names those that are.",
    )
