# SPDX-License-Identifier: Apache-2.0
"""A plan that came in a file, held to what a plan to the same place would be now. Reads only.

A file's hash says that it is whole, and nothing of who made it. Which risks a way back has, and what is measured after it, only the cluster
knows; a plan from a file that lacks some of that was edited, or what it was made for is not as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backout.cluster.port import ClusterReader
from backout.errors import NotFoundError, PlanChanged
from backout.mechanisms import registry
from backout.mechanisms.port import Draft, Options
from backout.model.message import few
from backout.model.part import Check, Part
from backout.model.revision import Revision
from backout.model.skip import parse_skip
from backout.model.target import ObjectRef
from backout.planning.followers import concerned

MOVING = frozenset({"custom-resource"})
"""Checks whose parameters name what operators have made until then."""


async def require_as_made_now(cluster: ClusterReader, part: Part, coming: Sequence[ObjectRef] = ()) -> None:
    """
    Raises:
        PlanChanged: it lacks a risk or a check that such a plan has.
        BackoutError: there is no such plan any more; says why.
    """
    found = await _drafted(cluster, part, coming)
    if found is None:
        return
    draft, revision = found
    asked = {risk.code for risk in part.risks if risk.needs_approval}
    told = {risk.code for risk in part.risks}
    lost = [risk.code for risk in draft.risks if risk.code not in (asked if risk.needs_approval else told)]
    if revision.goodness != "good" and "not-proven-good" not in (asked if revision.goodness == "bad" else told):
        lost.append("not-proven-good")
    measured = {_name(check) for check in part.checks}
    lost += [check.title.text for check in draft.checks if _name(check) not in measured]
    if lost:
        raise PlanChanged(
            "The plan for {target} lacks what a plan to the same revision has now: {what}.",
            target=str(part.target),
            what=few(list(dict.fromkeys(lost))),
            expected="the risks and checks that the cluster gives such a plan",
            hint="It was edited, or the cluster is not as it was. Make it again: backout plan {target} -n {namespace} --out FILE",
            namespace=part.scope.namespace,
        )


async def _drafted(cluster: ClusterReader, part: Part, coming: Sequence[ObjectRef]) -> tuple[Draft, Revision] | None:
    """The same way back, drafted anew, and its revision as it is judged now; None where that can't be found, which the steps refuse."""
    found: list[Revision] = []

    def chosen(revisions: Sequence[Revision]) -> Sequence[Revision]:
        same = [one for one in revisions if one.digest == part.revision.digest]
        found.extend(sorted(same, key=lambda one: one.number != part.revision.number)[:1])
        return found

    hooks = not any(step.params.get("no_hooks") for step in part.steps)
    skip = tuple(parse_skip(one.what) for one in part.skipped)
    options = Options(hooks=hooks, skip=skip, coming=tuple(coming), blamed=tuple(concerned(part.problems)))
    try:
        reading = await registry.get(part.mechanism).read(cluster, part.target, chosen, options)
    except NotFoundError:
        return None
    return (reading.draft(found[0]), found[0]) if found else None


def _name(check: Check) -> tuple[Any, ...]:
    params = {} if check.code in MOVING else check.params
    return check.code, str(check.target), check.target.namespace, repr(sorted(_plain(params).items()))


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """Whether something empty is said says nothing."""
    return {key: value for key, value in params.items() if value not in (None, "", [], {}, ())}
