# SPDX-License-Identifier: Apache-2.0
"""Runs in a PostgreSQL: another host follows, undoes and prunes what this one did; the password is in no output and no file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from backout_shell import Shell
from tests.postgres import PASSWORD, server

from backout.engine.store.opening import open_store


def test_another_host_follows_undoes_and_prunes_a_run(backout: Shell, helm: Any, release: str, tmp_path: Path) -> None:
    url = server().url(server().database())
    shared = {**backout.environment, "BACKOUT_STATE": url, "BACKOUT_DATA": str(tmp_path / "shared")}
    here = dataclasses.replace(backout, environment=shared)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    there = Shell(elsewhere, backout.kubeconfig, {**shared, "HOME": str(elsewhere)})
    (here.home / "backout.yaml").write_text(f"apiVersion: backout.dev/v1\nstate: {url}\nverify: {{soak: 0}}\n")
    answers = [
        here("run", f"helm/{release}", "--to", "4", "-n", release, "--yes"),
        there("show", "latest", "--follow"),
        there("undo", "latest", "--yes"),
        here("runs"),
        here("doctor", "-n", release),
        there("report", "latest"),
    ]
    assert [answer.code for answer in answers[:4]] == [0, 0, 0, 0], [answer.err for answer in answers]
    assert len(there("runs", "-o", "json").document["items"]) == 2
    pruned = there("runs", "prune", "--keep-last", "1", "--undoable", "--yes")
    assert pruned.code == 0, pruned.err
    (left,) = here("runs", "-o", "json").document["items"]
    with open_store(url, create=True) as store:
        connection = store.engine_options["creator"]()
        for kept in ("run FROM backout.events", "workflow_uuid FROM dbos.workflow_status"):
            found = connection.execute(f"SELECT DISTINCT {kept}").fetchall()
            assert found == [(left["id"],)], "of what was removed, neither we nor the engine keep anything"
        connection.close()
    for answer in (*answers, pruned):
        assert PASSWORD not in answer.out and PASSWORD not in answer.err
    for folder in (tmp_path / "shared", elsewhere):
        for file in folder.rglob("*"):
            assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
