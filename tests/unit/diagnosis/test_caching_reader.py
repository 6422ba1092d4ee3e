# SPDX-License-Identifier: Apache-2.0
"""One diagnosis reads the same thing once."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
import pytest

from backout.cluster.port import PODS, ClusterReader
from backout.diagnosis.evidence.caching_reader import CachingReader
from backout.errors import AccessDenied


class Meta(msgspec.Struct):
    name: str


class Counting:
    """Counts what it is asked; each answer takes a turn of the loop."""

    name = context = "cluster-01"
    kubeconfig = ""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.error = error

    async def list_as(self, shape: Any, resource: Any, namespace: str = "", **selectors: Any) -> list[Any]:
        self.asked.append((namespace, selectors["labels"]))
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return [Meta(f"{namespace}-web")]


def caching(behind: Counting) -> CachingReader:
    return CachingReader(cast(ClusterReader, behind))


def test_the_same_question_is_asked_once_also_when_asked_at_the_same_time() -> None:
    behind = Counting()

    async def main() -> None:
        async with caching(behind) as cluster:
            first, second = await asyncio.gather(*(cluster.list_as(Meta, PODS, "shop") for _ in range(2)))
            first.clear()
            assert [meta.name for meta in second] == ["shop-web"]
            assert await cluster.list_as(Meta, PODS, "shop") == second

    asyncio.run(main())
    assert behind.asked == [("shop", "")]


def test_another_question_is_another_one() -> None:
    behind = Counting()

    async def main() -> None:
        async with caching(behind) as cluster:
            await cluster.list_as(Meta, PODS, "shop")
            await cluster.list_as(Meta, PODS, "bank")
            await cluster.list_as(Meta, PODS, "shop", labels="app=web")
            assert cluster.name == "cluster-01"

    asyncio.run(main())
    assert behind.asked == [("shop", ""), ("bank", ""), ("shop", "app=web")]


def test_everybody_who_asks_gets_the_error() -> None:
    behind = Counting(AccessDenied("No."))

    async def main() -> None:
        async with caching(behind) as cluster:
            for _ in range(2):
                with pytest.raises(AccessDenied):
                    await cluster.list_as(Meta, PODS, "shop")

    asyncio.run(main())
    assert len(behind.asked) == 1


def test_one_who_stops_waiting_does_not_take_the_answer_from_the_others() -> None:
    async def main() -> None:
        async with caching(Counting()) as cluster:
            impatient = asyncio.create_task(cluster.list_as(Meta, PODS, "shop"))
            patient = asyncio.create_task(cluster.list_as(Meta, PODS, "shop"))
            await asyncio.sleep(0)
            impatient.cancel()
            assert [meta.name for meta in await patient] == ["shop-web"]

    asyncio.run(main())
