# SPDX-License-Identifier: Apache-2.0
"""Collecting what is wrong with an object, in the words of apimachinery's ``field.Error``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from kubetwin.apiserver.status import Cause

IMMUTABLE = "field is immutable"
NEGATIVE = "must be greater than or equal to 0"


class Struct(dict[str, Any]):
    """An object that the server prints as one of its own types: in this order of fields, not sorted."""


def shown(value: Any) -> str:
    """A value as messages print it."""
    order: Literal["sorted"] | None = None if isinstance(value, Struct) else "sorted"
    return msgspec.json.encode(value, order=order).decode()


class Errors:
    """Causes in the order of finding. Paths are texts: ``spec.containers[0].name``."""

    __slots__ = ("causes",)

    def __init__(self) -> None:
        self.causes: list[Cause] = []

    def __bool__(self) -> bool:
        return bool(self.causes)

    def _add(self, path: str, reason: str, body: str, detail: str) -> None:
        self.causes.append(Cause(path, reason, f"{body}: {detail}" if detail else body))

    def required(self, path: str, detail: str = "") -> None:
        """Something is missing."""
        self._add(path, "FieldValueRequired", "Required value", detail)

    def invalid(self, path: str, value: Any, detail: str) -> None:
        """The value does not do."""
        self._add(path, "FieldValueInvalid", f"Invalid value: {shown(value)}", detail)

    def unfit(self, path: str, detail: str) -> None:
        """The value, which is not shown, does not do."""
        self._add(path, "FieldValueInvalid", "Invalid value", detail)

    def invalid_all(self, path: str, value: Any, details: Iterable[str]) -> None:
        """One error for each reason why the value does not do."""
        for detail in details:
            self.invalid(path, value, detail)

    def forbidden(self, path: str, detail: str) -> None:
        """The field may not be set, or not be changed."""
        self._add(path, "FieldValueForbidden", "Forbidden", detail)

    def duplicate(self, path: str, value: Any) -> None:
        """The value is there already."""
        self._add(path, "FieldValueDuplicate", f"Duplicate value: {shown(value)}", "")

    def not_found(self, path: str, value: Any) -> None:
        """What the value refers to is not there."""
        self._add(path, "FieldValueNotFound", f"Not found: {shown(value)}", "")

    def not_supported(self, path: str, value: Any, supported: Iterable[str]) -> None:
        """The value is none of a list."""
        listed = ", ".join(f'"{item}"' for item in supported)
        detail = f"supported values: {listed}" if listed else ""
        self._add(path, "FieldValueNotSupported", f"Unsupported value: {shown(value)}", detail)

    def one_of(self, path: str, value: str, supported: Sequence[str]) -> None:
        """A value has to be given, and be one of a list."""
        if not value:
            self.required(path)
        elif value not in supported:
            self.not_supported(path, value, supported)

    def well_named(self, path: str, value: Any, check: Callable[[Any], Iterable[str]]) -> None:
        """A name (or number) has to be given, and ``check`` to find nothing wrong with it."""
        if not value:
            self.required(path)
        else:
            self.invalid_all(path, value, check(value))

    def too_long(self, path: str, limit: int) -> None:
        """More bytes than allowed."""
        self._add(path, "FieldValueTooLong", "Too long", f"may not be more than {limit} bytes")

    def type_invalid(self, path: str, value: Any, detail: str) -> None:
        """A value of another type than the schema's."""
        self._add(path, "FieldValueTypeInvalid", f"Invalid value: {shown(value)}", detail)

    def too_many(self, path: str, count: int, limit: int) -> None:
        """More items than allowed."""
        noun = "item" if limit == 1 else "items"
        self._add(path, "FieldValueTooMany", f"Too many: {count}", f"must have at most {limit} {noun}")

    def immutable(self, path: str, new: Any, old: Any) -> None:
        """``new`` differs from what may not change."""
        if new != old and (new or old):
            self.invalid(path, new, IMMUTABLE)

    def non_negative(self, path: str, value: Any) -> None:
        """A number below zero is wrong; None is not checked."""
        if value is not None and value < 0:
            self.invalid(path, value, NEGATIVE)
