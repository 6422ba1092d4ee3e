# SPDX-License-Identifier: Apache-2.0
"""Which failures a field can cause. Pure: a table, since a change that could not have done it did not do it.

An env variable makes no pod unschedulable, a replica count breaks no registry, an image of one container ends no other
one. Fields that are in no row are thought to be able to cause anything but what the rest of the table rules out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from backout.diagnosis.attribution.failures import CREATING, PULLING, SCHEDULING, Failure, Kind
from backout.kube.diff import quantity
from backout.model.change import FieldChange

_PROGRAM = frozenset({Kind.START, Kind.CRASH, Kind.OOM, Kind.LIVENESS, Kind.READINESS, Kind.INIT})
_CONTAINER = r"^spec\.(?:containers|initContainers|ephemeralContainers)\[name=([^\]]+)\]"

TABLE: tuple[tuple[str, frozenset[Kind]], ...] = (
    (r"\.image$", frozenset({*_PROGRAM, *PULLING, Kind.SECURITY})),
    (r"\.imagePullPolicy$", PULLING),
    (r"\.(command|args|workingDir|stdin|tty)\b", _PROGRAM),
    # A literal names no object, so it brings no missing reference.
    (r"\.env\[[^\]]*\]\.(name|value)$", _PROGRAM),
    (r"\.env(From)?\b", frozenset({*_PROGRAM, Kind.CONFIG})),
    (r"\.resources\.limits\b.*memory", frozenset({Kind.OOM, Kind.CRASH, Kind.ROOM, Kind.EVICTED, *CREATING})),
    (r"\.resources\.limits\b.*cpu", frozenset({Kind.READINESS, Kind.LIVENESS, Kind.CRASH, Kind.ROOM, *CREATING})),
    (r"\.resources\b", frozenset({Kind.ROOM, Kind.EVICTED, Kind.OOM, Kind.READINESS, *CREATING})),
    (r"\.readinessProbe\b", frozenset({Kind.READINESS})),
    (r"\.(livenessProbe|startupProbe)\b", frozenset({Kind.LIVENESS, Kind.CRASH, Kind.READINESS})),
    (r"\.ports\b", frozenset({Kind.READINESS, Kind.LIVENESS, Kind.CRASH, Kind.PORT})),
    (r"\.securityContext\b", frozenset({*_PROGRAM, Kind.SECURITY, Kind.MOUNT, Kind.NOT_CREATED})),
    (r"\.volumeMounts\b", frozenset({*_PROGRAM, Kind.MOUNT, Kind.CONFIG})),
    (r"\.lifecycle\b", frozenset({Kind.START, Kind.CRASH})),
)
"""Of a container: what its own failures may come from."""

POD: tuple[tuple[str, frozenset[Kind]], ...] = (
    (r"^spec\.nodeSelector\b", frozenset({Kind.SELECTOR, Kind.VOLUME, Kind.TAINT, Kind.CORDON, Kind.ROOM})),
    (r"^spec\.nodeName\b", SCHEDULING),
    (r"^spec\.affinity\b", SCHEDULING - {Kind.PORT}),
    (r"^spec\.topologySpreadConstraints\b", frozenset({Kind.SPREAD, Kind.UNPLACED})),
    (r"^spec\.tolerations\b", frozenset({Kind.TAINT})),
    (r"^spec\.schedulerName\b", frozenset({Kind.UNPLACED})),
    (r"^spec\.(priorityClassName|priority)\b", frozenset({Kind.NOT_CREATED, Kind.ROOM, Kind.EVICTED})),
    (r"^spec\.volumes\b", frozenset({Kind.MOUNT, Kind.CONFIG, Kind.VOLUME, *_PROGRAM})),
    (r"^spec\.imagePullSecrets\b", frozenset({Kind.PULL_DENIED, Kind.NO_IMAGE})),
    (
        r"^spec\.(serviceAccountName|serviceAccount|automountServiceAccountToken)\b",
        frozenset({Kind.ACCOUNT, Kind.PULL_DENIED, Kind.CRASH, Kind.READINESS, Kind.NOT_CREATED}),
    ),
    (r"^spec\.(hostNetwork|hostPID|hostIPC)\b", frozenset({Kind.PORT, Kind.CRASH, Kind.READINESS, Kind.NOT_CREATED})),
    (
        r"^spec\.(dnsPolicy|dnsConfig|hostAliases|hostname|subdomain|enableServiceLinks)\b",
        frozenset({Kind.CRASH, Kind.READINESS, Kind.LIVENESS, Kind.INIT}),
    ),
    (r"^spec\.(securityContext)\b", frozenset({*_PROGRAM, Kind.SECURITY, Kind.MOUNT, Kind.NOT_CREATED})),
    (r"^spec\.runtimeClassName\b", frozenset({Kind.NOT_CREATED, Kind.START})),
    (r"^spec\.overhead\b", frozenset({Kind.ROOM, *CREATING})),
    (
        r"^spec\.(terminationGracePeriodSeconds|restartPolicy|activeDeadlineSeconds|shareProcessNamespace)\b",
        frozenset({Kind.CRASH, Kind.READINESS}),
    ),
    (r"^spec\.readinessGates\b", frozenset({Kind.READINESS})),
    (r"^metadata\.labels\b", frozenset({Kind.SPREAD, Kind.READINESS, Kind.ROUTED})),
    (r"^metadata\.annotations\b", frozenset({Kind.NOT_CREATED})),
)
"""Of a pod template: what any of its containers may suffer from."""

WORKLOAD: tuple[tuple[str, frozenset[Kind]], ...] = (
    (r"^spec\.replicas$", frozenset({Kind.SCALED, Kind.ROOM, Kind.SPREAD, Kind.QUOTA, Kind.VOLUME, Kind.PORT})),
    (r"^spec\.volumeClaimTemplates\b", frozenset({Kind.VOLUME, Kind.MOUNT})),
    (r"^spec\.paused$", frozenset({Kind.HELD})),
    (r"^spec\.serviceName$", frozenset({Kind.CRASH, Kind.READINESS})),
    (
        r"^(spec\.(strategy|updateStrategy|minReadySeconds|revisionHistoryLimit|podManagementPolicy|progressDeadlineSeconds|selector|persistentVolumeClaimRetentionPolicy)|metadata)\b",
        frozenset(),
    ),
)
"""Of the workload itself. How it rolls out makes an outage larger; it is no cause of what its pods suffer from."""

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
    if other is not None:
        return bool(OBJECTS[other.group(1)] & failure.kinds)
    if Kind.HELD in failure.kinds and path.startswith("spec.template."):
        return True
    inner = path.removeprefix("spec.template.") if path.startswith("spec.template.") else None
    if inner is None:
        return bool(_row(WORKLOAD, path) & failure.kinds)
    match = re.match(_CONTAINER, inner)
    if match is None:
        return bool(_row(POD, inner) & failure.kinds)
    whose = match.group(1)
    if _WHOLE.match(inner):
        return True
    allowed = _row(TABLE, inner[match.end() :])
    if failure.container and failure.container != whose and not failure.kinds & {*SCHEDULING, *CREATING}:
        # A port that another container of the pod takes ends the one that had it.
        return ".ports" in inner and bool(failure.kinds & {Kind.CRASH})
    return bool(allowed & failure.kinds)


def _custom(path: str, failure: Failure) -> bool:
    """Of a custom resource that an operator makes a workload from: its fields are called as those of pods and containers mostly
    are; what others do only the operator knows."""
    if not path.startswith("spec"):
        return False
    for table in (WORKLOAD, POD, TABLE):
        row = next((kinds for pattern, kinds in table if re.search(pattern, path)), None)
        if row is not None:
            return bool(row & failure.kinds)
    return bool(failure.kinds - SCHEDULING - PULLING)


def able(fields: Iterable[FieldChange], failure: Failure) -> tuple[FieldChange, ...]:
    """Those of the changed fields that could have brought the failure."""
    return tuple(field for field in fields if can_cause(field.path, failure) and not _more(field, failure))


def _more(field: FieldChange, failure: Failure) -> bool:
    """True for a limit that was raised: it makes nothing end that had enough before."""
    if not re.search(r"\.resources\.limits\b", field.path) or failure.kinds & {*SCHEDULING, *CREATING, Kind.EVICTED}:
        return False
    before, after = quantity(field.before), quantity(field.after)
    return before is not None and after is not None and after > before


def _row(table: tuple[tuple[str, frozenset[Kind]], ...], path: str) -> frozenset[Kind]:
    return next((kinds for pattern, kinds in table if re.search(pattern, path)), frozenset())
