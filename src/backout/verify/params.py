# SPDX-License-Identifier: Apache-2.0
"""Parameters of the checks that any way back may ask for (see `backout.verify` for what they mean)."""

from __future__ import annotations

import msgspec

from backout.mechanisms.common.measuring import Named, Placed


class WorkloadName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A workload of the namespace."""

    kind: str
    name: str


class OnPods(Named, frozen=True, kw_only=True):
    """Of the target's pods, of those of ``workloads``, or of the namespace; only those with ``labels``."""

    workloads: tuple[WorkloadName, ...] = ()
    labels: str | dict[str, str] = ""


class WorkloadParams(OnPods, frozen=True, kw_only=True):
    """``workload-ready``: ``images`` by container or in any, ``hash``: of the revision in force."""

    images: dict[str, str] | tuple[str, ...] = ()
    hash: str = ""


class EndpointsParams(OnPods, frozen=True, kw_only=True):
    """``endpoints``. ``idle``: of them, those of parts that do not run, which may be empty."""

    services: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()


class ClaimsParams(OnPods, frozen=True, kw_only=True):
    """``pvc-bound``."""

    names: tuple[str, ...] = ()


class OwnerParams(Placed, frozen=True, kw_only=True):
    """``owner-quiet``."""

    seconds: float = 0.0
    owner: str = ""


class ServicesParams(Placed, frozen=True, kw_only=True):
    """``service-answers``."""

    services: tuple[str, ...] = ()
    any: bool = False


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a route of an Ingress is to answer."""

    host: str = ""
    path: str = "/"
    status: int | None = None
    marker: str = ""


class IngressParams(Placed, frozen=True, kw_only=True):
    """``ingress-answers``."""

    ingress: str = ""
    expect: tuple[Route, ...] = ()


class HttpParams(Placed, frozen=True, kw_only=True):
    """``http-answer``: a GET from ``ingress`` (``host``), or else from ``service`` (``port``)."""

    ingress: str = ""
    host: str = ""
    service: str = ""
    port: str | int = ""
    path: str = "/"
    status: int = 200
    contains: str = ""
