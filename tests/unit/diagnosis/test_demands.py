# SPDX-License-Identifier: Apache-2.0
"""A program that is ready and was made to ask for encryption or a login: its callers fail, and it is to blame; nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from a_namespace import Scene, writer

TLS = "db:27017: connection closed by peer: the server requires TLS"
LOGIN = "Error: db:27017: Authentication required"


def database(*args: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    told = [{"name": name, "value": value} for name, value in (env or {}).items()]
    return {"containers": [{"name": "db", "image": "registry.example/db:1", "args": list(args), "env": told}]}


def changed(scene: Scene, spec: dict[str, Any], *, seconds: float = 90, path: str = "args") -> None:
    """The database, edited by hand, and its pod of the new template."""
    old = scene.objects["Deployment", "db"]
    template = {**old["spec"]["template"], "spec": spec}
    entry = writer("kubectl-edit", seconds, "spec/template/spec/containers")
    entry["fieldsV1"] = {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"db"}': {".": {}, f"f:{path}": {}}}}}}
    }
    scene.put("Deployment", "db", entry, spec={**old["spec"], "template": template}, status=old["status"])


def blamed(scene: Scene) -> set[tuple[str, str]]:
    """Everything that is likely, or more."""
    found = scene.problems().values()
    return {(str(p.target), p.confidence) for p in found if p.confidence in ("likely", "certain")}


def scene_with(tmp_path: Path, said: str) -> Scene:
    scene = Scene(tmp_path)
    scene.workload("db", database("--quiet"))
    scene.service("db", pods=1)
    caller = {
        "containers": [{"name": "app", "image": "registry.example/app:1", "env": [{"name": "DB", "value": "db:27017"}]}]
    }
    scene.workload("api", caller, ready=0, logs=said)
    return scene


@pytest.mark.parametrize(
    ("said", "spec", "path"),
    [
        (TLS, database("--tlsMode=requireTLS", "--quiet"), "args"),
        (LOGIN, database("--quiet", "--auth"), "args"),
        (LOGIN, database("--quiet", env={"REQUIRE_AUTH": "yes"}), "env"),
    ],
)
def test_what_asks_its_callers_for_more_since_it_was_changed_is_blamed_for_them(
    tmp_path: Path, said: str, spec: dict[str, Any], path: str
) -> None:
    scene = scene_with(tmp_path, said)
    changed(scene, spec, path=path)
    assert blamed(scene) == {("deployment/db", "likely")}


@pytest.mark.parametrize(
    ("said", "spec", "seconds"),
    [
        pytest.param("dial tcp db:27017: connection refused", database("--auth"), 90, id="it says something else"),
        pytest.param(TLS, database("--verbose"), 90, id="another setting was changed"),
        pytest.param(TLS, database("--quiet", "--auth"), 90, id="a setting of another matter was changed"),
        pytest.param(TLS, database("--tlsMode=requireTLS"), 7000, id="that was long ago"),
        pytest.param(
            "queue:5672: the server requires TLS", database("--tlsMode=requireTLS"), 90, id="it names another one"
        ),
    ],
)
def test_nothing_else_that_was_changed_is_blamed(
    tmp_path: Path, said: str, spec: dict[str, Any], seconds: float
) -> None:
    scene = scene_with(tmp_path, said)
    changed(scene, spec, seconds=seconds)
    assert blamed(scene) == set()


def test_a_program_that_was_not_changed_is_not_blamed(tmp_path: Path) -> None:
    assert blamed(scene_with(tmp_path, TLS)) == set()
