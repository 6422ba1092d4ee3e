# SPDX-License-Identifier: Apache-2.0
"""Sockets of connections that are kept: as the HTTP library opens them, but for how it looks whether one has data.

Before each request it asks every idle connection for that, since a server closes some without a word. Its own stream
finds the socket anew each time, by way of every attribute that a stream may have: a fifth of the time of a request.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2


class Backend(httpcore2.AnyIOBackend):
    """Opens TCP connections."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return Stream(
            await super().connect_tcp(
                host, port, timeout=timeout, local_address=local_address, socket_options=socket_options
            )
        )


class Stream(httpcore2.AsyncNetworkStream):
    """The stream of a connection, which knows its socket."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner
        self._socket: socket.socket | None = inner.get_extra_info("socket")
        # Its own methods, and not others that call them: each read and write would wait for one more.
        vars(self).update(read=inner.read, write=inner.write, aclose=inner.aclose)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and self._socket is not None and hasattr(select, "poll"):
            return _readable(self._socket)
        return self._inner.get_extra_info(info)


def _readable(sock: socket.socket) -> bool:
    """Whether something can be read, the end of the stream included; also of a socket that is closed."""
    descriptor = sock.fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
