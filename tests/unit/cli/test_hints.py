# SPDX-License-Identifier: Apache-2.0
"""Every command that a text of ours proposes is one that the command line takes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import backout
from backout.cli.main import cli

SOURCE = Path(backout.__file__).parent
SAID = re.compile(r"`backout ([^`]+)`")
WORDS = {
    "revision": "1",
    "n": "1",
    "name": "web",
    "ref": "deployment/web",
    "target": "deployment/web",
    "object": "configmap/web",
    "namespace": "shop",
    "run": "latest",
    "id": "abc123",
    "release": "helm/web",
    "codes": "recreate",
    "code": "recreate",
}
"""What a placeholder stands for; any other stands for a word."""


def texts() -> Iterator[tuple[str, str]]:
    """Each literal text of the source in which a command is quoted, with its place."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "`backout " in node.value:
                for found in SAID.finditer(node.value):
                    yield f"{path.relative_to(SOURCE)}:{node.lineno}", found[1]


def filled(text: str) -> list[str]:
    text = re.sub(r"\{(\w+)[^}]*\}", lambda found: WORDS.get(found[1], "word"), text)
    return re.sub(r"[…]|\.\.\.", "", text).split()


def problem(words: list[str]) -> str:
    """Why the command line would not take the words; empty when it would. Missing arguments are left to the reader."""
    command: click.Command = cli
    context = click.Context(cli, info_name="backout")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(context, words[0])
        if inner is None:
            return "" if command.invoke_without_command and command is not cli else f"no command {words[0]}"
        command, words = inner, words[1:]
    known = {name: option for option in command.params if isinstance(option, click.Option) for name in option.opts}
    for word in words:
        if word.startswith("-") and word.partition("=")[0] not in known and word != "--help":
            return f"no option {word}"
    return ""


def test_there_are_such_texts() -> None:
    assert len(list(texts())) > 100


def test_each_proposed_command_exists() -> None:
    wrong = [(place, text, why) for place, text in texts() if (why := problem(filled(text)))]
    assert not wrong, wrong


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("plan helm/web --to 1", ""),
        ("snapshot create -n shop --tag x", ""),
        ("undo latest", ""),
        ("rollback helm/web", "no command rollback"),
        ("plan helm/web --revision 1", "no option --revision"),
        ("snapshot make", "no command make"),
    ],
)
def test_what_does_not_exist_is_found(text: str, why: str) -> None:
    assert problem(filled(text)) == why
