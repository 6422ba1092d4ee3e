# SPDX-License-Identifier: Apache-2.0
"""Texts that people read, kept so that they can still be translated after they were stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from backout.errors import Argument, fill


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """An English sentence, and the template and arguments that it was made from (for translation).

    An argument that is a sentence itself is kept as ``{"text": …, "template": …, "args": …}``.
    """

    text: str
    template: str = ""
    args: dict[str, Any] = {}

    def __str__(self) -> str:
        return self.text


def msg(template: str, /, **args: Argument | Message) -> Message:
    """A message from an English template with named arguments, as in ``msg("{pod} is not ready", pod="web-0")``.

    Call it with a literal: the catalogues of other languages are extracted from these calls. Arguments may be messages,
    which are translated with it.
    """
    plain = {name: value.text if isinstance(value, Message) else value for name, value in args.items()}
    kept = {name: msgspec.structs.asdict(v) if isinstance(v, Message) else v for name, v in args.items()}
    return Message(fill(template, plain), template if args else "", kept)


def distinct(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Each message once, in their order: two are the same that read the same."""
    return tuple({message.text: message for message in messages}.values())
