# SPDX-License-Identifier: Apache-2.0
"""What a command works with: the options that were given, the workspace behind them, and the terminal."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from backout.app.choosing import chosen_clusters, named_stack
from backout.app.settings import load_settings
from backout.app.workspace import Where, Workspace
from backout.cli.console import Console
from backout.cli.options import GlobalOptions, current_options

if TYPE_CHECKING:
    from backout.cli.render.screen import Screen
    from backout.documents.base import Document
    from backout.documents.snapshots import SnapshotDocument
    from backout.model.message import Message


class Session:
    """The global options, and what they mean."""

    def __init__(self, options: GlobalOptions) -> None:
        self.options = options
        settings = load_settings(options.config)
        where = Where(
            kubeconfig=options.kubeconfig,
            contexts=chosen_clusters(settings, options.contexts, options.selector, options.stack, options.kubeconfig),
            namespace=options.namespace or (named_stack(settings, options.stack).namespace if options.stack else ""),
            all_namespaces=options.all_namespaces,
        )
        self.console = Console(options)
        self.workspace = Workspace(settings, where, self.console)

    def over_clusters(self, given: dict[str, Any]) -> None:
        """What was said of waves on the command line goes before the configuration, and makes one operation of it."""
        if not given:
            return
        rules = {name: value for name, value in given.items() if name not in ("after", "together")}
        if given.get("together"):
            if other := [name for name in ("max_failures", "on_failure", "unplanned") if name in rules]:
                from backout.errors import UsageError

                raise UsageError(
                    "--together says itself what happens when one fails, so --{option} can't go with it.",
                    option=other[0].replace("_", "-"),
                )
            rules |= {"max_failures": 0, "on_failure": "undo", "unplanned": "refuse"}
        self.workspace.use(self.workspace.settings.in_waves(**rules))
        self.workspace.where = dataclasses.replace(
            self.workspace.where, fleet=True, exact="wave" in rules, after=tuple(given.get("after", ()))
        )

    @property
    def text(self) -> bool:
        """True when people read the output."""
        return self.options.text

    @property
    def lang(self) -> str:
        """The language of texts."""
        return self.options.language

    def screen(self) -> Screen:
        """An empty screen in the reader's language."""
        return self.console.screen()

    def note(self, text: Message | str, /, **args: object) -> None:
        """Progress for people, on stderr; nothing when the output is a document."""
        self.console.note(text, **args)

    def document(self, document: Document | SnapshotDocument) -> None:
        """The data, on stdout, as JSON or YAML."""
        from backout.cli.output import print_document

        print_document(document, self.options.output)

    def show(self, fill: Callable[[Screen], None], *, err: bool = False) -> None:
        """Fills a screen and prints it."""
        screen = self.screen()
        fill(screen)
        screen.show(err=err, colours=not self.options.no_color)


def open_session() -> Session:
    """The session of the running command."""
    return Session(current_options())


def with_session(function: Callable[..., Coroutine[Any, Any, int | None]]) -> Callable[..., int]:
    """Calls an async command body with the session; what it returns is the exit code (None: 0)."""

    @functools.wraps(function)
    def call(**arguments: Any) -> int:
        import asyncio

        session = open_session()
        return asyncio.run(function(session, **arguments)) or 0

    return call
