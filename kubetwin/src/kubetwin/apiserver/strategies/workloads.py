# SPDX-License-Identifier: Apache-2.0
"""Workloads: generations and generated selectors (pkg/registry/apps, pkg/registry/batch)."""

from __future__ import annotations

from kubetwin.apiserver.store import Object
from kubetwin.apiserver.strategies.context import Context

_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_UID_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid")
_NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")


def update_deployment(new: Object, old: Object, subresource: str, context: Context) -> None:
    # Annotations count as a change of the desired state, for Deployments alone.
    if subresource != "status" and new["spec"] == old["spec"]:
        annotations = new["metadata"].get("annotations") or {}
        if annotations != (old["metadata"].get("annotations") or {}):
            new["metadata"]["generation"] = int(old["metadata"].get("generation", 0)) + 1


def create_daemon_set(obj: Object, context: Context) -> None:
    obj["metadata"].setdefault("annotations", {})[_TEMPLATE_GENERATION] = "1"


def update_daemon_set(new: Object, old: Object, subresource: str, context: Context) -> None:
    if subresource == "status":
        return
    known = (old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "1")
    generation = int(known) if known.isdigit() else 1
    if new["spec"].get("template") != old["spec"].get("template"):
        generation += 1
    new["metadata"].setdefault("annotations", {})[_TEMPLATE_GENERATION] = str(generation)


def create_job(obj: Object, context: Context) -> None:
    """A job that does not choose its selector gets one by its uid."""
    spec, meta = obj["spec"], obj["metadata"]
    if spec.get("manualSelector"):
        return
    labels = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
    for name in _UID_LABELS:
        labels.setdefault(name, meta["uid"])
    for name in _NAME_LABELS:
        labels.setdefault(name, meta["name"])
    if not meta.get("labels"):
        meta["labels"] = dict(labels)
    selector = spec.setdefault("selector", {})
    selector.setdefault("matchLabels", {}).setdefault(_UID_LABELS[0], meta["uid"])
