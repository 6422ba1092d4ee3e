# SPDX-License-Identifier: Apache-2.0
"""Errors as people read them: what happened, what was expected, what was found, what to do next."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import click

from backout.errors import BackoutError, UnexpectedError, UsageError

if TYPE_CHECKING:
    from backout.cli.options import GlobalOptions
    from backout.cli.render.screen import Screen


def unforeseen(error: Exception, *, verbose: bool = False) -> BackoutError:
    """Wraps an error that no class of ours foresaw. Its traceback goes to stderr only when asked for (-v)."""
    if verbose:
        _show_trace(error)
    where = traceback.extract_tb(error.__traceback__)
    place = f"{where[-1].filename.rpartition('/')[2]}:{where[-1].lineno}" if where else "?"
    return BackoutError(
        "Unexpected {kind} at {place}. This is a fault in Backout.",
        kind=type(error).__name__,
        place=place,
        hint="Run it again with -v and report what it prints.",
    )


def misused(error: click.ClickException) -> BackoutError:
    """What the parser of the command line did not understand, as an error of ours."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "backout"
    hint = "{command} --help"
    if isinstance(error, click.NoSuchOption):
        near = ", ".join(error.possibilities or ())
        expected = "{near}, perhaps" if near else ""
        return UsageError(
            "There is no option {option}.",
            option=error.option_name,
            expected=expected,
            near=near,
            hint=hint,
            command=command,
        )
    if isinstance(error, click.MissingParameter):
        name = error.param.get_error_hint(error.ctx) if error.param is not None and error.ctx is not None else "?"
        return UsageError("{name} is missing.", name=name, hint=hint, command=command)
    problem = error.format_message().rstrip(".").replace("\n", " ")
    return UsageError("{problem}.", problem=problem, hint=hint, command=command)


def show_failure(error: BackoutError, options: GlobalOptions) -> None:
    """Prints the error: text to stderr, or a document to stdout when JSON or YAML was asked for.

    What stopped a run without being foreseen has a traceback, which goes to stderr only when asked for (-v).
    """
    if options.verbose and isinstance(error, UnexpectedError) and error.__cause__ is not None:
        _show_trace(error.__cause__)
    if not options.text:
        from backout.cli.output import print_document
        from backout.documents.failing import error_document

        print_document(error_document(error), options.output)
        return
    from backout.cli.render.screen import Screen

    screen = Screen(options.language, options=options)
    error_lines(screen, error)
    screen.show(err=True, colours=not options.no_color)


def _show_trace(error: BaseException) -> None:
    """The traceback on stderr. Its last words may be those of a cluster or a program: data, and not without secrets."""
    from backout.cli.render.screen import Screen
    from backout.model.redaction import redact_text

    screen = Screen()
    screen.block(redact_text("".join(traceback.format_exception(error))))
    screen.show(err=True, colours=False)


def error_lines(screen: Screen, error: BackoutError) -> None:
    """The error for people."""
    from backout.cli.render.screen import paint

    screen.line(
        paint(screen.say("Error ({code}): ", code=error.code), "bad") + screen.say(error.template, **error.arguments)
    )
    labels = {"expected": "Expected: {text}", "found": "Found: {text}", "hint": "Next: {text}"}
    for name, label in labels.items():
        template = getattr(error, name)
        if template:
            screen.told(label, 2, text=screen.say(template, **error.arguments))
