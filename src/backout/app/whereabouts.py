# SPDX-License-Identifier: Apache-2.0
"""Where else a target may be that is not where it was looked for: in another namespace, or as another kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from backout.errors import BackoutError, NotFoundError, ObjectNotFound, ReleaseNotFound, fill
from backout.model.message import Message, few, joined, msg
from backout.model.target import OBJECTS, WORKLOADS, Target

if TYPE_CHECKING:
    from backout.cluster.port import ClusterReader

SHOWN = 3


@asynccontextmanager
async def sought(cluster: ClusterReader, target: Target) -> AsyncIterator[None]:
    """What is not found inside is told with where else one may look for it.

    Raises:
        NotFoundError: the same, with that hint.
    """
    try:
        yield
    except (ObjectNotFound, ReleaseNotFound) as error:
        raise await _with_hint(cluster, target, error) from error


async def _with_hint(cluster: ClusterReader, target: Target, error: NotFoundError) -> NotFoundError:
    places, others = await asyncio.gather(_everywhere(cluster, target), _as_other_kinds(cluster, target))
    if places is not None and target.namespace in places:
        # It is there: what was not found is something else.
        return error
    told: list[Message] = []
    if places:
        names = few(sorted(places), SHOWN)
        told.append(msg("There is {target} in namespace {names}: say so with -n.", target=str(target), names=names))
    if others:
        told.append(msg("There is {others} here.", others=few(others, SHOWN)))
    if places is None:
        told.append(msg("Other namespaces may not be looked at: name one with -n, another cluster with --context."))
    elif not told:
        told.append(
            msg(
                "Nothing of that name was found elsewhere on {cluster}: -n and --context say where to look.",
                cluster=cluster.name,
            )
        )
    if error.hint:
        told.append(Message(fill(error.hint, error.arguments), error.hint, error.arguments))
    found: NotFoundError = type(error)(
        error.template,
        expected=error.expected,
        found=error.found,
        hint="{whereabouts}",
        **{**error.arguments, "whereabouts": joined(told, " ")},
    )
    return found


async def _everywhere(cluster: ClusterReader, target: Target) -> set[str] | None:
    """The namespaces that hold the target; None where that may not be asked."""
    try:
        return await _namespaces_of(cluster, target.kind, target.name, "")
    except BackoutError:
        return None


async def _as_other_kinds(cluster: ClusterReader, target: Target) -> list[str]:
    """What else has that name in the namespace, as far as it may be read."""

    async def there(kind: str) -> str:
        try:
            found = await _namespaces_of(cluster, kind, target.name, target.namespace)
        except BackoutError:
            return ""
        return str(Target(kind, target.name)) if found else ""

    kinds = [kind for kind in ("helm", *WORKLOADS, *OBJECTS) if kind != target.kind]
    return [text for text in await asyncio.gather(*map(there, kinds)) if text]


async def _namespaces_of(cluster: ClusterReader, kind: str, name: str, namespace: str) -> set[str]:
    """Where there is a release or an object of that kind and name, by metadata alone: in one namespace, or (empty) in any."""
    from backout.cluster.port import CONFIGMAPS, SECRETS
    from backout.kube.projections import Bare
    from backout.kube.resources import OBJECT_RESOURCES, WORKLOAD_RESOURCES

    labels, fields = "", f"metadata.name={name}"
    if kind == "helm":
        labels, fields, resources = f"owner=helm,name={name}", "", [SECRETS, CONFIGMAPS]
    elif kind in WORKLOADS:
        resources = [WORKLOAD_RESOURCES[WORKLOADS[kind]]]
    elif kind in OBJECTS:
        resources = [OBJECT_RESOURCES[OBJECTS[kind][1]]]
    else:
        plain, _, group = kind.partition(".")
        served = [one.resource for one in (await cluster.catalogue()).kinds]
        resources = [one for one in served if one.group == group and plain in (one.kind.lower(), one.plural)]
    found = await asyncio.gather(
        *(
            cluster.list_as(Bare, resource, namespace, labels=labels, fields=fields, metadata_only=True)
            for resource in resources
        )
    )
    return {obj.metadata.namespace for objects in found for obj in objects}
