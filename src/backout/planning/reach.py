# SPDX-License-Identifier: Apache-2.0
"""Holds a plan to where it may act, object by object, before anything is written. Pure.

The parameters of steps and compensations are read as their actions declare them, and each object that they write must be
in the namespace of the plan, or be named by its diff (a release may hold objects elsewhere). In a namespace that is
protected by policy nothing is written, but for what the diff names there, and only with a yes to just that: charts keep
Services for the control plane in kube-system. What a step learns only when it runs (the manifest of a release) is held to the same
reach then. A hash says that a plan is whole, and nothing of who made it: a plan that was edited and sealed again meets all of this.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from backout.errors import PlanChanged, RefusedError
from backout.mechanisms import registry
from backout.model.message import few, msg
from backout.model.part import Part, Risk, Step
from backout.model.target import ObjectRef, Target

PROTECTED = "protected"
"""The code of the risk, which is what is approved."""


def protected_risks(part: Part, protected: Collection[str]) -> tuple[Risk, ...]:
    """What the part would change in protected namespaces other than its own."""
    found = [change.ref for change in part.changes.effective if change.ref.namespace in protected]
    found = [ref for ref in found if ref.namespace and ref.namespace != part.scope.namespace]
    if not found:
        return ()
    return (
        Risk(
            code=PROTECTED,
            needs_approval=True,
            message=msg(
                "It has objects in namespaces that are protected by policy, and would change them: {objects}.",
                objects=few([f"{ref} ({ref.namespace})" for ref in found]),
            ),
        ),
    )


class Reach:
    """Where the steps of one part may write. A plan that was edited and sealed again is held to it just the same."""

    def __init__(self, part: Part, protected: Collection[str] = ()) -> None:
        self._namespace = part.scope.namespace
        self._protected = protected
        self._named = {_plain(change.ref) for change in part.changes.objects}
        yes = any(risk.code == PROTECTED and risk.needs_approval for risk in part.risks)
        self._asked = yes and self._namespace not in protected

    def require(self, refs: Iterable[ObjectRef], step: str) -> None:
        """
        Raises:
            RefusedError: one of them is protected, or neither in the namespace nor named by the plan's changes.
        """
        for ref in refs:
            if not (self._asked and _plain(ref) in self._named):
                _require_unprotected(ref, self._protected)
            if ref.namespace != self._namespace and _plain(ref) not in self._named:
                raise RefusedError(
                    "The step {step} would write {object} in {other}, outside of the plan's namespace.",
                    step=step,
                    object=str(ref),
                    other=msg("namespace {namespace}", namespace=ref.namespace)
                    if ref.namespace
                    else "the whole cluster",
                    expected="objects of namespace {namespace}, and those that the plan's changes name",
                    namespace=self._namespace,
                    hint="The plan was edited, it seems. Make it again.",
                )

    def require_changes(self, part: Part) -> None:
        """
        Raises:
            RefusedError: one of the plan's changes is in a protected namespace, without a question for it.
        """
        if self._namespace in self._protected:
            raise RefusedError(
                "The namespace {namespace} is protected by policy.",
                namespace=self._namespace,
                hint="policy.protected in the configuration lists the protected namespaces.",
            )
        if not self._asked:
            for change in part.changes.effective:
                _require_unprotected(change.ref, self._protected)


def hold(part: Part, protected: Collection[str] = ()) -> None:
    """
    Raises:
        PlanChanged: parameters are not those that an action takes, or a name is none.
        RefusedError: an action is not known, or an object is out of reach.
    """
    reach = Reach(part, protected)
    _require_name(part.scope.namespace, _NAMESPACE)
    _require_here(part, part.target, "")
    reach.require_changes(part)
    for step in part.steps:
        _require_here(part, step.target, step.id)
        refs = list(written(step))
        for ref in refs:
            _require_name(ref.name, _NAME)
            _require_name(ref.namespace, _NAMESPACE)
        reach.require(refs, step.id)


_NAMESPACE = re.compile(r"(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)?")
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.:]{0,251}[A-Za-z0-9])?")
"""Of objects (kubernetes apimachinery pkg/api/validation/path: no "/", no "%", not ".."), and never like an option."""


def _require_name(name: str, form: re.Pattern[str]) -> None:
    """What leads elsewhere in a path, or is an option of a program, is no name."""
    if form.fullmatch(name) is None:
        raise PlanChanged(
            "{name} is no name of an object.",
            name=name[:80] or '""',
            hint="The plan was edited, it seems. Make it again.",
        )


def _require_here(part: Part, target: Target, step: str) -> None:
    """A step acts on what its target names; nothing of one scope acts in another."""
    _require_name(target.name, _NAME)
    here = part.scope.namespace, part.target.cluster
    if (target.namespace, target.cluster) != here:
        raise RefusedError(
            "The plan acts on {target} in {other}, outside of its own namespace.",
            target=str(target),
            other=msg("namespace {namespace}", namespace=target.namespace),
            step=step,
            expected="targets in namespace {namespace} of the same cluster",
            namespace=part.scope.namespace,
            hint="The plan was edited, it seems. Make it again.",
        )


def written(step: Step) -> Iterable[ObjectRef]:
    """The objects that a step writes, destroys, or writes again when it is taken back.

    Raises:
        PlanChanged: its parameters speak of something else than its target.
    """
    yield from _of(step.action, step.target, step.params)
    yield from step.destroys
    if (back := step.compensation) is not None:
        yield from _of(back.action, step.target, back.params)


def _of(action: str, target: Target, params: dict[str, Any]) -> Iterable[ObjectRef]:
    kind = registry.step_kind(action)
    if not kind.speaks_of(target, kind.read(action, params)):
        raise PlanChanged(
            "The parameters of {name} speak of something else than {target}.",
            name=action,
            target=str(target),
            hint="The plan was edited, it seems. Make it again.",
        )
    return kind.objects(action, target, params)


def _require_unprotected(ref: ObjectRef, protected: Collection[str]) -> None:
    if ref.namespace and ref.namespace in protected:
        raise RefusedError(
            "{object} is in namespace {namespace}, which is protected by policy.",
            object=str(ref),
            namespace=ref.namespace,
            hint="policy.protected in the configuration lists the protected namespaces.",
        )


def _plain(ref: ObjectRef) -> tuple[str, str, str]:
    return ref.kind, ref.namespace, ref.name
