# SPDX-License-Identifier: Apache-2.0
"""An S3 server on loopback (rclone), and a proxy before it that fails when told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

RCLONE = Path(sys.executable).parent / "rclone"


class Server:
    """Where it listens, and the credentials that it takes."""

    def __init__(self, port: int, key: str, secret: str, folder: Path) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.port = port
        self.key = key
        self.secret = secret
        self._buckets = sorted(path.name for path in folder.iterdir())

    def bucket(self) -> str:
        """An empty bucket."""
        return self._buckets.pop()


@contextmanager
def s3_server(folder: Path) -> Iterator[Server]:
    """Serves a folder as S3 until the block ends. Credentials go by the environment, never by arguments."""
    for number in range(60):
        # Before it starts: it remembers for minutes what was in the folder.
        (folder / f"bucket-{number:02d}").mkdir()
    key, secret = f"AK{secrets.token_hex(8)}", secrets.token_hex(16)
    environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{key},{secret}"', "RCLONE_CONFIG": os.devnull}
    command = [str(RCLONE), "serve", "s3", "--addr", "127.0.0.1:0", "-v", str(folder)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            port = next(int(m[1]) for line in process.stderr if (m := re.search(r"127\.0\.0\.1:(\d+)", line)))
            # What it says from now on is read by nobody: it must not block on a full pipe.
            drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
            try:
                yield Server(port, key, secret, folder)
            finally:
                process.terminate()
                process.wait()
                drain.wait()
        finally:
            process.kill()


Trouble = Callable[[str], str]
"""Request line → ``""`` (pass on), ``503``, ``reset`` (close at once), or ``lost`` (pass on, but lose the answer)."""

BUSY = b"<Error><Code>SlowDown</Code></Error>"


@asynccontextmanager
async def proxy(port: int, trouble: Trouble) -> AsyncIterator[str]:
    """Passes one request a connection on to the server, unless there is trouble; gives its endpoint."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(found[1]) if (found := re.search(rb"(?i)content-length: (\d+)", head)) else 0
            body = await reader.readexactly(length)
            what = trouble(head.split(b"\r\n", 1)[0].decode())
            if what == "503":
                writer.write(
                    b"HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BUSY), BUSY)
                )
            elif what != "reset":
                there, back = await asyncio.open_connection("127.0.0.1", port)
                back.write(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head[:-4]) + b"\r\nConnection: close\r\n\r\n")
                back.write(body)
                answer = await there.read()
                back.close()
                if what != "lost":
                    writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
