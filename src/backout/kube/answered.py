# SPDX-License-Identifier: Apache-2.0
"""What the cluster has answered where pods are waited for in vain: told at once, and an end of the waiting soon after. Pure.

A quota, a LimitRange or an admission webhook refuses pods (condition ReplicaFailure of a Deployment; Events FailedCreate of the
others: kubernetes pkg/controller/controller_utils.go), no node takes them (PodScheduled) or may take them (scheduling gates), a
rollout is paused, a pod that was deleted does not go. Each may pass for a moment, so each has its patience.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from backout.kube.pod_health import PodState, health
from backout.kube.projections import Pod, Workload
from backout.kube.rollout import Rollout, RolloutState, revision_of
from backout.model.message import Message, few, msg
from backout.model.redaction import redact_text

REFUSED = 10.0
"""Seconds for which the API server may refuse pods while none is going that makes room."""
UNSCHEDULED = 20.0
"""Seconds for a node to take a pod while none is going that makes room."""
GATED = 60.0
"""Seconds for whoever set a scheduling gate to take it away: a queue may admit a pod later than a node would."""
VOLUMES = 60.0
"""Seconds for a volume to be made, before its pod can be scheduled."""
HALTED = 5.0
SILENT = 30.0
"""Seconds beyond its grace for a node to say that a pod has ended, or to be heard of again."""
OVERDUE = timedelta(seconds=5)
_SHOWN = 3


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """``why`` it won't happen by itself, once that has held for ``patience`` seconds. ``key``: the same fact, seen again."""

    key: str
    why: Message
    patience: float


def answers(
    kind: str,
    workload: Workload,
    pods: Sequence[Pod],
    revision: str,
    state: Rollout,
    now: datetime,
    *,
    refused: str = "",
    growing: bool = False,
) -> list[Answer]:
    """What is known of a rollout that is not complete, beside pods that fail.

    ``refused``: the newest words of the controller on pods that it could not make. ``growing``: an autoscaler adds nodes.
    """
    found = [*_held(pods, now)]
    if state.state is RolloutState.PAUSED:
        found.append(Answer(key=state.reason, why=state.why, patience=HALTED))
    if state.reason == "lost":
        found.append(Answer(key="lost", why=_lost(pods, state), patience=SILENT))
    if any(pod.metadata.deletion_timestamp for pod in pods):
        # What goes makes room, for a quota as on a node.
        return found
    if state.reason == "replica-failure":
        found.append(Answer(key="refused", why=state.why, patience=REFUSED))
    elif refused and incomplete(state, len(pods)):
        why = msg("pods can't be created: {detail}", detail=redact_text(refused))
        found.append(Answer(key=f"refused:{len(pods)}", why=why, patience=REFUSED))
    found += _gated(kind, pods, revision, now)
    if not growing:
        found += _unscheduled(kind, pods, revision, now)
    return found


def incomplete(state: Rollout, pods: int) -> bool:
    """Whether pods are missing, as far as one can tell: a controller that can't make them may not count them either."""
    return pods < state.desired or state.reason in ("unobserved", "no-revision")


def _unscheduled(kind: str, pods: Sequence[Pod], revision: str, now: datetime) -> Iterator[Answer]:
    for pod in pods:
        seen = health(pod, now)
        if seen.state is not PodState.UNSCHEDULABLE or pod.status.nominated_node_name:
            continue
        if revision and revision_of(kind, pod) != revision:
            continue
        detail = redact_text(" ".join(seen.problems[0].detail.split()))
        yield Answer(
            key=f"unscheduled:{pod.metadata.uid}",
            why=msg("no node takes {pod}: {detail}", pod=pod.metadata.name, detail=detail or seen.word),
            patience=VOLUMES if "persistentvolumeclaim" in detail.lower() else UNSCHEDULED,
        )


def _gated(kind: str, pods: Sequence[Pod], revision: str, now: datetime) -> Iterator[Answer]:
    for pod in pods:
        seen = health(pod, now)
        if seen.state is not PodState.GATED or (revision and revision_of(kind, pod) != revision):
            continue
        gates = redact_text(" ".join(seen.problems[0].detail.split()))
        why = msg("{pod} is held back by scheduling gates: {gates}", pod=pod.metadata.name, gates=gates or seen.word)
        yield Answer(key=f"gated:{pod.metadata.uid}", why=why, patience=GATED)


def _held(pods: Sequence[Pod], now: datetime) -> Iterator[Answer]:
    for pod in pods:
        due = pod.metadata.deletion_timestamp
        if due is None or now < due + OVERDUE:
            continue
        name = pod.metadata.name
        if pod.metadata.finalizers:
            names = few(pod.metadata.finalizers, _SHOWN)
            why = msg("{pod} was deleted, but is held back by its finalizers: {names}", pod=name, names=names)
            yield Answer(key=f"held:{pod.metadata.uid}", why=why, patience=0.0)
        else:
            why = msg(
                "{pod} was deleted, but its node {node} does not say that it has ended",
                pod=name,
                node=pod.spec.node_name or "?",
            )
            yield Answer(key=f"silent:{pod.metadata.uid}", why=why, patience=SILENT)


def _lost(pods: Sequence[Pod], state: Rollout) -> Message:
    nodes = sorted({pod.spec.node_name for pod in pods if health(pod).state is PodState.LOST and pod.spec.node_name})
    return msg("{why}; nothing is heard of node {nodes}", why=state.why, nodes=few(nodes, _SHOWN))
