# SPDX-License-Identifier: Apache-2.0
"""What is drawn: colours only on a terminal that has them and is allowed to, and nothing of a cluster's that steers it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import pytest

from backout.cli.render.columns import fit
from backout.cli.render.screen import COLOURS, Screen, paint, plain, width
from backout.model.plaintext import OBEYED

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\r\x1b[2Koverwritten",
    "\x9b31m",
    "\x07\x08\x7f\x00",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\ud800",
    "\u2028next",
    "\x0egforged\x0f",
    "line\nrecovered   watched for 10 s",
    "line\r\nforged",
    "line\x85\x0bforged",
    "a\u200bb\u200d\ufeff",
    "\U000e0041\U000e007f",
    "\u061c\u00ad",
    "\x0f\x0f\x0e",
    "[bold red]markup[/]",
    "[link=http://evil]x[/link]",
    ":boom:",
]
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_screen(data: str) -> Screen:
    screen = Screen("en")
    screen.line(paint(data, "bad") + data, 2)
    screen.told("{name} is broken", name=data, style="warn")
    screen.table(("target", "why"), [(paint(data, "good"), data), ("short", "x")], 2)
    return screen


def shown(screen: Screen, monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, **environment: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "400", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream)
    screen.show()
    return stream.getvalue()


@pytest.mark.parametrize("data", HOSTILE, ids=repr)
@pytest.mark.parametrize("terminal", [True, False])
def test_data_neither_steers_nor_marks_up(monkeypatch: pytest.MonkeyPatch, data: str, terminal: bool) -> None:
    said = shown(a_screen(data), monkeypatch, Terminal() if terminal else io.StringIO())
    left = ESCAPE.sub("", said) if terminal else said
    assert not OBEYED.search(left.replace("\n", "")), ascii(left)
    assert len(left.splitlines()) == 5, "no line of others: two lines, a head, two rows"
    if data.startswith(("[", ":")):
        assert left.count(data) == 5, "it stands there as it is"
    ours = "\x1b]", "\x1b[2K", "\x9b"
    assert not any(code in said for code in ours)


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Terminal, {}, True),
        (io.StringIO, {}, False),
        (io.StringIO, {"FORCE_COLOR": "1"}, False),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
        (Terminal, {"TERM": ""}, False),
        (Terminal, {"NO_COLOR": ""}, True),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], environment: dict[str, str], coloured: bool
) -> None:
    said = shown(a_screen("web"), monkeypatch, stream(), **environment)
    assert ("\x1b[" in said) is coloured
    assert ESCAPE.sub("", said).splitlines()[0] == "  webweb"


def test_without_a_terminal_nothing_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("en")
    screen.table(("a", "b"), [("x" * 300, "y " * 200), ("short", "z")])
    lines = shown(screen, monkeypatch, io.StringIO(), COLUMNS="40").splitlines()
    assert len(lines) == 3 and lines[2] == "short" + " " * 298 + "z" and lines[0].startswith("A  ")


def test_on_a_narrow_terminal_cells_are_folded_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("en")
    screen.table(("a", "b"), [("x" * 30, "y" * 90)], 2)
    said = ESCAPE.sub("", shown(screen, monkeypatch, Terminal(), COLUMNS="60"))
    assert max(map(len, said.splitlines())) <= 60 and said.count("x") == 30 and said.count("y") == 90


def test_names_stay_whole_as_long_as_sentences_can_be_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("en")
    name, run, why = (
        "deployment/thanos-query",
        "20261129-113723-e26b",
        "NoEndpoints since kubectl-patch changed its selector",
    )
    screen.table(
        ("target", "revision", "since", "run", "problem"),
        [(f"{screen.mark('bad')} {name}", "12", "11:32:33 UTC (5m38s ago)", run, why), ("x", "1", "", "y", "")],
    )
    said = ESCAPE.sub("", shown(screen, monkeypatch, Terminal(), COLUMNS="80"))
    assert max(map(len, said.splitlines())) <= 80
    assert f"✗ {name}" in said and run in said
    assert all(word in said.split() for word in why.split())


@pytest.mark.parametrize("room", [1, 5, 30, 60, 79, 80, 81, 120, 400])
def test_columns_fit_whatever_the_room(room: int) -> None:
    rows = [("TARGET", "한글 문제", ""), ("✗ helm/a-name", "x" * 70, "some words that are folded"), ("", "", "")]
    widths, gap = fit(rows, room)
    assert min(widths) >= 1 or "" in rows[1]
    assert sum(widths) + 2 * gap <= max(room, 3 + 2 * gap)
    if room >= 400:
        assert (widths, gap) == ([13, 70, 26], 3), "nothing is folded where there is room"


def test_styles_can_stand_in_each_other_and_go_without_a_trace() -> None:
    text = paint("a" + paint("b", "good") + "c", "bad") + "d"
    assert plain(text) == "abcd" and width(text) == 4 and width(paint("한글", "head")) == 4
    assert all(plain(paint("x", style)) == "x" for style in COLOURS) and paint("x", "nothing") == "x"
    assert plain("a\tb\nc") == "a   b⏎c"


def test_an_empty_page_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Screen("en").show()
    assert capsys.readouterr().out == ""


def test_rich_is_not_imported_where_nothing_is_drawn() -> None:
    work = (
        "import sys; from backout.cli.render.screen import Screen; screen = Screen('en'); screen.told('x', style='bad'); screen.show();"
        "assert 'rich' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", work],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
