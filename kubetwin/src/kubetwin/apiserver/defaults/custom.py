# SPDX-License-Identifier: Apache-2.0
"""Defaults of custom resources: those in the schema of their definition."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.schema import Schema, clone


def apply(value: Any, node: Schema) -> None:
    """Fill in the defaults of a structural schema, in place; a null where none may stand counts as absent."""
    if isinstance(value, dict):
        for name, child in node.properties.items():
            if child.has_default and (name not in value or (value[name] is None and not child.nullable)):
                value[name] = clone(child.default)
            if name in value and not child.definition:
                apply(value[name], child)
        if node.additional_properties is not None:
            for name, item in value.items():
                if name not in node.properties:
                    apply(item, node.additional_properties)
    elif isinstance(value, list) and node.items is not None:
        for item in value:
            apply(item, node.items)
