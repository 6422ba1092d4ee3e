# SPDX-License-Identifier: Apache-2.0
"""Which objects Argo CD's applications list as theirs.

By the label method (``application.instanceLabelKey`` in ``argocd-cm``, ``app.kubernetes.io/instance`` by default) objects bear a
label that every chart sets; only the application's own ``status.resources`` tells (argo-cd
pkg/apis/application/v1alpha1/types.go, ResourceStatus: group, kind, namespace, name).
"""

from __future__ import annotations

import msgspec

from backout.cluster.port import ClusterReader
from backout.errors import AccessDenied, NotFoundError, ServerError
from backout.kube.projections import Name
from backout.model.target import ObjectRef

API_VERSION, KIND = "argoproj.io/v1alpha1", "Application"


class _Listed(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""
    group: str = ""


class _Status(msgspec.Struct, frozen=True):
    resources: tuple[_Listed, ...] | None = None


class _Server(msgspec.Struct, frozen=True):
    server: str = ""
    name: str = ""


class _Spec(msgspec.Struct, frozen=True):
    destination: _Server = _Server()


class _Application(msgspec.Struct, frozen=True):
    metadata: Name
    spec: _Spec = _Spec()
    status: _Status = _Status()


_HERE = frozenset({"", "https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local"})


class Tracked(msgspec.Struct, frozen=True):
    """Objects by group, kind, namespace and name → their application's name. ``read`` is False where nobody may look."""

    listed: dict[tuple[str, str, str, str], str] = {}
    read: bool = True

    def of(self, ref: ObjectRef) -> str | None:
        """The application that lists ``ref``; None when none does."""
        group, slash, _ = ref.api_version.partition("/")
        return self.listed.get((group if slash else "", ref.kind, ref.namespace, ref.name))


async def applications(reader: ClusterReader) -> Tracked:
    """Every object of this cluster that an application here lists; nothing where Argo CD is not served."""
    try:
        resource = await reader.resource(API_VERSION, KIND)
        found = await reader.list_as(_Application, resource)
    except NotFoundError:
        return Tracked()
    except (AccessDenied, ServerError):
        return Tracked(read=False)
    listed = {}
    for application in found:
        destination = application.spec.destination
        if destination.server not in _HERE or destination.name not in ("", "in-cluster"):
            continue
        for item in application.status.resources or ():
            listed[(item.group, item.kind, item.namespace, item.name)] = application.metadata.name
    return Tracked(listed)
