# SPDX-License-Identifier: Apache-2.0
"""A live view of a workload: complete at the start, and watched when somebody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from backout.cluster.port import ClusterReader, Resource, WatchEvent
from backout.mechanisms.common.live import following

OBJ = {"kind": "StatefulSet", "metadata": {"name": "db", "namespace": "shop", "uid": "u"}, "spec": {"replicas": 1}}
OWNER = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u", "controller": True}
POD = {
    "metadata": {"name": "db-0", "namespace": "shop", "uid": "p", "ownerReferences": [OWNER]},
    "spec": {},
    "status": {},
}


class Reader:
    """Lists, and notes which watches are opened after that; each tells of one change."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    async def watch(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        listed: Any = OBJ if fields else POD
        yield WatchEvent("ADDED", listed)
        yield WatchEvent("SYNCED", {})
        self.opened.append(resource.plural)
        yield WatchEvent("MODIFIED", {**listed, "status": {"message": "seen"}})
        await asyncio.Event().wait()


def test_where_all_is_well_at_the_first_look_no_watch_is_opened() -> None:
    async def main() -> tuple[list[str], list[str]]:
        reader = Reader()
        async with following(cast(ClusterReader, reader), OBJ) as live:
            pods = [pod["metadata"]["name"] for pod in live.pods]
            await asyncio.sleep(0)
        return pods, reader.opened

    assert asyncio.run(main()) == (["db-0"], [])


def test_what_changes_after_that_is_seen_by_who_waits() -> None:
    async def main() -> tuple[set[str], bool, Any]:
        reader = Reader()
        async with following(cast(ClusterReader, reader), OBJ) as live:
            async with asyncio.timeout(5):
                while not (live.obj.get("status") and live.pods[0]["status"]):
                    assert await live.changed(5)
            return set(reader.opened), await live.changed(0.01), live.pods[0]["status"]

    assert asyncio.run(main()) == ({"statefulsets", "pods"}, False, {"message": "seen"})


class Broken(Reader):
    """Its watches end in an error that nobody foresaw."""

    async def watch(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        yield WatchEvent("ADDED", cast(Any, OBJ if fields else POD))
        yield WatchEvent("SYNCED", {})
        raise KeyError("metadata")


def test_who_waits_for_a_watch_that_broke_hears_of_it() -> None:
    async def main() -> None:
        async with following(cast(ClusterReader, Broken()), OBJ) as live, asyncio.timeout(5):
            while True:
                await live.changed(4)

    with pytest.raises(KeyError):
        asyncio.run(main())
