# SPDX-License-Identifier: Apache-2.0
"""Writes docs/commands.md from the commands themselves: python tools/command_docs.py (--check only compares).

What an option looks like is said here, not by click, whose words differ from version to version.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from backout.cli.main import COMMANDS, cli

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
GLOBAL = {
    "config",
    "kubeconfig",
    "contexts",
    "selector",
    "namespace",
    "all_namespaces",
    "output",
    "lang",
    "verbose",
    "no_color",
}
INTRO = """# Commands

Made from the commands themselves by `tools/command_docs.py`.

Targets are written `kind/name`: `helm/thanos`, `deployment/thanos-query`, `statefulset/thanos-receive`,
`daemonset/node-exporter`; kubectl's short names work too. Progress goes to stderr, data to stdout. `-o json` and
`-o yaml` give versioned documents (`apiVersion: backout.dev/v1`) that are never
translated: [documents.md](documents.md). Exit codes:
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
    yield f"    {context.command_path} {' '.join(_usage(command))}\n"
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


def _usage(command: click.Command) -> Iterator[str]:
    yield "[OPTIONS]"
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            name = (parameter.name or "").upper()
            wanted = name if parameter.required else f"[{name}]"
            yield parameter.metavar or (f"{wanted}..." if parameter.nargs == -1 else wanted)
    if isinstance(command, click.Group):
        yield command.subcommand_metavar or "COMMAND [ARGS]..."


def _options(command: click.Command, context: click.Context, *, every: bool) -> Iterator[str]:
    options = [
        parameter
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
        and not parameter.hidden
        and "--help" not in parameter.opts
        and (parameter.name in GLOBAL or parameter.name == "version") == every
    ]
    if options:
        yield "| option | |"
        yield "|---|---|"
        yield from (f"| `{_escaped(_names(option))}` | {_escaped(_words(option))} |" for option in options)


def _names(option: click.Option) -> str:
    shortest_first = sorted(option.opts, key=lambda name: name.startswith("--"))
    names = ", ".join(shortest_first)
    if option.is_flag:
        return names + (f" / {', '.join(option.secondary_opts)}" if option.secondary_opts else "")
    return f"{names} {option.metavar or _value(option.type)}"


def _value(type_: click.ParamType) -> str:
    if isinstance(type_, click.Choice):
        return f"[{'|'.join(type_.choices)}]"
    if isinstance(type_, click.Path):
        return "FILE" if not type_.dir_okay else "PATH" if type_.file_okay else "DIRECTORY"
    kinds = {click.IntRange: "INTEGER", click.FloatRange: "NUMBER"}
    return next((word for kind, word in kinds.items() if isinstance(type_, kind)), "TEXT")


def _words(option: click.Option) -> str:
    facts = []
    if option.show_default:
        facts.append(f"else {option.default}")
    if isinstance(option.type, click.IntRange | click.FloatRange):
        facts.append(f"from {option.type.min} to {option.type.max}")
    return (option.help or "") + (f" [{', '.join(facts)}]" if facts else "")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    text = page()
    if "--check" in sys.argv:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
