# SPDX-License-Identifier: Apache-2.0
"""The custom resources of a namespace of which somebody is to say how they are."""

from __future__ import annotations

import asyncio

import msgspec

from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import AccessDenied, BackoutError, NotFoundError
from backout.kube.custom_status import finished
from backout.kube.definitions import answers
from backout.kube.groups import custom
from backout.kube.sanitise import controller, kind_skipped

AT_ONCE = 6


class Customs(msgspec.Struct, frozen=True, kw_only=True):
    """Those of one kind. ``answers``: somebody is to say in their status how they are; None where that is not known, since the
    kind's definition may not be read. ``error``: why they could not be listed."""

    resource: Resource
    objects: tuple[Object, ...] = ()
    answers: bool | None = False
    error: BackoutError | None = None

    def ask(self, obj: Object) -> bool:
        """True where the resource says something in its status, or is to."""
        return bool(obj.get("status")) or self.answers is not False


async def find_customs(reader: ClusterReader, namespace: str) -> list[Customs]:
    """All kinds that have a status, as far as there are any of them. What another resource makes is told by that one, and what
    ran once and has ended by nobody: both are left out.

    Raises:
        BackoutError: it is not known which kinds there are.
    """
    catalogue = await reader.catalogue()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(resource: Resource) -> Customs | None:
        async with gate:
            try:
                items = await reader.list_all(resource, namespace)
            except NotFoundError:
                return None
            except BackoutError as error:
                return Customs(resource=resource, error=error)
            found = [{**item, "apiVersion": resource.api_version, "kind": resource.kind} for item in items]
            mine = tuple(obj for obj in found if controller(obj) is None and not finished(obj))
            if not mine:
                return None
            silent = any(not obj.get("status") for obj in mine)
            return Customs(resource=resource, objects=mine, answers=await answers(reader, resource) if silent else True)

    wanted = [
        served.resource
        for served in catalogue.kinds
        if served.status
        and served.resource.namespaced
        and custom(served.resource.api_version)
        and kind_skipped(served) is None
    ]
    return [one for one in await asyncio.gather(*map(one, wanted)) if one is not None]


def denied(found: Customs) -> bool:
    """True where they may not be listed: whether there are any is not known."""
    return isinstance(found.error, AccessDenied)
