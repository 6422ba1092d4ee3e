# SPDX-License-Identifier: Apache-2.0
"""Writes docs/commands.md from the commands themselves: python tools/command_docs.py (--check only compares)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from backout.cli.main import COMMANDS, cli

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
GLOBAL = {"config", "kubeconfig", "contexts", "namespace", "all_namespaces", "output", "lang", "verbose", "no_color"}
INTRO = """# Commands

Made from the commands themselves by `tools/command_docs.py`.

Targets are written `kind/name`: `helm/thanos`, `deployment/thanos-query`, `statefulset/thanos-receive`,
`daemonset/node-exporter`; kubectl's short names work too. Progress goes to stderr, data to stdout. `-o json` and
`-o yaml` give versioned documents (`apiVersion: backout.dev/v1`) that are never translated. Exit codes:
[exit-and-error-codes.md](exit-and-error-codes.md).
"""


def page() -> str:
    """The whole page."""
    context = click.Context(cli, info_name="backout")
    parts = [INTRO, "## Options of every command\n", *_options(cli, context, every=True)]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        parts += _command(command, click.Context(command, info_name=name, parent=context))
    return "\n".join(parts).rstrip() + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"\n## `{context.command_path}`\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"    {context.command_path} {usage}\n"
    yield from (line.strip() for line in (command.help or "").strip().splitlines())
    yield ""
    yield from _options(command, context, every=False)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from (
                line.replace("\n## ", "\n### ")
                for line in _command(inner, click.Context(inner, info_name=name, parent=context))
            )


def _options(command: click.Command, context: click.Context, *, every: bool) -> Iterator[str]:
    records = [
        record
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
        and "--help" not in parameter.opts
        and (parameter.name in GLOBAL or parameter.name == "version") == every
        and (record := parameter.get_help_record(context)) is not None
    ]
    if records:
        yield "| option | |"
        yield "|---|---|"
        yield from (f"| `{names}` | {text} |" for names, text in map(_escaped, records))


def _escaped(record: tuple[str, str]) -> tuple[str, str]:
    return record[0].replace("|", "\\|"), record[1].replace("|", "\\|")


def main() -> int:
    text = page()
    if "--check" in sys.argv:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
