# SPDX-License-Identifier: Apache-2.0
"""A storage whose listings do not end: it is told, in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from backout.errors import StorageError
from backout.model.settings import SnapshotSettings
from backout.snapshots.repository import objectstore
from backout.snapshots.repository.objectstore import s3

PAGE = (
    '<?xml version="1.0"?><ListBucketResult><Name>b</Name><Prefix>p</Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>'
    "<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>{content}</ListBucketResult>"
)
CONTENT = (
    "<Contents><Key>p/data/a</Key><LastModified>2026-11-29T12:00:00.000Z</LastModified><ETag>x</ETag><Size>5</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)


@asynccontextmanager
async def endless(content: str) -> AsyncIterator[tuple[str, list[int]]]:
    asked = [0]

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = PAGE.format(content=content).encode()
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                asked[0] += 1
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(body), body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


@pytest.mark.parametrize("content", [CONTENT, ""], ids=["the same file", "no file"])
def test_a_listing_that_repeats_its_token_has_an_end(content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr(objectstore, "LONGEST_PAGE", 2.0)

    async def main() -> None:
        async with endless(content) as (url, asked):
            with pytest.raises(StorageError, match="does not come to an end"):
                await asyncio.wait_for(s3("s3://bucket/p", SnapshotSettings(endpoint=url)).listing("data/"), 60)
            assert asked[0] > 1

    asyncio.run(main())
