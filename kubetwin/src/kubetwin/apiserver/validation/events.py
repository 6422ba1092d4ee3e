# SPDX-License-Identifier: Apache-2.0
"""Validation of Events, in their stored (core) form. Source: pkg/apis/core/validation/events.go."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.validation import names
from kubetwin.apiserver.validation.errors import Errors

Object = dict[str, Any]

_MISMATCH = "does not match event.namespace"
_FROZEN = (
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
)
_SHOWN = {"reportingComponent": "reportingController"}


def event(errors: Errors, new: Object, old: Object | None, *, core: bool) -> None:
    """An Event; ``core``: sent as one of the core group, which asks for less than events.k8s.io does."""
    _any_version(errors, new, "reportingComponent" if core else "reportingController")
    if core:
        return
    if old is None:
        _series(errors, new)
        _new(errors, new)
        return
    if new.get("series") != old.get("series"):
        _series(errors, new)
    for field in _FROZEN:
        errors.immutable(_SHOWN.get(field, field), new.get(field), old.get(field))


def _any_version(errors: Errors, new: Object, controller_field: str) -> None:
    namespace = new["metadata"].get("namespace") or ""
    about = (new.get("involvedObject") or {}).get("namespace") or ""
    if not new.get("eventTime"):
        # Objects without a namespace are told of in "default", for the sake of old clients.
        if about != namespace and (about or namespace != "default"):
            errors.invalid("involvedObject.namespace", about, _MISMATCH)
        return
    if not about and namespace not in ("default", "kube-system"):
        errors.invalid("involvedObject.namespace", about, _MISMATCH)
    controller = new.get("reportingComponent") or ""
    if not controller:
        errors.required(controller_field)
    errors.invalid_all(controller_field, controller, names.qualified_name(controller))
    for field, limit in (("reportingInstance", 128), ("action", 128), ("reason", 128)):
        value = new.get(field) or ""
        if not value:
            errors.required(field)
        _short(errors, field, value, limit)
    _short(errors, "message", new.get("message") or "", 1024)


def _short(errors: Errors, field: str, value: str, limit: int) -> None:
    if len(value.encode()) > limit:
        errors.invalid(field, "", f"can have at most {limit} characters")


def _new(errors: Errors, new: Object) -> None:
    if not new.get("eventTime"):
        errors.required("eventTime")
    kind = new.get("type") or ""
    if kind not in ("Normal", "Warning"):
        errors.invalid("type", "", f"has invalid value: {kind}")
    source = new.get("source") or {}
    former = {name: new.get(name) for name in ("firstTimestamp", "lastTimestamp", "count")}
    former["source"] = source.get("component") or source.get("host")
    for field, value in former.items():
        if value:
            errors.invalid(field, "", "needs to be unset")


def _series(errors: Errors, new: Object) -> None:
    series = new.get("series")
    if series is None:
        return
    if (series.get("count") or 0) < 2:
        errors.invalid("series.count", "", "should be at least 2")
    if not series.get("lastObservedTime"):
        errors.required("series.lastObservedTime")
