# SPDX-License-Identifier: Apache-2.0
"""Steps on workloads and their pods, as builders for every way back. Pure."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import CONTROLLERREVISIONS, PODS, REPLICASETS
from backout.kube.names import RESTARTED_AT
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.mechanisms.common.params import (
    AccountParams,
    PartitionParams,
    PausedParams,
    ReadyParams,
    RestartParams,
    named,
)
from backout.mechanisms.port import wire
from backout.model.message import Message, msg
from backout.model.part import Access, Compensation, Step
from backout.model.target import ObjectRef, Target

TIMEOUT = 300.0
PATIENCE = 30.0


def params_of(ref: ObjectRef) -> dict[str, Any]:
    """How a step names its object."""
    return wire(named(ref))


def writing(ref: ObjectRef) -> tuple[Access, ...]:
    """What it takes to change the workload object itself, and to find its former templates."""
    resource = WORKLOAD_RESOURCES[ref.kind]
    kept = REPLICASETS if ref.kind == "Deployment" else CONTROLLERREVISIONS
    return (
        *(Access(verb, resource.group, resource.plural, ref.namespace) for verb in ("get", "list", "watch", "patch")),
        *(Access(verb, kept.group, kept.plural, ref.namespace) for verb in ("list", "watch")),
        *(Access(verb, PODS.group, PODS.plural, ref.namespace) for verb in ("list", "watch")),
    )


def set_partition(ref: ObjectRef, target: Target, before: int, after: int) -> Step:
    """Lets the update go below the ordinals that a left-over partition holds back."""

    def params(partition: int) -> dict[str, Any]:
        return wire(PartitionParams(**params_of(ref), partition=partition))

    return Step(
        id="partition",
        action="workload.set-partition",
        target=target,
        title=msg(
            "Set the partition from {before} to {after}: it holds pods below {before} at another revision",
            before=before,
            after=after,
        ),
        params=params(after),
        precondition={"uid": ref.uid},
        effect=msg("Every ordinal gets the revision in force."),
        compensation=Compensation("workload.set-partition", params(before), writing(ref)),
        timeout=60.0,
    )


def set_paused(ref: ObjectRef, target: Target, *, before: bool, after: bool) -> Step:
    """Resumes a paused rollout (the template is good again by then), or pauses it as it was."""

    def params(paused: bool) -> dict[str, Any]:
        return wire(PausedParams(**params_of(ref), paused=paused))

    title = msg("Pause the rollout again, as it was") if after else msg("Resume the rollout, so that bad pods go")
    return Step(
        id="pause" if after else "resume",
        action="workload.set-paused",
        target=target,
        title=title,
        params=params(after),
        precondition={"uid": ref.uid},
        compensation=Compensation("workload.set-paused", params(before), writing(ref)),
        timeout=60.0,
    )


def set_account(ref: ObjectRef, target: Target, before: str, after: str) -> Step:
    """Takes away a ServiceAccount that the API server keeps in a second field, of which Helm knows nothing."""

    def params(account: str) -> dict[str, Any]:
        return wire(AccountParams(**params_of(ref), account=account))

    return Step(
        id="account",
        action="workload.set-account",
        target=target,
        title=msg("Take the ServiceAccount {account} away, which Helm leaves", account=before),
        params=params(after),
        precondition={"uid": ref.uid},
        compensation=Compensation("workload.set-account", params(before), writing(ref)),
        timeout=60.0,
    )


def replace_stuck(ref: ObjectRef, target: Target, *, id: str = "replace-stuck") -> Step:
    """Deletes the pods that an OrderedReady set would wait for in vain, one at a time."""
    return Step(
        id=id,
        action="workload.replace-stuck-pods",
        target=target,
        params=params_of(ref),
        title=msg("Replace pods of {ref} that are stuck on another revision", ref=str(ref)),
        effect=msg("Every pod of {ref} runs the revision in force.", ref=str(ref)),
        timeout=TIMEOUT,
    )


def start_anew(ref: ObjectRef, target: Target) -> Step:
    """Ends the back-off of what fails, it may be because of something else that is well again by then."""
    return Step(
        id=f"start-anew-{ref.kind.lower()}-{ref.name}",
        action="workload.start-anew",
        target=target,
        params=params_of(ref),
        title=msg("Start the failing pods of {ref} anew, which would else wait for up to five minutes", ref=str(ref)),
        timeout=60.0,
    )


def delete_outdated(ref: ObjectRef, target: Target, *, id: str = "delete-outdated") -> Step:
    """Deletes what an OnDelete set leaves on another revision, one pod at a time, each when the last one is ready."""
    return Step(
        id=id,
        action="workload.delete-outdated-pods",
        target=target,
        params=params_of(ref),
        title=msg("Replace pods of {ref} one by one (its updateStrategy is OnDelete)", ref=str(ref)),
        effect=msg("Every pod of {ref} runs the revision in force.", ref=str(ref)),
        timeout=2 * TIMEOUT,
    )


def restart(ref: ObjectRef, target: Target, obj: dict[str, Any], why: Message, value: str) -> Step:
    """Has the pods of ``obj`` replaced; ``value`` marks the restart (a time). Taken back, it is as it was marked before."""
    template = (obj.get("spec") or {}).get("template") or {}
    former = ((template.get("metadata") or {}).get("annotations") or {}).get(RESTARTED_AT)

    def params(value: str | None) -> dict[str, Any]:
        return wire(RestartParams(**params_of(ref), value=value))

    return Step(
        id=f"restart-{ref.kind.lower()}-{ref.name}",
        action="workload.restart",
        target=target,
        title=msg("Restart {ref}: {why}", ref=str(ref), why=why),
        params=params(value),
        precondition={"uid": ref.uid} if ref.uid else {},
        effect=msg("Its pods are replaced as its update strategy says."),
        compensation=Compensation("workload.restart", params(former), writing(ref)),
        timeout=60.0,
    )


def wait_ready(
    ref: ObjectRef, target: Target, *, id: str = "wait-ready", timeout: float = TIMEOUT, patience: float = PATIENCE
) -> Step:
    """Waits until all pods are ready at the revision in force, or it is clear that they will not be."""
    return Step(
        id=id,
        action="workload.wait-ready",
        target=target,
        params=wire(ReadyParams(**params_of(ref), patience=patience)),
        title=msg("Wait until {ref} is ready", ref=str(ref)),
        effect=msg("All pods of {ref} are ready, at the revision in force.", ref=str(ref)),
        timeout=timeout,
    )
