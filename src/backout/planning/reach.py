# SPDX-License-Identifier: Apache-2.0
"""Holds a plan to where it may act, object by object, before anything is written. Pure.

The parameters of steps and compensations are read as their actions declare them, and each object that they write must be
in the namespace of the plan, or be named by its diff (a release may hold objects elsewhere), and never in a namespace
that is protected by policy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from backout.errors import RefusedError
from backout.mechanisms import registry
from backout.model.message import msg
from backout.model.part import Part, Step
from backout.model.target import ObjectRef


def hold(part: Part, protected: Collection[str] = ()) -> None:
    """
    Raises:
        PlanChanged: parameters are not those that an action takes.
        RefusedError: an action is not known, or an object is out of reach.
    """
    namespace = part.scope.namespace
    named = {_plain(change.ref) for change in part.changes.objects}
    for change in part.changes.effective:
        _require_unprotected(change.ref, protected)
    for step in part.steps:
        for ref in _written(step):
            _require_unprotected(ref, protected)
            if ref.namespace != namespace and _plain(ref) not in named:
                raise RefusedError(
                    "The step {step} would write {object} in {other}, outside of the plan's namespace.",
                    step=step.id,
                    object=str(ref),
                    other=msg("namespace {namespace}", namespace=ref.namespace)
                    if ref.namespace
                    else "the whole cluster",
                    expected="objects of namespace {namespace}, and those that the plan's changes name",
                    namespace=namespace,
                    hint="The plan was edited, it seems. Make it again.",
                )


def _written(step: Step) -> Iterable[ObjectRef]:
    yield from registry.step_kind(step.action).objects(step.action, step.target, step.params)
    yield from step.destroys
    if (back := step.compensation) is not None:
        yield from registry.step_kind(back.action).objects(back.action, step.target, back.params)


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
