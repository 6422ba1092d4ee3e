# SPDX-License-Identifier: Apache-2.0
"""Mechanisms by name, imported when they are first asked for: a command pays only for the ones it uses."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

from backout.errors import RefusedError
from backout.model.target import OBJECTS, WORKLOADS

if TYPE_CHECKING:
    from backout.mechanisms.port import Effect, Measure, Mechanism

NAMES: dict[str, tuple[str, str]] = {
    "helm": ("backout.mechanisms.helm.mechanism", "HelmMechanism"),
    "workload": ("backout.mechanisms.workload.mechanism", "WorkloadMechanism"),
    "objects": ("backout.mechanisms.objects.mechanism", "ObjectsMechanism"),
}
"""Name → module and class. The class takes no arguments: state is in the cluster."""

OF_KIND = {"helm": "helm", **dict.fromkeys(WORKLOADS, "workload"), **dict.fromkeys(OBJECTS, "objects")}
"""Kind of target → name of its mechanism."""


@cache
def get(name: str) -> Mechanism:
    """The mechanism of that name.

    Raises:
        RefusedError: none has it.
    """
    if name not in NAMES:
        raise RefusedError(
            "There is no way back called {name}.", name=name, expected="one of {known}", known=", ".join(sorted(NAMES))
        )
    module, kind = NAMES[name]
    return cast("Mechanism", getattr(import_module(module), kind)())


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
    if kind not in OF_KIND:
        raise RefusedError(
            "There is no way back for {kind} targets.",
            kind=kind,
            expected="one of {known}",
            known=", ".join(f"{kind}/NAME" for kind in OF_KIND),
        )
    return OF_KIND[kind]


def effect(action: str) -> Effect:
    """The effect that a step's ``action`` names: the part before the dot is the mechanism.

    Raises:
        RefusedError: no mechanism knows that action.
    """
    effects = get(action.partition(".")[0]).effects()
    if action not in effects:
        raise RefusedError(
            "No mechanism knows the action {action}.",
            action=action,
            hint="the plan was made by another version of Backout; make it again",
        )
    return effects[action]


def measurement(code: str) -> Measure | None:
    """What measures a check that a mechanism asks for; None where none has one of that code."""
    return next((found for name in NAMES if (found := get(name).measurements().get(code)) is not None), None)


def checks() -> frozenset[str]:
    """The codes of all checks that mechanisms measure themselves."""
    return frozenset(code for name in NAMES for code in get(name).measurements())
