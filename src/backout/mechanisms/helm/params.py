# SPDX-License-Identifier: Apache-2.0
"""Parameters of the steps of this way back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from backout.mechanisms.common.params import ObjectParams
from backout.mechanisms.port import CaptureSource
from backout.model.target import ObjectRef, Target


class _Release(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``driver``: where the release's records are, as ``HELM_DRIVER`` says it."""

    release: str
    driver: str = ""


class RepairParams(_Release, frozen=True, kw_only=True):
    """``helm.repair-pending``: the record of ``revision`` is watched for ``observe`` seconds."""

    revision: int
    observe: float = 5.0


class Made(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a step said that it made."""

    uid: str


class RecordParams(_Release, frozen=True, kw_only=True):
    """``helm.restore-record`` and ``helm.remove-record``: a record, and where it is kept."""

    revision: int
    record: str
    repository: str
    snapshot: str
    address: str
    made: Made | None = None

    def ref(self, namespace: str) -> ObjectRef:
        """The object that holds it."""
        return ObjectRef("v1", "ConfigMap" if self.driver == "configmap" else "Secret", self.record, namespace)


class Staying(ObjectParams, frozen=True, kw_only=True):
    """An object of the revision that stays as it is, since it can't go back: the spec that the manifest has of it then."""

    spec: dict[str, Any]


class Scaled(ObjectParams, frozen=True, kw_only=True):
    """A workload of the revision that keeps the number of its pods: somebody raised it, and it is not what is broken."""

    replicas: int


class Holder(ObjectParams, frozen=True, kw_only=True):
    """A workload whose pods end before an immutable object that they read is made anew. ``replicas``: how many there are to be
    again, where Helm does not say; None where it can't be scaled, so that its pods are deleted."""

    replicas: int | None


class RollbackParams(_Release, frozen=True, kw_only=True):
    """``helm.rollback``: to the content ``digest`` of ``revision``, on the condition that ``expect`` is in force.

    ``recreate``: StatefulSets that are made anew around their pods. ``anew``: other objects that Helm makes anew. ``away``: whose
    pods end while that is done. ``stay``: what stays as it is; ``scaled``: which workloads keep the number of
    their pods; ``digest`` names the content with that in it. ``timeout``: Helm's
    own, in seconds.
    """

    timeout: float = 300.0
    recreate: tuple[str, ...] = ()
    anew: tuple[ObjectParams, ...] = ()
    away: tuple[Holder, ...] = ()
    stay: tuple[Staying, ...] = ()
    scaled: tuple[Scaled, ...] = ()
    no_hooks: bool = False
    revision: int
    digest: str
    expect: str = ""
    apply: Literal["ssa", "csa"]
    force_conflicts: bool = False
    reapply: bool = False


class Parts(ObjectParams, frozen=True, kw_only=True):
    """An object, and the parts of it (``spec.template``, ``data``) that are put back."""

    parts: tuple[str, ...]
    uid: str = ""


class RestoreLiveParams(_Release, frozen=True, kw_only=True):
    """``helm.restore-live``: back to a revision where its content differs, then parts of live objects as captured.

    ``again``: custom resources that had gone with their ``definitions``, and are made again."""

    expect: str
    objects: tuple[Parts, ...] = ()
    remove: tuple[ObjectParams, ...] = ()
    definitions: tuple[ObjectParams, ...] = ()
    again: tuple[ObjectParams, ...] = ()
    rollback: RollbackParams | None = None
    capture: CaptureSource | None = None


class KeptObject(ObjectParams, frozen=True, kw_only=True):
    """An object by its uid."""

    uid: str


class KeepParams(KeptObject, frozen=True, kw_only=True):
    """``helm.keep``: the value of its annotation ``helm.sh/resource-policy``, and the one from before; None for none."""

    value: str | None = None
    former: str | None = None


class KeptParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``left-out``."""

    objects: tuple[KeptObject, ...]


def of_release(target: Target, params: _Release) -> bool:
    """Whether they name the release that is the target, in whichever part of them."""
    inner = params.rollback if isinstance(params, RestoreLiveParams) else None
    return params.release == target.name and (inner is None or inner.release == target.name)


def record_of(target: Target, params: RecordParams) -> Iterable[ObjectRef]:
    """The record that is made or deleted."""
    return (params.ref(target.namespace),)


def recreated(target: Target, params: RollbackParams) -> Iterable[ObjectRef]:
    """What is deleted by Backout itself; what Helm writes is in the diff of the plan."""
    yield from (ObjectRef("apps/v1", "StatefulSet", name, target.namespace) for name in params.recreate)
    yield from (entry.ref for entry in params.anew)
    yield from (entry.ref for entry in params.away)


def captured(target: Target, params: RestoreLiveParams) -> Iterable[ObjectRef]:
    """What is put back or taken away beside the rollback."""
    return (entry.ref for entry in (*params.objects, *params.remove, *params.again))
