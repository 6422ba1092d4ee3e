# SPDX-License-Identifier: Apache-2.0
"""The lock: whole, with hashes, the same for run time and development, within the ranges, and from no one's own index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FILES = ("run", "develop")
ENVIRONMENTS = [
    {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0", "sys_platform": platform}
    for minor in (11, 12, 13, 14)
    for platform in ("linux", "darwin")
]


def text(name: str) -> str:
    return (ROOT / "lock" / f"{name}.txt").read_text()


def locked(name: str, environment: dict[str, str]) -> dict[str, Version]:
    """What is installed from a lock there: name → version."""
    lines = re.findall(r"^(\S+==\S+(?: ; .*?)?) \\$", text(name), re.MULTILINE)
    found = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            [pin] = requirement.specifier
            assert requirement.name not in found
            found[canonicalize_name(requirement.name)] = Version(pin.version)
    return found


def wanted(name: str) -> list[Requirement]:
    """What the projects ask for."""
    ours, twins = (tomllib.loads((ROOT / path).read_text()) for path in ("pyproject.toml", "kubetwin/pyproject.toml"))
    groups: dict[str, Any] = ours["dependency-groups"]
    asked = [*ours["project"]["dependencies"], *twins["project"]["dependencies"], *groups["build"]]
    assert groups["build"] == ours["build-system"]["requires"] == twins["build-system"]["requires"]
    return [Requirement(line) for line in [*asked, *(groups["dev"] if name == "develop" else [])]]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda one: f"{one['python_version']}-{one['sys_platform']}")
def test_everything_that_is_asked_for_is_locked_within_its_range(name: str, environment: dict[str, str]) -> None:
    found = locked(name, environment)
    for requirement in wanted(name):
        version = found.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in lock/{name}.txt: run make lock"
        assert version in requirement.specifier, f"{requirement} is locked to {version}: run make lock"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda one: f"{one['python_version']}-{one['sys_platform']}")
def test_run_time_has_the_versions_that_are_tested(environment: dict[str, str]) -> None:
    assert locked("run", environment).items() <= locked("develop", environment).items()


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_known_by_its_hash_and_none_by_its_place(name: str) -> None:
    blocks = re.split(r"^(?=\S)", re.sub(r"^\s*#.*\n", "", text(name), flags=re.MULTILINE), flags=re.MULTILINE)
    for block in filter(str.strip, blocks):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    options = set(re.findall(r"--[a-z-]+", text(name)))
    assert options == {"--hash"}
    assert not re.search(r"://|file:|@|/(?:opt|work|home|tmp)\b", text(name))


def test_the_extra_brings_the_twin_of_the_same_version() -> None:
    import kubetwin
    from backout import __version__

    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert ours["project"]["optional-dependencies"]["demo"] == [f"kubetwin=={kubetwin.__version__}"]
    assert kubetwin.__version__ == __version__
