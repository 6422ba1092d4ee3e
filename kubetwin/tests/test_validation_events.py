# SPDX-License-Identifier: Apache-2.0
"""Events: what the core group and events.k8s.io refuse."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.validation import validate

MISMATCH = 'Invalid value: "{}": does not match event.namespace'
NEW = {
    "metadata": {"name": "e", "namespace": "a"},
    "involvedObject": {"kind": "Pod", "name": "p", "namespace": "a"},
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "reportingComponent": "example.com/c",
    "reportingInstance": "c-1",
    "action": "Act",
    "reason": "Because",
    "type": "Normal",
}


def causes(new: dict[str, Any], old: dict[str, Any] | None = None, requested: str = "v1") -> list[tuple[str, str]]:
    found = validate("v1", "Event", new, old, None, requested=requested)
    return [(cause.field, cause.message) for cause in found]


def about(namespace: str, event_namespace: str, **more: Any) -> dict[str, Any]:
    target = {"kind": "Node", "name": "n"} | ({"namespace": namespace} if namespace else {})
    return {"metadata": {"name": "e", "namespace": event_namespace}, "involvedObject": target, **more}


def test_the_namespace_is_that_of_the_object() -> None:
    assert causes(about("a", "a")) == []
    assert causes(about("", "default")) == []
    assert causes(about("b", "a")) == [("involvedObject.namespace", MISMATCH.format("b"))]
    assert causes(about("b", "default")) == [("involvedObject.namespace", MISMATCH.format("b"))]
    assert causes(about("", "a")) == [("involvedObject.namespace", MISMATCH.format(""))]


def test_an_event_of_the_new_form_needs_a_reporter() -> None:
    assert causes(NEW) == []
    bare = {**NEW, "reportingComponent": "", "reportingInstance": "", "action": "", "reason": ""}
    fields = list(dict.fromkeys(field for field, _ in causes(bare)))
    assert fields == ["reportingComponent", "reportingInstance", "action", "reason"]
    assert ("reportingComponent", "Required value") in causes(bare)
    assert ("reportingController", "Required value") in causes(bare, requested="events.k8s.io/v1")


def test_the_newer_group_is_stricter() -> None:
    newer = "events.k8s.io/v1"
    assert causes(NEW, requested=newer) == []
    assert causes(about("a", "a", type="Odd", count=2), requested=newer) == [
        ("eventTime", "Required value"),
        ("type", 'Invalid value: "": has invalid value: Odd'),
        ("count", 'Invalid value: "": needs to be unset'),
    ]
    old = {**NEW, "metadata": {**NEW["metadata"], "resourceVersion": "1"}}  # type: ignore[dict-item]
    assert causes({**old, "reason": "Other"}, old) == []
    assert causes({**old, "reason": "Other"}, old, newer) == [("reason", 'Invalid value: "Other": field is immutable')]
    assert causes({**old, "series": {"count": 1}}, old, newer) == [
        ("series.count", 'Invalid value: "": should be at least 2'),
        ("series.lastObservedTime", "Required value"),
    ]
