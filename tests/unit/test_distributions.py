# SPDX-License-Identifier: Apache-2.0
"""What is built of this tree: all that the source has, nothing else, and it works away from the clone.

`make packages` tries the same with fresh environments and the package index.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    Version(metadata.version("setuptools")) < Version("77"), reason="needs the setuptools of the lock"
)
PROJECTS = {"backout": ROOT, "kubetwin": ROOT / "kubetwin"}
HOOK = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"


def build(source: Path, hook: str, out: Path) -> Path:
    """Calls the project's build back end (PEP 517) in ``source``."""
    done = subprocess.run(
        [sys.executable, "-c", HOOK, hook, str(out)],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out / done.stdout.strip().splitlines()[-1]


def copied(name: str, to: Path) -> Path:
    """The files of a project that a build reads, since building leaves files beside them."""
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        to.mkdir(exist_ok=True)
        shutil.copy(PROJECTS[name] / part, to)
    shutil.copytree(PROJECTS[name] / "src", to / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return to


@pytest.fixture(scope="module", params=sorted(PROJECTS))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """Name, wheel, sdist. The wheel is built from the sdist, as an installer does that finds no wheel."""
    name: str = request.param
    out = tmp_path_factory.mktemp(name)
    source = copied(name, out / "source")
    sdist = build(source, "build_sdist", out)
    with tarfile.open(sdist) as archive:
        # The argument came with 3.11.4; the archive is our own.
        safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(out / "unpacked", **safe)
    [inner] = (out / "unpacked").iterdir()
    return name, build(inner, "build_wheel", out), sdist


def test_a_wheel_has_every_file_of_the_source(built: tuple[str, Path, Path]) -> None:
    name, wheel, _ = built
    source = PROJECTS[name] / "src"
    there = {str(file.relative_to(source)) for file in (source / name).rglob("*") if file.is_file()}
    there = {file for file in there if "__pycache__" not in file}
    packed = {file for file in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in file}
    assert packed == there


def test_metadata_leads_to_the_project(built: tuple[str, Path, Path]) -> None:
    name, wheel, sdist = built
    archive = zipfile.ZipFile(wheel)
    [file] = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
    facts = Parser().parsestr(archive.read(file).decode())
    urls = dict(line.split(", ", 1) for line in facts.get_all("Project-URL", []))
    assert {"Homepage", "Documentation", "Changelog", "Source", "Issues"} == set(urls)
    assert all(url.startswith("https://") for url in urls.values())
    pythons = {line.rpartition(" ")[2] for line in facts.get_all("Classifier", []) if ":: Python :: 3." in line}
    assert pythons == {"3.11", "3.12", "3.13", "3.14"} and facts["Requires-Python"] == ">=3.11"
    assert facts["License-Expression"] == "Apache-2.0"
    assert any(one.endswith("/LICENSE") for one in archive.namelist())
    with tarfile.open(sdist) as packed:
        assert any(one.endswith("/LICENSE") for one in packed.getnames())
    needed = [re.split(r"[^a-z0-9_-]", line, maxsplit=1)[0] for line in facts.get_all("Requires-Dist", [])]
    assert ("kubetwin" in needed) == (name == "backout")
    assert not {"uvicorn", "httptools"} & set(needed) or name == "kubetwin"


def test_the_demo_runs_from_the_wheels(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The packages as they are unpacked by an installer, and nothing of the tree."""
    site = tmp_path / "site"
    for name in PROJECTS:
        zipfile.ZipFile(build(copied(name, tmp_path / name), "build_wheel", tmp_path)).extractall(site)
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "HOME": str(home),
        "BACKOUT_STATE": str(home / "state.db"),
        "BACKOUT_DATA": str(home / "data"),
    }
    code = "import backout, kubetwin; print(backout.__file__, kubetwin.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=home, capture_output=True, text=True, check=True
    )
    assert where.stdout.count(str(site)) == 2
    done = subprocess.run(
        [sys.executable, "-m", "backout.cli.main", "demo", "A1", "--clusters", "1"],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0 and "recovered" in done.stdout, done.stdout + done.stderr
