# SPDX-License-Identifier: Apache-2.0
"""May the user do this? Asked of the API server itself, by SelfSubjectAccessReview."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from backout.cluster.listing import decoder
from backout.cluster.port import AccessAnswer
from backout.cluster.wire import Wire, decode_failed
from backout.errors import AccessDenied
from backout.model.decoding import UNREADABLE
from backout.model.part import Access

PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
AT_ONCE = 16


class _Status(msgspec.Struct):
    allowed: bool = False
    reason: str = ""
    evaluationError: str = ""


class _Review(msgspec.Struct):
    status: _Status


async def may(wire: Wire, accesses: Sequence[Access]) -> list[AccessAnswer]:
    """The answers in the order of the questions; equal questions are asked once.

    Raises:
        AccessDenied: not even that may be asked.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(access: Access) -> AccessAnswer:
        async with gate:
            return await _ask(wire, access)

    different = list(dict.fromkeys(accesses))
    found = dict(zip(different, await asyncio.gather(*map(ask, different)), strict=True))
    return [found[access] for access in accesses]


async def _ask(wire: Wire, access: Access) -> AccessAnswer:
    resource, _, subresource = access.resource.partition("/")
    attributes = {
        "verb": access.verb,
        "group": access.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": access.namespace,
        "name": access.name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    try:
        response = await wire.request("POST", PATH, body=msgspec.json.encode(body), read_only=True)
    except AccessDenied as error:
        raise AccessDenied(
            "Which rights you have can't be asked: you may not create access reviews.",
            expected="the right to create selfsubjectaccessreviews, which every user has by the ClusterRole system:basic-user",
            found="a refusal",
            hint="Ask who looks after the cluster for that right. Without it nothing is begun, for it could stop half-way.",
        ) from error
    try:
        status = decoder(_Review).decode(response.content).status
    except UNREADABLE:
        raise decode_failed("an access review") from None
    return AccessAnswer(access, status.allowed, status.reason or status.evaluationError)
