# SPDX-License-Identifier: Apache-2.0
"""What somebody wants to be left as it is: ``--skip KIND/NAME``. Pure.

No patterns: who leaves something out names it, and a name that meets nothing is refused. A pattern would go on meeting
something while what was meant has another name.
"""

from __future__ import annotations

import msgspec

from backout.errors import UsageError
from backout.model.kinds import called, plain
from backout.model.target import ObjectRef, Target, parse_target


class Skip(msgspec.Struct, frozen=True):
    """One target or object, as kubectl lets people call it; ``text`` as it was said."""

    kind: str
    name: str
    text: str

    def means(self, ref: ObjectRef) -> bool:
        """Whether it is that object. Of whichever namespace: a way back touches few beside its own."""
        return self.name == ref.name and self.kind in called(ref.api_version, ref.kind)

    def means_target(self, target: Target) -> bool:
        """Whether it is that target, in whichever spelling targets have."""
        if self.name != target.name:
            return False
        try:
            return parse_target(self.text).kind == target.kind
        except UsageError:
            return self.kind == target.kind


def parse_skip(text: str) -> Skip:
    """
    Raises:
        UsageError: it is not ``kind/name``, or a pattern.
    """
    kind, slash, name = text.partition("/")
    if not slash or not kind or not name or "/" in name or set(text) & set("*?["):
        raise UsageError(
            "{text} is not something to leave out.",
            text=text,
            expected="KIND/NAME as kubectl writes it, such as pvc/data or crd/widgets.example.org, and no pattern",
        )
    return Skip(plain(kind), name, text)
