# SPDX-License-Identifier: Apache-2.0
"""Texts that people read, kept so that they can still be translated after they were stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from backout.errors import Argument, BackoutError, fill, kept


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """An English sentence, and the template and arguments that it was made from (for translation).

    An argument that is a sentence itself is kept as ``{"text": …, "template": …, "args": …}``.
    """

    text: str
    template: str = ""
    args: dict[str, Any] = {}

    def __str__(self) -> str:
        return self.text


def msg(template: str, /, **args: Argument) -> Message:
    """A message from an English template with named arguments, as in ``msg("{pod} is not ready", pod="web-0")``.

    Call it with a literal: the catalogues of other languages are extracted from these calls. Arguments may be messages,
    which are translated with it.
    """
    known = {name: kept(value) for name, value in args.items()}
    return Message(fill(template, known), template if args else "", known)


def joined(messages: Iterable[Message], between: str = "; ") -> Message:
    """One after the other as one, each still translated by itself; of none an empty one."""
    parts = {f"part{number}": message for number, message in enumerate(messages)}
    return msg(between.join(f"{{{name}}}" for name in parts), **parts)


def few(names: Iterable[str], shown: int = 5) -> Message:
    """The first ``shown`` names, and how many more there are."""
    every = list(names)
    first = ", ".join(every[:shown])
    return (
        msg("{names} and {more} more", names=first, more=len(every) - shown) if len(every) > shown else Message(first)
    )


def of_error(error: BackoutError) -> Message:
    """What an error says happened."""
    return Message(error.message, error.template, dict(error.arguments))


def distinct(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Each message once, in their order: two are the same that read the same."""
    return tuple({message.text: message for message in messages}.values())
