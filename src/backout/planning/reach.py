# SPDX-License-Identifier: Apache-2.0
"""Holds a plan to where it may act, object by object, before anything is written. Pure.

The parameters of steps and compensations are read as their actions declare them, and each object that they write must be
in the namespace of the plan, or be named by its diff (a release may hold objects elsewhere). In a namespace that is
protected by policy nothing is written, but for what the diff names there, and only with a yes to just that: charts keep
Services for the control plane in kube-system.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from backout.errors import RefusedError
from backout.mechanisms import registry
from backout.model.message import few, msg
from backout.model.part import Part, Risk, Step
from backout.model.target import ObjectRef

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


def hold(part: Part, protected: Collection[str] = ()) -> None:
    """
    Raises:
        PlanChanged: parameters are not those that an action takes.
        RefusedError: an action is not known, or an object is out of reach.
    """
    namespace = part.scope.namespace
    named = {_plain(change.ref) for change in part.changes.objects}
    asked = any(risk.code == PROTECTED and risk.needs_approval for risk in part.risks) and namespace not in protected
    for change in part.changes.effective:
        if not asked:
            _require_unprotected(change.ref, protected)
    for step in part.steps:
        for ref in _written(step):
            if not (asked and _plain(ref) in named):
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
