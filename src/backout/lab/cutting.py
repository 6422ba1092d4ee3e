# SPDX-License-Identifier: Apache-2.0
"""A way to a cluster that can be cut and mended: a port on this machine in front of its API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from backout.lab.kubeconfigs import entry, merged, written

HERE = "127.0.0.1"
CHUNK = 65536


class Cut:
    """The way; ``kubeconfig`` leads along it to the one cluster, and to the others as before."""

    kubeconfig: Path

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._under_way: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def before(cls, kubeconfig: str, context: str) -> AsyncIterator[Cut]:
        """Open, in front of the cluster of ``context``; its kubeconfig goes with it."""
        known = merged(kubeconfig)
        cluster = entry(known, "clusters", entry(known, "contexts", context)["cluster"])
        url = urlsplit(cluster["server"])
        way = cls(url.hostname or HERE, url.port or 443)
        await way.mend()
        cluster["server"] = f"https://{HERE}:{way._port}{url.path}"
        cluster.setdefault("tls-server-name", url.hostname)
        with written(known) as file:
            way.kubeconfig = file
            try:
                yield way
            finally:
                await way.cut()

    async def cut(self) -> None:
        """From now on nobody answers there, and what was under way breaks off."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def mend(self) -> None:
        """Opens it again, at the same port."""
        self._server = await asyncio.start_server(self._accept, HERE, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await asyncio.open_connection(*self._to)
            await asyncio.gather(_copy(reader, there), _copy(back, writer))
        except OSError:
            pass
        finally:
            for end in (writer, there):
                if end is not None:
                    with suppress(Exception):
                        end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof() if writer.can_write_eof() else writer.close()
