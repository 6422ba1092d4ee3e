# SPDX-License-Identifier: Apache-2.0
"""Who wrote the content of an object last, by managedFields as the API server keeps them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from backout.changes.writers import Entry, kind_of, last_write, template_write

DAY = "2026-11-22T"
BORN = datetime(2026, 11, 22, 10, tzinfo=UTC)


def entries(*raw: dict[str, Any]) -> list[Entry]:
    return msgspec.json.decode(json.dumps(raw), type=list[Entry])


def entry(manager: str, clock: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "time": f"{DAY}{clock}Z", "fieldsV1": fields, **more}


DATA = {"f:data": {".": {}, "f:a": {}}}


def test_the_latest_writer_of_the_content_counts() -> None:
    found = last_write(
        "ConfigMap",
        entries(
            entry("helm", "10:00:00", DATA),
            entry("kubectl-edit", "11:00:00", {"f:data": {"f:b": {}, "f:c": {}}}),
            entry("kubectl-label", "12:00:00", {"f:metadata": {"f:labels": {"f:x": {}}}}),
        ),
        BORN,
    )
    assert found is not None
    assert (found.manager, found.by, found.keys, found.born) == ("kubectl-edit", "other", ("b", "c"), False)


def test_in_the_same_second_the_one_who_did_not_make_it_came_later() -> None:
    both = (entry("kubectl-edit", "10:00:00", DATA), entry("helm", "10:00:00", DATA))
    for order in (both, tuple(reversed(both))):
        found = last_write("Secret", entries(*order), BORN)
        assert found is not None and found.manager == "kubectl-edit"


def test_status_and_scale_are_no_content() -> None:
    found = last_write(
        "Service",
        entries(
            entry("helm", "10:00:00", {"f:spec": {"f:selector": {}}}),
            entry("kube-controller-manager", "11:00:00", {"f:status": {}}, subresource="status"),
            entry("someone", "12:00:00", {"f:spec": {}}, subresource="scale"),
        ),
        BORN,
    )
    assert found is not None and (found.manager, found.born) == ("helm", True)


def test_nothing_is_known_without_managed_fields() -> None:
    assert last_write("ConfigMap", [], BORN) is None
    assert last_write("ConfigMap", entries(entry("x", "10:00:00", {"f:metadata": {}})), BORN) is None
    assert last_write("ConfigMap", entries({"manager": "x", "fieldsV1": "no tree"}), BORN) is None


@pytest.mark.parametrize(
    ("manager", "by"),
    [
        ("helm", "helm"),
        ("Helm", "helm"),
        ("helm-controller", "helm"),
        ("argocd-controller", "argocd"),
        ("kube-controller-manager", "cluster"),
        ("kubectl-edit", "other"),
        ("helmet", "other"),
        ("", "other"),
    ],
)
def test_kinds_of_writers(manager: str, by: str) -> None:
    assert kind_of(manager) == by


def test_a_restart_is_no_change_of_the_template() -> None:
    note = {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}}
    restart = entry("kubectl-rollout", "12:00:00", {"f:spec": {"f:template": {"f:metadata": note}}})
    made = entry("helm", "10:00:00", {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {}}}}})
    scaled = entry("kubectl", "13:00:00", {"f:spec": {"f:replicas": {}}})
    assert template_write(entries(made, restart, scaled)) == BORN
    other = {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}, "f:checksum/config": {}}}
    upgrade = entry("helm", "12:30:00", {"f:spec": {"f:template": {"f:metadata": other}}})
    assert template_write(entries(made, restart, upgrade)) == datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
    assert template_write([]) is None
