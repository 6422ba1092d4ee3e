# SPDX-License-Identifier: Apache-2.0
"""Documents on stdout: versioned, untranslated, and the same content whatever the format."""

from __future__ import annotations

from typing import Any

import click
import msgspec


def print_document(document: Any, output: str) -> None:
    """Writes a struct or a dict as JSON or YAML."""
    plain = msgspec.to_builtins(document)
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode())
        return
    click.echo(to_yaml(plain), nl=False)


def to_yaml(document: Any) -> str:
    """Readable YAML: keys in the order of the struct, long texts not folded."""
    import yaml

    return yaml.dump(
        msgspec.to_builtins(document), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=1000
    )


def versioned(kind: str, **fields: Any) -> dict[str, Any]:
    """A document of the versioned output: ``apiVersion``, ``kind``, then the fields."""
    return {"apiVersion": "backout.dev/v1", "kind": kind, **fields}


def with_kind(kind: str, struct: Any, **fields: Any) -> dict[str, Any]:
    """A struct as a versioned document, with extra fields."""
    return {"apiVersion": "backout.dev/v1", "kind": kind, **msgspec.to_builtins(struct), **fields}
