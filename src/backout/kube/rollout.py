# SPDX-License-Identifier: Apache-2.0
"""How far the rollout of a workload is. Pure.

`rollout` goes by the controller's counters, as `kubectl rollout status` does (kubernetes/kubectl
pkg/polymorphichelpers/rollout_status.go). `rollout_with_pods` looks at every pod as well, since counters can lag:
kubectl takes a StatefulSet for done while a pod of another revision is still there. Terminal pods (evicted, shut down
with their node, preempted) stay listed and count in neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from backout.kube.names import REVISION_LABELS
from backout.kube.pod_health import PodHealth, PodProblem, PodState, health
from backout.kube.projections import Pod, RollingUpdate, Workload
from backout.model.message import Message, few, msg
from backout.model.redaction import redact_text

SHOWN = 3
Reason = Literal[
    "",
    "kind",
    "deleting",
    "unobserved",
    "no-revision",
    "paused",
    "on-delete",
    "deadline",
    "replica-failure",
    "updating",
    "old-pods",
    "ordered",
    "lost",
    "not-ready",
    "unavailable",
    "terminating",
    "missing-pods",
    "counters",
]


class RolloutState(StrEnum):
    """``PAUSED``: somebody has to go on (paused, OnDelete); ``STUCK``: it won't go on by itself."""

    COMPLETE = "complete"
    UNDER_WAY = "under-way"
    STUCK = "stuck"
    PAUSED = "paused"
    UNKNOWN = "unknown"


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """How far a rollout is, and what it waits for.

    ``updated``, ``ready`` and ``available`` count pods; `rollout_with_pods` counts as ready only those of the revision
    in force. ``minimum`` is how many have to be available at any time (maxUnavailable). ``rolled_out``: every wanted
    pod was made from the newest template, and no other is left, so that what is missing is readiness.

    Of single pods: ``old`` are of another revision; ``kept`` too, but a partition leaves them at it; ``unready`` are
    not ready, each with why in the cluster's word; ``going`` terminate; ``failing`` says what is wrong with which pod
    of the newest revision.
    """

    state: RolloutState
    reason: Reason = ""
    why: Message
    desired: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    minimum: int = 0
    rolled_out: bool = False
    since: datetime | None = None
    old: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    unready: tuple[tuple[str, str], ...] = ()
    going: tuple[str, ...] = ()
    failing: tuple[tuple[str, PodProblem], ...] = ()

    @property
    def complete(self) -> bool:
        """Every pod that is to be updated is, and is ready."""
        return self.state is RolloutState.COMPLETE


def desired(kind: str, workload: Workload) -> int:
    """How many pods there should be."""
    return workload.status.desired_number_scheduled if kind == "DaemonSet" else workload.replicas


def observed(workload: Workload) -> bool:
    """Whether the controller has seen the newest spec."""
    return workload.status.observed_generation >= workload.metadata.generation


def ordered(kind: str, workload: Workload) -> bool:
    """Whether the controller stops at the first pod that is not ready."""
    return kind == "StatefulSet" and workload.spec.pod_management_policy != "Parallel"


def ordinal(name: str) -> int:
    """The number at the end of the name of a StatefulSet's pod; -1 for any other."""
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


def revision_of(kind: str, pod: Pod) -> str:
    """Of which revision a pod is: the value of its label."""
    return (pod.metadata.labels or {}).get(REVISION_LABELS[kind], "")


def minimum(kind: str, workload: Workload) -> int:
    """How many pods have to be available while a rollout goes on.

    Percentages as the controllers round them (pkg/controller/deployment/util ``ResolveFenceposts``: down, and 1 where
    surge is 0 too; pkg/controller/statefulset and daemonset: up).
    """
    wanted = desired(kind, workload)
    strategy = workload.spec.strategy if kind == "Deployment" else workload.spec.update_strategy
    if strategy is not None and strategy.type in ("Recreate", "OnDelete"):
        return 0
    rolling = (strategy.rolling_update if strategy else None) or RollingUpdate()
    if kind == "Deployment":
        surge = _share("25%" if rolling.max_surge is None else rolling.max_surge, wanted, up=True)
        unavailable = _share(
            "25%" if rolling.max_unavailable is None else rolling.max_unavailable, wanted, up=False
        ) or int(not surge)
    else:
        unavailable = _share(1 if rolling.max_unavailable is None else rolling.max_unavailable, wanted, up=True)
        if kind == "DaemonSet" and not unavailable:
            unavailable = int(not _share(rolling.max_surge or 0, wanted, up=True))
    return max(0, wanted - unavailable)


def _share(value: int | str, of: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    percent = value.removesuffix("%")
    if not percent.isdecimal():
        return 0
    return -(-int(percent) * of // 100) if up else int(percent) * of // 100


def rollout(kind: str, workload: Workload) -> Rollout:
    """How far it is, by the controller's own counters; ``kind`` as the API names it."""
    if kind not in REVISION_LABELS:
        return Rollout(
            state=RolloutState.UNKNOWN, reason="kind", why=msg("{kind} has no rollout that is known", kind=kind)
        )
    count = _Counters(kind, workload)
    early = _not_begun(count, workload)
    if early is not None:
        return early
    status, wanted = workload.status, count.desired
    to_update = max(0, wanted - workload.partition) if kind == "StatefulSet" else wanted
    others = 0 if kind == "DaemonSet" else status.replicas - count.updated - (wanted - to_update)
    if count.updated < to_update or others > 0:
        halted = _halted(count, workload)
        if halted is not None:
            return halted
        if count.updated < to_update:
            return count.result(
                RolloutState.UNDER_WAY,
                "updating",
                msg("{updated} of {desired} pods are updated", updated=count.updated, desired=to_update),
            )
        return count.result(
            RolloutState.UNDER_WAY, "old-pods", msg("{count} pods of another revision are still there", count=others)
        )
    count.rolled_out = True
    # A Deployment that is being scaled down has more: kubectl waits until all that are left are available.
    wanted = max(wanted, count.updated) if kind == "Deployment" else wanted
    if count.ready < wanted or count.available < wanted:
        stopped = _stopped(count, workload)
        if stopped is not None:
            return stopped
    if count.ready < wanted:
        return count.result(
            RolloutState.UNDER_WAY,
            "not-ready",
            msg("{ready} of {desired} pods are ready", ready=count.ready, desired=wanted),
        )
    if count.available < wanted:
        return count.result(
            RolloutState.UNDER_WAY,
            "unavailable",
            msg("{available} of {desired} pods are available", available=count.available, desired=wanted),
        )
    return count.result(
        RolloutState.COMPLETE, "", msg("{ready} of {desired} pods are ready", ready=count.ready, desired=wanted)
    )


def was_rolled_out(kind: str, workload: Workload) -> bool:
    """Whether its newest template was once rolled out wholly: what is not ready now was replaced, or failed, since.

    A Deployment says so (condition Progressing, NewReplicaSetAvailable); a StatefulSet by its two revisions. Of a DaemonSet it is
    not known: its counters are the same while it is rolled out for the first time.
    """
    if not observed(workload):
        return False
    if kind == "Deployment":
        progressing = workload.condition("Progressing")
        return progressing is not None and progressing.reason == "NewReplicaSetAvailable"
    status = workload.status
    return kind == "StatefulSet" and bool(status.current_revision) and status.current_revision == status.update_revision


class _Counters:
    """The counters of a workload under one name for all kinds."""

    def __init__(self, kind: str, workload: Workload) -> None:
        status = workload.status
        daemons = kind == "DaemonSet"
        self.desired = desired(kind, workload)
        self.minimum = minimum(kind, workload)
        self.updated = status.updated_number_scheduled if daemons else status.updated_replicas
        self.ready = status.number_ready if daemons else status.ready_replicas
        self.available = status.number_available if daemons else status.available_replicas
        self.rolled_out = False

    def result(self, state: RolloutState, reason: Reason, why: Message, since: datetime | None = None) -> Rollout:
        return Rollout(
            state=state,
            reason=reason,
            why=why,
            since=since,
            desired=self.desired,
            updated=self.updated,
            ready=self.ready,
            available=self.available,
            minimum=self.minimum,
            rolled_out=self.rolled_out,
        )


def _not_begun(count: _Counters, workload: Workload) -> Rollout | None:
    if workload.metadata.deletion_timestamp is not None:
        return count.result(
            RolloutState.UNDER_WAY, "deleting", msg("it is being deleted"), workload.metadata.deletion_timestamp
        )
    if not observed(workload):
        return count.result(RolloutState.UNDER_WAY, "unobserved", msg("the controller has not seen the change yet"))
    return None


def _halted(count: _Counters, workload: Workload) -> Rollout | None:
    """Somebody has to go on with it, or it can't go on."""
    if workload.spec.paused:
        return count.result(RolloutState.PAUSED, "paused", msg("its rollout is paused"))
    if workload.on_delete:
        return count.result(
            RolloutState.PAUSED, "on-delete", msg("pods are replaced only when somebody deletes them (OnDelete)")
        )
    return _stopped(count, workload)


def _stopped(count: _Counters, workload: Workload) -> Rollout | None:
    failure = workload.condition("ReplicaFailure")
    if failure is not None and failure.status == "True":
        return count.result(
            RolloutState.STUCK,
            "replica-failure",
            msg("pods can't be created: {detail}", detail=redact_text(failure.message)),
            failure.last_transition_time,
        )
    progressing = workload.condition("Progressing")
    if progressing is not None and progressing.reason == "ProgressDeadlineExceeded":
        return count.result(
            RolloutState.STUCK,
            "deadline",
            msg("its rollout made no progress within progressDeadlineSeconds"),
            progressing.last_transition_time,
        )
    return None


def rollout_with_pods(
    kind: str, workload: Workload, pods: Iterable[Pod], revision: str, now: datetime | None = None
) -> Rollout:
    """How far it is, by the counters and by each of its ``pods``.

    ``revision`` is what pods of the revision in force carry in their label; empty while the controller has made none.
    """
    base = rollout(kind, workload)
    if base.reason in ("kind", "deleting"):
        return base
    judged = _Judged(kind, workload, pods, revision, now)
    unready = [(pod, found) for pod, found in (*judged.fresh, *judged.kept) if not found.ready]
    base = msgspec.structs.replace(
        base,
        rolled_out=base.rolled_out and not judged.old,
        ready=sum(1 for _, found in judged.fresh if found.ready),
        old=_names(judged.old),
        kept=_names(judged.kept),
        unready=tuple((pod.metadata.name, found.word) for pod, found in unready),
        going=_names(judged.going),
        failing=tuple((pod.metadata.name, found.problems[0]) for pod, found in judged.fresh if found.failing),
    )
    if base.reason == "unobserved" or (base.reason == "paused" and not revision):
        return base
    if not revision:
        return _with(base, "no-revision", msg("the controller has not made the revision yet"))
    if base.state in (RolloutState.STUCK, RolloutState.PAUSED):
        return base
    if judged.old:
        return _old(base, kind, workload, judged.old)
    if unready:
        return _unready(base, unready)
    if judged.going:
        names = few(base.going, SHOWN)
        return _with(
            base, "terminating", msg("{count} pods are still terminating: {pods}", count=len(base.going), pods=names)
        )
    present = len(judged.fresh) + len(judged.kept)
    if present != base.desired:
        return _with(base, "missing-pods", msg("{count} of {desired} pods exist", count=present, desired=base.desired))
    if wrong := _miscounted(kind, workload, base.desired, len(judged.kept)):
        return _with(base, "counters", msg("the controller still counts {counters}", counters=", ".join(wrong)))
    return base


_Pair = tuple[Pod, PodHealth]


class _Judged:
    """The pods that count, by what they are to the rollout."""

    def __init__(self, kind: str, workload: Workload, pods: Iterable[Pod], revision: str, now: datetime | None) -> None:
        self.fresh: list[_Pair] = []
        self.old: list[_Pair] = []
        self.kept: list[_Pair] = []
        self.going: list[_Pair] = []
        partition = workload.partition if kind == "StatefulSet" else 0
        for pod in sorted(pods, key=lambda pod: pod.metadata.name):
            found = health(pod, now)
            if found.state is PodState.FINISHED:
                continue
            label = revision_of(kind, pod)
            if found.state is PodState.TERMINATING:
                self.going.append((pod, found))
            elif revision and label == revision:
                self.fresh.append((pod, found))
            elif 0 <= ordinal(pod.metadata.name) < partition and label and label == workload.status.current_revision:
                self.kept.append((pod, found))
            else:
                self.old.append((pod, found))


def _old(base: Rollout, kind: str, workload: Workload, old: Sequence[_Pair]) -> Rollout:
    why = msg("{count} pods are of another revision: {pods}", count=len(old), pods=few(base.old, SHOWN))
    if ordered(kind, workload) and any(found.failing for _, found in old):
        # The controller stops at the first pod that is not ready, before the part that deletes outdated ones
        # (kubernetes issue 67250).
        return msgspec.structs.replace(base, state=RolloutState.STUCK, reason="ordered", why=why)
    return _with(base, "old-pods", why)


def _unready(base: Rollout, unready: Sequence[_Pair]) -> Rollout:
    why = msg(
        "{ready} of {desired} pods are ready; not yet: {pods}",
        ready=base.ready,
        desired=base.desired,
        pods=few(_names(unready), SHOWN),
    )
    if all(found.state is PodState.LOST for _, found in unready):
        return msgspec.structs.replace(base, state=RolloutState.UNKNOWN, reason="lost", why=why)
    return _with(base, "not-ready", why)


def _miscounted(kind: str, workload: Workload, wanted: int, kept: int) -> list[str]:
    """Counters that don't tell yet what the pods show."""
    status = workload.status
    if kind == "DaemonSet":
        counters = {
            "updatedNumberScheduled": status.updated_number_scheduled,
            "numberReady": status.number_ready,
            "numberAvailable": status.number_available,
        }
    else:
        counters = {
            "replicas": status.replicas,
            "updatedReplicas": status.updated_replicas + kept,
            "readyReplicas": status.ready_replicas,
            "availableReplicas": status.available_replicas,
        }
    return [f"{name}={value}" for name, value in counters.items() if value != wanted]


def _with(base: Rollout, reason: Reason, why: Message) -> Rollout:
    return msgspec.structs.replace(base, state=RolloutState.UNDER_WAY, reason=reason, why=why)


def _names(pods: Sequence[_Pair]) -> tuple[str, ...]:
    return tuple(pod.metadata.name for pod, _ in pods)
