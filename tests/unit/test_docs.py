# SPDX-License-Identifier: Apache-2.0
"""Every command, option, exit code, error code and key that exists is documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import msgspec
import pytest
import yaml

from backout import errors
from backout.errors import BackoutError
from backout.model import settings

ROOT = Path(__file__).parent.parent.parent
CODES = (ROOT / "docs" / "exit-and-error-codes.md").read_text()


def kinds(kind: type[BackoutError] = BackoutError) -> list[type[BackoutError]]:
    return [kind, *(found for inner in kind.__subclasses__() for found in kinds(inner))]


@pytest.mark.parametrize("kind", [k for k in kinds() if k.__module__ == errors.__name__], ids=lambda kind: kind.code)
def test_every_error_code_is_documented_with_its_exit_code(kind: type[BackoutError]) -> None:
    assert f"| `{kind.code}` | {kind.exit_code} |" in CODES


def test_no_documented_code_is_gone() -> None:
    documented = set(re.findall(r"^\| `([a-z-]+)` \| \d+ \|", CODES, re.MULTILINE))
    assert documented == {kind.code for kind in kinds() if kind.__module__.startswith("backout.")}


def test_exit_codes_are_documented() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", CODES, re.MULTILINE)}
    assert {kind.exit_code for kind in kinds()} <= documented


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    result = subprocess.run([sys.executable, "tools/command_docs.py", "--check"], cwd=ROOT, check=False)
    assert result.returncode == 0, "run: python tools/command_docs.py"


def test_every_key_of_the_configuration_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()

    def keys(shape: type, prefix: str) -> list[str]:
        found = []
        for field in msgspec.structs.fields(shape):
            inner = field.type
            arguments = getattr(inner, "__args__", ())
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                found += keys(inner, f"{prefix}{field.name}.")
            elif arguments and isinstance(arguments[-1], type) and issubclass(arguments[-1], msgspec.Struct):
                found += keys(arguments[-1], f"{prefix}{field.name}.NAME.")
            else:
                found.append(prefix + field.name)
        return found

    assert [key for key in keys(settings.Settings, "") if f"| `{key}` |" not in page] == []


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_manifests_for_workers_are_valid_and_ask_for_no_rights() -> None:
    page = (ROOT / "docs" / "workers.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    made = [document for block in blocks for document in yaml.safe_load_all(block)]
    for document in made:
        kubernetes_validate.validate(document, "1.37", strict=True)
    kinds = [document["kind"] for document in made]
    assert "Deployment" in kinds and not [kind for kind in kinds if "Role" in kind]
    (deployment,) = (document for document in made if document["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False and pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    (config,) = (document for document in made if document["kind"] == "ConfigMap")
    assert settings.parse_settings(config["data"]["backout.yaml"], "docs").state.startswith("postgresql://")
