# SPDX-License-Identifier: Apache-2.0
"""Objects created by apply share nothing that a later change of one could carry to the other."""

from typing import Any

from kubetwin.apiserver import schema
from kubetwin.apiserver.fields import managed


def _created() -> dict[str, Any]:
    applied = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}},
    }
    return managed.apply(
        None,
        applied,
        manager="m",
        force=False,
        schema=schema.for_kind("batch/v1", "Job"),
        api_version="batch/v1",
        subresource="",
        now="2026-01-01T00:00:00Z",
    )


def test_two_created_objects_are_apart() -> None:
    first = _created()
    first["spec"]["template"]["metadata"]["labels"] = {"of": "the first"}
    assert "labels" not in _created()["spec"]["template"]["metadata"]
