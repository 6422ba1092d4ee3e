# SPDX-License-Identifier: Apache-2.0
"""The revisions of a workload, and what the cluster proves for or against each.

Evidence for "good": its pods run now and are ready without a recent crash; or ``status.currentRevision`` shows that
every pod had reached it; or availability lasted until the next revision began. Evidence against: its pods fail now, or
it never took over. A revision without either is unknown, however near it stands. The rules are those by which releases
are judged (`backout.mechanisms.common.findings`), so that both ways back say the same of the same workload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec

from backout.changes.writers import entries_of, template_write
from backout.cluster.port import ClusterReader, Object
from backout.errors import AccessDenied, RefusedError
from backout.helm.workloads import Workload
from backout.kube.names import CHANGE_CAUSE, REVISION_HISTORY
from backout.kube.templates import digest_of, images, plain_template
from backout.kube.workloads import template_digest
from backout.mechanisms.common.evidence import Generation, LiveWorkload, gather
from backout.mechanisms.common.findings import Finding, Span, findings
from backout.mechanisms.common.reading_objects import missing_of, needs_what_is_gone
from backout.mechanisms.common.workloads import load, revisions_of
from backout.mechanisms.workload.declared import Declared, declared
from backout.model.message import Message, joined, msg
from backout.model.revision import Revision
from backout.model.target import WORKLOADS, ObjectRef, Target


def ref_of(target: Target) -> ObjectRef:
    """The object that a target names.

    Raises:
        RefusedError: it is no workload.
    """
    kind = WORKLOADS.get(target.kind)
    if kind is None:
        raise RefusedError(
            "{target} is no workload.", target=str(target), expected="a deployment, statefulset, daemonset"
        )
    return ObjectRef("apps/v1", kind, target.name, target.namespace)


class TemplateRevision(msgspec.Struct, frozen=True, kw_only=True):
    """One template that the workload had: ``source`` is the ReplicaSet or ControllerRevision that keeps it.

    ``created`` is when it came first; ``back`` says that it came into force again since, ``former`` the numbers that it
    had before, where they are known.
    """

    number: int
    source: str
    digest: str
    template: dict[str, Any]
    created: datetime | None = None
    cause: str = ""
    ready: int = 0
    failing: tuple[str, ...] = ()
    pods: int = 0
    back: bool = False
    former: tuple[int, ...] = ()


class WorkloadHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A workload with all of its past, as read at one time."""

    obj: dict[str, Any]
    digest: str
    past: tuple[TemplateRevision, ...]
    verdicts: dict[int, Finding]
    seen: LiveWorkload
    blind: tuple[Message, ...] = ()
    declared: Declared | None = None

    @property
    def held(self) -> bool:
        """True when the template in force was never rolled out: no revision keeps it."""
        return all(entry.digest != self.digest for entry in self.past)

    def find(self, digest: str) -> TemplateRevision | None:
        """The newest revision with that content."""
        return next((entry for entry in reversed(self.past) if entry.digest == digest), None)

    def state_of(self, digest: str) -> TemplateRevision | None:
        """The same, or what is in force without being kept by a revision."""
        if (kept := self.find(digest)) is None and digest == self.digest:
            return TemplateRevision(
                number=0, source="", digest=digest, template=plain_template(self.obj["spec"]["template"])
            )
        return kept

    @property
    def stuck(self) -> tuple[str, ...]:
        """Failing pods that are not of the template in force."""
        return tuple(name for entry in self.past if entry.digest != self.digest for name in entry.failing)


async def read(cluster: ClusterReader, target: Target, coming: Collection[ObjectRef] = ()) -> WorkloadHistory:
    """Reads the workload, its revisions and its pods. ``coming``: what they need and is put back before.

    Raises:
        ObjectNotFound: there is no such workload.
        AccessDenied: its revisions can't be read.
    """
    ref = ref_of(target)
    obj, now = await asyncio.gather(load(cluster, ref.kind, ref.name, ref.namespace), cluster.server_time())
    identity = (ref.kind, ref.namespace, ref.name)
    evidence, kept = await asyncio.gather(gather(cluster, {identity}, now), revisions_of(cluster, obj))
    seen = evidence.workloads.get(identity)
    if seen is None:
        # What may be read by name need not be listable.
        raise AccessDenied(
            "The history of {target} can't be read: {why}",
            target=str(target),
            why=joined(evidence.blind) if evidence.blind else "it vanished while it was being read.",
            hint="`backout doctor` prints the missing rights as a Role to apply.",
        )
    past, digest = _past(seen, kept), template_digest(obj)
    verdicts = _judge(seen, past)
    said = await declared(cluster, obj, digest, [entry.digest for entry in past])
    if said is not None:
        past, verdicts = _with_declared(past, verdicts, said, digest)
    verdicts |= await _without_needs(cluster, past, verdicts, digest, ref.namespace, coming)
    return WorkloadHistory(
        obj=obj, digest=digest, past=past, verdicts=verdicts, seen=seen, blind=evidence.blind, declared=said
    )


async def _without_needs(
    cluster: ClusterReader,
    past: tuple[TemplateRevision, ...],
    verdicts: dict[int, Finding],
    digest: str,
    namespace: str,
    coming: Collection[ObjectRef] = (),
) -> dict[int, Finding]:
    """Verdicts on those that ran well once, and whose pods could not start now: what they need is not there."""
    proven = [one for one in past if one.digest != digest and (told := verdicts.get(one.number)) and told.good]
    gone = await missing_of(cluster, [one.template for one in proven], namespace, coming)
    return {
        one.number: Finding(False, needs_what_is_gone(absent))
        for one, absent in zip(proven, gone, strict=True)
        if absent
    }


def _with_declared(
    past: tuple[TemplateRevision, ...], verdicts: dict[int, Finding], said: Declared, digest: str
) -> tuple[tuple[TemplateRevision, ...], dict[int, Finding]]:
    """What the workload is declared to be is a revision as well: the one of that content, or one of its own."""
    number = next((entry.number for entry in reversed(past) if entry.digest == said.digest), 0)
    if not number and said.digest != digest:
        number = max((entry.number for entry in past), default=0) + 1
        past = (*past, TemplateRevision(number=number, source="", digest=said.digest, template=said.template))
    if number and number not in verdicts:
        verdicts = {**verdicts, number: Finding(True, said.label)}
    return past, verdicts


def _past(seen: LiveWorkload, kept: list[Object]) -> tuple[TemplateRevision, ...]:
    notes = {item["metadata"]["name"]: item["metadata"].get("annotations") or {} for item in kept}
    found = [_one(seen, generation, notes.get(generation.name, {})) for generation in seen.generations]
    return tuple(sorted(found, key=lambda entry: entry.number))


def _one(seen: LiveWorkload, generation: Generation, notes: dict[str, str]) -> TemplateRevision:
    template = plain_template(generation.template)
    mine = [pod for pod in seen.pods if pod.generation == generation.name]
    return TemplateRevision(
        number=generation.order,
        source=generation.name,
        digest=digest_of(template),
        template=template,
        created=generation.created,
        back=generation.back,
        cause=notes.get(CHANGE_CAUSE, ""),
        former=tuple(int(text) for text in notes.get(REVISION_HISTORY, "").split(",") if text.isdecimal()),
        ready=sum(1 for pod in mine if pod.ready_since),
        pods=len(mine),
        failing=tuple(pod.name for pod in mine if pod.failing),
    )


def _judge(seen: LiveWorkload, past: tuple[TemplateRevision, ...]) -> dict[int, Finding]:
    versions = [
        Workload(
            kind=seen.kind,
            name=seen.name,
            namespace="",
            template=entry.template,
            template_digest=entry.digest,
            key=entry.digest,
            replicas=None,
            strategy="",
        )
        for entry in past
    ]
    ends = [following.created for following in past[1:]]
    spans = [
        Span(number=entry.number, started=entry.created, ended=end)
        for entry, end in zip(past, [*ends, None][: len(past)], strict=True)
    ]
    return {number: finding for (number, _), finding in findings(seen, versions, spans).items()}


def revisions(snapshot: WorkloadHistory) -> list[Revision]:
    """All revisions, oldest first; a template that a paused Deployment holds back comes last, as the one in force."""
    found = [_revision(snapshot, entry) for entry in snapshot.past]
    if snapshot.held:
        found.append(_held(snapshot))
    return found


def _revision(snapshot: WorkloadHistory, entry: TemplateRevision) -> Revision:
    current = entry is snapshot.find(snapshot.digest)
    finding = snapshot.verdicts.get(entry.number)
    reasons = [finding.message] if finding else [_unknown(snapshot, entry, current)]
    if current and snapshot.stuck:
        reasons.append(msg("Pods are stuck on another revision: {pods}.", pods=", ".join(snapshot.stuck)))
    said = snapshot.declared
    strayed = current and said is not None and bool(said.parts)
    if strayed and said is not None:
        parts = ", ".join(said.parts)
        reasons.append(msg("Its {parts} were changed by hand.", parts=parts))
        reasons += [] if finding is not None and finding.message == said.label else [said.label]
    return Revision(
        number=entry.number,
        former=entry.former,
        digest=entry.digest,
        created=_since(snapshot, entry) if current else entry.created,
        status=_status(snapshot, entry, current),
        summary=entry.cause,
        change_cause=entry.cause,
        images=tuple(images(entry.template)),
        current=current,
        settled=not (current and snapshot.stuck) and not strayed,
        goodness=("good" if finding.good else "bad") if finding else "unknown",
        reasons=tuple(reasons),
    )


def _since(snapshot: WorkloadHistory, entry: TemplateRevision) -> datetime | None:
    """When the template in force came to be so: one that is used again keeps the ReplicaSet or ControllerRevision of its first time."""
    if not entry.back:
        return entry.created
    return template_write(entries_of(snapshot.obj)) or entry.created


def _status(snapshot: WorkloadHistory, entry: TemplateRevision, current: bool) -> str:
    if not entry.source and not current:
        return "declared"
    pods = f"{entry.ready} of {entry.pods} pods ready" if entry.pods else "no pods"
    return f"in force, {pods}" if current else pods


def _unknown(snapshot: WorkloadHistory, entry: TemplateRevision, current: bool) -> Message:
    if snapshot.blind:
        return msg("Not enough can be read to judge it: {why}", why=joined(snapshot.blind))
    if entry.pods and current:
        return msg("Its pods are neither ready for long enough nor failing yet.")
    if entry.pods:
        return msg("Its pods are neither ready nor failing for a known reason.")
    return msg("None of its pods run any more, and nothing in the cluster says whether they were ever all ready.")


def _held(snapshot: WorkloadHistory) -> Revision:
    annotations = snapshot.obj["metadata"].get("annotations") or {}
    paused = bool(snapshot.obj["spec"].get("paused"))
    why = (
        msg("Its rollout is paused, so this template has made no pod yet.")
        if paused
        else msg("The controller has not made a revision of this template yet.")
    )
    cause = str(annotations.get(CHANGE_CAUSE, ""))
    return Revision(
        number=max((entry.number for entry in snapshot.past), default=0) + 1,
        digest=snapshot.digest,
        status="held back (paused)" if paused else "not rolled out yet",
        summary=cause,
        change_cause=cause,
        images=tuple(images(plain_template(snapshot.obj["spec"]["template"]))),
        current=True,
        settled=False,
        reasons=(why,),
    )
