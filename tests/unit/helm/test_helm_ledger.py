# SPDX-License-Identifier: Apache-2.0
"""The ledger: what changed, when, by whom, each change told once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
from helm_fakes import Shelf, record
from helm_histories import manifest

from backout.changes.timeline import changes
from backout.model.change import LedgerEntry

SINCE = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def told(shelf: Shelf) -> list[LedgerEntry]:
    return asyncio.run(changes(shelf, "ns", SINCE))  # type: ignore[arg-type]


def configmap(name: str, manager: str, time: str, **more: Any) -> dict[str, Any]:
    fields = {"f:data": {"f:hashring.json": {}, ".": {}}, "f:metadata": {"f:labels": {'k:{"a":"b"}': {}}}}
    entry = {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields, **more}
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-11-01T00:00:00Z", "managedFields": [entry]}
    }


def replicaset(name: str, order: int, image: str, created: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": created,
            "annotations": {"deployment.kubernetes.io/revision": str(order)},
            "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": "d", "controller": True}],
        },
        "spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}},
    }


def test_an_upgrade_is_told_with_its_fields_and_not_again_as_a_rollout() -> None:
    one, two = manifest("web:1", "Deployment"), manifest("web:2", "Deployment")
    shelf = Shelf(
        {
            "secrets": [record("shop", 1, one, created="2026-11-22T09:00:00Z"), record("shop", 2, two)],
            "replicasets": [
                replicaset("web-1", 1, "web:1", "2026-11-22T09:00:01Z"),
                replicaset("web-2", 2, "web:2", "2026-11-22T10:00:01Z"),
            ],
            "deployments": [configmap("web", "helm", "2026-11-22T10:00:01Z")],
        }
    )
    (entry,) = told(shelf)
    assert (entry.source, str(entry.target), entry.previous, entry.revision) == ("helm", "helm/shop", 1, 2)
    (field,) = entry.fields
    assert field.path == "deployment/web spec.template.spec.containers[name=web].image"
    assert (field.before, field.after) == ("web:1", "web:2")
    assert "chart-1.0.0" in str(entry.summary)


def test_a_rollout_past_helm_names_its_writer_and_what_it_changed() -> None:
    shelf = Shelf(
        {
            "replicasets": [
                replicaset("web-1", 1, "web:1", "2026-11-22T09:00:00Z"),
                replicaset("web-2", 2, "web:9", "2026-11-22T10:00:00Z"),
            ],
            "deployments": [configmap("web", "kubectl-set", "2026-11-22T10:00:00Z")],
        }
    )
    (entry,) = told(shelf)
    assert (entry.source, entry.actor, entry.previous, entry.revision) == ("replicaset", "kubectl-set", 1, 2)
    assert entry.fields[0].after == "web:9"


def test_an_edit_names_its_writer_and_fields_and_controllers_are_left_out() -> None:
    shelf = Shelf(
        {
            "configmaps": [
                configmap("hashring", "kubectl-edit", "2026-11-22T10:00:00Z"),
                configmap("old", "kubectl-edit", "2026-11-22T09:00:00Z"),
                configmap("mine", "kube-controller-manager", "2026-11-22T10:00:00Z"),
                configmap("status", "operator", "2026-11-22T10:00:00Z", subresource="status"),
            ]
        }
    )
    (entry,) = told(shelf)
    assert str(entry.target) == "configmap/hashring" and entry.actor == "kubectl-edit"
    assert "data.hashring.json" in str(entry.summary)


def test_the_order_is_that_of_time_and_what_may_not_be_read_is_left_out() -> None:
    shelf = Shelf(
        {
            "secrets": [record("shop", 1, manifest("web:1"), created="2026-11-22T11:00:00Z")],
            "configmaps": [configmap("a", "me", "2026-11-22T12:00:00Z"), configmap("b", "me", "2026-11-22T10:00:00Z")],
        },
        frozenset({"replicasets", "services"}),
    )
    found = told(shelf)
    assert [str(entry.target) for entry in found] == ["configmap/b", "helm/shop", "configmap/a"]
    msgspec.json.encode(found)


def test_an_unreadable_record_is_still_a_change() -> None:
    shelf = Shelf({"secrets": [record("shop", 1, "", body="!")]})
    (entry,) = told(shelf)
    assert entry.revision == 1 and "can't be read" in str(entry.summary)
