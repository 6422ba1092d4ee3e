# SPDX-License-Identifier: Apache-2.0
"""Validation of resource requests and limits. Source: pkg/apis/core/validation."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.validation import names
from kubetwin.apiserver.validation.errors import NEGATIVE, Errors
from kubetwin.quantity import value_of

_COMPUTE = ("cpu", "memory")
_STANDARD = ("cpu", "memory", "ephemeral-storage")
_NATIVE_TEXT = "must be a standard resource type or fully qualified"
_CONTAINER_TEXT = "must be a standard resource for containers"


def requirements(errors: Errors, value: dict[str, Any] | None, path: str) -> None:
    """Limits and requests of a container; values are canonical quantities."""
    if not value:
        return
    limits, requests = value.get("limits") or {}, value.get("requests") or {}
    for name, amount in sorted(limits.items()):
        _resource(errors, name, amount, f"{path}.limits")
    for name, amount in sorted(requests.items()):
        _resource(errors, name, amount, f"{path}.requests")
        limit = limits.get(name)
        if limit is not None:
            if "/" in name and amount != limit:
                text = f"must be equal to {name} limit of {limit}"
                errors.invalid(f"{path}.requests", amount, text)
            elif value_of(amount) > value_of(limit):
                text = f"must be less than or equal to {name} limit of {limit}"
                errors.invalid(f"{path}.requests", amount, text)
        elif "/" in name and "kubernetes.io/" not in name:
            errors.required(f"{path}.limits", "Limit must be set for non overcommitable resources")


def _resource(errors: Errors, name: str, amount: str, path: str) -> None:
    place = f"{path}[{name}]"
    errors.invalid_all(place, name, names.qualified_name(name))
    if "/" not in name and name not in _STANDARD and not name.startswith("hugepages-"):
        errors.invalid(place, name, _NATIVE_TEXT)
        errors.invalid(place, name, _CONTAINER_TEXT)
    number = value_of(amount)
    if number < 0:
        errors.invalid(place, amount, NEGATIVE)
    elif "/" in name and number != number.to_integral_value():
        errors.invalid(place, amount, "must be an integer")


def positive(errors: Errors, amount: str, path: str) -> None:
    """A quantity above zero."""
    if value_of(amount) <= 0:
        errors.invalid(path, amount, "must be greater than zero")


def _compute(container: dict[str, Any], kind: str) -> dict[str, str]:
    listed = (container.get("resources") or {}).get(kind) or {}
    return {name: str(value) for name, value in listed.items() if name in _COMPUTE and str(value) not in ("0", "")}


def qos_class(spec: dict[str, Any]) -> str:
    """The quality of service of a pod: Guaranteed, Burstable or BestEffort. Source: pkg/apis/core/v1/helper/qos."""
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    guaranteed, any_set = True, False
    for container in containers:
        requests, limits = _compute(container, "requests"), _compute(container, "limits")
        any_set = any_set or bool(requests or limits)
        if set(limits) != set(_COMPUTE) or any(requests.get(n, limits[n]) != limits[n] for n in _COMPUTE):
            guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
