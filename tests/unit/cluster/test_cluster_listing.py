# SPDX-License-Identifier: Apache-2.0
"""Pages, watches, discovery, reviews, identity."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from cluster_fakeapi import FakeApi, status
from cluster_helpers import PODS_PATH, fake, run, until

from backout import errors
from backout.cluster import identity
from backout.cluster.port import PODS, WatchEvent
from backout.cluster.reflector import Timing
from backout.model.part import Access
from backout.model.scope import ClusterIdentity


class Meta(msgspec.Struct):
    name: str


class Pod(msgspec.Struct):
    metadata: Meta


def test_pages_and_projections() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            for number in range(7):
                api.put(PODS_PATH, f"web-{number}", spec={"x": number})
            sizes = [len(page) async for page in cluster.pages(PODS, "shop", limit=3, labels="a=b", fields="c=d")]
            assert sizes == [3, 3, 1]
            assert api.seen[-1][2]["labelSelector"] == "a=b"
            assert api.seen[-1][2]["fieldSelector"] == "c=d"
            pods = await cluster.list_as(Pod, PODS, "shop")
            assert [pod.metadata.name for pod in pods] == [f"web-{number}" for number in range(7)]
            everything = await cluster.list_all(PODS, "shop")
            assert everything[0]["kind"] == "Pod"
            assert everything[0]["apiVersion"] == "v1"

    run(main())


@pytest.mark.parametrize("times", [1, 2, 3, 9])
def test_a_list_that_expires_starts_again_and_delivers_nothing_twice(times: int) -> None:
    async def main() -> None:
        async with fake(expire_continue=times) as (api, cluster):
            for number in range(7):
                api.put(PODS_PATH, f"web-{number}")
            names = [pod["metadata"]["name"] async for page in cluster.pages(PODS, "shop", limit=3) for pod in page]
            assert names == [f"web-{number}" for number in range(7)]
            api.faults.expire_continue = times
            assert len(await cluster.list_as(Pod, PODS, "shop")) == 7

    run(main())


async def collect(events: Any, until: Any) -> list[tuple[str, str]]:
    """Events until one of them is ``until``."""
    seen = []
    async for event in events:
        assert isinstance(event, WatchEvent)
        seen.append((event.type, event.object.get("metadata", {}).get("name", "")))
        if seen[-1] == until:
            return seen
    raise AssertionError("a watch has no end")


SYNCED = ("SYNCED", "")
QUICK = Timing(period=300, silence=0.4, patience=5)


def test_a_watch_says_what_exists_and_then_what_changes() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            api.put(PODS_PATH, "a")
            events = cluster.watch(PODS, "shop")
            assert await collect(events, SYNCED) == [("ADDED", "a"), SYNCED]
            api.put(PODS_PATH, "b")
            api.put(PODS_PATH, "a", status={"x": 1})
            api.remove(PODS_PATH, "b")
            assert await collect(events, ("DELETED", "b")) == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
            await events.aclose()

    run(main())


async def after_a_gap(api: FakeApi, cluster: Any, expected: set[tuple[str, str]]) -> None:
    """a vanishes, b is made anew, c changes and d is new while nobody watches."""
    for name in "abc":
        api.put(PODS_PATH, name)
    api.put(PODS_PATH, "same")
    events = cluster.watch(PODS, "shop")
    await collect(events, SYNCED)
    waiting = asyncio.create_task(collect(events, ("ADDED", "d")))
    await until(lambda: any(params.get("watch") for _, _, params, _, _ in api.seen))
    api.remove(PODS_PATH, "a", silently=True)
    api.remove(PODS_PATH, "b", silently=True)
    api.put(PODS_PATH, "b", metadata={"uid": "another"})
    api.put(PODS_PATH, "c", spec={})
    api.put(PODS_PATH, "d")
    api.compact()
    seen = await waiting
    assert set(seen) == expected
    assert ("ADDED", "same") not in seen
    await events.aclose()


GAP = {("DELETED", "a"), ("DELETED", "b"), ("ADDED", "b"), ("MODIFIED", "c"), ("ADDED", "d")}


def test_after_410_nothing_is_lost_and_deletions_are_made_good() -> None:
    async def main() -> None:
        async with fake(watch_half_open=1) as (api, cluster):
            await after_a_gap(api, cluster, GAP)

    run(main())


def test_a_410_within_the_stream_is_the_same() -> None:
    async def main() -> None:
        async with fake(watch_error_gone=1) as (api, cluster):
            api.put(PODS_PATH, "a")
            events = cluster.watch(PODS, "shop")
            await collect(events, SYNCED)
            waiting = asyncio.create_task(collect(events, ("ADDED", "b")))
            await until(lambda: api.requests["GET", PODS_PATH] >= 4)
            api.put(PODS_PATH, "b")
            assert await waiting == [("ADDED", "b")]
            await events.aclose()

    run(main())


def test_a_half_open_watch_is_noticed_by_its_silence() -> None:
    async def main() -> None:
        async with fake(watch_half_open=1, timing=QUICK) as (api, cluster):
            api.put(PODS_PATH, "a")
            events = cluster.watch(PODS, "shop")
            await collect(events, SYNCED)
            api.put(PODS_PATH, "b")
            async with asyncio.timeout(240):
                assert await collect(events, ("ADDED", "b")) == [("ADDED", "b")]
            # Taken up from the last position: the list was read once.
            assert sum(1 for _, _, params, _, _ in api.seen if "watch" not in params) == 1
            await events.aclose()

    run(main())


@pytest.mark.parametrize("fault", ["watch_bookmarks", "watch_half_open"])
def test_a_watch_that_brings_no_change_has_a_slow_list_beside_it(fault: str) -> None:
    async def main() -> None:
        async with fake(timing=Timing(quiet=0.3), **{fault: 1000}) as (api, cluster):
            api.put(PODS_PATH, "web-1")
            api.put(PODS_PATH, "web-2")
            task = asyncio.create_task(collect(cluster.watch(PODS, "shop"), ("ADDED", "web-3")))
            await until(lambda: api.requests["GET", PODS_PATH] >= 2)
            api.put(PODS_PATH, "web-2", spec={"a": 1})
            api.remove(PODS_PATH, "web-1")
            api.put(PODS_PATH, "web-3")
            seen = await asyncio.wait_for(task, 20)
            assert ("DELETED", "web-1") in seen and ("MODIFIED", "web-2") in seen
            # Slowly: no more than one list in each span of quiet.
            assert api.requests["GET", PODS_PATH] < 20

    run(main())


def test_a_watch_survives_resets_and_500() -> None:
    async def main() -> None:
        async with fake(watch_reset=2) as (api, cluster):
            events = cluster.watch(PODS, "shop")
            api.objects[PODS_PATH] = {}
            await collect(events, SYNCED)
            for name in "abcd":
                api.put(PODS_PATH, name)
            api.faults.errors = [500, 503]
            assert await collect(events, ("ADDED", "d")) == [("ADDED", name) for name in "abcd"]
            await events.aclose()

    run(main())


def test_a_watch_gives_up_when_access_is_taken_away() -> None:
    async def main() -> None:
        async with fake(watch_reset=1) as (api, cluster):
            api.objects[PODS_PATH] = {}
            events = cluster.watch(PODS, "shop")
            await collect(events, SYNCED)
            api.put(PODS_PATH, "a")
            await anext(events)
            api.faults.errors = [403]
            with pytest.raises(errors.AccessDenied):
                await anext(events)

    run(main())


def test_a_watch_gives_up_when_nothing_works_for_long() -> None:
    async def main() -> None:
        async with fake(watch_reset=1, timing=Timing(patience=0.5)) as (api, cluster):
            api.objects[PODS_PATH] = {}
            events = cluster.watch(PODS, "shop")
            await collect(events, SYNCED)
            api.put(PODS_PATH, "a")
            await anext(events)
            api.faults.errors = [500] * 100
            with pytest.raises(errors.ServerError):
                await anext(events)

    run(main())


def test_a_watch_can_be_projected() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            api.put(PODS_PATH, "a", spec={"much": "data"})
            events = cluster.watch_as(Pod, PODS, "shop")
            assert await anext(events) == ("ADDED", Pod(Meta("a")))  # type: ignore[call-overload]
            assert await anext(events) == ("SYNCED", None)  # type: ignore[call-overload]

    run(main())


def test_kinds_are_found_by_their_group_only() -> None:
    resources = [
        {"name": "things", "kind": "Thing", "namespaced": True},
        {"name": "things/status", "kind": "Thing", "namespaced": True},
        {"name": "zones", "kind": "Zone", "namespaced": False},
    ]
    answers = {
        ("GET", "/apis/example.dev/v1"): (200, {"kind": "APIResourceList", "resources": resources}),
        ("GET", "/apis/broken.dev/v1"): (503, status(503, "ServiceUnavailable", "down")),
    }

    async def main() -> None:
        async with fake(answers=answers) as (api, cluster):
            assert await cluster.resource("v1", "Pod") == PODS
            assert api.requests.total() == 0
            thing = await cluster.resource("example.dev/v1", "Thing")
            assert (thing.plural, thing.namespaced, thing.group) == ("things", True, "example.dev")
            assert not (await cluster.resource("example.dev/v1", "Zone")).namespaced
            assert api.requests.total() == 1
            for version, kind in (("example.dev/v1", "Gone"), ("gone.dev/v1", "Gone"), ("v1", "Gone")):
                with pytest.raises(errors.ObjectNotFound, match="does not serve the kind Gone"):
                    await cluster.resource(version, kind)
            with pytest.raises(errors.ServerError):
                await cluster.resource("broken.dev/v1", "Gone")

    run(main())


def test_rights_are_asked_in_parallel_and_each_once() -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

    async def main() -> None:
        answers = {("POST", path): (201, {"status": {"allowed": False, "reason": "no"}})}
        async with fake(answers=answers) as (api, cluster):
            wanted = [
                Access("get", "", "pods/log", "shop"),
                Access("get", "apps", "deployments"),
                Access("get", "", "pods/log", "shop"),
            ]
            found = await cluster.may(wanted)
            assert [answer.access for answer in found] == wanted
            assert not found[0].allowed
            assert found[0].reason == "no"
            assert api.requests["POST", path] == 2
            asked = [body["spec"]["resourceAttributes"] for _, _, _, _, body in api.seen]
            assert {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "shop"} in asked

    run(main())


def test_who_the_cluster_is() -> None:
    async def main() -> None:
        path = "/api/v1/namespaces/kube-system"
        async with fake(answers={("GET", path): (200, {"metadata": {"uid": "u-1"}})}) as (api, cluster):
            found = await cluster.identity()
            assert (found.uid, found.server) == ("u-1", api.url)
            assert identity.weakness(found) is not None  # plain HTTP: no authority
            await cluster.identity()
            assert api.requests["GET", path] == 1
        denied = {("GET", path): (403, status(403, "Forbidden", "no"))}
        async with fake(answers=denied) as (_, cluster):
            with pytest.raises(errors.AccessDenied, match="can't be told from another"):
                await cluster.identity()

    run(main())


@pytest.mark.parametrize(
    ("uid", "ca", "words"), [("u", "c", ""), ("", "c", "authority alone"), ("u", "", "kube-system alone")]
)
def test_a_cluster_that_is_pinned_by_half_only_is_told(uid: str, ca: str, words: str) -> None:
    found = identity.weakness(ClusterIdentity(uid, ca, "https://x"))
    assert (found is None) == (not words)
    assert words in str(found)


def test_logs_are_bounded_text() -> None:
    async def main() -> None:
        async with fake(answers={("GET", f"{PODS_PATH}/web/log"): (200, {})}) as (api, cluster):
            assert await cluster.logs("web", "shop", "app", previous=True, tail=5) == "{}"
            assert api.seen[-1][2] == {"tailLines": "5", "limitBytes": "65536", "container": "app", "previous": "true"}

    run(main())


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_fold_keeps_only_what_is_made_of_each_page(times: int) -> None:
    async def main() -> None:
        async with fake(expire_continue=times) as (api, cluster):
            for number in range(1203):
                api.put(PODS_PATH, f"web-{number:04d}")
            found = await cluster.fold(Pod, PODS, lambda page: (len(page), page[-1].metadata.name), "shop")
            assert sum(count for count, _ in found) == 1203
            assert found[-1] == (203, "web-1202")

    run(main())


def test_metadata_alone_is_asked_for_where_that_is_enough() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            api.put(PODS_PATH, "web")
            await cluster.list_as(Pod, PODS, "shop", metadata_only=True)
            assert "as=PartialObjectMetadataList" in api.seen[-1][3]["accept"]
            await cluster.list_as(Pod, PODS, "shop")
            assert "as=" not in api.seen[-1][3]["accept"]

    run(main())
