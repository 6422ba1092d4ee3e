# SPDX-License-Identifier: Apache-2.0
"""The problems of objects that no failing pod shows: what is missing, and what was changed so that it leads nowhere."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from msgspec.structs import replace

from backout.diagnosis.attribution.changes import Change, short
from backout.diagnosis.attribution.custom_change import changed
from backout.diagnosis.attribution.object_change import object_change, step_of_release
from backout.diagnosis.attribution.signals import signals
from backout.diagnosis.attribution.ways import target_of, way_back
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.namespace import Namespace
from backout.kube.groups import custom
from backout.kube.names import HELM_RELEASE
from backout.kube.references import mentions
from backout.model.change import FieldChange
from backout.model.diagnosis import Problem
from backout.model.message import Message, distinct, few, msg
from backout.model.target import OBJECTS, ObjectRef, Target

ACTS = timedelta(seconds=30)
"""An operator acts on a watch, and has looked at a change by then; where it waits for pods, these show what is wrong."""
_ANYWHERE = frozenset({"spec", "name", "http", "https", "url", "type", "kind"})
_OUTSIDE = ("dns", "dependency", "credentials")
_AWAY = re.compile(
    r"\b50[0234]\b|\b429\b|rate.?limit|too many requests|unavailable|unreachable|time(d )?.?out|no route to host",
    re.IGNORECASE,
)


async def seen_problems(namespace: Namespace, found: Sequence[Seen], told: Collection[ObjectRef]) -> list[Problem]:
    """One problem for each object at fault; those in ``told`` are told of already."""
    problems: dict[Target, Problem] = {}
    gone: dict[Target, list[ObjectRef]] = {}
    whole = {one.release for one in found if one.release and one.gone is not None and not _alone(one.gone)}
    known = {(ref.kind, ref.name) for ref in told if ref.namespace == namespace.name}
    for seen in found:
        if seen.workload is not None:
            continue
        if seen.uninstalled is not None:
            problems[seen.uninstalled] = await _uninstalled(namespace, seen, seen.uninstalled)
            continue
        ref = seen.gone or seen.symptom.ref
        if (ref.kind, ref.name) in known:
            continue
        problem = (
            await _gone(namespace, seen, seen.gone, with_release=seen.release in whole)
            if seen.gone is not None
            else await _changed(namespace, seen)
        )
        if problem is None:
            continue
        if seen.gone is not None and problem.suspect is None:
            gone.setdefault(problem.target, []).append(seen.gone)
        before = problems.get(problem.target)
        if before is not None:
            problem = Problem(
                target=before.target,
                mechanism=before.mechanism,
                symptoms=(*before.symptoms, *problem.symptoms),
                cause=before.cause,
                suspect=before.suspect,
                bad_revision=before.bad_revision,
                confidence=before.confidence,
                why=before.why,
                notes=distinct((*before.notes, *problem.notes)),
                owners=before.owners,
            )
        problems[problem.target] = problem
    for target, refs in gone.items():
        if len(refs) > 1:
            problems[target] = _all_gone(problems[target], refs)
    return list(problems.values())


def _alone(ref: ObjectRef) -> bool:
    """True for an object that goes back on its own; a release that has others makes all that it lacks in one go."""
    return ref.kind.lower() in OBJECTS


def _all_gone(problem: Problem, refs: Sequence[ObjectRef]) -> Problem:
    codes = ", ".join(dict.fromkeys(symptom.code for symptom in problem.symptoms))
    names = few(list(dict.fromkeys(map(str, refs))))
    return replace(problem, cause=msg("{codes}: {objects} do not exist any more", codes=codes, objects=names))


async def _uninstalled(namespace: Namespace, seen: Seen, release: Target) -> Problem:
    good = (await namespace.baseline()).good
    return Problem(
        target=release,
        mechanism="helm",
        symptoms=(seen.symptom,),
        cause=msg("{codes}: {release} was uninstalled", codes=seen.symptom.code, release=str(release)),
        confidence=seen.confidence,
        why=(msg("Snapshot {id} holds it.", id=good.short),) if good is not None else (),
        notes=(msg("Who did that is recorded nowhere in the cluster."),),
    )


def _doubts(seen: Seen, change: Change) -> Iterator[Message]:
    """What speaks against a change of a custom resource whose operator complains: it does so of something else."""
    said = " ".join(one.message.text for one in seen.symptom.evidence) or seen.symptom.message.text
    if any(mentions(said, word) for field in change.fields for word in _telling(field)):
        return
    outside = next((signal for signal in signals(said) if signal.name in _OUTSIDE), None)
    if outside is not None or _AWAY.search(said):
        yield msg("Its operator complains of something else that does not answer, or does not let it in.")
    since = seen.symptom.since
    if since is not None and change.at is not None and since - change.at > ACTS:
        yield msg(
            "Its operator was content with it for {seconds} s after that change.",
            seconds=int((since - change.at).total_seconds()),
        )


def _telling(field: FieldChange) -> Iterator[str]:
    """The names in a path and the values, as an operator says them of what it refuses."""
    yield from (step for step in re.findall(r"[A-Za-z][\w-]*", field.path) if step not in _ANYWHERE)
    for value in (field.before, field.after):
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            yield str(value)


async def _gone(namespace: Namespace, seen: Seen, ref: ObjectRef, *, with_release: bool = False) -> Problem:
    baseline = await namespace.baseline()
    for each in (await namespace.releases()).values():
        if (ref.kind, ref.name) not in (await each.contents(each.in_force) or {(ref.kind, ref.name): {}}):
            dropped = await step_of_release(each, ref, "")
            if dropped is not None:
                return _by_change(seen, dropped, dropped.mechanism, ())
    kind = ref.kind.lower()
    kept = (ref.kind, ref.name) in baseline.entries
    release = (await namespace.releases()).get(seen.release)
    why: list[Message] = []
    notes: list[Message] = [msg("Who deleted it is recorded nowhere in the cluster.")]
    if kept and baseline.good is not None:
        why.append(msg("Snapshot {id} holds it.", id=baseline.good.short))
    if release is not None:
        why.append(
            msg(
                "Revision {number} of {release} holds it.",
                number=release.in_force.revision,
                release=str(release.target),
            )
        )
    target = Target(kind, ref.name, namespace.name, namespace.cluster.name)
    mechanism = await way_back(namespace.cluster, target) if kind in OBJECTS and not with_release else ""
    if mechanism:
        pass
    elif release is not None:
        target, mechanism = release.target, "helm"
    elif kept and baseline.good is not None:
        notes.append(msg("backout snapshot restore {id} puts it back.", id=baseline.good.short))
    return Problem(
        target=target,
        mechanism=mechanism,
        symptoms=(seen.symptom,),
        cause=msg("{codes}: {object} does not exist any more", codes=seen.symptom.code, object=str(ref)),
        confidence=seen.confidence,
        why=tuple(why),
        notes=(*notes, *seen.notes),
        owners=(release.target,) if release is not None and target != release.target else (),
        snapshot=baseline.good.short if kept and baseline.good is not None else "",
    )


async def _changed(namespace: Namespace, seen: Seen) -> Problem | None:
    assert seen.at_fault is not None
    obj = seen.at_fault
    change = await (
        changed(namespace, obj)
        if custom(str(obj.get("apiVersion"))) and not seen.fields
        else object_change(namespace, obj, seen.fields)
    )
    if change is None:
        if seen.only_changed:
            return None
        ref = seen.symptom.ref
        return Problem(
            target=target_of(ref, namespace.name, namespace.cluster.name),
            mechanism="",
            symptoms=(seen.symptom,),
            cause=msg("{codes}; no change is known that brought it", codes=seen.symptom.code),
            notes=seen.notes,
        )
    mechanism = change.mechanism
    if change.revision is None and mechanism:
        mechanism = await way_back(namespace.cluster, change.target)
    name = str((seen.at_fault["metadata"].get("annotations") or {}).get(HELM_RELEASE) or "")
    release = (await namespace.releases()).get(name)
    owners = (release.target,) if release is not None and release.target != change.target else ()
    return _by_change(seen, change, mechanism, owners)


def _by_change(seen: Seen, change: Change, mechanism: str, owners: tuple[Target, ...]) -> Problem:
    names = ", ".join(short(field.path) for field in change.fields[:3])
    why = (msg("It is not as in {source}.", source=change.before),) if change.before is not None else ()
    against = tuple(_doubts(seen, change)) if seen.symptom.code == "NotReconciled" else ()
    confidence = seen.confidence if change.before is not None else "likely"
    return Problem(
        target=change.target,
        mechanism=mechanism,
        symptoms=(seen.symptom,),
        cause=msg(
            "{codes} since revision {number}: {fields}", codes=seen.symptom.code, number=change.revision, fields=names
        )
        if change.revision is not None and not change.by_hand
        else msg(
            "{codes} since {manager} changed {keys}", codes=seen.symptom.code, manager=change.actor or "?", keys=names
        ),
        suspect=change.entry(),
        bad_revision=change.revision,
        confidence="possible" if against and confidence in ("likely", "certain") else confidence,
        why=why,
        against=against,
        owners=owners,
        notes=seen.notes
        if mechanism or (seen.notes and all(field.path.startswith("metadata.") for field in change.fields))
        else (*seen.notes, msg("No good snapshot holds it, so there is nothing to go back to.")),
    )
