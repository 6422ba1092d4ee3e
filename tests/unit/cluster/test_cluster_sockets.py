# SPDX-License-Identifier: Apache-2.0
"""Connections that are kept: whether one can be used again is seen as the HTTP library itself sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpcore2

from backout.cluster.kubeconfig import Connection
from backout.cluster.sockets import Backend, Stream
from backout.cluster.wire import Wire


def against(peer: Callable[[asyncio.StreamWriter, asyncio.Event], Awaitable[None]]) -> list[tuple[bool, bool]]:
    """Whether there is something to read, by our stream and by the library's own, at each step of a peer."""

    async def main() -> list[tuple[bool, bool]]:
        go = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await go.wait()
            await peer(writer, go)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            stream = await Backend().connect_tcp("127.0.0.1", port, timeout=5)
            assert isinstance(stream, Stream)
            inner = stream._inner
            seen = [_both(stream, inner)]
            go.set()
            async with asyncio.timeout(5):
                while not stream.get_extra_info("is_readable"):  # noqa: ASYNC110 - nothing else tells
                    await asyncio.sleep(0.005)
            seen.append(_both(stream, inner))
            await stream.aclose()
            seen.append((stream.get_extra_info("is_readable"), True))
            return seen

    return asyncio.run(main())


def _both(stream: Stream, inner: httpcore2.AsyncNetworkStream) -> tuple[bool, bool]:
    return stream.get_extra_info("is_readable"), inner.get_extra_info("is_readable")


async def hang_up(writer: asyncio.StreamWriter, go: asyncio.Event) -> None:
    writer.close()


def test_a_connection_that_the_server_closed_is_seen_to_be_so() -> None:
    assert against(hang_up) == [(False, False), (True, True), (True, True)]


def test_bytes_come_and_go_as_before() -> None:
    async def main() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            stream = await Backend().connect_tcp("127.0.0.1", server.sockets[0].getsockname()[1], timeout=5)
            await stream.write(b"hello\n", 5)
            answer = await stream.read(100, 5)
            assert stream.get_extra_info("server_addr")[1] == server.sockets[0].getsockname()[1]
            await stream.aclose()
            return answer

    assert asyncio.run(main()) == b"HELLO\n"


def test_the_wire_opens_its_connections_so() -> None:
    async def main() -> str:
        asked = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            body = b'{"kind":"Namespace"}'
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            writer.write(head + body)
            await writer.drain()
            asked.set_result(True)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            wire = Wire(Connection(server=url, context="c"), user_agent="test")
            await wire.request("GET", "/api/v1/namespaces/x")
            kept = wire._transport._pool.connections  # type: ignore[attr-defined]
            found = type(kept[0]._connection._network_stream).__name__
            await wire.close()
            return found

    assert asyncio.run(main()) == "Stream"
