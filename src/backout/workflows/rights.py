# SPDX-License-Identifier: Apache-2.0
"""Every right that a run needs beside those of the mechanism: the lease, the capture, the checks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backout.cluster.port import CONFIGMAPS, LEASES, SECRETS, Resource
from backout.model.change import Changes
from backout.model.plan import Access, Check
from backout.model.target import Target
from backout.verify.verify import views

_LEASE_VERBS = ("get", "create", "update", "delete")


def rights(
    mechanism: Iterable[Access], target: Target, changes: Changes, checks: Sequence[Check]
) -> tuple[Access, ...]:
    """What the plan lists under ``access``: asked for by name before the first write, so that a run can't get stuck."""
    needed = set(mechanism)
    needed |= {_access(verb, LEASES, target.namespace) for verb in _LEASE_VERBS}
    for resource, namespace in views(checks):
        needed |= {_access(verb, resource, namespace) for verb in ("list", "watch")}
    if target.kind == "helm" and not any(
        access.resource in (SECRETS.plural, CONFIGMAPS.plural) and access.verb == "list" for access in needed
    ):
        needed.add(_access("list", SECRETS, target.namespace))
    for change in changes.objects:
        if change.ref.kind in ("Secret", "ConfigMap"):
            resource = SECRETS if change.ref.kind == "Secret" else CONFIGMAPS
            needed.add(_access("get", resource, change.ref.namespace))
    return tuple(sorted(needed))


def _access(verb: str, resource: Resource, namespace: str) -> Access:
    return Access(verb, resource.group, resource.plural, namespace if resource.namespaced else "")
