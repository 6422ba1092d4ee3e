# SPDX-License-Identifier: Apache-2.0
"""The server's sockets."""

from __future__ import annotations

import asyncio
import socket

from kubetwin.serving.http import HttpsServer, Request, Response


def test_small_answers_do_not_wait_for_the_clients_acknowledgement() -> None:
    async def answer(request: Request) -> Response:
        return Response(200, {}, b"ok")

    async def main() -> None:
        server = HttpsServer(answer, None)
        reader, writer = await asyncio.open_connection("127.0.0.1", await server.start())
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        (connection,) = server._state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
        await server.close()

    asyncio.run(main())
