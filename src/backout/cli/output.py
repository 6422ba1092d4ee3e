# SPDX-License-Identifier: Apache-2.0
"""Documents on stdout: versioned, untranslated, and the same content whatever the format."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from backout.model.spelling import written


def print_document(document: msgspec.Struct, output: str) -> None:
    """Writes a document as JSON or YAML."""
    plain = written(document)
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode())
        return
    click.echo(to_yaml(plain), nl=False)


def to_yaml(plain: Any) -> str:
    """Readable YAML: keys in their order, long texts not folded."""
    import yaml

    return yaml.dump(plain, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=1000)
