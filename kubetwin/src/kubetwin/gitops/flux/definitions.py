# SPDX-License-Identifier: Apache-2.0
"""Flux's definitions, with the columns that people see, and its namespace. Fields without meaning here are taken as they are."""

from __future__ import annotations

from kubetwin.client import Obj, Resource
from kubetwin.gitops.flux import resources as r

_ANY: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def _column(name: str, path: str) -> Obj:
    return {"name": name, "type": "string", "jsonPath": path}


_READY = _column("Ready", '.status.conditions[?(@.type=="Ready")].status')
_STATUS = _column("Status", '.status.conditions[?(@.type=="Ready")].message')
_URL = _column("URL", ".spec.url")


def _definition(resource: Resource, required: list[str], columns: list[Obj], short: list[str]) -> Obj:
    spec: Obj = {
        **_ANY,
        "required": required,
        "properties": {"suspend": {"type": "boolean"}, "interval": {"type": "string"}},
    }
    fields = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    version: Obj = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {**fields, "spec": spec, "status": _ANY}}},
        "subresources": {"status": {}},
    }
    names = {
        "kind": resource.kind,
        "plural": resource.plural,
        "singular": resource.kind.lower(),
        "listKind": f"{resource.kind}List",
        "shortNames": short,
    }
    meta = {"name": f"{resource.plural}.{resource.group}", "labels": {"app.kubernetes.io/part-of": "flux"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": meta,
        "spec": {"group": resource.group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def definitions() -> list[Obj]:
    """Every kind that the controllers know."""
    return [
        _definition(r.GIT_REPOSITORIES, ["url", "interval"], [_URL, _AGE, _READY, _STATUS], ["gitrepo"]),
        _definition(r.HELM_REPOSITORIES, ["url"], [_URL, _AGE, _READY, _STATUS], ["helmrepo"]),
        _definition(
            r.HELM_CHARTS,
            ["chart", "sourceRef", "interval"],
            [_column("Chart", ".spec.chart"), _column("Version", ".spec.version"), _AGE, _READY, _STATUS],
            ["hc"],
        ),
        _definition(r.OCI_REPOSITORIES, ["url", "interval"], [_URL, _READY, _STATUS, _AGE], ["ocirepo"]),
        _definition(r.KUSTOMIZATIONS, ["sourceRef", "interval", "prune"], [_AGE, _READY, _STATUS], ["ks"]),
        _definition(r.HELM_RELEASES, ["interval"], [_AGE, _READY, _STATUS], ["hr"]),
        _definition(r.IMAGE_POLICIES, ["imageRepositoryRef"], [_column("Image", ".status.latestRef.name"), _READY], []),
        _definition(
            r.IMAGE_UPDATES, ["sourceRef", "interval"], [_column("Last run", ".status.lastAutomationRunTime")], []
        ),
    ]
