# SPDX-License-Identifier: Apache-2.0
"""Parameters of steps on single objects and on workloads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from backout.cluster.port import Resource
from backout.kube.operated import Known
from backout.model.target import ObjectRef, Target


class ObjectParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a step names its object."""

    api_version: str
    kind: str
    name: str
    namespace: str

    @property
    def ref(self) -> ObjectRef:
        """The object."""
        return ObjectRef(self.api_version, self.kind, self.name, self.namespace)

    @property
    def label(self) -> str:
        """``kind/name``."""
        return str(self.ref)


def named(ref: ObjectRef) -> ObjectParams:
    """The parameters that name an object."""
    return ObjectParams(api_version=ref.api_version, kind=ref.kind, name=ref.name, namespace=ref.namespace)


def itself(target: Target, params: ObjectParams) -> Iterable[ObjectRef]:
    """The one object that parameters name."""
    return (params.ref,)


def nothing(target: Target, params: msgspec.Struct) -> Iterable[ObjectRef]:
    """For steps that only look."""
    return ()


class PartitionParams(ObjectParams, frozen=True, kw_only=True):
    """``workload.set-partition``."""

    partition: int


class PausedParams(ObjectParams, frozen=True, kw_only=True):
    """``workload.set-paused``."""

    paused: bool


class AccountParams(ObjectParams, frozen=True, kw_only=True):
    """``workload.set-account``: the ServiceAccount of its pods; empty for none."""

    account: str


class RestartParams(ObjectParams, frozen=True, kw_only=True):
    """``workload.restart``: the value of the annotation; None takes it away."""

    value: str | None = None


class ReadyParams(ObjectParams, frozen=True, kw_only=True):
    """``workload.wait-ready``. ``patience``: seconds for which pods of the revision in force may fail before it is clear
    that they won't get ready: what they depend on may be on its way back as well."""

    patience: float = 30.0


class ScaleParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.scale``: how many pods, and for what is waited (``gone``, ``running``, or nothing)."""

    replicas: int
    until: Literal["gone", "running", ""] = ""


class CustomParams(ObjectParams, frozen=True, kw_only=True):
    """Of a custom resource, for steps and checks.

    ``plural``, ``namespaced``: how the API serves its kind. ``changed``: the way back changes its spec. ``known``: the workloads
    that were made of it when the plan was. ``answers``: somebody is to say in its status how it is.
    """

    plural: str
    namespaced: bool = True
    changed: bool = False
    known: tuple[Known, ...] = ()
    answers: bool = True

    @property
    def resource(self) -> Resource:
        """Its kind as the API serves it."""
        return Resource(self.api_version, self.kind, self.plural, self.namespaced)

    @property
    def place(self) -> str:
        """The namespace that it is in; empty for one of the whole cluster."""
        return self.namespace if self.namespaced else ""


Until = Literal["taken-up", "ready"]
"""How long an operator is waited for: until it has taken up the newest spec, or until all is as that says."""


class OperatorParams(CustomParams, frozen=True, kw_only=True):
    """``helm.wait-operator``, ``customs.wait``."""

    until: Until = "ready"
    patience: float = 30.0
