# SPDX-License-Identifier: Apache-2.0
"""Validation of objects: what a server refuses, field by field, in its words and order.

Objects are decoded and defaulted before. An update whose spec is as before is not validated again: it was when it
was stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubetwin.apiserver.schema import Schema
from kubetwin.apiserver.status import Cause
from kubetwin.apiserver.validation import (
    batch,
    certificates,
    core,
    crds,
    custom,
    events,
    groups,
    metadata,
    pod_update,
    pods,
    services,
    statuses,
    workloads,
)
from kubetwin.apiserver.validation.errors import Errors

Object = dict[str, Any]
Validator = Callable[[Errors, Object, Object | None], None]


def _pod(errors: Errors, new: Object, old: Object | None) -> None:
    pods.pod(errors, new)
    if old is not None:
        pod_update.changed(errors, new.get("spec") or {}, old.get("spec") or {})


def _pod_template(errors: Errors, new: Object, _old: Object | None) -> None:
    pods.template(errors, new.get("template"), "template")


_BY_KIND: dict[tuple[str, str], Validator] = {
    ("", "Pod"): _pod,
    ("", "PodTemplate"): _pod_template,
    ("", "Service"): services.service,
    ("", "ConfigMap"): core.config_map,
    ("", "Secret"): core.secret,
    ("", "PersistentVolume"): core.volume,
    ("", "PersistentVolumeClaim"): core.claim,
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("apps", "ControllerRevision"): groups.controller_revision,
    ("batch", "Job"): batch.job,
    ("batch", "CronJob"): batch.cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): groups.autoscaler,
    ("networking.k8s.io", "Ingress"): groups.ingress,
    ("networking.k8s.io", "NetworkPolicy"): groups.network_policy,
    ("policy", "PodDisruptionBudget"): groups.disruption_budget,
    ("rbac.authorization.k8s.io", "Role"): groups.role,
    ("rbac.authorization.k8s.io", "ClusterRole"): groups.role,
    ("rbac.authorization.k8s.io", "RoleBinding"): groups.role_binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): groups.role_binding,
    ("storage.k8s.io", "StorageClass"): groups.storage_class,
    ("scheduling.k8s.io", "PriorityClass"): groups.priority_class,
    ("coordination.k8s.io", "Lease"): groups.lease,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): crds.definition,
}


def validate(
    api_version: str,
    kind: str,
    new: Object,
    old: Object | None,
    schema: Schema | None,
    subresource: str = "",
    requested: str = "",
) -> list[Cause]:
    """What is wrong with ``new`` (a change of ``old``, unless that is None); empty when nothing is.

    ``schema`` is that of a custom resource, or None; a built-in kind's is not needed and may be given. ``requested`` is
    the API version of the request, unless that is ``api_version``.
    """
    errors = Errors()
    group = api_version.rpartition("/")[0]
    is_custom = schema is not None and not schema.definition
    meta = new.get("metadata") or {}
    if old is None:
        metadata.created(errors, meta, metadata.name_rule(kind, custom=is_custom), custom=is_custom)
    else:
        metadata.updated(errors, meta, old.get("metadata") or {}, custom=is_custom)
    if schema is not None and is_custom:
        custom.resource(errors, new, old, schema)
    elif old is not None and subresource:
        _part(errors, (group, kind), new, old, subresource)
    elif old is None or _changed(new, old):
        validator = _BY_KIND.get((group, kind))
        if validator is not None:
            validator(errors, new, old)
        elif (group, kind) == ("", "Event"):
            events.event(errors, new, old, core=requested in ("", api_version))
    return errors.causes


def _part(errors: Errors, kind: tuple[str, str], new: Object, old: Object, subresource: str) -> None:
    if kind == ("certificates.k8s.io", "CertificateSigningRequest"):
        certificates.update(errors, new, old, subresource)
    elif subresource == "status":
        statuses.check(errors, kind, new, old)
    elif subresource == "resize":
        pods.pod(errors, new)
        pod_update.resized(errors, new, old)
    elif subresource == "ephemeralcontainers":
        pod_update.debugged(errors, new.get("spec") or {}, old.get("spec") or {})


def _changed(new: Object, old: Object) -> bool:
    return any(new.get(name) != old.get(name) for name in {*new, *old} - {"metadata", "status"})


__all__ = ["validate"]
