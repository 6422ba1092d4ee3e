# SPDX-License-Identifier: Apache-2.0
"""`backout schema`: the JSON Schemas of the documents."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.output import send
from backout.cli.session import open_session


@click.command("schema", cls=Command)
@click.argument("kind", required=False)
def command(kind: str | None) -> None:
    """Prints the JSON Schema of a KIND of document, such as DiagnosisList; without KIND, lists them.

    Documents are what `-o json` and `-o yaml` give. Their schemas come with Backout; a new field may be added in any
    version, and what is there changes only with apiVersion.
    """
    from backout.documents.shipped import kinds, schema_text

    session = open_session()
    if kind is not None:
        send(schema_text(kind))
        return
    if session.text:
        send("\n".join(kinds()) + "\n")
        return
    from backout.documents.machine import SchemaList

    session.document(SchemaList(items=tuple(kinds())))
