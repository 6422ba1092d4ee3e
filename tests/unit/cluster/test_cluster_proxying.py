# SPDX-License-Identifier: Apache-2.0
"""Answers that come through the API server: whose they are, how long they may be and take."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cluster_fakeapi import status
from cluster_helpers import run

from backout import errors
from backout.cluster.client import KubernetesCluster
from backout.cluster.kubeconfig import Connection
from backout.cluster.port import ProxyAnswer
from backout.cluster.wire import CONNECTIONS

PATH = "/api/v1/namespaces/shop/pods/web:80/proxy"
Reply = Callable[[str, dict[str, str]], bytes | None]


def http(code: int, body: bytes | dict[str, Any], kind: str = "text/plain", **headers: str) -> bytes:
    if isinstance(body, dict):
        body, kind = json.dumps(body).encode(), "application/json"
    lines = [f"HTTP/1.1 {code} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def served(*replies: bytes | Reply | None) -> AsyncIterator[tuple[list[str], KubernetesCluster]]:
    """A server whose answers come in turn, the last for ever; None resets, and empty bytes are silence."""
    seen: list[str] = []
    writers: list[asyncio.StreamWriter] = []
    tasks: list[asyncio.Task[None]] = []

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        tasks.append(asyncio.current_task())  # type: ignore[arg-type]
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            lines = head.split("\r\n")
            target = lines[0].split(" ")[1]
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)}
            seen.append(target)
            reply = replies[min(len(seen), len(replies)) - 1]
            answer = reply(target, headers) if callable(reply) else reply
            if answer is None:
                writer.transport.abort()
                return
            writer.write(answer)

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with KubernetesCluster(Connection(context="fake", server=f"http://127.0.0.1:{port}")) as cluster:
            yield seen, cluster
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*tasks)


def asked(*replies: bytes | Reply | None, path: str = "/", **more: Any) -> tuple[ProxyAnswer, list[str]]:
    found: list[tuple[ProxyAnswer, list[str]]] = []

    async def main() -> None:
        async with served(*replies) as (seen, cluster):
            found.append((await cluster.proxied("pods", "web", "shop", 80, path, **more), seen))

    run(main())
    return found[0]


def test_a_programs_answer_is_passed_on_whatever_its_status() -> None:
    for code, kind in (
        (200, "text/html"),
        (302, "text/html"),
        (404, "text/plain"),
        (401, "text/plain"),
        (500, "application/json"),
        (403, "text/html"),
        (503, "text/plain"),
    ):
        answer, seen = asked(http(code, b"<p>hello</p>", kind, Location="http://elsewhere.example/"))
        assert answer == ProxyAnswer(code, kind, b"<p>hello</p>")
        assert seen == [f"{PATH}/"]


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (503, "ServiceUnavailable", 'no endpoints available for service "web"'),
        (503, "ServiceUnavailable", "error trying to reach service: dial tcp 10.0.0.1:80: connect: connection refused"),
        (502, "BadGateway", "error trying to reach service: EOF"),
        (400, "BadRequest", "address not allowed"),
        (500, "InternalError", "tls: failed"),
    ],
)
def test_the_api_servers_own_answer_is_a_refusal(code: int, reason: str, words: str) -> None:
    answer, _ = asked(http(code, status(code, reason, words)))
    assert answer.refusal == words


def test_a_refusal_in_plain_text_is_not_the_programs() -> None:
    answer, _ = asked(http(403, b"resolve_deny: denied destination"))
    assert answer.refusal.startswith("403 in plain text") and "resolve_deny" not in answer.refusal


def test_rights_and_absence_are_errors_of_the_house() -> None:
    message = 'pods "web:80" is forbidden: User "eve" cannot get resource "pods/proxy" in API group ""'
    with pytest.raises(errors.AccessDenied, match="You may not get pods/proxy web in namespace shop"):
        asked(http(403, status(403, "Forbidden", message)))
    with pytest.raises(errors.ObjectNotFound):
        asked(http(404, status(404, "NotFound", 'pods "web" not found')))
    with pytest.raises(errors.TokenExpired):
        asked(http(401, status(401, "Unauthorized", "Unauthorized")))
    # A program that speaks as an API server does, about something else.
    answer, _ = asked(http(404, status(404, "NotFound", 'bears "paddington" not found')))
    assert (answer.status, answer.refusal) == (404, "")


def test_a_body_is_cut_at_the_limit() -> None:
    answer, _ = asked(http(200, b"x" * 5000), limit=1000)
    assert (answer.body, answer.truncated) == (b"x" * 1000, True)
    answer, _ = asked(http(200, b"x" * 1000), limit=1000)
    assert (len(answer.body), answer.truncated) == (1000, False)


def test_nothing_is_decompressed() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)

    def reply(_: str, headers: dict[str, str]) -> bytes:
        assert headers["accept-encoding"] == "identity"
        return http(200, bomb, Content_Encoding="gzip")

    answer, _ = asked(reply)
    assert answer.body == bomb


def test_a_deadline_ends_silence_and_drops() -> None:
    answer, _ = asked(b"", timeout=0.3)
    assert answer.refusal == "no whole answer within 0.3 s"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"
    answer, _ = asked(head, timeout=0.3)
    assert answer.refusal == "no whole answer within 0.3 s"


def test_a_lost_connection_is_tried_once_more() -> None:
    answer, seen = asked(None, http(200, b"ok"))
    assert (answer.status, len(seen)) == (200, 2)
    answer, seen = asked(None)
    assert (answer.refusal, len(seen)) == ("the answer was cut off", 2)


def test_an_api_server_that_is_not_there_is_an_error() -> None:
    async def main() -> None:
        async with KubernetesCluster(Connection(context="fake", server="http://127.0.0.1:9")) as cluster:
            with pytest.raises(errors.ClusterUnreachable):
                await cluster.proxied("pods", "web", "shop", 80)

    run(main())


@pytest.mark.parametrize(
    "path", ["/../../../secrets/x", "/a/..", "/%2e%2e/x", "/a/%252e%252e/x", "/.", "/a/..\\b", "no-slash", ""]
)
def test_no_path_leads_out_of_the_proxy(path: str) -> None:
    answer, seen = asked(http(200, b"ok"), path=path)
    assert answer.refusal and not seen


def test_names_paths_and_queries_are_data() -> None:
    answer, seen = asked(http(200, b"ok"), path="/a b/é?q=1&x=#frag")
    assert answer.status == 200 and seen == [f"{PATH}/a%20b/%C3%A9?q=1&x=%23frag"]

    async def main() -> None:
        async with served(http(200, b"ok")) as (targets, cluster):
            await cluster.proxied("services", "a/../b", "n/s", "p?", scheme="https")
            assert targets == ["/api/v1/namespaces/n%2Fs/services/https:a%2F..%2Fb:p%3F/proxy/"]

    run(main())


def test_deadlines_leave_no_connection_behind() -> None:
    """More of them than the pool has connections."""

    def reply(target: str, _: dict[str, str]) -> bytes:
        return http(200, b"ok") if target.endswith("/good") else b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"

    async def main() -> None:
        async with served(reply) as (_, cluster):
            slow = [cluster.proxied("pods", "web", "shop", 80, "/slow", timeout=0.2) for _ in range(CONNECTIONS + 10)]
            assert all(answer.refusal for answer in await asyncio.gather(*slow))
            good = await asyncio.gather(*(cluster.proxied("pods", "web", "shop", 80, "/good") for _ in range(20)))
            assert {answer.body for answer in good} == {b"ok"}

    run(main())
