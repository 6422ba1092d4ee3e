# SPDX-License-Identifier: Apache-2.0
"""Custom resources that go along with their definition, in every namespace (kubernetes.io, "Delete a CustomResourceDefinition"). Pure.

They are named in the plan, so that the run captures them before its first write, and its undo makes them again once the
definition is back. Which there are must be known, and no more may be made until the definition goes: both are refused else.
"""

from __future__ import annotations

from backout.errors import RefusedError, TooLarge
from backout.mechanisms.common.params import ObjectParams, named
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.model.change import ObjectChange
from backout.model.message import few, msg
from backout.model.part import Risk
from backout.model.target import ObjectRef, Target

MOST = 1000
"""Custom resources that one rollback may take along: each is named in the plan, captured, and made again one by one."""


def going(analysis: Analysis) -> list[Item]:
    """Definitions that the rollback deletes, of which there are custom resources, or may be."""
    return [
        item for item in analysis.items if item.gone and not item.kept and item.live is not None and item.holds != ()
    ]


def along(analysis: Analysis) -> list[ObjectRef]:
    """The custom resources that go along with a definition."""
    return list(dict.fromkeys(ref for item in going(analysis) for ref in item.holds or ()))


def made_again(analysis: Analysis) -> list[ObjectRef]:
    """Those that Helm would not make itself, were the rollback taken back."""
    mine = {_plain(item.ref) for item in analysis.items if item.base is not None}
    return [ref for ref in along(analysis) if _plain(ref) not in mine]


def require_known(analysis: Analysis, target: Target) -> None:
    """
    Raises:
        RefusedError: which custom resources a definition would take along may not be read, so they could not be put back.
        TooLarge: they are too many.
    """
    for item in going(analysis):
        if item.holds is None:
            raise RefusedError(
                "{target} can't go back: {object} would take its custom resources of every namespace with it, and which there are "
                "may not be read, so they could not be put back.",
                target=str(target),
                object=str(item.ref),
                expected="the right to list them in all namespaces",
                found="an answer that is no list",
                hint="Keep the definition: --skip {object}. Or ask for that right.",
            )
    if len(found := along(analysis)) > MOST:
        raise TooLarge(
            "{target} can't go back: with their definitions {count} custom resources would go, of every namespace.",
            target=str(target),
            count=len(found),
            expected="no more than {most}, which can be captured and put back",
            found="{count}",
            most=MOST,
            hint="Keep the definitions: {skip}",
            skip=" ".join(f"--skip {item.ref}" for item in going(analysis)),
        )


def changes(analysis: Analysis) -> list[ObjectChange]:
    """Each of them as an object that is deleted."""
    return [
        ObjectChange(
            ref=ref,
            action="delete",
            notes=(msg("It goes with its definition {object}.", object=str(item.ref)),),
            destructive=True,
        )
        for item in going(analysis)
        for ref in item.holds or ()
    ]


def risks(analysis: Analysis) -> list[Risk]:
    """What goes along, and how much of it would come back."""
    return [
        Risk(
            code="deletes",
            needs_approval=True,
            message=msg(
                "{object} takes {count} custom resources in {spaces} namespaces with it, and what was made of them: {names}. The run "
                "captures them first; `backout undo` makes them again, without their status and with another uid.",
                object=str(item.ref),
                count=len(item.holds),
                spaces=len({ref.namespace for ref in item.holds if ref.namespace}),
                names=few([f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name for ref in item.holds]),
            ),
        )
        for item in going(analysis)
        if item.holds
    ]


def again(analysis: Analysis) -> tuple[tuple[ObjectParams, ...], tuple[ObjectParams, ...]]:
    """Of an undo: the definitions that it waits for, and the custom resources that it makes then."""
    refs = made_again(analysis)
    if not refs:
        return (), ()
    return tuple(named(item.ref) for item in going(analysis)), tuple(named(ref) for ref in refs)


def _plain(ref: ObjectRef) -> tuple[str, str, str, str]:
    return ref.api_version.partition("/")[0], ref.kind, ref.namespace, ref.name
