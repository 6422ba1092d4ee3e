# SPDX-License-Identifier: Apache-2.0
"""One object, tried on the server by somebody who may write it, and by somebody who may not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from backout.cluster.port import CONFIGMAPS, AccessAnswer, Object
from backout.errors import AccessDenied
from backout.model.part import Access
from backout.model.snapshot import Entry
from backout.model.target import ObjectRef
from backout.snapshots.restore_plan import Work, plan_one


class Server:
    """Takes what is tried, from those who may."""

    def __init__(self, *, allowed: bool, denied: str = "") -> None:
        self.allowed, self.denied = allowed, denied
        self.asked: list[Access] = []
        self.tried: list[Object] = []

    async def may(self, accesses: Sequence[Access]) -> list[AccessAnswer]:
        self.asked += accesses
        return [AccessAnswer(access, self.allowed) for access in accesses]

    async def dry_run_replace(self, body: Object) -> Object:
        return await self.dry_run_create(body)

    async def dry_run_create(self, body: Object) -> Object:
        self.tried.append(body)
        if self.denied:
            raise AccessDenied(self.denied)
        return body


def planned(server: Server, *, missing: bool = False) -> Work:
    ref = ObjectRef("v1", "ConfigMap", "settings", "shop")
    meta: dict[str, Any] = {"name": "settings", "namespace": "shop"}
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1"}}
    live = {**content, "metadata": {**meta, "uid": "u", "resourceVersion": "7"}, "data": {"a": "2"}}
    entry = Entry(ref=ref, address="a", size=1)
    return asyncio.run(plan_one(server, CONFIGMAPS, entry, content, None if missing else live))  # type: ignore[arg-type]


@pytest.mark.parametrize(("missing", "verb"), [(False, "update"), (True, "create")])
def test_who_may_not_write_it_sees_the_plan_all_the_same(missing: bool, verb: str) -> None:
    server = Server(allowed=False)
    item = planned(server, missing=missing).item
    assert item.action == verb and server.tried == []
    assert server.asked == [Access(verb, "", "configmaps", "shop")]
    assert item.notes[-1].text == f"The server could not try it: you may not {verb} configmaps here."


def test_who_may_is_told_what_the_server_says() -> None:
    server = Server(allowed=True)
    item = planned(server).item
    assert item.action == "update" and len(server.tried) == 1 and item.notes == ()
    denied = planned(Server(allowed=True, denied="admission webhook says no")).item
    assert denied.action == "blocked" and "admission webhook says no" in str(denied.reason)
