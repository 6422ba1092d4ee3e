# SPDX-License-Identifier: Apache-2.0
"""Whether a controller would act now, and how often it does: its custom resource says so, where that is in this cluster.

Facts: Flux ``spec.suspend`` and ``spec.interval`` (a Go duration); Argo CD ``spec.syncPolicy.automated`` (with ``enabled: false`` it is
off; argo-cd pkg/apis/application/v1alpha1/types.go), looked at every three minutes at the latest (``timeout.reconciliation`` 120 s and
up to 60 s of jitter); Fleet ``spec.paused`` of a BundleDeployment.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from backout.cluster.port import ClusterReader
from backout.errors import AccessDenied, NotFoundError, ServerError
from backout.ownership.signs import Manager

ARGO_INTERVAL = 180.0
_ARGO_PLACES = ("argocd", "openshift-gitops")
"""Where applications usually are; a tracking id does not name the namespace of those that are there."""
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class ManagerState(msgspec.Struct, frozen=True, kw_only=True):
    """``active``: True when it would write its state back, False when it is suspended, None when that can't be read.

    ``interval``: seconds after which it has looked again at the latest; None when that is not known.
    """

    active: bool | None = None
    interval: float | None = None


async def state_of(reader: ClusterReader, manager: Manager) -> ManagerState:
    """Reads the manager's own resource; unknown where it is elsewhere, gone, or may not be read."""
    obj = await _resource(reader, manager) if manager.here else None
    if obj is None:
        return ManagerState(interval=ARGO_INTERVAL if manager.tool == "argocd" else None)
    spec = obj.get("spec") or {}
    if manager.tool == "flux":
        return ManagerState(active=spec.get("suspend") is not True, interval=seconds(spec.get("interval")))
    if manager.tool == "argocd":
        automated = (spec.get("syncPolicy") or {}).get("automated")
        return ManagerState(
            active=automated is not None and automated.get("enabled") is not False, interval=ARGO_INTERVAL
        )
    return ManagerState(active=spec.get("paused") is not True)


async def _resource(reader: ClusterReader, manager: Manager) -> dict[str, Any] | None:
    ref = manager.ref
    try:
        resource = await reader.resource(ref.api_version, ref.kind)
    except (NotFoundError, AccessDenied, ServerError):
        return None
    for namespace in [ref.namespace] if ref.namespace else _ARGO_PLACES:
        try:
            return await reader.get(resource, ref.name, namespace if resource.namespaced else "")
        except (NotFoundError, AccessDenied, ServerError):
            continue
    return None


def seconds(duration: Any) -> float | None:
    """A Go duration such as ``1h30m``; None when it is none."""
    text = str(duration or "")
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
