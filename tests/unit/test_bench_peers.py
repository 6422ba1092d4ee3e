# SPDX-License-Identifier: Apache-2.0
"""Where the benchmark looks for helm and kubectl."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bench import peers

from backout.tools.pins import pin_of


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable says where anything is, and nothing is on the PATH."""
    for name in ("BACKOUT_BENCH_HELM3", "BACKOUT_BENCH_HELM4", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    # Set and taken away, so that what is set by the code under test is taken away again, too.
    monkeypatch.setenv("BACKOUT_TOOLS_DIR", "")
    monkeypatch.delenv("BACKOUT_TOOLS_DIR")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def install(folder: Path) -> Path:
    pin = pin_of("helm", 4)
    assert pin is not None
    folder.mkdir(parents=True)
    helm = folder / pin.file_name
    helm.write_text(f"#!/bin/sh\necho v{pin.version}\n")
    helm.chmod(0o700)
    return helm


def test_without_a_variable_the_projects_own_helm_is_found(tmp_path: Path) -> None:
    helm = install(tmp_path / "project" / ".tools")
    assert peers.helms() == {}
    peers.find_own(tmp_path / "project")
    assert peers.helms() == {"4": str(helm)}


def test_a_folder_that_the_user_named_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "project" / ".tools")
    mine = install(tmp_path / "mine")
    monkeypatch.setenv("BACKOUT_TOOLS_DIR", str(tmp_path / "mine"))
    peers.find_own(tmp_path / "project")
    assert peers.helms() == {"4": str(mine)}


def test_without_a_folder_of_the_project_the_usual_one_stays(tmp_path: Path) -> None:
    peers.find_own(tmp_path)
    assert "BACKOUT_TOOLS_DIR" not in os.environ
