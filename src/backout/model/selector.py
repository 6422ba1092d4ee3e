# SPDX-License-Identifier: Apache-2.0
"""Label selectors as kubectl takes them, over labels that the configuration gives. Pure.

Grammar: kubernetes.io/docs/concepts/overview/working-with-objects/labels (equality-based and set-based).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from backout.errors import UsageError

_KEY = r"(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_VALUE = r"[A-Za-z0-9_.-]*"
_TERM = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<not_there>{_KEY})"
    rf"|(?P<key>{_KEY})(?:\s*(?P<sign>==|=|!=)\s*(?P<value>{_VALUE})|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*"
)


@dataclass(frozen=True, slots=True)
class Term:
    """One requirement: the value of ``key`` is among ``values`` (None: whatever it is), or, if ``negated``, is not."""

    key: str
    values: frozenset[str] | None
    negated: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """As Kubernetes has it, a key that is missing satisfies ``!=`` and ``notin``."""
        found = labels.get(self.key)
        return (found is not None and (self.values is None or found in self.values)) is not self.negated


def parse_selector(text: str) -> tuple[Term, ...]:
    """``role=edge,tier!=test,zone in (a,b),!drained`` as terms that must all hold.

    Raises:
        UsageError: it is no selector.
    """
    terms: list[Term] = []
    at = 0
    while True:
        found = _TERM.match(text, at)
        if found is None or (found.end() < len(text) and text[found.end()] != ","):
            raise UsageError(
                "{text} is no label selector.", text=text, expected="such as role=edge,tier!=test or 'zone in (a,b)'"
            )
        terms.append(_term(found))
        if found.end() == len(text):
            return tuple(terms)
        at = found.end() + 1


def _term(found: re.Match[str]) -> Term:
    if found["absent"]:
        return Term(found["not_there"], None, negated=True)
    if found["set"]:
        return Term(
            found["key"], frozenset(value.strip() for value in found["values"].split(",")), found["set"] == "notin"
        )
    if found["sign"]:
        return Term(found["key"], frozenset((found["value"],)), found["sign"] == "!=")
    return Term(found["key"], None, negated=False)
