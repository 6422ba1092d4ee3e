# SPDX-License-Identifier: Apache-2.0
"""What an installation of Argo CD brings: its definitions, its namespace, its configuration and the default project.

The schemas hold the fields that have meaning here and take all others, as the real ones are far longer (argo-cd manifests/crds).
Applications have no status subresource, as there: one write may change spec, status and operation.
"""

from __future__ import annotations

from kubetwin.client import Obj
from kubetwin.gitops.argocd.application import GROUP, VERSION
from kubetwin.gitops.argocd.settings import ArgoSettings

_ANY: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _column(name: str, path: str, *, wide: bool = False) -> Obj:
    return {"name": name, "type": "string", "jsonPath": path, **({"priority": 10} if wide else {})}


def _definition(kind: str, plural: str, short: list[str], properties: Obj, columns: list[Obj], *, status: bool) -> Obj:
    fields = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        **properties,
    }
    version: Obj = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": {"type": "object", "required": ["metadata", "spec"], "properties": fields}},
        "subresources": {"status": {}} if status else {},
    }
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List", "shortNames": short}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": f"{plural}.{GROUP}", "app.kubernetes.io/part-of": "argocd"},
        },
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def definitions() -> list[Obj]:
    """Application, AppProject and ApplicationSet."""
    policy: Obj = {
        **_ANY,
        "properties": {
            "automated": {
                **_ANY,
                "properties": {name: {"type": "boolean"} for name in ("prune", "selfHeal", "allowEmpty", "enabled")},
            },
            "syncOptions": {"type": "array", "items": {"type": "string"}},
        },
    }
    spec: Obj = {
        **_ANY,
        "required": ["destination", "project"],
        "properties": {
            "destination": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("name", "namespace", "server")},
            },
            "project": {"type": "string"},
            "revisionHistoryLimit": {"type": "integer", "format": "int64"},
            "source": _ANY,
            "sources": {"type": "array", "items": _ANY},
            "sourceHydrator": _ANY,
            "syncPolicy": policy,
        },
    }
    columns = [
        _column("Sync Status", ".status.sync.status"),
        _column("Health Status", ".status.health.status"),
        _column("Revision", ".status.sync.revision", wide=True),
        _column("Project", ".spec.project", wide=True),
    ]
    application = {"spec": spec, "status": _ANY, "operation": _ANY}
    return [
        _definition("Application", "applications", ["app", "apps"], application, columns, status=False),
        _definition(
            "AppProject", "appprojects", ["appproj", "appprojs"], {"spec": _ANY, "status": _ANY}, [], status=False
        ),
        _definition(
            "ApplicationSet", "applicationsets", ["appset", "appsets"], {"spec": _ANY, "status": _ANY}, [], status=True
        ),
    ]


def configuration(settings: ArgoSettings) -> list[Obj]:
    """The namespace and the ConfigMaps; argocd-cm says how often applications are compared, as people configure it."""
    namespace = settings.namespace
    times = {"timeout.reconciliation": settings.reconciliation, "timeout.reconciliation.jitter": settings.jitter}
    part = {"app.kubernetes.io/part-of": "argocd"}
    maps = ["argocd-cm", "argocd-cmd-params-cm", "argocd-rbac-cm", "argocd-ssh-known-hosts-cm"]
    made: list[Obj] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}]
    for name in maps:
        meta = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/name": name, **part}}
        data = {key: f"{value:g}s" for key, value in times.items()} if name == "argocd-cm" else {}
        made.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    return made
