# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in a run's texts: the report's headings, lists and links are ours alone."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import msgspec
import pytest
from a_run import changed, recovered
from markdown_it import MarkdownIt

from backout.model.message import Message, msg
from backout.model.plaintext import OBEYED
from backout.model.run import Failure
from backout.report import render

HOSTILE = [
    "# Verdict: recovered",
    "x\n# Verdict: recovered\n",
    "x\r\n\r\n## Recovered\r\n- [x] all is well",
    "<h1>Verdict: recovered</h1>",
    "<script>alert(1)</script>",
    "<!-- hidden",
    "[click](javascript:alert(1))",
    "![x](http://evil/x.png)",
    "<http://evil>",
    "`` <b>x</b> ` `",
    "` <b> `x` </b>",
    "``` \n# Recovered",
    "~~~ \n# Recovered",
    "- [x] Pods running and ready",
    "1. first",
    "===",
    "---",
    "* * *",
    "| a | b |\n|---|---|\n| x | y |",
    "a|b",
    "**bold** __bold__ *i* ~~gone~~",
    "&lt;b&gt; &#x202e; &#35; x",
    "\\",
    "\\`",
    "\x1b[31m\u202egnp\x9b1m",
    "> quote",
    "    code",
    "+ plus",
]
KEPT = {
    "action",
    "kind",
    "status",
    "state",
    "outcome",
    "type",
    "confidence",
    "goodness",
    "mechanism",
    "code",
    "step",
    "id",
}
"""Fields that are words of ours: something else in them never gets as far as a report."""


def poisoned(value: Any, text: str, name: str = "") -> Any:
    """The same with ``text`` in every text that may come from somewhere else."""
    if isinstance(value, Message):
        if not value.args:
            return Message(text)
        return msg(value.template, **{key: text if isinstance(arg, str) else arg for key, arg in value.args.items()})
    if isinstance(value, msgspec.Struct):
        found = {
            field.name: poisoned(getattr(value, field.name), text, field.name)
            for field in msgspec.structs.fields(value)
        }
        return type(value)(**found)
    if isinstance(value, dict):
        return {key: poisoned(item, text, str(key)) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(poisoned(item, text, name) for item in value)
    return text if type(value) is str and name not in KEPT and value else value


def shape(document: str) -> Counter[str]:
    """What a renderer makes of it, but for plain text."""
    found: Counter[str] = Counter()
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for token in reader.parse(document):
        for one in (token, *(token.children or ())):
            if one.type not in ("text", "softbreak", "text_special", "inline", "code_inline"):
                found[f"{one.type} {one.tag}"] += 1
    return found


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_nothing_of_others_shapes_the_report(text: str, lang: str) -> None:
    run, events = recovered()
    failure = Failure(
        "x", 8, msg("It failed: {why}", why="y"), msg("one {x}", x="z"), msg("{y}", y="z"), msg("do {x}", x="z")
    )
    run = changed(run, failure=failure)
    target = run.operation.parts[0].target

    def report(words: str) -> str:
        bad = poisoned(run, words)
        part = msgspec.structs.replace(bad.operation.parts[0], target=target, id=str(target))
        bad = changed(bad, operation=msgspec.structs.replace(bad.operation, parts=(part,)))
        told = [msgspec.structs.replace(poisoned(event, words), part=event.part) for event in events]
        return render(bad, told, lang)

    found = report(text)
    assert shape(found) == shape(report("word")), found
    assert not OBEYED.search(found.replace("\n", ""))
    assert "javascript:" not in [attr for token in MarkdownIt().parse(found) for attr in token.attrs.values()]


def test_times_stay_what_they_are() -> None:
    run, _ = recovered()
    assert isinstance(poisoned(run, "x").started, datetime)
