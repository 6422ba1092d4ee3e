# SPDX-License-Identifier: Apache-2.0
"""Which failures a field can cause. Pure: a table, since a change that could not have done it did not do it.

An env variable makes no pod unschedulable, a replica count breaks no registry, an image of one container ends no other
one. Each field of the published schema has a row, or stands in `NOTHING` with the reason (a test holds the tables to the schema).
A field that is in neither is one of a newer Kubernetes: it is not known what it can cause, so that it is ruled out of nothing, and
believed of nothing either (`known`).

Sources: the field's own description in the schema; kubernetes pkg/kubelet/lifecycle/predicate.go (what a node refuses),
pkg/apis/core/validation (what a template may not have), plugin/pkg/admission (priority, runtimeclass), pkg/scheduler/framework/plugins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from backout.diagnosis.attribution.failures import CREATING, PULLING, SCHEDULING, Failure, Kind
from backout.kube.diff import quantity
from backout.model.change import FieldChange

_PROGRAM = frozenset({Kind.START, Kind.CRASH, Kind.OOM, Kind.LIVENESS, Kind.READINESS, Kind.INIT})
_NAMES = frozenset({Kind.CRASH, Kind.READINESS, Kind.LIVENESS, Kind.INIT})
"""What programs suffer from that can't find each other."""
_ROOM = frozenset({Kind.ROOM, Kind.EVICTED, Kind.OOM, Kind.READINESS, *CREATING})
_MEMORY = frozenset({Kind.OOM, Kind.CRASH, Kind.ROOM, Kind.EVICTED, *CREATING})
_CPU = frozenset({Kind.READINESS, Kind.LIVENESS, Kind.CRASH, Kind.ROOM, *CREATING})
_DEVICES = frozenset({Kind.DEVICE, Kind.UNPLACED, Kind.NOT_CREATED, Kind.READINESS, Kind.START})
_CONTAINER = r"^spec\.(?:containers|initContainers|ephemeralContainers)\[name=([^\]]+)\]"

Table = tuple[tuple[str, frozenset[Kind]], ...]

TABLE: Table = (
    (r"\.image$", frozenset({*_PROGRAM, *PULLING, Kind.SECURITY})),
    (r"\.imagePullPolicy$", PULLING),
    (r"\.(command|args|workingDir|stdin|stdinOnce|tty)\b", _PROGRAM),
    # A literal names no object, so it brings no missing reference.
    (r"\.env\[[^\]]*\]\.(name|value)$", _PROGRAM),
    (r"\.env(From)?\b", frozenset({*_PROGRAM, Kind.CONFIG})),
    (r"\.resources\.limits\b.*memory", _MEMORY),
    (r"\.resources\.limits\b.*cpu", _CPU),
    (r"\.resources\.claims\b", _DEVICES),
    (r"\.resources\b", _ROOM),
    (r"\.readinessProbe\b", frozenset({Kind.READINESS})),
    (r"\.(livenessProbe|startupProbe)\b", frozenset({Kind.LIVENESS, Kind.CRASH, Kind.READINESS})),
    # A hostPort is given once on each node.
    (r"\.ports\b", frozenset({Kind.READINESS, Kind.LIVENESS, Kind.CRASH, Kind.PORT, Kind.PORTLESS})),
    (r"\.securityContext\b", frozenset({*_PROGRAM, Kind.SECURITY, Kind.MOUNT, Kind.NOT_CREATED})),
    # subPath among them.
    (r"\.volumeMounts\b", frozenset({*_PROGRAM, Kind.MOUNT, Kind.CONFIG})),
    (r"\.volumeDevices\b", frozenset({*_PROGRAM, Kind.MOUNT, Kind.VOLUME})),
    # A hook that does not return keeps its container from being ready, and from going.
    (r"\.lifecycle\b", frozenset({Kind.START, Kind.CRASH, Kind.LIVENESS, Kind.READINESS})),
    # Always makes an init container a sidecar; without it one that goes on is waited for for ever.
    (r"\.(restartPolicy|restartPolicyRules)\b", frozenset({Kind.START, Kind.CRASH, Kind.READINESS, Kind.INIT})),
    # The runtime mounts a file there, whatever the image has in that place.
    (r"\.terminationMessagePath$", frozenset({Kind.START})),
)
"""Of a container: what its own failures may come from."""

POD: Table = (
    (r"^spec\.nodeSelector\b", frozenset({Kind.FEWER, Kind.SELECTOR, Kind.VOLUME, Kind.TAINT, Kind.CORDON, Kind.ROOM})),
    (r"^spec\.nodeName\b", SCHEDULING | {Kind.FEWER}),
    (r"^spec\.affinity\b", SCHEDULING - {Kind.PORT} | {Kind.FEWER}),
    (r"^spec\.topologySpreadConstraints\b", frozenset({Kind.SPREAD, Kind.UNPLACED})),
    (r"^spec\.tolerations\b", frozenset({Kind.TAINT, Kind.FEWER})),
    (r"^spec\.schedulerName\b", frozenset({Kind.UNPLACED})),
    (r"^spec\.schedulingGates\b", frozenset({Kind.GATED})),
    # Pods of a group are placed together, or none of them is.
    (r"^spec\.schedulingGroup\b", frozenset({Kind.UNPLACED, Kind.ROOM, Kind.GATED})),
    (r"^spec\.resourceClaims\b", _DEVICES),
    (r"^spec\.resources\.limits\b.*memory", _MEMORY),
    (r"^spec\.resources\.limits\b.*cpu", _CPU),
    (r"^spec\.resources\b", _ROOM),
    # The admission of priorities refuses what contradicts the class; a quota may count a class apart.
    (r"^spec\.(priorityClassName|priority)\b", frozenset({Kind.NOT_CREATED, Kind.QUOTA, Kind.ROOM, Kind.EVICTED})),
    (r"^spec\.preemptionPolicy\b", frozenset({Kind.NOT_CREATED, Kind.ROOM})),
    (r"^spec\.volumes\b", frozenset({Kind.MOUNT, Kind.CONFIG, Kind.VOLUME, *_PROGRAM})),
    (r"^spec\.imagePullSecrets\b", frozenset({Kind.PULL_DENIED, Kind.NO_IMAGE})),
    (
        r"^spec\.(serviceAccountName|serviceAccount|automountServiceAccountToken)\b",
        frozenset({Kind.ACCOUNT, Kind.PULL_DENIED, Kind.CRASH, Kind.READINESS, Kind.NOT_CREATED}),
    ),
    (r"^spec\.hostNetwork\b", frozenset({Kind.PORT, Kind.NOT_CREATED, *_NAMES})),
    (r"^spec\.(hostPID|hostIPC)\b", frozenset({Kind.CRASH, Kind.READINESS, Kind.NOT_CREATED})),
    # The sandbox can't be made, a volume can't be mapped, or files belong to somebody else.
    (r"^spec\.hostUsers\b", frozenset({*_PROGRAM, Kind.SECURITY, Kind.MOUNT, Kind.NOT_CREATED})),
    # A node refuses pods of another system; fields that this one does not have are refused before.
    (r"^spec\.os\b", frozenset({*_PROGRAM, Kind.SECURITY, Kind.NOT_CREATED})),
    # One variable for each port of each Service: too many, and nothing can be started.
    (r"^spec\.enableServiceLinks\b", frozenset({Kind.START, *_NAMES})),
    (r"^spec\.(dnsPolicy|dnsConfig|hostAliases|hostname|hostnameOverride|setHostnameAsFQDN|subdomain)\b", _NAMES),
    (r"^spec\.(securityContext)\b", frozenset({*_PROGRAM, Kind.SECURITY, Kind.MOUNT, Kind.NOT_CREATED})),
    # A class brings a node selector, tolerations and overhead with it; its handler may be missing on a node.
    (
        r"^spec\.runtimeClassName\b",
        frozenset({Kind.NOT_CREATED, Kind.START, Kind.READINESS, Kind.SELECTOR, Kind.TAINT, Kind.ROOM}),
    ),
    (r"^spec\.overhead\b", frozenset({Kind.ROOM, *CREATING})),
    # A program that is killed before it has put away its data may not start with them again.
    (
        r"^spec\.(terminationGracePeriodSeconds|restartPolicy|activeDeadlineSeconds|shareProcessNamespace)\b",
        frozenset({Kind.CRASH, Kind.READINESS}),
    ),
    (r"^spec\.readinessGates\b", frozenset({Kind.UNMET})),
    (r"^metadata\.labels\b", frozenset({Kind.SPREAD, Kind.READINESS, Kind.ROUTED})),
    (r"^metadata\.annotations\b", frozenset({Kind.NOT_CREATED})),
)
"""Of a pod template: what any of its containers may suffer from."""

WORKLOAD: Table = (
    (r"^spec\.replicas$", frozenset({Kind.SCALED, Kind.ROOM, Kind.SPREAD, Kind.QUOTA, Kind.VOLUME, Kind.PORT})),
    (r"^spec\.volumeClaimTemplates\b", frozenset({Kind.VOLUME, Kind.MOUNT})),
    # Pods of other numbers have other names, and other volumes.
    (r"^spec\.ordinals\b", frozenset({Kind.VOLUME, Kind.MOUNT, *_NAMES})),
    (r"^spec\.paused$", frozenset({Kind.HELD})),
    (r"^spec\.serviceName$", frozenset({Kind.CRASH, Kind.READINESS})),
    # What is asked of pods beyond that they are ready, and how long one waits for it.
    (r"^spec\.(minReadySeconds|progressDeadlineSeconds)$", frozenset({Kind.FOLLOWS})),
)
"""Of the workload itself."""

NOTHING: tuple[tuple[str, str], ...] = (
    (
        r"^spec\.template\.spec\.(containers|initContainers)\[[^\]]*\]\.terminationMessagePolicy$",
        "where last words are kept",
    ),
    (
        r"^spec\.template\.spec\.(containers|initContainers)\[[^\]]*\]\.resizePolicy\b",
        "asked only when a pod is resized",
    ),
    (r"^spec\.template\.spec\.evictionResponders\b", "asked only when somebody wants a pod to leave its node"),
    (r"^spec\.template\.spec\.ephemeralContainers\b", "the API server refuses them in a template"),
    (
        r"^spec\.template\.metadata\.(?!labels\b|annotations\b)",
        "of a template's metadata only labels and annotations reach its pods",
    ),
    (
        r"^spec\.(strategy|updateStrategy)\b",
        "how pods are replaced makes an outage larger; they suffer from something else",
    ),
    (r"^spec\.revisionHistoryLimit$", "takes away ways back, and no pod"),
    (r"^spec\.(selector|podManagementPolicy)\b", "the API server refuses another value"),
    (r"^spec\.persistentVolumeClaimRetentionPolicy\b", "asked only when pods are scaled down, or the set is deleted"),
    (r"^metadata\b(?!\.name$)", "of the object itself: no pod is made from it"),
    (r"^(kind|apiVersion|status)\b", "no wish of anybody"),
)
"""Fields that can't have caused anything, each with why."""

CUSTOM: Table = (
    (r"(?i)(storage|volume)", frozenset({Kind.VOLUME, Kind.MOUNT, Kind.ROOM, *_PROGRAM})),
    # imageName, version, tag, repository: an operator pulls by them.
    (r"(?i)(image|version|tag|repository|registry)\w*$", frozenset({*_PROGRAM, *PULLING, Kind.SECURITY})),
    (
        r"(?i)\.(count|instances|members|nodes|shards|size)$",
        frozenset({Kind.ROOM, Kind.SPREAD, Kind.QUOTA, Kind.VOLUME, Kind.PORT, Kind.CRASH, Kind.READINESS}),
    ),
)
"""Of a custom resource: what people call there what pods, containers and workloads have by another name."""

OBJECTS: dict[str, frozenset[Kind]] = {
    "configmap": frozenset({*_PROGRAM, Kind.CONFIG, Kind.MOUNT}),
    "secret": frozenset({*_PROGRAM, Kind.CONFIG, Kind.MOUNT, Kind.PULL_DENIED, Kind.NO_IMAGE}),
    "serviceaccount": frozenset({Kind.ACCOUNT, Kind.PULL_DENIED, Kind.NO_IMAGE, Kind.CRASH, Kind.READINESS}),
    "role": frozenset({Kind.CRASH, Kind.READINESS, Kind.LIVENESS}),
    "rolebinding": frozenset({Kind.CRASH, Kind.READINESS, Kind.LIVENESS}),
    "networkpolicy": frozenset({Kind.CRASH, Kind.READINESS, Kind.LIVENESS}),
    "service": frozenset({Kind.CRASH, Kind.READINESS, Kind.LIVENESS, Kind.INIT}),
    "resourcequota": frozenset({Kind.QUOTA}),
    "limitrange": frozenset({Kind.LIMIT_RANGE, Kind.QUOTA, Kind.ROOM, Kind.OOM}),
    "persistentvolumeclaim": frozenset({Kind.VOLUME, Kind.MOUNT}),
}
"""Of other objects that a workload depends on, whatever changed of them."""

ACCOUNT: tuple[tuple[str, frozenset[Kind]], ...] = (
    (r"^imagePullSecrets\b", frozenset({Kind.PULL_DENIED})),
    (r"^automountServiceAccountToken\b", frozenset({Kind.CRASH, Kind.READINESS, Kind.LIVENESS, Kind.INIT})),
)
"""Of a ServiceAccount: what pods that are made from then on lack."""

INNOCENT = re.compile(
    r'annotations(\.|\[")(kubectl\.kubernetes\.io/restartedAt|checksum/|backout\.dev/|rollme|kubernetes\.io/change-cause)'
)
"""Marks that only make a workload roll out: what its pods read anew is the question then."""
_WHOLE = re.compile(_CONTAINER + r"(\.name)?$")


def can_cause(path: str, failure: Failure) -> bool:
    """True when a change of that field of a workload could have brought that failure."""
    if not failure.kinds or INNOCENT.search(path):
        return False
    if path in ("", "metadata.name"):
        return True
    other = re.match(r"^([a-z]+)/\S+ ", path)
    if other is not None and other.group(1) not in OBJECTS:
        return _custom(path[other.end() :], failure)
    if other is not None and path[other.end() :].startswith("metadata.") and path[other.end() :] != "metadata.name":
        # Labels and notes of what a workload depends on lead to nothing, and hold nothing that it reads.
        return False
    if (
        other is not None
        and other.group(1) == "service"
        and not path[other.end() :].startswith(("spec", "metadata.name"))
    ):
        return False
    if other is not None and other.group(1) == "serviceaccount" and (row := _row(ACCOUNT, path[other.end() :])):
        return bool(row & failure.kinds)
    if other is not None:
        return bool(OBJECTS[other.group(1)] & failure.kinds)
    if Kind.HELD in failure.kinds and path.startswith("spec.template."):
        return True
    inner = path.removeprefix("spec.template.") if path.startswith("spec.template.") else None
    if inner is None:
        return _possible(_row(WORKLOAD, path), path, failure)
    match = re.match(_CONTAINER, inner)
    if match is None:
        return _possible(_row(POD, inner), path, failure)
    whose = match.group(1)
    if _WHOLE.match(inner):
        return True
    allowed = _row(TABLE, inner[match.end() :], whole=False)
    if failure.container and failure.container != whose and not failure.kinds & {*SCHEDULING, *CREATING}:
        # A port that another container of the pod takes ends the one that had it.
        return ".ports" in inner and bool(failure.kinds & {Kind.CRASH})
    return _possible(allowed, path, failure)


def known(path: str) -> bool:
    """False for a field of a template or of a workload that no table tells of: of that nobody knows what it can cause."""
    if path in ("", "metadata.name") or INNOCENT.search(path) or re.match(r"^[a-z]+/\S+ ", path):
        return True
    inner = path.removeprefix("spec.template.") if path.startswith("spec.template.") else None
    match = re.match(_CONTAINER, inner) if inner is not None else None
    if inner is None:
        row = _row(WORKLOAD, path)
    elif match is None:
        row = _row(POD, inner)
    elif _WHOLE.match(inner):
        return True
    else:
        row = _row(TABLE, inner[match.end() :], whole=False)
    return row is not None or innocent(path)


def innocent(path: str) -> bool:
    """True for a field that can't have caused anything."""
    return any(re.search(pattern, path) for pattern, _ in NOTHING)


def _possible(row: frozenset[Kind] | None, path: str, failure: Failure) -> bool:
    if row is None:
        return not innocent(path)
    if failure.kinds <= {Kind.FOLLOWS} and path.startswith("spec.template."):
        # A rollout is stuck, and no pod says why (its node refuses them, or they are gone again): what is rolled out may be why.
        return bool(row)
    return bool(row & failure.kinds)


def _custom(path: str, failure: Failure) -> bool:
    """Of a custom resource that an operator makes a workload from: its fields are called as those of pods and containers mostly
    are; what others do only the operator knows."""
    if not path.startswith("spec"):
        return False
    for table in (WORKLOAD, POD, TABLE, CUSTOM):
        row = _row(table, path)
        if row is not None:
            return bool(row & failure.kinds)
    return bool(failure.kinds - SCHEDULING - PULLING)


def able(fields: Iterable[FieldChange], failure: Failure) -> tuple[FieldChange, ...]:
    """Those of the changed fields that could have brought the failure."""
    return tuple(
        field
        for field in fields
        if can_cause(field.path, failure) and not _more(field, failure) and not _other_gate(field, failure)
    )


_GATES = {Kind.GATED: "schedulingGates", Kind.UNMET: "readinessGates"}


def _other_gate(field: FieldChange, failure: Failure) -> bool:
    """True for a gate that is none of those that hold the pods back, or that are not met: who admits pods may set some, too."""
    if not any(kind in failure.kinds and name in field.path for kind, name in _GATES.items()):
        return False
    gate = field.after
    return not (isinstance(gate, str) and re.search(rf"(?<![\w./-]){re.escape(gate)}(?![\w./-])", failure.text))


def _more(field: FieldChange, failure: Failure) -> bool:
    """True for a limit that was raised: it makes nothing end that had enough before."""
    if not re.search(r"\.resources\.limits\b", field.path) or failure.kinds & {*SCHEDULING, *CREATING, Kind.EVICTED}:
        return False
    before, after = quantity(field.before), quantity(field.after)
    return before is not None and after is not None and after > before


def _row(table: Table, path: str, *, whole: bool = True) -> frozenset[Kind] | None:
    """The first row that tells of a field; None where none does. Without ``whole`` the path begins in the middle of one: the
    command of a probe is the probe's, and not the container's."""
    find = re.search if whole else re.match
    return next((kinds for pattern, kinds in table if find(pattern, path)), None)
