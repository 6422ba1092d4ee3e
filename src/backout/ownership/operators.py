# SPDX-License-Identifier: Apache-2.0
"""Which program answers for a kind of custom resource, and whether it runs: by its rights, since a program that says how a
resource is must be allowed to write its status (kubernetes.io/docs/reference/access-authn-authz/rbac)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from backout.cluster.port import DEPLOYMENTS, STATEFULSETS, ClusterReader, Resource
from backout.errors import BackoutError
from backout.kube.projections import Projection
from backout.model.message import Message, msg

CLUSTERROLES = Resource("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", namespaced=False)
BINDINGS = Resource("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
ROLES = Resource("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLEBINDINGS = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
_WRITES = frozenset({"*", "update", "patch"})
_SYSTEM = ("system:", "cluster-admin", "admin", "edit")
_T = TypeVar("_T")


class _Named(Projection, frozen=True):
    name: str
    namespace: str = ""


class _Rule(Projection, frozen=True):
    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


class _Role(Projection, frozen=True):
    metadata: _Named
    rules: tuple[_Rule, ...] | None = None


class _Subject(Projection, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class _Ref(Projection, frozen=True):
    kind: str = ""
    name: str = ""


class _Binding(Projection, frozen=True):
    role_ref: _Ref
    subjects: tuple[_Subject, ...] | None = None


class _PodSpec(Projection, frozen=True):
    service_account_name: str = ""


class _Template(Projection, frozen=True):
    spec: _PodSpec = _PodSpec()


class _Spec(Projection, frozen=True):
    replicas: int | None = None
    template: _Template = _Template()


class _Status(Projection, frozen=True):
    ready_replicas: int = 0


class _Program(Projection, frozen=True):
    metadata: _Named
    spec: _Spec
    status: _Status = _Status()


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """A program that may say how resources of a kind are, with its ready and wanted pods."""

    kind: str
    name: str
    namespace: str
    ready: int
    desired: int

    @property
    def label(self) -> str:
        """``kind/name``."""
        return f"{self.kind.lower()}/{self.name}"


async def operators_of(reader: ClusterReader, resource: Resource, namespace: str) -> tuple[Operator, ...]:
    """The programs that may write the status of such a resource in a namespace; none where that may not be read."""
    wide, own, bound, locally = await asyncio.gather(
        _listed(reader, _Role, CLUSTERROLES),
        _listed(reader, _Role, ROLES, namespace),
        _listed(reader, _Binding, BINDINGS),
        _listed(reader, _Binding, ROLEBINDINGS, namespace),
    )
    able = {("ClusterRole", role.metadata.name) for role in wide if _able(role, resource)}
    able |= {("Role", role.metadata.name) for role in own if _able(role, resource)}
    accounts = {
        (subject.namespace, subject.name)
        for binding in (*bound, *locally)
        if (binding.role_ref.kind, binding.role_ref.name) in able
        for subject in binding.subjects or ()
        if subject.kind == "ServiceAccount"
    }
    found: list[Operator] = []
    for place in sorted({place for place, _ in accounts if place}):
        for kind in (DEPLOYMENTS, STATEFULSETS):
            for program in await _listed(reader, _Program, kind, place):
                if (place, program.spec.template.spec.service_account_name) in accounts:
                    found.append(_operator(kind.kind, program))
    return tuple(found)


def silence(operators: Iterable[Operator]) -> Message:
    """Why nothing is heard of a resource, as far as one sees, and where to look."""
    found = list(operators)
    idle = [one for one in found if one.ready < max(1, one.desired)]
    if idle and len(idle) == len(found):
        one = idle[0]
        return msg(
            "{operator} in {namespace}, which may answer for it, has {ready} of {desired} pods ready.",
            operator=one.label,
            namespace=one.namespace,
            ready=one.ready,
            desired=one.desired,
        )
    if found:
        one = next(each for each in found if each not in idle)
        return msg(
            "{operator} in {namespace} may answer for it and runs: its log says why it does not.",
            operator=one.label,
            namespace=one.namespace,
        )
    return msg("Does its operator run?")


def _able(role: _Role, resource: Resource) -> bool:
    if role.metadata.name.startswith(_SYSTEM):
        return False
    whole = {"*", f"{resource.plural}/status", "*/status"}
    return any(
        _WRITES & {*rule.verbs} and {"*", resource.group} & {*rule.api_groups} and whole & {*rule.resources}
        for rule in role.rules or ()
    )


def _operator(kind: str, program: _Program) -> Operator:
    wanted = 1 if program.spec.replicas is None else program.spec.replicas
    return Operator(
        kind=kind,
        name=program.metadata.name,
        namespace=program.metadata.namespace,
        ready=program.status.ready_replicas,
        desired=wanted,
    )


async def _listed(reader: ClusterReader, shape: type[_T], resource: Resource, namespace: str = "") -> list[_T]:
    try:
        return await reader.list_as(shape, resource, namespace)
    except BackoutError:
        return []
