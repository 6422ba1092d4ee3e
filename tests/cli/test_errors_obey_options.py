# SPDX-License-Identifier: Apache-2.0
"""Errors are told by the options of the line that they come from, wherever these stand and however they are written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MISSING = ["--kubeconfig", "/nowhere/kubeconfig"]
"""A foreseen error of the work itself, without any cluster."""


def called(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backout.cli.main", *arguments],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": ":".join(sys.path),
            **environment,
        },
        cwd=home,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "json", "diagnose", *MISSING],
        ["diagnose", "-o", "json", *MISSING],
        ["diagnose", *MISSING, "-ojson"],
        ["diagnose", *MISSING, "-vojson"],
        ["diagnose", *MISSING, "-Avojson"],
        ["diagnose", *MISSING, "-vo", "json"],
        ["diagnose", *MISSING, "--output=json"],
        ["-ojson", *MISSING, "diagnose"],
        ["-o", "yaml", "diagnose", "-o", "json", *MISSING],
        ["run", "-yojson", *MISSING],
        ["snapshot", "-o", "json", "show", "latest", "--config", "/nowhere/backout.yaml"],
        ["snapshot", "key", "show", "-vojson", "--config", "/nowhere/backout.yaml"],
    ],
    ids=" ".join,
)
def test_a_document_was_asked_for(tmp_path: Path, words: list[str]) -> None:
    answer = called(tmp_path, *words)
    document = json.loads(answer.stdout)
    assert document["kind"] == "Error" and document["error"]["exitCode"] == answer.returncode != 0
    assert document["error"]["code"] in ("config", "unknown-context")
    assert "오류" not in answer.stdout and "Traceback" not in answer.stderr


def test_yaml_too(tmp_path: Path) -> None:
    answer = called(tmp_path, "diagnose", *MISSING, "-voyaml")
    assert answer.stdout.startswith("apiVersion: backout.dev/v1\nkind: Error\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["diagnose", "-o", "json", "--bogus"], "There is no option --bogus."),
        (["-ojson", "diagnose", "--bogus"], "There is no option --bogus."),
        (["diagnose", "--bogus", "-vojson"], "There is no option --bogus."),
        (["diagnose", "-zvojson"], "There is no option -z."),
        (["run", "-y", "--to", "--bogus", "-ojson", "--bogus"], "There is no option --bogus."),
        (["-o", "json", "bogus"], "No such command 'bogus'."),
        (["snapshot", "-ojson", "bogus"], "No such command 'bogus'."),
        (["history", "-o", "json"], "'TARGET' is missing."),
        (["verify", "--soak", "x", "-ojson"], "Invalid value for '--soak': 'x' is not a valid float range."),
        (["verify", "--lang", "fr", "-ojson"], "Invalid value for '--lang': 'fr' is not one of 'en', 'ko'."),
        (["runs", "prune", "--older-than", "soon", "-ojson"], None),
        (["history", "a/b", "c/d", "-ojson"], "Got unexpected extra argument (c/d)."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_line_that_cannot_be_parsed_is_told_as_a_document_too(
    tmp_path: Path, words: list[str], message: str | None
) -> None:
    answer = called(tmp_path, *words)
    error = json.loads(answer.stdout)["error"]
    assert answer.returncode == error["exitCode"] == 2 and error["code"] == "usage"
    assert message is None or error["message"] == message
    assert error["hint"].startswith("backout ") and error["hint"].endswith(" --help")
    assert answer.stderr == ""


@pytest.mark.parametrize(
    ("words", "environment", "korean"),
    [
        (["diagnose", *MISSING, "--lang", "ko"], {}, True),
        (["--lang=ko", "diagnose", *MISSING], {}, True),
        (["diagnose", *MISSING], {"LANG": "ko_KR.UTF-8"}, True),
        (["diagnose", *MISSING, "--lang", "en"], {"LANG": "ko_KR.UTF-8"}, False),
        (["--lang", "ko", "diagnose", "--lang", "en", *MISSING], {}, False),
        (["diagnose", "--bogus", "--lang", "ko"], {}, True),
        (["--lang", "ko", "bogus"], {}, True),
        (["diagnose", "--bogus"], {"LC_ALL": "ko_KR.UTF-8"}, True),
        (["diagnose", "--bogus"], {}, False),
    ],
)
def test_an_error_speaks_the_language_that_was_asked_for(
    tmp_path: Path, words: list[str], environment: dict[str, str], korean: bool
) -> None:
    answer = called(tmp_path, *words, **environment)
    assert answer.stdout == ""
    assert answer.stderr.startswith("오류 (" if korean else "Error ("), answer.stderr


def test_words_that_look_like_options_but_are_values_are_no_options(tmp_path: Path) -> None:
    answer = called(tmp_path, "run", "-y", "--to", "-ojson", "x/y", *MISSING)
    assert answer.stdout == "" and answer.stderr.startswith("Error ("), "-ojson is the revision that was asked for"
