# SPDX-License-Identifier: Apache-2.0
"""One operation out of what was planned for each of several clusters: its parts, its waves, and who has none. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from backout.errors import RefusedError, UsageError
from backout.model.fleet import Fleet, NotPlanned
from backout.model.message import joined
from backout.model.operation import Operation
from backout.model.part import Part
from backout.model.settings import FleetSettings
from backout.planning.document import seal
from backout.planning.needs import require_before, with_needs
from backout.planning.waves import waves_of

NAMED = 5
"""So many clusters are named in an error."""


def over_clusters(
    plans: Sequence[Operation],
    clusters: Mapping[str, Mapping[str, str]],
    settings: FleetSettings,
    not_planned: Sequence[NotPlanned] = (),
    *,
    exact: bool = False,
    after: Sequence[str] = (),
) -> Operation:
    """The sealed operation of all parts of ``plans``, each with its own revision; ``clusters``: name → labels, in the order of
    the waves; ``exact``: each wave must have a cluster; ``after``: what the user says of the order, as `planning.needs` takes it.

    Raises:
        UsageError: the waves or the order don't fit, or two names lead to one cluster.
    """
    parts = _parts(plans, list(clusters))
    _require_apart(parts)
    parts = with_needs(parts, after)
    there = {part.scope.cluster for part in parts}
    asked = tuple(str(wave) for wave in settings.waves)
    fleet = Fleet(
        waves=waves_of(asked, {name: labels for name, labels in clusters.items() if name in there}, parts, exact=exact),
        parallel=settings.parallel,
        max_failures=settings.max_failures,
        on_failure=settings.on_failure,
        soak=settings.gate.soak,
        deadline=settings.deadline,
        unplanned=settings.unplanned,
        not_planned=tuple(not_planned),
    )
    require_before(fleet, parts)
    skipped = tuple(dict.fromkeys(one for plan in plans for one in plan.skipped))
    made_at = max(plan.made_at for plan in plans)
    return seal(Operation(made_at=made_at, parts=parts, fleet=fleet, skipped=skipped))


def require_planned(operation: Operation) -> None:
    """Holds an operation to its own policy for what has no part in it.

    Raises:
        RefusedError: something that was meant could not be planned, and the others were not to go on without it.
    """
    fleet = operation.fleet
    if fleet is None or fleet.unplanned == "skip" or not fleet.missing:
        return
    names = list(dict.fromkeys(one.cluster for one in fleet.missing))
    raise RefusedError(
        "For {count} clusters there is no plan, and nothing goes on without them: {names}.",
        count=len(names),
        names=", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else ""),
        why=joined(one.why for one in fleet.missing[:NAMED]),
        found="{why}",
        hint="Mend that and plan again; or plan with --unplanned skip, and the others go on without them.",
    )


def newcomers(operation: Operation, clusters: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Those of ``clusters`` (name → labels, as they are now) that an operation knows nothing of, and that have all the labels which its
    own have in common: whoever joined since is not added to it, and nobody must think that it was."""
    fleet = operation.fleet
    own = [set(clusters[name].items()) for name in operation.clusters if name in clusters]
    if fleet is None or not own:
        return ()
    known = {*operation.clusters, *(one.cluster for one in fleet.not_planned)}
    common = set.intersection(*own)
    return tuple(name for name, labels in clusters.items() if name not in known and common <= set(labels.items()))


def _parts(plans: Sequence[Operation], order: Sequence[str]) -> tuple[Part, ...]:
    """Each with an id that is its own among all clusters, cluster after cluster."""
    found: dict[str, Part] = {}
    for plan in plans:
        named = {part.id: _id(part, found) for part in plan.parts}
        for part in plan.parts:
            needs = tuple(named[need] for need in part.needs)
            # Two targets may have led to one object: it goes back once.
            found.setdefault(named[part.id], msgspec.structs.replace(part, id=named[part.id], needs=needs))
    return tuple(sorted(found.values(), key=lambda part: order.index(part.scope.cluster)))


def _id(part: Part, taken: Mapping[str, Part]) -> str:
    """``cluster/kind/name``; with the namespace where another one has a target of that name."""
    name = f"{part.scope.cluster}/{part.id}"
    if name in taken and taken[name].scope.namespace != part.scope.namespace:
        return f"{part.scope.cluster}/{part.scope.namespace}/{part.id}"
    return name


def _require_apart(parts: Sequence[Part]) -> None:
    """
    Raises:
        UsageError: two names lead to one cluster, which would go back twice at once.
    """
    seen: list[Part] = []
    for part in parts:
        for other in seen:
            if part.scope.cluster != other.scope.cluster and part.scope.identity.same_as(other.scope.identity):
                raise UsageError(
                    "{one} and {other} lead to the same cluster.",
                    one=other.scope.cluster,
                    other=part.scope.cluster,
                    expected="each cluster once",
                    hint="Leave one of the names out.",
                )
        if all(part.scope.cluster != other.scope.cluster for other in seen):
            seen.append(part)
