# SPDX-License-Identifier: Apache-2.0
"""The JSON Schemas as they are shipped: files beside this module, made by ``tools/schemas.py``."""

from __future__ import annotations

from importlib import resources

from backout.errors import UsageError

SUFFIX = ".json"


def kinds() -> list[str]:
    """The kinds of documents that there are."""
    folder = resources.files(__package__).joinpath("schemas")
    return sorted(file.name.removesuffix(SUFFIX) for file in folder.iterdir() if file.name.endswith(SUFFIX))


def schema_text(kind: str) -> str:
    """The schema of one kind; upper and lower case do not matter.

    Raises:
        UsageError: there is no such kind.
    """
    known = {name.lower(): name for name in kinds()}
    if kind.lower() not in known:
        raise UsageError(
            "{kind} is no kind of document.",
            kind=kind,
            expected="one of {known}",
            known=", ".join(known.values()),
            hint="backout schema lists them",
        )
    file = resources.files(__package__).joinpath("schemas", known[kind.lower()] + SUFFIX)
    return file.read_text(encoding="utf-8")
