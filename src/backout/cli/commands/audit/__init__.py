# SPDX-License-Identifier: Apache-2.0
"""`backout audit`: whether the record of what was done is as it was written. Each subcommand's module loads on call."""

from __future__ import annotations

from importlib import import_module

import click

from backout.cli.options import Group

SUBCOMMANDS = {
    "verify": "Say what is intact, changed, missing, or cut off.",
    "checkpoint": "Sign everything up to here.",
    "export": "Write a copy as JSON lines, which can be verified elsewhere.",
    "key": "Your public key, for those who verify.",
}


class AuditGroup(Group):
    """Knows its commands by name."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in SUBCOMMANDS:
            return None
        command = import_module(f"backout.cli.commands.audit.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group("audit", cls=AuditGroup)
def command() -> None:
    """Every event of every run is bound to the one before it, and the end of each run is signed with your key.

    So it shows when somebody changes, removes or adds something later (docs/audit.md).
    """
