# SPDX-License-Identifier: Apache-2.0
"""Mechanisms by name, imported when they are first asked for: a command pays only for the ones it uses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from backout.errors import RefusedError
from backout.model.target import CLUSTER_OBJECTS, OBJECTS, WORKLOADS, is_custom

if TYPE_CHECKING:
    from backout.mechanisms.port import Effect, Measure, Mechanism, StepKind


class Entry(NamedTuple):
    """Where a mechanism is, which kinds of target it serves, and of which it says why they don't go back. The class takes no
    arguments: state is in the cluster."""

    module: str
    name: str
    kinds: tuple[str, ...]
    refused: tuple[str, ...] = ()


CUSTOMS = "customs"
"""The way back of custom resources: of which kinds there are, only each cluster knows."""
ENTRIES: dict[str, Entry] = {
    "helm": Entry("backout.mechanisms.helm.mechanism", "HelmMechanism", ("helm",)),
    "workload": Entry("backout.mechanisms.workload.mechanism", "WorkloadMechanism", tuple(WORKLOADS)),
    "objects": Entry(
        "backout.mechanisms.objects.mechanism", "ObjectsMechanism", tuple(OBJECTS), tuple(CLUSTER_OBJECTS)
    ),
    "git": Entry("backout.mechanisms.git.mechanism", "GitMechanism", ("app",)),
    CUSTOMS: Entry("backout.mechanisms.customs.mechanism", "CustomsMechanism", ()),
}
OF_KIND = {kind: name for name, entry in ENTRIES.items() for kind in entry.kinds}
"""Kind of target → name of its mechanism."""


@cache
def get(name: str) -> Mechanism:
    """The mechanism of that name.

    Raises:
        RefusedError: none has it.
    """
    if name not in ENTRIES:
        raise RefusedError(
            "There is no way back called {name}.",
            name=name,
            expected="one of {known}",
            known=", ".join(sorted(ENTRIES)),
        )
    entry = ENTRIES[name]
    return cast("Mechanism", getattr(import_module(entry.module), entry.name)())


def every() -> Iterator[Mechanism]:
    """All of them."""
    return map(get, ENTRIES)


def of_kind(kind: str) -> Mechanism:
    """The mechanism that acts on targets of a kind (``helm``, ``deployment``, …).

    Raises:
        RefusedError: none does.
    """
    return get(name_of(kind))


def name_of(kind: str) -> str:
    """The name of the mechanism that acts on targets of a kind.

    Raises:
        RefusedError: none does.
    """
    refusing = next((name for name, entry in ENTRIES.items() if kind in entry.refused), None)
    if refusing is not None:
        return refusing
    if is_custom(kind):
        return CUSTOMS
    if kind not in OF_KIND:
        raise RefusedError(
            "There is no way back for {kind} targets.",
            kind=kind,
            expected="one of {known}",
            known=", ".join(f"{kind}/NAME" for kind in OF_KIND),
        )
    return OF_KIND[kind]


def step_kind(action: str) -> StepKind[Any]:
    """What there is to know of the steps of an action: the part before the dot is the mechanism.

    Raises:
        RefusedError: no mechanism knows that action.
    """
    if (found := known_step_kind(action)) is None:
        raise RefusedError(
            "No mechanism knows the action {action}.",
            action=action,
            hint="the plan was made by another version of Backout; make it again",
        )
    return found


def known_step_kind(action: str) -> StepKind[Any] | None:
    """The same; None for an action that this version does not know."""
    name = action.partition(".")[0]
    return get(name).step_kinds().get(action) if name in ENTRIES else None


def effect(action: str) -> Effect:
    """The effect that a step's ``action`` names.

    Raises:
        RefusedError: no mechanism knows that action.
    """
    return step_kind(action).effect


def measurement(code: str) -> Measure[Any] | None:
    """What measures a check that a mechanism asks for; None where none has one of that code."""
    return next((found for one in every() if (found := one.measurements().get(code)) is not None), None)


def checks() -> frozenset[str]:
    """The codes of all checks that mechanisms measure themselves."""
    return frozenset(code for one in every() for code in one.measurements())
