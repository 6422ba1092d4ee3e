# SPDX-License-Identifier: Apache-2.0
"""What pods ask for, added up, as LimitRanger and ResourceQuota do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kubetwin.apiserver.store import Object
from kubetwin.quantity import canonical, value_of

Amounts = dict[str, Any]


def pod_total(pod: Object, part: str) -> Amounts:
    """What a pod asks for as a whole: its containers together, or its hungriest init container if that is more."""
    total: dict[str, Decimal] = {}
    spec = pod["spec"]
    for container in spec.get("containers") or ():
        for name, amount in ((container.get("resources") or {}).get(part) or {}).items():
            total[name] = total.get(name, Decimal(0)) + value_of(amount)
    for container in spec.get("initContainers") or ():
        for name, amount in ((container.get("resources") or {}).get(part) or {}).items():
            total[name] = max(total.get(name, Decimal(0)), value_of(amount))
    return {name: format_amount(value, name) for name, value in total.items()}


def format_amount(value: Decimal, resource: str) -> str:
    """A quantity in the unit that people use for this resource."""
    if resource.endswith(("memory", "storage")) and value == value.to_integral_value() and int(value) % 1024 == 0:
        return canonical(f"{int(value) // 1024}Ki")
    return canonical(f"{value:f}")
