# SPDX-License-Identifier: Apache-2.0
"""The two effects: look for a helm at work on a pending release, and roll back. Each looks, acts, and looks again.

What helm prints is never trusted: only the records that it left are.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from backout.cluster.port import ClusterReader, Instead
from backout.errors import BackoutError, ObjectNotFound, PreconditionFailed, ToolFailed
from backout.helm.deployed import DEPLOYED, superseded
from backout.helm.manifest import digest, entries
from backout.helm.payload import Release
from backout.helm.records import PENDING, Record, Records, driver
from backout.helm.staying import staying
from backout.mechanisms.helm import binary
from backout.mechanisms.helm.along_effects import require_named, require_only
from backout.mechanisms.helm.analysis import kept_of, scaled_of
from backout.mechanisms.helm.anew import make_room
from backout.mechanisms.helm.failures import error_from, with_state
from backout.mechanisms.helm.fenced import Fence, interrupted, moved_on
from backout.mechanisms.helm.halfway import halfway
from backout.mechanisms.helm.holders import bring_back
from backout.mechanisms.helm.params import RepairParams, RollbackParams
from backout.mechanisms.helm.steps import stops_at
from backout.mechanisms.helm.tool import find_helm
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import msg
from backout.model.target import ObjectRef, Target
from backout.tools.locate import Tool
from backout.tools.run import environment


async def repair_pending(context: StepContext, step: StepOf[RepairParams]) -> StepOutcome:
    """Watches the record of a pending release for a while: one that a living helm works on would change.

    Raises:
        PreconditionFailed: the release moved on: whoever started it is still there.
    """
    release, number = step.params.release, step.params.revision
    records = records_of(context.cluster, step.target, step.params.driver)
    head = await records.head(release)
    if head.revision != number or not head.pending:
        if head.revision > number and head.status == "pending-rollback":
            return StepOutcome(False, msg("helm/{release} went on to revision {n}.", release=release, n=head.revision))
        raise moved_on(release, msg("revision {number}, pending", number=number), head)
    seconds = step.params.observe
    context.progress(msg("Watching helm/{release} for {seconds} s.", release=release, seconds=round(seconds)))
    changed = await _changes_within(records, release, seconds)
    if changed is not None:
        raise moved_on(
            release,
            msg("revision {number} unchanged ({status})", number=number, status=head.status),
            await records.head(release),
        )
    return StepOutcome(
        False,
        msg(
            "The record of helm/{release} did not change for {seconds} s. A helm that only waits would not show.",
            release=release,
            seconds=round(seconds),
        ),
        {"revision": number, "status": head.status},
    )


async def _changes_within(records: Records, release: str, seconds: float) -> str | None:
    """The name of the first record that changes, or None when none does in time."""
    synced = False
    events = records.cluster.watch(records.resource, records.namespace, labels=f"owner=helm,name={release}")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for event in events:
                if event.type == "SYNCED":
                    synced = True
                elif synced:
                    return str(event.object.get("metadata", {}).get("name", ""))
    return None


async def rollback(context: StepContext, step: StepOf[RollbackParams]) -> StepOutcome:
    """Brings the release to the content of a revision by the user's helm.

    Raises:
        PreconditionFailed: the release is not what it was when the plan was made.
        LeaseLost: another run took over.
        BackoutError: helm failed; the class says why, and the message what state it left.
    """
    params, release = step.params, step.params.release
    records = records_of(context.cluster, step.target, params.driver)
    identity = await context.cluster.identity()
    key = hashlib.sha256(f"{identity.uid}/{records.namespace}/{release}".encode()).hexdigest()[:24]
    async with binary.lock(key, wait=step.timeout / 2, waiting=context.progress) as handle:
        head, current, others = await _head(records, release)
        if _arrived(step, head, current):
            await _supersede(context, records, others)
            await bring_back(context, step)
            return StepOutcome(
                False,
                msg("helm/{release} is at the content of revision {n} already.", release=release, n=params.revision),
                {"revision": head.revision},
            )
        _still_as_planned(step, head, current)
        wanted = await _same_target(records, step)
        context.within(_elsewhere(current, wanted, hooks=not params.no_hooks))
        helm = await find_helm()
        await _passable(context.cluster, helm, current, wanted)
        await require_only(context.cluster, current, wanted, step.step.destroys, release)
        if step.precondition.get("head"):
            await require_named(context.cluster, current, wanted, step.step.destroys)
        await make_room(context, step, wanted)
        shown = await _shown(records, step, wanted)
        ran = await _helm(context, step, helm, Fence(records, head, context.guard), records, handle, shown)
        await bring_back(context, step)
    return await _confirm(context, step, records, head, (current, wanted), ran)


@dataclass(frozen=True, slots=True)
class _Ran:
    """What came of a helm: how it ended, or why that is not known; and an error that says more than its last words."""

    result: binary.Result | None = None
    failure: BackoutError | None = None


async def _helm(
    context: StepContext,
    step: StepOf[RollbackParams],
    helm: Tool,
    fence: Fence,
    records: Records,
    handle: int,
    shown: Instead,
) -> _Ran:
    """``shown``: what helm reads in place of what the cluster has.

    Raises:
        BackoutError: it had to be given up.
    """
    params = step.params
    arguments = binary.rollback_arguments(
        helm,
        release=params.release,
        revision=params.revision,
        namespace=records.namespace,
        context=context.cluster.context,
        server_side=params.apply == "ssa",
        force_conflicts=params.force_conflicts,
        no_hooks=params.no_hooks,
        timeout=params.timeout,
    )
    context.progress(
        msg(
            "helm {version}: rollback of {release} to revision {n}.",
            version=helm.version,
            release=params.release,
            n=params.revision,
        )
    )
    result, failure = None, None
    async with context.cluster.gate(fence, shown) as gate:
        try:
            result = await binary.run(
                arguments,
                environment(gate.kubeconfig, HELM_DRIVER=records.driver_name),
                keep=(handle, *gate.keep),
                timeout=step.timeout,
                line=lambda text: context.progress(msg("helm: {line}", line=text)),
                stop=gate.shut,
            )
        except BackoutError as error:
            failure = error
        refusal, wrote = gate.refusal, gate.wrote
        if result is not None and result.code != 0:
            failure = gate.failure
    if refusal is None and wrote:
        try:
            await fence.look()
        except BackoutError as error:
            refusal = error
    if refusal is not None:
        head = await records.head(params.release)
        raise interrupted(context.run, params.release, refusal, head, fence.next) if wrote else refusal
    return _Ran(result, failure)


async def _confirm(
    context: StepContext,
    step: StepOf[RollbackParams],
    records: Records,
    before: Record,
    ways: tuple[Release, Release],
    ran: _Ran,
) -> StepOutcome:
    """``ways``: the releases that it goes from and to."""
    release, wanted = step.params.release, step.params.digest
    head, current, others = await _head(records, release)
    if head.revision == before.revision + 1 and head.status == DEPLOYED and digest(current.manifest) == wanted:
        await _supersede(context, records, others)
        return StepOutcome(
            True,
            msg(
                "helm/{release} is at revision {n} now, with the content of revision {target}.",
                release=release,
                n=head.revision,
                target=step.params.revision,
            ),
            {"revision": head.revision, "previous": before.revision},
        )
    state = await halfway(records.cluster, head, *ways)
    if ran.failure is not None:
        raise with_state(ran.failure, state)
    if ran.result is not None and ran.result.code != 0:
        raise error_from(ran.result.output, release=f"helm/{release}", found=state)
    raise ToolFailed(
        "helm ended without an error, but its records do not show the rollback.",
        expected="a new revision, deployed, with the content of revision {target}",
        found="{state}",
        target=step.params.revision,
        state=state,
        hint="Somebody else may have changed the release; plan anew.",
    )


def _arrived(step: StepOf[RollbackParams], head: Record, current: Release) -> bool:
    """True when the effect is there: deployed with the target's content, by us or all along."""
    if head.status != DEPLOYED or digest(current.manifest) != step.params.digest:
        return False
    planned = step.precondition.get("head")
    ours = isinstance(planned, int) and head.revision > planned
    return ours or not step.params.reapply


def _still_as_planned(step: StepOf[RollbackParams], head: Record, current: Release) -> None:
    content, planned = digest(current.manifest), step.precondition
    expected = planned.get("digest") or step.params.expect
    if isinstance(planned.get("head"), int) and head.revision != planned["head"]:
        # A rollback of ours that was killed, or that failed, leaves a newer head with the target's content.
        if (
            head.revision > planned["head"]
            and content == step.params.digest
            and head.status in {"pending-rollback", "failed"}
        ):
            return
        raise moved_on(step.params.release, msg("revision {number}", number=planned["head"]), head)
    if expected and content != expected and not (content == step.params.digest and head.status in PENDING | {"failed"}):
        raise moved_on(step.params.release, msg("the content that the plan was made for"), head)
    if planned.get("status") and head.status != planned["status"]:
        raise moved_on(
            step.params.release,
            msg("revision {number}, {status}", number=head.revision, status=planned["status"]),
            head,
        )


async def _same_target(records: Records, step: StepOf[RollbackParams]) -> Release:
    """The revision that was approved must still be there, and still say the same."""
    release, number = step.params.release, step.params.revision
    record = next((r for r in await records.history(release) if r.revision == number), None)
    if record is None:
        raise PreconditionFailed(
            "Revision {n} of helm/{release} is not in its history any more.",
            n=number,
            release=release,
            expected="the revision that the plan goes back to",
            found="a history without it",
            hint="Plan anew.",
        )
    wanted = await records.load(record)
    kept = [kept_of(entry.ref, {"spec": entry.spec}) for entry in step.params.stay]
    kept += [scaled_of(entry.ref, entry.replicas) for entry in step.params.scaled]
    if kept:
        wanted = msgspec.structs.replace(wanted, manifest=staying(wanted.manifest, records.namespace, kept))
    if digest(wanted.manifest) != step.params.digest:
        raise PreconditionFailed(
            "Revision {n} of helm/{release} does not say what it said when the plan was made.",
            n=number,
            release=release,
            hint="Somebody edited its record. Look who did, then plan anew.",
        )
    return wanted


async def _shown(records: Records, step: StepOf[RollbackParams], wanted: Release) -> Instead:
    """The record of the target revision as helm is to read it, where something stays as it is: helm takes the manifest that it
    applies, and that of the revision that it makes, from there. What the cluster keeps of that revision is not touched."""
    if not step.params.stay and not step.params.scaled:
        return ()
    record = next(r for r in await records.history(step.params.release) if r.revision == step.params.revision)
    return ((records.resource, await records.rewritten(record, wanted.manifest)),)


async def _passable(cluster: ClusterReader, helm: Tool, current: Release, wanted: Release) -> None:
    """Helm 3 would write half of it before it stops at an object that it does not expect; say so before."""
    if helm.major != 3:
        return
    namespace = wanted.namespace
    known = {entry.key(namespace) for entry in entries(current.manifest)}
    new = [entry.ref(namespace) for entry in entries(wanted.manifest) if entry.key(namespace) not in known]
    if found := [ref for ref in new if await _exists(cluster, ref)]:
        raise stops_at(found, wanted.name)


def _elsewhere(current: Release, wanted: Release, *, hooks: bool) -> list[ObjectRef]:
    """What Helm would change outside of the release's namespace: objects that the two manifests have not alike, and hooks."""
    namespace = wanted.namespace
    before = {entry.key(namespace): entry for entry in entries(current.manifest)}
    after = {entry.key(namespace): entry for entry in entries(wanted.manifest)}
    differing = [
        (after.get(key) or before[key]).ref(namespace)
        for key in {**before, **after}
        if key not in before or key not in after or before[key].text_digest != after[key].text_digest
    ]
    run = [entry.ref(namespace) for hook in (wanted.hooks or ()) if hooks for entry in entries(hook.manifest)]
    return [ref for ref in (*differing, *run) if ref.namespace != namespace]


async def _exists(cluster: ClusterReader, ref: ObjectRef) -> bool:
    try:
        resource = await cluster.resource(ref.api_version, ref.kind)
        await cluster.get(resource, ref.name, ref.namespace if resource.namespaced else "")
    except ObjectNotFound:
        return False
    return True


async def _head(records: Records, release: str) -> tuple[Record, Release, list[Record]]:
    """The newest revision with its content, and which others say that they are deployed."""
    *older, head = await records.numbered(release)
    return head, await records.load(head), [record for record in older if record.status == DEPLOYED]


async def _supersede(context: StepContext, records: Records, others: Sequence[Record]) -> None:
    """Marks them superseded, since the newest revision is deployed: helm says success where that write of its own fails (only its
    log has it: pkg/action/action.go, recordRelease), and leaves two that say deployed."""
    kind = {"apiVersion": records.resource.api_version, "kind": records.resource.kind}
    for record in others:
        with contextlib.suppress(ObjectNotFound):
            found = await records.cluster.get(records.resource, record.name, records.namespace)
            await context.guard()
            await context.cluster.replace(superseded({**kind, **found}))


def records_of(cluster: ClusterReader, target: Target, where: str) -> Records:
    """The release records where the plan found them."""
    return Records(cluster, target.namespace, driver({"HELM_DRIVER": where}))
