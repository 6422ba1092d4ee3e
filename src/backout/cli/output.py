# SPDX-License-Identifier: Apache-2.0
"""Documents on stdout: versioned, untranslated, and the same content whatever the format.

What a terminal or a reader would obey stands in them as an escape: a program reads the same, and nobody is steered.
"""

from __future__ import annotations

import errno
import os
import sys

import msgspec

from backout.model.plaintext import escaped
from backout.model.redaction import redact_plain
from backout.model.spelling import written


def send(text: str, *, err: bool = False) -> None:
    """Writes to the standard output or error at once. A reader that has gone (head, less, a terminal that was closed) changes
    nothing of what the command has to say by its exit code."""
    stream = sys.stderr if err else sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def print_document(document: msgspec.Struct, output: str) -> None:
    """Writes a document as JSON or YAML."""
    plain = redact_plain(written(document))
    if output == "json":
        send(escaped(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()) + "\n")
        return
    from backout.model.yamltext import to_yaml

    send(to_yaml(plain))


def print_page(text: str) -> None:
    """Writes a page, such as a report, whose lines are clean already."""
    send(text + "\n")
