# SPDX-License-Identifier: Apache-2.0
"""Errors as people read them: what happened, what was expected, what was found, what to do next."""

from __future__ import annotations

import sys
import traceback

import click

from backout.errors import BackoutError, fill


def unforeseen(error: Exception) -> BackoutError:
    """Wraps an error that no class of ours foresaw. Its traceback goes to stderr only when asked for (-v)."""
    values = _values()
    if values.get("verbose"):
        traceback.print_exception(error)
    where = traceback.extract_tb(error.__traceback__)
    place = f"{where[-1].filename.rpartition('/')[2]}:{where[-1].lineno}" if where else "?"
    return BackoutError(
        "Unexpected {kind} at {place}. This is a fault in Backout.",
        kind=type(error).__name__,
        place=place,
        hint="Run it again with -v and report what it prints.",
    )


def as_document(error: BackoutError) -> dict[str, object]:
    """The error in JSON: stable code, English sentences."""
    parts = {name: fill(getattr(error, name), error.arguments) for name in ("expected", "found", "hint")}
    body = {"code": error.code, "exitCode": error.exit_code, "retryable": error.retryable, "message": error.message}
    return {"apiVersion": "backout.dev/v1", "kind": "Error", "error": {**body, **{k: v for k, v in parts.items() if v}}}


def show_failure(error: BackoutError) -> None:
    """Prints the error: text to stderr, or a document to stdout when JSON or YAML was asked for."""
    from backout.cli.output import print_document
    from backout.locales import translate

    values = _values()
    if values.get("output") in ("json", "yaml"):
        print_document(as_document(error), str(values["output"]))
        return
    lang = str(values.get("lang") or "en")

    def say(template: str) -> str:
        return translate(template, error.arguments, lang)

    labels = {"expected": "Expected: {text}", "found": "Found: {text}", "hint": "Next: {text}"}
    click.echo(
        click.style(translate("Error ({code}): ", {"code": error.code}, lang), fg="red") + say(error.template), err=True
    )
    for name, label in labels.items():
        template = getattr(error, name)
        if template:
            click.echo("  " + translate(label, {"text": say(template)}, lang), err=True)


def _values() -> dict[str, object]:
    """The global options, read again from the arguments: the error may have come before they were parsed."""
    values: dict[str, object] = {}
    arguments = sys.argv[1:]
    for index, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        following = arguments[index + 1] if index + 1 < len(arguments) else ""
        if name in ("-o", "--output"):
            values["output"] = value or following
        elif argument in ("-ojson", "-oyaml"):
            values["output"] = argument[2:]
        elif name == "--lang":
            values["lang"] = value or following
        elif name in ("-v", "--verbose"):
            values["verbose"] = True
    return values
