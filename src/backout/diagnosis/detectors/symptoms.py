# SPDX-License-Identifier: Apache-2.0
"""From troubles of single pods to symptoms of workloads, with the evidence behind them."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from backout.cluster.port import ClusterReader
from backout.diagnosis.evidence.collect import State, WorkloadKey, read_log, workload_of
from backout.diagnosis.evidence.events import EventIndex
from backout.kube.pod_health import CREATE_REASONS, IMAGE_REASONS, PodProblem, ProblemKind, health
from backout.kube.projections import Event, PackedWorkload, Pod
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.rollout import RolloutState, rollout, was_rolled_out
from backout.model.diagnosis import UnderWay
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.redaction import redact_text
from backout.model.target import ObjectRef

PROBE_FAILURES = 3
PROBE_PATIENCE = timedelta(seconds=10)
START_PATIENCE = timedelta(seconds=60)
"""A pod that is not ready may be starting. It is broken after three failed probes over ten seconds, or a minute."""
GATE_PATIENCE = timedelta(seconds=10)
"""A scheduling gate is taken away by the program that it is for, mostly at once. One that stays holds the pod back."""

MOUNT_EVENTS = frozenset({"FailedMount", "FailedAttachVolume"})
LOGGED = frozenset({"CrashLoopBackOff", "OOMKilled"})
"""Failures of which the program may have said something itself."""
_SAME_CODE = {"ErrImagePull": "ImagePullBackOff", "Error": "CrashLoopBackOff"}
"""Two faces of one failure: the kubelet shows the left one between two of the right one."""


class Trouble(msgspec.Struct, frozen=True):
    """What is wrong with one container of one pod, or with the pod."""

    pod: Pod
    problem: PodProblem

    @property
    def settled(self) -> bool:
        """False while it may still be an ordinary start; other evidence must decide."""
        return self.problem.kind not in (ProblemKind.READINESS, ProblemKind.GATED)


def group_by_code(found: Iterable[Trouble]) -> dict[str, list[Trouble]]:
    """Troubles of one workload by what they are, the same failure under one name."""
    groups: dict[str, list[Trouble]] = defaultdict(list)
    for trouble in found:
        groups[_SAME_CODE.get(trouble.problem.code, trouble.problem.code)].append(trouble)
    return groups


async def find_troubles(cluster: ClusterReader, state: State, now: datetime) -> dict[WorkloadKey, list[Trouble]]:
    """What is wrong with which workload. A bare pod stands for itself as kind ``Pod``."""
    groups: dict[WorkloadKey, list[Trouble]] = defaultdict(list)
    for pod in state.pods:
        found = [Trouble(pod, problem) for problem in health(pod, now).problems]
        if found:
            key = await workload_of(cluster, state, pod)
            groups[key or (pod.metadata.namespace, "Pod", pod.metadata.name)].extend(found)
    return groups


async def symptoms_of(
    cluster: ClusterReader,
    events: EventIndex,
    key: WorkloadKey,
    found: list[Trouble],
    now: datetime,
    workload: PackedWorkload | None = None,
) -> list[Symptom]:
    """The symptoms of one workload; a pod that may simply be starting is none, unless its rollout has passed its deadline:
    then the controller itself says that this is no ordinary start."""
    groups = group_by_code(found)
    late = workload is not None and rollout(key[1], workload).reason == "deadline"
    results = await asyncio.gather(
        *(_symptom(cluster, events, key, code, group, now, late=late) for code, group in groups.items())
    )
    return [symptom for symptom in results if symptom is not None]


async def _symptom(
    cluster: ClusterReader,
    index: EventIndex,
    key: WorkloadKey,
    code: str,
    group: list[Trouble],
    now: datetime,
    *,
    late: bool,
) -> Symptom | None:
    first = max(group, key=lambda trouble: (trouble.problem.restarts, trouble.pod.metadata.name))
    pod = first.pod
    # Of many pods that fail alike one says why; its log is read beside the events, not after them.
    told, log = await asyncio.gather(
        index.of(key[0]), _log_evidence(cluster, first) if code in LOGGED and first.settled else _nothing()
    )
    events = told.warnings(pod.metadata.namespace, "Pod", pod.metadata.name)
    if not first.settled:
        mount = next((event for event in reversed(events) if event.reason in MOUNT_EVENTS), None)
        if mount is not None:
            code = (
                "MissingReference" if "not found" in mount.message or "non-existent" in mount.message else mount.reason
            )
        elif not late and not _settled(first, events, now):
            return None
    evidence = [_state_evidence(first, code)]
    evidence += [_event_evidence(event) for event in _telling(events)]
    evidence += [log] if log else []
    return Symptom(
        code=code,
        ref=_ref(key),
        message=_sentence(first, code, events),
        since=min((t.problem.since for t in group if t.problem.since), default=None),
        pods=tuple(sorted({t.pod.metadata.name for t in group})),
        evidence=tuple(evidence),
    )


def _settled(trouble: Trouble, events: list[Event], now: datetime) -> bool:
    age = now - trouble.problem.since if trouble.problem.since else START_PATIENCE
    if trouble.problem.kind is ProblemKind.GATED:
        return age >= GATE_PATIENCE
    failures = sum(event.times for event in events if event.reason == "Unhealthy")
    return age >= START_PATIENCE or (failures >= PROBE_FAILURES and age >= PROBE_PATIENCE)


def _sentence(trouble: Trouble, code: str, events: list[Event]) -> Message:
    pod, container, image = trouble.pod.metadata.name, trouble.problem.container, trouble.problem.image
    if code == "OOMKilled":
        return msg(
            "{pod}: container {container} ({image}) was killed for using more memory than its limit, "
            "{restarts} restarts",
            pod=pod,
            container=container,
            image=image,
            restarts=trouble.problem.restarts,
        )
    if code == "CrashLoopBackOff" and trouble.problem.exit_code is not None:
        return msg(
            "{pod}: container {container} ({image}) ends with exit code {exit_code}, {restarts} restarts",
            pod=pod,
            container=container,
            image=image,
            exit_code=trouble.problem.exit_code,
            restarts=trouble.problem.restarts,
        )
    if code in IMAGE_REASONS:
        return msg(
            "{pod}: the image {image} of container {container} can't be pulled",
            pod=pod,
            container=container,
            image=image,
        )
    if code in CREATE_REASONS:
        return msg(
            "{pod}: container {container} can't be created: {detail}",
            pod=pod,
            container=container,
            detail=redact_text(trouble.problem.detail) or code,
        )
    if code == "SchedulingGated":
        return msg(
            "{pod}: held back by scheduling gates, so that no node is looked for: {gates}",
            pod=pod,
            gates=redact_text(trouble.problem.detail) or code,
        )
    if code == "NotReady":
        probe = next((event for event in reversed(events) if event.reason == "Unhealthy"), None)
        if probe is not None:
            return msg(
                "{pod}: container {container} runs, but is not ready: {probe}",
                pod=pod,
                container=container,
                probe=redact_text(probe.message),
            )
        return msg(
            "{pod}: not ready: {detail}", pod=pod, detail=redact_text(trouble.problem.detail) or "no reason given"
        )
    if code == "MissingReference" or code in MOUNT_EVENTS:
        last = next((event for event in reversed(events) if event.reason in MOUNT_EVENTS), None)
        return msg("{pod}: can't start: {detail}", pod=pod, detail=redact_text(last.message) if last else "")
    detail = redact_text(trouble.problem.detail)
    return msg("{pod}: {detail}", pod=pod, detail=detail) if detail else msg("{pod}: {code}", pod=pod, code=code)


def _state_evidence(trouble: Trouble, code: str) -> Evidence:
    data: dict[str, object] = {"code": code, "restarts": trouble.problem.restarts}
    if trouble.problem.exit_code is not None:
        data["exitCode"] = trouble.problem.exit_code
    if trouble.problem.image:
        data["image"] = trouble.problem.image
    if trouble.problem.container:
        data["container"] = trouble.problem.container
    return Evidence(
        source="pod",
        ref=_pod_ref(trouble.pod),
        at=trouble.problem.since,
        data=data,
        message=msg(
            "{phase}, {code}, {restarts} restarts",
            phase=trouble.pod.status.phase or "?",
            code=trouble.problem.code,
            restarts=trouble.problem.restarts,
        ),
    )


_BARE = re.compile(r"^Error: \w+$")
"""The kubelet says only the reason again, where another event of the same reason has told why."""


def _telling(events: list[Event], limit: int = 3) -> list[Event]:
    """The last warning of each reason, newest last: of those that say why, where there are some."""
    latest: dict[str, Event] = {}
    for event in events:
        before = latest.get(event.reason)
        if before is not None and _BARE.match(event.message) and not _BARE.match(before.message):
            continue
        latest.pop(event.reason, None)
        latest[event.reason] = event
    return list(latest.values())[-limit:]


def _event_evidence(event: Event) -> Evidence:
    involved = event.involved_object
    return Evidence(
        source="event",
        at=event.last,
        ref=ObjectRef("v1", involved.kind, involved.name, involved.namespace, involved.uid),
        message=msg(
            "{reason}: {text} (seen {times} times)",
            reason=event.reason,
            text=redact_text(event.message)[:300],
            times=event.times,
        ),
        data={"reason": event.reason, "count": event.times},
    )


async def _nothing() -> None:
    """Where no log is of interest."""


async def _log_evidence(cluster: ClusterReader, trouble: Trouble) -> Evidence | None:
    """The last words of the container that ended: those of the previous one when a new one is running."""
    status = next((s for s in trouble.pod.status.container_statuses if s.name == trouble.problem.container), None)
    running = bool(status and status.state.running)
    lines = await read_log(cluster, trouble.pod, trouble.problem.container, previous=running)
    if not lines:
        lines = await read_log(cluster, trouble.pod, trouble.problem.container, previous=not running)
    if not lines:
        return None
    return Evidence(
        source="log",
        ref=_pod_ref(trouble.pod),
        message=msg("last lines of {container}:", container=trouble.problem.container),
        data={"lines": [redact_text(line) for line in lines]},
    )


def rollout_symptoms(key: WorkloadKey, workload: PackedWorkload) -> list[Symptom]:
    """What the workload's own status says: a rollout that gave up, pods that can't be made, a change that is held."""
    found = rollout(key[1], workload)
    if found.reason == "replica-failure":
        return [Symptom(code="ReplicaFailure", ref=_ref(key, workload), since=found.since, message=found.why)]
    if found.reason == "deadline":
        words = msg(
            "the rollout passed its deadline: {updated} of {replicas} pods are updated",
            updated=found.updated,
            replicas=found.desired,
        )
        return [Symptom(code="RolloutStuck", ref=_ref(key, workload), since=found.since, message=words)]
    return []


def under_way(key: WorkloadKey, workload: PackedWorkload, symptoms: list[Symptom]) -> bool:
    """True for a Deployment whose new pods are starting while enough of the earlier ones serve: not broken, as long as its
    progress deadline has not passed and nothing is shown but that new pods are not ready yet.
    """
    if key[1] != "Deployment" or any(symptom.code != "NotReady" for symptom in symptoms):
        return False
    found = rollout(key[1], workload)
    return (
        found.state is RolloutState.UNDER_WAY
        and not found.rolled_out
        and found.minimum > 0
        and found.available >= found.minimum
    )


def young(key: WorkloadKey, workload: PackedWorkload, symptoms: list[Symptom], now: datetime) -> bool:
    """True for a Deployment that is rolled out while no earlier pods serve (Recreate, all at once, made anew), and whose new pods
    answer no probe yet. That may be a start that takes its time, until it has taken longer than any is given, or its deadline has
    passed. Also for a set, which has no deadline, while as many of its pods serve as its rollout leaves, and nobody listens yet
    in those that do not: who answers that it is not ready is past its start."""
    if any(symptom.code != "NotReady" for symptom in symptoms):
        return False
    found = rollout(key[1], workload)
    if found.state is not RolloutState.UNDER_WAY or was_rolled_out(key[1], workload):
        return False
    if key[1] != "Deployment":
        left = max(1, found.minimum) <= found.available
        # Of a DaemonSet all of whose pods are new nothing tells whether it was once rolled out.
        going = found.updated < found.desired or key[1] == "StatefulSet"
        if not (left and going) or not all(_nobody_listens(symptom) for symptom in symptoms):
            return False
    restarts = [evidence.data.get("restarts") for symptom in symptoms for evidence in symptom.evidence]
    return not any(restarts) and all(s.since is not None and now - s.since < START_PATIENCE for s in symptoms)


def _nobody_listens(symptom: Symptom) -> bool:
    texts = (symptom.message.text, *(evidence.message.text for evidence in symptom.evidence))
    return any("connection refused" in text for text in texts)


def beside_earlier(key: WorkloadKey, workload: PackedWorkload) -> UnderWay:
    """What is said of a rollout that is `under_way`: its new pods are not ready yet, and that is no failure so far."""
    return UnderWay(
        _ref(key, workload),
        msg(
            "{workload} is being rolled out: new pods are not ready yet, {ready} earlier ones serve.",
            workload=f"{key[1].lower()}/{key[2]}",
            ready=rollout(key[1], workload).ready,
        ),
    )


def starting(key: WorkloadKey, workload: PackedWorkload) -> UnderWay | None:
    """What is to be said of a workload that shows no symptom and yet is not where it is to be: its rollout goes on, or pods are
    starting. That nothing is broken is not all that there is to it, and where too few pods serve it is not even calm."""
    found = rollout(key[1], workload)
    if found.state is not RolloutState.UNDER_WAY or found.reason == "deleting" or not found.desired:
        return None
    name, over = f"{key[1].lower()}/{key[2]}", was_rolled_out(key[1], workload)
    if found.ready >= found.desired:
        told = msg("{workload} is being rolled out: {why}.", workload=name, why=found.why)
    elif over:
        told = msg(
            "{workload}: {ready} of {desired} pods are ready; the others may be starting.",
            workload=name,
            ready=found.ready,
            desired=found.desired,
        )
    else:
        told = msg(
            "{workload} is being rolled out: {ready} of {desired} pods are ready.",
            workload=name,
            ready=found.ready,
            desired=found.desired,
        )
    # While nothing is rolled out, a pod that starts anew is one that was replaced: the others serve.
    needed = 1 if over else max(1, found.minimum)
    return UnderWay(_ref(key, workload), told, short=found.available < needed)


def held_symptom(key: WorkloadKey, workload: PackedWorkload) -> Symptom | None:
    """A paused Deployment whose template is not the one that its pods run."""
    found, replicas = rollout(key[1], workload), workload.status.replicas
    if found.reason != "paused" or found.updated >= replicas:
        return None
    images = ", ".join(container.image for container in workload.spec.template.spec.containers)
    return Symptom(
        code="PausedChange",
        ref=_ref(key, workload),
        message=msg(
            "paused, holds a change that is not rolled out: {updated} of {replicas} pods have it: {images}",
            updated=found.updated,
            replicas=replicas,
            images=images,
        ),
    )


def serving(workload: PackedWorkload, kind: str) -> tuple[int, int]:
    """Ready pods and wanted pods."""
    found = rollout(kind, workload)
    return found.ready, found.desired


def _ref(key: WorkloadKey, workload: PackedWorkload | None = None) -> ObjectRef:
    namespace, kind, name = key
    api_version = WORKLOAD_RESOURCES[kind].api_version if kind in WORKLOAD_RESOURCES else "v1" if kind == "Pod" else ""
    return ObjectRef(api_version, kind, name, namespace, workload.metadata.uid if workload else "")


def _pod_ref(pod: Pod) -> ObjectRef:
    return ObjectRef("v1", "Pod", pod.metadata.name, pod.metadata.namespace, pod.metadata.uid)
