# SPDX-License-Identifier: Apache-2.0
"""What kind of failure a symptom is: the question that decides which fields could have caused it. Pure.

A scheduler's message gives one reason for each group of nodes, so one symptom may be of several kinds
(kubernetes pkg/scheduler/framework/plugins, pkg/kubelet/images/types.go, plugin/pkg/admission/resourcequota and
limitranger: the texts).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from backout.diagnosis.attribution.words import failure_words, texts
from backout.model.evidence import Symptom


class Kind(StrEnum):
    """Kinds of failure."""

    SELECTOR = "no node matches"
    TAINT = "nodes are tainted"
    CORDON = "nodes are closed"
    ROOM = "no node has room"
    PORT = "the port is taken on the nodes"
    SPREAD = "pods may not stand together"
    VOLUME = "the volume does not fit"
    DEVICE = "no device can be given"
    UNPLACED = "not scheduled"
    GATED = "held back by a scheduling gate"
    QUOTA = "beyond the quota"
    LIMIT_RANGE = "beyond the limit range"
    ACCOUNT = "the service account is missing"
    NOT_CREATED = "pods are refused"
    NO_IMAGE = "no such image"
    PULL_DENIED = "the registry refuses"
    NO_REGISTRY = "the registry does not answer"
    CONFIG = "an object or key is missing"
    SECURITY = "refused by the container runtime"
    MOUNT = "a volume can't be mounted"
    START = "the command can't be started"
    CRASH = "the program ends"
    OOM = "out of memory"
    LIVENESS = "killed by its liveness or startup probe"
    READINESS = "not ready"
    UNMET = "a readiness gate is not met"
    INIT = "an init container does not end"
    SCALED = "scaled to 0"
    FEWER = "fewer nodes have a pod"
    HELD = "a change is held back"
    ROUTED = "requests go astray"
    PORTLESS = "no port of that name"
    EVICTED = "evicted"
    FOLLOWS = "follows from other failures"
    OTHER = "other"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A symptom as kinds of failure, of one container where one is told."""

    symptom: Symptom
    kinds: frozenset[Kind]
    container: str = ""
    text: str = ""
    said: str = ""
    """Events and logs alone: what the cluster and the program said themselves."""


SCHEDULING = frozenset(
    {Kind.SELECTOR, Kind.TAINT, Kind.CORDON, Kind.ROOM, Kind.PORT, Kind.SPREAD, Kind.VOLUME, Kind.DEVICE, Kind.UNPLACED}
)
"""No node is found. A gate is none of these: no node is looked for."""
CREATING = frozenset({Kind.QUOTA, Kind.LIMIT_RANGE, Kind.ACCOUNT, Kind.NOT_CREATED})
PULLING = frozenset({Kind.NO_IMAGE, Kind.PULL_DENIED, Kind.NO_REGISTRY})
RUNNING = frozenset({Kind.CRASH, Kind.OOM, Kind.LIVENESS, Kind.READINESS})
"""The program ran: what it needs of elsewhere may be the cause as well."""

_SCHEDULER = (
    (
        r"didn't match Pod's node affinity|didn't match the requested node name|node\(s\) didn't match node selector",
        Kind.SELECTOR,
    ),
    (r"untolerated taint", Kind.TAINT),
    (r"were unschedulable", Kind.CORDON),
    (r"Insufficient |Too many pods|exceed max volume count", Kind.ROOM),
    (r"free ports", Kind.PORT),
    (r"pod (anti-)?affinity|topology spread", Kind.SPREAD),
    (
        r"volume node affinity|unbound immediate|persistentvolumeclaim|persistent volumes? to bind|no available persistent",
        Kind.VOLUME,
    ),
    (r"allocate all claims|resource ?claim|device ?class", Kind.DEVICE),
)
_CREATOR = (
    (r"exceeded quota|failed quota", Kind.QUOTA),
    (r"(maximum|minimum|ratio)[^.]* usage per|(max|min)imum \w+ (limit|usage)|limitrange", Kind.LIMIT_RANGE),
    (r"serviceaccount[s]? .*not found|error looking up service account|no API token found", Kind.ACCOUNT),
)
_DENIED = re.compile(r"unauthorized|denied|authoriz|authentication|401|403|no basic auth", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"i/o timeout|no such host|connection refused|connection reset|timeout|unreachable|5\d\d |Service Unavailable|"
    r"TLS handshake|x509|server misbehaving|EOF|too ?many ?requests|rate limit",
    re.IGNORECASE,
)
_LIVENESS = re.compile(r"[Ll]iveness probe failed|failed liveness probe|[Ss]tartup probe failed|failed startup probe")
_NOT_STARTED = re.compile(
    r"exec format error|executable file not found|no such file or directory: unknown|unable to start container process"
)
_CODES = {
    "OOMKilled": Kind.OOM,
    "CrashLoopBackOff": Kind.CRASH,
    "Error": Kind.CRASH,
    "CreateContainerError": Kind.START,
    "RunContainerError": Kind.START,
    "SchedulingGated": Kind.GATED,
    "StartError": Kind.START,
    "PostStartHookError": Kind.CRASH,
    "MissingReference": Kind.CONFIG,
    "FailedMount": Kind.MOUNT,
    "FailedAttachVolume": Kind.MOUNT,
    "NotReady": Kind.READINESS,
    "InitHangs": Kind.INIT,
    "ScaledToZero": Kind.SCALED,
    "PausedChange": Kind.HELD,
    "NoEndpoints": Kind.ROUTED,
    "WrongBackend": Kind.ROUTED,
    "NoSuchPort": Kind.PORTLESS,
    "Evicted": Kind.EVICTED,
    "RolloutStuck": Kind.FOLLOWS,
    "ReleaseFailed": Kind.FOLLOWS,
    "ReleasePending": Kind.FOLLOWS,
}


def failure_of(symptom: Symptom) -> Failure:
    """What kind of failure it is."""
    text = " ".join(texts(symptom))
    container = next(
        (str(e.data["container"]) for e in symptom.evidence if e.source == "pod" and e.data.get("container")), ""
    )
    kinds, said = _kinds(symptom.code, text), failure_words(symptom)
    return Failure(symptom=symptom, kinds=kinds, container=container, text=text, said=said)


def _kinds(code: str, text: str) -> frozenset[Kind]:
    if code == "Unschedulable" or code == "SchedulerError":
        return _told(_SCHEDULER, text) or frozenset({Kind.UNPLACED})
    if code == "ReplicaFailure":
        return _told(_CREATOR, text) or frozenset({Kind.NOT_CREATED})
    if code in ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"):
        return _pull(code, text)
    if code == "NotReady" and "readiness gate" in text:
        # Who meets it may look at the program itself.
        return frozenset({Kind.READINESS, Kind.UNMET})
    if code == "NodesLost":
        return frozenset({Kind.FEWER})
    if code in ("RegistryUnavailable",):
        return frozenset({Kind.NO_REGISTRY})
    if code == "CreateContainerConfigError":
        if re.search(r"subPath", text):
            return frozenset({Kind.MOUNT})
        missing = re.search(r"not found|couldn't find key|non-existent", text)
        return frozenset({Kind.CONFIG}) if missing else frozenset({Kind.SECURITY})
    if code == "CrashLoopBackOff" and _LIVENESS.search(text):
        return frozenset({Kind.CRASH, Kind.LIVENESS})
    if code == "CrashLoopBackOff" and (never_began(text) or re.search(r"exit code 127\b", text)):
        return frozenset({Kind.CRASH, Kind.START})
    return frozenset({_CODES.get(code, Kind.OTHER)})


def refuses(text: str) -> bool:
    """True for the words of a registry that does not let somebody in; some say of what they hide that it is not there."""
    return Kind.PULL_DENIED in _pull("ImagePullBackOff", text) and _DENIED.search(text) is not None


def never_began(text: str) -> bool:
    """True where the container runtime could not start the program: nothing that it reads was read (containerd and runc, the texts)."""
    return _NOT_STARTED.search(text) is not None


def _told(table: Iterable[tuple[str, Kind]], text: str) -> frozenset[Kind]:
    return frozenset(kind for pattern, kind in table if re.search(pattern, text, re.IGNORECASE))


def _pull(code: str, text: str) -> frozenset[Kind]:
    if code in ("InvalidImageName", "ErrImageNeverPull"):
        return frozenset({Kind.NO_IMAGE})
    if re.search(r"not found|manifest unknown|does not exist", text) and not re.search(r"no such host", text):
        # Docker's registry says the same of what is not there and of what one may not see.
        denied = re.search(r"may require|denied|authoriz", text)
        return frozenset({Kind.NO_IMAGE, Kind.PULL_DENIED} if denied else {Kind.NO_IMAGE})
    if _UNREACHABLE.search(text):
        return frozenset({Kind.NO_REGISTRY})
    if _DENIED.search(text):
        return frozenset({Kind.PULL_DENIED})
    return frozenset({Kind.NO_IMAGE, Kind.PULL_DENIED})
