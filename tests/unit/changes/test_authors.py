# SPDX-License-Identifier: Apache-2.0
"""Who wrote which field, by managedFields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from backout.changes.authors import author_of, authors

T = datetime(2026, 11, 1, 12, tzinfo=UTC)


def entry(manager: str, at: int, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    time = (T + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields, **more}


def made(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"managedFields": list(entries)}}


CONTAINER = 'k:{"name":"web"}'


def test_paths_are_those_of_differences() -> None:
    inner = {
        "f:image": {},
        "f:env": {'k:{"name":"A"}': {".": {}, "f:value": {}}},
        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {"f:containerPort": {}}},
    }
    found = authors(made(entry("kubectl-patch", 0, {"f:spec": {"f:containers": {CONTAINER: inner}}})))
    assert found[0].paths == {
        "spec.containers[name=web].image",
        "spec.containers[name=web].env[name=A].value",
        "spec.containers[name=web].ports[containerPort=80].containerPort",
    }


def test_the_owner_of_a_field_wrote_it() -> None:
    found = authors(
        made(entry("helm", 0, {"f:spec": {"f:a": {}, "f:b": {}}}), entry("kubectl-edit", 9, {"f:spec": {"f:b": {}}}))
    )
    owner = author_of(found, "spec.a")
    assert owner is not None and owner.manager == "helm"
    owner = author_of(found, "spec.b")
    assert owner is not None and owner.manager == "kubectl-edit"


def test_a_removed_field_is_the_nearest_writers() -> None:
    found = authors(
        made(entry("helm", 0, {"f:spec": {"f:a": {}}}), entry("kubectl-patch", 60, {"f:spec": {"f:c": {}}}))
    )
    near = author_of(found, "spec.gone", T + timedelta(seconds=58))
    assert near is not None and near.manager == "kubectl-patch"
    near = author_of(found, "spec.gone", T + timedelta(seconds=2))
    assert near is not None and near.manager == "helm"


def test_status_and_controllers_are_nobody() -> None:
    found = authors(
        made(
            entry("kubectl", 5, {"f:status": {"f:x": {}}}, subresource="status"),
            entry("kube-controller-manager", 9, {"f:spec": {"f:replicas": {}}}),
        )
    )
    assert [author.by for author in found] == ["cluster"]
    assert author_of(found, "spec.replicas") is None


def test_a_map_is_owned_with_what_is_in_it() -> None:
    (author,) = authors(made(entry("kubectl-patch", 0, {"f:spec": {"f:nodeSelector": {}}})))
    assert author.owns("spec.nodeSelector.pool") and author.owns("spec") and not author.owns("spec.nodeSelectorX")
