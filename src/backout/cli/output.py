# SPDX-License-Identifier: Apache-2.0
"""Documents on stdout: versioned, untranslated, and the same content whatever the format.

What a terminal or a reader would obey stands in them as an escape: a program reads the same, and nobody is steered.
"""

from __future__ import annotations

import click
import msgspec

from backout.model.plaintext import escaped
from backout.model.redaction import redact_plain
from backout.model.spelling import written


def print_document(document: msgspec.Struct, output: str) -> None:
    """Writes a document as JSON or YAML."""
    plain = redact_plain(written(document))
    if output == "json":
        click.echo(escaped(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()))
        return
    from backout.model.yamltext import to_yaml

    click.echo(to_yaml(plain), nl=False)


def print_page(text: str) -> None:
    """Writes a page, such as a report, whose lines are clean already."""
    click.echo(text)
