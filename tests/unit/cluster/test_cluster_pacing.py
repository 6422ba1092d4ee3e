# SPDX-License-Identifier: Apache-2.0
"""How hard one server is asked by all that reach it from here, and what its ``Retry-After`` does."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from cluster_fakeapi import FakeApi, Faults
from cluster_helpers import PODS_PATH, cluster_of, fake, run, until

from backout import errors
from backout.cluster import pacing
from backout.cluster.pacing import LONGEST_HOLD, Pace, pace_of
from backout.cluster.port import PODS
from backout.cluster.slots import Slots


def test_after_the_burst_the_rate_counts() -> None:
    now = [100.0]
    pace = Pace(rate=10, burst=5, clock=lambda: now[0])
    assert [pace.reserve() for _ in range(5)] == [0.0] * 5
    assert [round(pace.reserve(), 3) for _ in range(3)] == [0.1, 0.2, 0.3]
    now[0] += 0.3
    assert round(pace.reserve(), 3) == 0.1
    now[0] += 3600  # rests do not add up to more than the burst
    assert [pace.reserve() for _ in range(5)] == [0.0] * 5
    assert pace.reserve() > 0


def test_requests_a_second_of_all_connections_to_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        api = FakeApi(Faults())
        async with api.serve():
            monkeypatch.setitem(pacing._PACES, api.url, Pace(50, 10))
            api.put(PODS_PATH, "web")
            began = time.monotonic()

            async def one() -> None:
                async with cluster_of(api) as cluster:
                    for _ in range(5):
                        await cluster.get(PODS, "web", "shop")

            await asyncio.gather(*(one() for _ in range(8)))
            assert api.requests.total() == 40
            assert time.monotonic() - began >= 0.58  # 10 at once, 30 more at 50 a second

    run(main())


def test_when_a_server_says_to_wait_all_wait() -> None:
    async def main() -> None:
        async with fake(errors=[429], retry_after=1) as (api, cluster), cluster_of(api) as other:
            api.put(PODS_PATH, "web")
            began = time.monotonic()
            first = asyncio.ensure_future(cluster.get(PODS, "web", "shop"))
            await until(lambda: pace_of(api.url)._held > began)
            await other.get(PODS, "web", "shop")
            assert time.monotonic() - began >= 1.0
            await first
            assert api.requests.total() == 3

    run(main())


def test_a_write_that_was_refused_with_503_is_not_sent_again_and_the_server_is_left_alone() -> None:
    async def main() -> None:
        async with fake(errors=[503], retry_after=1) as (api, cluster):
            api.put(PODS_PATH, "web")
            began = time.monotonic()
            with pytest.raises(errors.ServerError):
                await cluster.patch(PODS, "web", {}, "shop")
            await cluster.get(PODS, "web", "shop")
            assert time.monotonic() - began >= 1.0
            assert api.requests["PATCH", f"{PODS_PATH}/web"] == 1

    run(main())


@pytest.mark.parametrize("code", [429, 503])
def test_who_is_told_to_wait_for_too_long_does_not_ask_again(code: int) -> None:
    async def main() -> None:
        async with fake(errors=[code] * 5, retry_after=900) as (api, cluster):
            api.put(PODS_PATH, "web")
            with pytest.raises(errors.ServerError) as caught:
                await cluster.get(PODS, "web", "shop")
            assert api.requests.total() == 1
            assert caught.value.retryable
            assert "900 s" in errors.fill(caught.value.hint, caught.value.arguments)
            assert pace_of(api.url)._held - time.monotonic() <= LONGEST_HOLD

    run(main())


def test_slots_are_one_number_over_all_loops() -> None:
    slots, most, now, lock = Slots(3), [0], [0], threading.Lock()

    async def work() -> None:
        async with slots:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            await asyncio.sleep(0.01)
            with lock:
                now[0] -= 1

    async def main() -> None:
        tasks = [asyncio.ensure_future(work()) for _ in range(20)]
        await asyncio.sleep(0.005)
        tasks[-1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most[0], now[0], slots._free) == (3, 0, 3)
