# SPDX-License-Identifier: Apache-2.0
"""Flux's resources, its times, and what all its objects share: conditions, requests by annotation, intervals. Pure.

Facts: fluxcd/pkg apis/meta (``ReconcileRequestAnnotation``, ``HandleAnnotationRequest``, reasons), runtime/conditions.
"""

from __future__ import annotations

from dataclasses import dataclass

from kubetwin.client import Obj, Resource
from kubetwin.gitops.durations import seconds
from kubetwin.meta import annotations_of, stamp

SOURCE, KUSTOMIZE, HELM, IMAGE = (f"{name}.toolkit.fluxcd.io" for name in ("source", "kustomize", "helm", "image"))
GIT_REPOSITORIES = Resource(SOURCE, "v1", "gitrepositories", "GitRepository")
HELM_REPOSITORIES = Resource(SOURCE, "v1", "helmrepositories", "HelmRepository")
HELM_CHARTS = Resource(SOURCE, "v1", "helmcharts", "HelmChart")
OCI_REPOSITORIES = Resource(SOURCE, "v1", "ocirepositories", "OCIRepository")
KUSTOMIZATIONS = Resource(KUSTOMIZE, "v1", "kustomizations", "Kustomization")
HELM_RELEASES = Resource(HELM, "v2", "helmreleases", "HelmRelease")
IMAGE_POLICIES = Resource(IMAGE, "v1", "imagepolicies", "ImagePolicy")
IMAGE_UPDATES = Resource(IMAGE, "v1", "imageupdateautomations", "ImageUpdateAutomation")
SOURCES = {r.kind: r for r in (GIT_REPOSITORIES, HELM_REPOSITORIES, HELM_CHARTS, OCI_REPOSITORIES)}

FINALIZER = "finalizers.fluxcd.io"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
FORCED = "reconcile.fluxcd.io/forceAt"
RESET = "reconcile.fluxcd.io/resetAt"


@dataclass(frozen=True, slots=True)
class FluxSettings:
    """Times in seconds; how often something is looked at stands in its own ``spec.interval``."""

    namespace: str = "flux-system"
    dependency_interval: float = 1.0
    """``--requeue-dependency``: 30 s in a real one."""
    retry_initial: float = 0.2
    """First wait after a failure; it doubles (``--min-retry-delay``: 750 ms in a real one)."""
    retry_max: float = 5.0
    """``--max-retry-delay``: 15 min in a real one."""

    @classmethod
    def real(cls) -> FluxSettings:
        """As Flux comes."""
        return cls(dependency_interval=30.0, retry_initial=0.75, retry_max=900.0)


def spec_of(obj: Obj) -> Obj:
    return obj.get("spec") or {}


def suspended(obj: Obj) -> bool:
    return spec_of(obj).get("suspend") is True


def interval_of(obj: Obj, name: str = "interval", default: float = 60.0) -> float:
    """A duration of its spec, in seconds."""
    found = seconds(spec_of(obj).get(name))
    return default if found is None or found <= 0 else found


def requested(obj: Obj) -> str:
    return annotations_of(obj).get(REQUESTED, "")


def handle_request(obj: Obj, status: Obj, annotation: str, handled: str) -> bool:
    """Whether a one-off request counts: its token is new, and that of the reconcile request. It is handled either way."""
    token = annotations_of(obj).get(annotation, "")
    if not token or status.get(handled) == token:
        return False
    status[handled] = token
    return token == requested(obj)


def mark(status: Obj, generation: int, kind: str, value: str, reason: str, message: str) -> None:
    """Sets a condition; its time moves with its value."""
    conditions = [dict(each) for each in status.get("conditions") or ()]
    found = next((each for each in conditions if each["type"] == kind), None)
    if found is None:
        found = {"type": kind}
        conditions.append(found)
    if found.get("status") != value or "lastTransitionTime" not in found:
        found["lastTransitionTime"] = stamp()
    found |= {"status": value, "reason": reason, "message": message[:32768], "observedGeneration": generation}
    status["conditions"] = conditions


def unmark(status: Obj, *kinds: str) -> None:
    status["conditions"] = [each for each in status.get("conditions") or () if each["type"] not in kinds]


def found_condition(obj_or_status: Obj, kind: str) -> Obj:
    """A condition; empty when it is not there."""
    status = obj_or_status.get("status", obj_or_status) or {}
    return next((each for each in status.get("conditions") or () if each["type"] == kind), {})


def is_ready(obj: Obj) -> bool:
    """Ready, of this generation."""
    status = obj.get("status") or {}
    current = status.get("observedGeneration") == obj["metadata"].get("generation")
    return current and found_condition(obj, "Ready").get("status") == "True"


def reference(obj: Obj, ref: Obj) -> tuple[str, str, str]:
    """Kind, namespace and name of a reference; its namespace is that of the object unless it says so."""
    return (
        str(ref.get("kind") or ""),
        str(ref.get("namespace") or obj["metadata"]["namespace"]),
        str(ref.get("name") or ""),
    )
