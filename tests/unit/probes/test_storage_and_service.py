# SPDX-License-Identifier: Apache-2.0
"""Object storage by counts and lines; Services by what the API server's proxy says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_cluster import SmallCluster

from backout.cluster.port import ProxyAnswer
from backout.errors import AccessDenied, ObjectNotFound
from backout.probes.logs import entries
from backout.probes.objectstorage import StorageState, about_storage, storage_state
from backout.probes.programs import recognise
from backout.probes.service import Connection, connection, marker, port_of

PAGES = Path(__file__).parent / "pages"
NOW = datetime(2026, 11, 22, 23, 40, tzinfo=UTC)
STORE = {
    "metadata": {"name": "p", "namespace": "n"},
    "spec": {"containers": [{"name": "s", "image": "thanosio/thanos", "args": ["store", "--objstore.config=$(O)"]}]},
    "status": {"containerStatuses": [{"name": "s", "restartCount": 1, "state": {"running": {}}}]},
}
URL = "pods/n/p:10902/metrics"


def counts(listed: int, failed: int, got: int = 0) -> ProxyAnswer:
    text = (PAGES / "thanos-store.txt").read_text()
    for name, number in (("LISTED", listed), ("FAILED", failed), ("GOT", got)):
        text = text.replace(name, str(number))
    return ProxyAnswer(200, "text/plain", text.encode())


def storage(answers: Any, log: str = "", *, now: datetime = NOW, denied: Any = None) -> StorageState:
    async def main() -> StorageState:
        cluster = SmallCluster(answers={URL: answers}, denied=denied)
        cluster.logged["p", "s"] = log
        program = recognise(STORE["spec"], "s")
        assert program is not None
        return await storage_state(cluster, "n", STORE, "s", program, now=now, between=0.01)  # type: ignore[arg-type]

    return asyncio.run(main())


def lines(name: str) -> str:
    return (PAGES / name).read_text()


def test_requests_that_all_fail() -> None:
    found = storage(counts(3, 3), lines("thanos-store.log"))
    assert (found.state, found.by, found.operations) == ("failing", "metrics", {"iter": 3})
    assert found.message.text == "all 3 requests to the object storage failed"
    assert "iter bucket: The request signature we calculated does not match" in found.said
    assert found.at == datetime(2026, 11, 22, 23, 39, 30, 378634, UTC)


def test_failures_that_grow_and_that_do_not() -> None:
    found = storage([counts(10, 2), counts(11, 3)])
    assert found.state == "failing" and "1 of them in the last" in found.message.text
    assert storage([counts(10, 2), counts(11, 2)]).state == "failed"
    assert storage(counts(10, 2), lines("thanos-sidecar.log")).state == "failing", "a recent line"
    assert storage(counts(10, 2), lines("thanos-sidecar.log"), now=NOW + timedelta(hours=1)).state == "failed"


def test_requests_that_work_and_none_at_all() -> None:
    found = storage(counts(3, 0))
    assert (found.state, found.message.text) == ("works", "requests: 3, none failed")
    assert storage(counts(3, 0), lines("thanos-sidecar.log")).state == "works", "the container before this one failed"
    assert storage(counts(0, 0)).state == "idle"
    assert storage(counts(0, 0), lines("thanos-store.log")).state == "failing", "of the container before this one"


def test_by_the_log_alone() -> None:
    refused = ProxyAnswer(503, refusal="error trying to reach service: no route")
    found = storage(refused, lines("thanos-sidecar.log"))
    assert (found.state, found.by, found.said) == ("failing", "log", "check exists: stat s3 object: Access Denied.")
    assert storage(refused, lines("thanos-sidecar.log"), now=NOW + timedelta(hours=1)).state == "failed"
    assert storage(refused).state == "unknown"
    good = 'ts=2026-11-22T23:39:59.1Z level=info msg="bucket store ready" init_duration=1s'
    found = storage(refused, f"{lines('thanos-store.log')}\n{good}")
    assert (found.state, found.by) == ("works", "log") and "bucket store ready" in found.message.text
    assert storage(refused, f"{good}\n{lines('thanos-store.log')}").state == "failing"
    assert storage(refused, denied={"logs": AccessDenied("no")}).state == "unknown"


def test_lines_about_storage() -> None:
    good = 'level=warn ts=2020-01-01T00:00:00Z err="{}"'
    for words in (
        "upload 01F: upload debug meta file: upload s3 object: Access Denied",
        "failed to sync 53 blocks",
        "download meta.json: get file: Access Denied",
        "bucket store initial sync: sync block: x",
    ):
        assert all(about_storage(entry) for entry in entries(good.format(words)))
    for line in (good.format("no such tenant"), 'level=info msg="bucket store ready"'):
        assert not any(about_storage(entry) for entry in entries(line))


SERVICE = {
    "metadata": {"name": "web", "namespace": "n"},
    "spec": {
        "selector": {"app": "web"},
        "ports": [
            {"name": "http", "port": 80},
            {"name": "udp", "port": 53, "protocol": "UDP"},
            {"name": "https", "port": 443},
        ],
    },
}


def connected(answers: dict[str, Any], port: Any = "http", service: Any = None) -> Connection:
    async def main() -> Connection:
        cluster: Any = SmallCluster(answers=answers)
        return await connection(cluster, "n", service or SERVICE, port)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "state", "status"),
    [
        (ProxyAnswer(200, "text/html", b"<title>Hi</title>"), "answers", 200),
        (ProxyAnswer(503, "text/plain", b"starting"), "answers", 503),
        (ProxyAnswer(503, refusal='no endpoints available for service "web"'), "no-endpoints", 0),
        (ProxyAnswer(503, refusal="…: dial tcp 1.2.3.4:80: connect: connection refused"), "refused", 0),
        (
            ProxyAnswer(
                503, refusal='…: net/http: HTTP/1.x transport connection broken: malformed HTTP response "\\x00"'
            ),
            "answers",
            0,
        ),
        (ProxyAnswer(503, refusal="…: dial tcp 1.2.3.4:80: i/o timeout"), "unreachable", 0),
        (ProxyAnswer(503, refusal="…: EOF"), "unreachable", 0),
        (ProxyAnswer(0, refusal="no whole answer within 5 s"), "unreachable", 0),
        (AccessDenied("You may not get services/proxy."), "unreachable", 0),
        (ObjectNotFound('endpoints "web" not found'), "no-endpoints", 0),
    ],
)
def test_what_a_connection_is(answer: Any, state: str, status: int) -> None:
    found = connected({"services/n/web:http/": answer})
    assert (found.state, found.status) == (state, status)


def test_ports_that_cannot_be_asked() -> None:
    assert connected({}, "udp").state == "unreachable"
    assert connected({}, 99).state == "no-endpoints"
    for spec in ({"type": "ExternalName", "ports": [{"port": 80}]}, {"ports": [{"port": 80}]}):
        assert connected({}, 80, {"metadata": {"name": "web"}, "spec": spec}).state == "unreachable"
    for plain in ("server gave HTTP response to HTTPS client", "tls: first record does not look like a TLS handshake"):
        answers = [ProxyAnswer(503, refusal=f"error trying to reach service: {plain}"), ProxyAnswer(404)]
        assert connected({"services/n/web:https/": answers}, 443).status == 404, "it only looked like HTTPS"
    assert connected({"services/n/web:https/": ProxyAnswer(200)}, 443).state == "answers"


def test_ports_by_name_and_number() -> None:
    assert (port_of(SERVICE, "http") or {})["port"] == 80 and (port_of(SERVICE, 443) or {})["name"] == "https"
    assert port_of(SERVICE, "80") == port_of(SERVICE, "http") and port_of({"spec": {}}, 1) is None


def test_markers() -> None:
    assert marker(b"<html><TITLE lang=en>\n A &amp; B </title>", "text/html; charset=utf-8") == "A & B"
    assert marker(b"default backend - 404", "text/plain") == "default backend - 404"
    assert marker(b"x" * 1000, "text/plain") == "" and marker(b'{"token": "x"}', "application/json") == ""
    assert marker(b"<title>a\x1b[2Jb</title>", "text/html") == "a [2Jb"
    assert "hunter2" not in marker(b"password=hunter2", "text/plain")
    assert len(marker(b"<title>" + b"x" * 1000 + b"</title>", "text/html")) == 80
