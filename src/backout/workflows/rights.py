# SPDX-License-Identifier: Apache-2.0
"""Every right that a run needs beside those of the mechanism: the lease, the capture, the checks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backout.cluster.port import CONFIGMAPS, LEASES, SECRETS, Resource
from backout.mechanisms import registry
from backout.model.change import Changes
from backout.model.part import Access, Check
from backout.model.target import Target
from backout.verify.verify import views

_LEASE_VERBS = ("get", "create", "update", "delete")


def rights(
    mechanism: Iterable[Access], target: Target, changes: Changes, checks: Sequence[Check]
) -> tuple[Access, ...]:
    """What the plan lists under ``access``: asked for by name before the first write, so that a run can't get stuck."""
    needed = set(mechanism)
    needed |= leasing(target.namespace)
    for resource, namespace in views(checks):
        needed |= {_access(verb, resource, namespace) for verb in ("list", "watch")}
    needed |= set(registry.of_kind(target.kind).again_access(target, needed))
    for change in changes.objects:
        if change.ref.kind in ("Secret", "ConfigMap"):
            resource = SECRETS if change.ref.kind == "Secret" else CONFIGMAPS
            needed.add(_access("get", resource, change.ref.namespace))
    return tuple(sorted(needed))


def leasing(namespace: str) -> set[Access]:
    """The rights to take a run's lease, to renew it, and to let it go."""
    return {_access(verb, LEASES, namespace) for verb in _LEASE_VERBS}


def _access(verb: str, resource: Resource, namespace: str) -> Access:
    return Access(verb, resource.group, resource.plural, namespace if resource.namespaced else "")
