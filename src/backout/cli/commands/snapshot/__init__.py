# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot`: the encrypted repository of what namespaces were. Each subcommand's module loads on call."""

from __future__ import annotations

from importlib import import_module

import click

from backout.cli.options import Group

SUBCOMMANDS = {
    "create": ("create", "Take a snapshot of a namespace."),
    "list": ("listing", "The snapshots, newest first."),
    "show": ("show", "One snapshot: what it holds, what was left out, the state around it."),
    "diff": ("diff", "What changed between two snapshots, or since one."),
    "restore": ("restore", "Put objects back exactly as a snapshot has them."),
    "verify": ("verify", "Prove that every snapshot is whole."),
    "prune": ("prune", "Remove snapshots by a policy, and what nothing refers to."),
    "export": ("export", "Write snapshots into one encrypted archive."),
    "import": ("importing", "Take over the snapshots of an archive."),
    "key": ("key", "Who can open the snapshots."),
}
"""Name → module here, and its line of help."""


class SnapshotGroup(Group):
    """Knows its commands by name."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in SUBCOMMANDS:
            return None
        command = import_module(f"backout.cli.commands.snapshot.{SUBCOMMANDS[name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in SUBCOMMANDS.items()])


@click.group("snapshot", cls=SnapshotGroup)
def command() -> None:
    """What namespaces were at certain moments, encrypted, in a directory or on S3.

    SNAPSHOT is the id or its first characters, a tag, `latest`, or `good`: the newest that is known to be healthy.
    """
