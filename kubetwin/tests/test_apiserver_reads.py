# SPDX-License-Identifier: Apache-2.0
"""Lists, pages, selectors, watches, representations."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import msgspec
import pytest
from apiserver_client import CORE, Server, config_map, pod

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


async def _maps(count: int) -> Server:
    server = Server()
    for index in range(count):
        body = config_map(f"m{index}", n=str(index))
        body["metadata"]["labels"] = {"odd": str(index % 2)}
        await server.create(f"{CORE}/configmaps", body)
    return server


def _names(answer: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


def test_pages_show_one_state_even_when_it_changes() -> None:
    async def main() -> None:
        server = await _maps(5)
        first = await server.get(f"{CORE}/configmaps?limit=2")
        assert _names(first) == ["m0", "m1"] and first["metadata"]["remainingItemCount"] == 3
        await server.ask("DELETE", f"{CORE}/configmaps/m3")
        await server.create(f"{CORE}/configmaps", config_map("m2a"))
        rest = await server.get(f"{CORE}/configmaps?limit=9&continue={first['metadata']['continue']}")
        assert _names(rest) == ["m2", "m3", "m4"]
        assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    asyncio.run(main())


def test_a_page_after_compaction_is_gone_and_offers_an_inconsistent_rest() -> None:
    async def main() -> None:
        server = await _maps(4)
        first = await server.get(f"{CORE}/configmaps?limit=2")
        await server.create(f"{CORE}/configmaps", config_map("later"))
        server.api.cluster.store.compact()
        status, gone = await server.ask("GET", f"{CORE}/configmaps?limit=9&continue={first['metadata']['continue']}")
        assert (status, gone["reason"]) == (410, "Expired")
        rest = await server.get(f"{CORE}/configmaps?continue={gone['metadata']['continue']}")
        assert _names(rest) == ["m2", "m3"]

    asyncio.run(main())


def test_exact_reads_go_back_in_time() -> None:
    async def main() -> None:
        server = await _maps(2)
        version = (await server.get(f"{CORE}/configmaps"))["metadata"]["resourceVersion"]
        await server.patch(f"{CORE}/configmaps/m0", {"data": {"n": "changed"}})
        await server.ask("DELETE", f"{CORE}/configmaps/m1")
        then = await server.get(f"{CORE}/configmaps?resourceVersion={version}&resourceVersionMatch=Exact")
        assert [item["data"]["n"] for item in then["items"]] == ["0", "1"]
        status, late = await server.ask("GET", f"{CORE}/configmaps?resourceVersion=99999")
        assert (status, late["reason"]) == (504, "Timeout")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("labelSelector=odd=1", ["m1", "m3"]),
        ("labelSelector=odd!=1", ["m0", "m2"]),
        ("labelSelector=odd in (0,2)", ["m0", "m2"]),
        ("labelSelector=odd notin (0)", ["m1", "m3"]),
        ("labelSelector=!odd", []),
        ("labelSelector=odd,odd!=0", ["m1", "m3"]),
        ("labelSelector=odd>0", ["m1", "m3"]),
        ("fieldSelector=metadata.name=m2", ["m2"]),
        ("fieldSelector=metadata.name!=m2,metadata.namespace=default", ["m0", "m1", "m3"]),
    ],
)
def test_selectors(query: str, expected: list[str]) -> None:
    async def main() -> None:
        server = await _maps(4)
        assert _names(await server.get(f"{CORE}/configmaps?{query}")) == expected

    asyncio.run(main())


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("labelSelector=a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        (
            "fieldSelector=data.x=1",
            '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        ("limit=abc", 'strconv.ParseInt: parsing "abc": invalid syntax'),
        ("continue=nonsense", "invalid continue token: continue key is not valid: "),
    ],
)
def test_malformed_queries_are_refused(query: str, message: str) -> None:
    async def main() -> None:
        status, answer = await Server().ask("GET", f"{CORE}/configmaps?{query}")
        assert status == 400 and answer["message"].startswith(message)

    asyncio.run(main())


def test_watch_from_a_version_and_410_after_compaction() -> None:
    async def main() -> None:
        server = await _maps(1)
        version = (await server.get(f"{CORE}/configmaps"))["metadata"]["resourceVersion"]
        await server.create(f"{CORE}/configmaps", config_map("new"))
        events = await server.watch(f"{CORE}/configmaps?watch=1&resourceVersion={version}")
        assert await events.names(1) == [("ADDED", "new")]
        await server.ask("DELETE", f"{CORE}/configmaps/new")
        kind, last = await events.next()
        current = (await server.get(f"{CORE}/configmaps"))["metadata"]["resourceVersion"]
        assert kind == "DELETED" and last["metadata"]["resourceVersion"] == current
        server.api.cluster.store.compact()
        late = await server.watch(f"{CORE}/configmaps?watch=1&resourceVersion={version}")
        kind, status = await late.next()
        assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
        assert await late.ended()

    asyncio.run(main())


def test_a_streamed_list_ends_its_initial_events_with_a_bookmark() -> None:
    async def main() -> None:
        server = await _maps(2)
        query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        events = await server.watch(f"{CORE}/configmaps?{query}")
        assert await events.names(2) == [("ADDED", "m0"), ("ADDED", "m1")]
        kind, bookmark = await events.next()
        assert kind == "BOOKMARK"
        assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert bookmark["metadata"]["resourceVersion"] == str(server.api.cluster.store.version)
        status, answer = await server.ask("GET", f"{CORE}/configmaps?watch=1&sendInitialEvents=true")
        assert status == 422 and answer["details"]["causes"][0]["field"] == "resourceVersionMatch"

    asyncio.run(main())


def test_leaving_and_entering_a_selector_are_deleted_and_added() -> None:
    async def main() -> None:
        server = await _maps(1)
        events = await server.watch(f"{CORE}/configmaps?watch=1&labelSelector=odd=1&resourceVersion=1")
        await server.patch(f"{CORE}/configmaps/m0", {"metadata": {"labels": {"odd": "1"}}})
        await server.patch(f"{CORE}/configmaps/m0", {"data": {"n": "x"}})
        await server.patch(f"{CORE}/configmaps/m0", {"metadata": {"labels": {"odd": "0"}}})
        assert [kind for kind, _ in await events.names(2)] == ["ADDED", "MODIFIED"]
        kind, last = await events.next()
        assert kind == "DELETED" and last["metadata"]["labels"] == {"odd": "1"}

    asyncio.run(main())


def test_a_watch_ends_at_its_time_limit() -> None:
    async def main() -> None:
        server = await _maps(0)
        events = await server.watch(f"{CORE}/configmaps?watch=1&timeoutSeconds=1&allowWatchBookmarks=true")
        # The end of what is there, and the version at the end.
        assert [kind for kind, _ in await events.names(2)] == ["BOOKMARK", "BOOKMARK"]
        assert await events.ended()
        assert not server.api.cluster.store.collection(("", "configmaps")).watchers

    asyncio.run(main())


def test_representations() -> None:
    async def main() -> None:
        server = await _maps(1)
        table = await server.get(f"{CORE}/configmaps", accept=TABLE)
        assert table["kind"] == "Table" and table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
        partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
        listed = await server.get(f"{CORE}/configmaps", accept=partial)
        assert listed["kind"] == "PartialObjectMetadataList" and "data" not in listed["items"][0]
        text = await server.raw("GET", f"{CORE}/configmaps/m0", accept="application/yaml")
        assert b'data:\n  n: "0"\n' in (text.body or b"")
        for refused in ("application/vnd.kubernetes.protobuf", "application/cbor"):
            status, answer = await server.ask("GET", f"{CORE}/configmaps", accept=refused)
            assert (status, answer["reason"]) == (406, "NotAcceptable")

    asyncio.run(main())


def test_objects_are_escaped_as_go_does() -> None:
    async def main() -> None:
        server = Server()
        data = {"k": "<a> & \\u003c \u2028é"}
        await server.create(f"{CORE}/configmaps", {"metadata": {"name": "a"}, "data": data})
        answer = await server.raw("GET", f"{CORE}/configmaps/a")
        assert r'"k":"\u003ca\u003e \u0026 \\u003c \u2028é"'.encode() in (answer.body or b"")
        assert (await server.get(f"{CORE}/configmaps/a"))["data"] == data

    asyncio.run(main())


def test_the_first_table_event_alone_carries_columns() -> None:
    async def main() -> None:
        server = await _maps(2)
        events = await server.watch(f"{CORE}/configmaps?watch=1", accept=TABLE)
        first, second = (await events.next())[1], (await events.next())[1]
        assert first["columnDefinitions"] and second["columnDefinitions"] is None

    asyncio.run(main())


def test_big_answers_are_compressed_for_those_who_ask() -> None:
    async def main() -> None:
        server = Server()
        await server.create(f"{CORE}/configmaps", config_map("big", text="x" * 300_000))
        packed = await server.raw("GET", f"{CORE}/configmaps", accept_encoding="gzip")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert msgspec.json.decode(gzip.decompress(packed.body or b""))["items"][0]["metadata"]["name"] == "big"

    asyncio.run(main())


def test_pods_are_selected_by_node_and_phase() -> None:
    async def main() -> None:
        server = Server()
        await server.account()
        await server.create(f"{CORE}/pods", pod("on", nodeName="n1"))
        await server.create(f"{CORE}/pods", pod("off"))
        assert _names(await server.get("/api/v1/pods?fieldSelector=spec.nodeName=n1")) == ["on"]
        assert _names(await server.get("/api/v1/pods?fieldSelector=status.phase=Pending,spec.nodeName=")) == ["off"]

    asyncio.run(main())


def test_events_are_one_in_both_groups() -> None:
    async def main() -> None:
        server = Server()
        event = {
            "metadata": {"name": "e"},
            "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
            "note": "hello",
            "reason": "Tested",
            "type": "Normal",
            "reportingController": "test",
            "reportingInstance": "test-1",
            "action": "Testing",
            "eventTime": "2026-01-01T00:00:00.000000Z",
        }
        await server.create("/apis/events.k8s.io/v1/namespaces/default/events", event)
        core = await server.get(f"{CORE}/events/e")
        assert (core["kind"], core["apiVersion"], core["message"]) == ("Event", "v1", "hello")
        assert core["involvedObject"]["name"] == "p"
        new = "/apis/events.k8s.io/v1/events?fieldSelector=regarding.name=p"
        assert [item["note"] for item in (await server.get(new))["items"]] == ["hello"]

    asyncio.run(main())


def test_aggregated_discovery_is_not_sent_twice() -> None:
    async def main() -> None:
        server = Server()
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        first = await server.raw("GET", "/apis", accept=accept)
        again = await server.raw("GET", "/apis", accept=accept, if_none_match=first.headers["ETag"])
        assert (first.status, again.status, again.body) == (200, 304, b"")
        groups = msgspec.json.decode(first.body or b"")["items"]
        autoscaling = next(g for g in groups if g["metadata"]["name"] == "autoscaling")
        assert [v["version"] for v in autoscaling["versions"]] == ["v2", "v1"]

    asyncio.run(main())
