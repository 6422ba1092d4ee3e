# SPDX-License-Identifier: Apache-2.0
"""Answers of 200 that are none, lists without an end, logs without a limit: an error, and never "it does not exist"."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from cluster_fakeapi import FakeApi
from cluster_helpers import PODS_PATH, cluster_of, fake, run

from backout import errors
from backout.cluster.client import LOG_BYTES, KubernetesCluster
from backout.cluster.port import PODS

POD = f"{PODS_PATH}/web"
LIST: dict[str, Any] = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}}


class Named(msgspec.Struct):
    metadata: dict[str, Any]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"kind": "PodList"},
        LIST,
        {"kind": "Status", "status": "Success"},
        {"kind": "Pod", "metadata": {"name": "web"}},
        {**LIST, "items": {}},
        {**LIST, "items": "x"},
        {**LIST, "metadata": {"resourceVersion": "7", "remainingItemCount": 12}, "items": []},
        [],
        None,
        "login",
    ],
    ids=json.dumps,
)
def test_what_is_no_list_says_nothing_of_what_exists(answer: Any) -> None:
    async def main() -> None:
        async with fake(answers={("GET", PODS_PATH): (200, answer)}) as (_, cluster):
            for ask in (cluster.list_all(PODS, "shop"), cluster.list_as(Named, PODS, "shop")):
                with pytest.raises(errors.ServerError):
                    await ask
            with pytest.raises(errors.ServerError):
                async for _page in cluster.pages(PODS, "shop"):
                    pass

    run(main())


def test_an_empty_list_is_one() -> None:
    async def main() -> None:
        for items in ([], None):
            async with fake(answers={("GET", PODS_PATH): (200, {**LIST, "items": items})}) as (_, cluster):
                assert await cluster.list_all(PODS, "shop") == []

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"kind": "Pod"},
        {"metadata": {}},
        {"metadata": {"name": "other"}},
        {"metadata": None},
        [],
        None,
        {**LIST, "items": []},
    ],
    ids=json.dumps,
)
def test_what_is_not_the_object_is_no_answer_about_it(answer: Any) -> None:
    async def main() -> None:
        async with fake(answers={("GET", POD): (200, answer)}) as (_, cluster):
            for ask in (cluster.get(PODS, "web", "shop"), cluster.get_as(Named, PODS, "web", "shop")):
                with pytest.raises(errors.ServerError) as told:
                    await ask
                assert not isinstance(told.value, errors.NotFoundError)

    run(main())


@pytest.mark.parametrize(
    "answer", [{}, {"kind": "Pod"}, {"metadata": {}}, {"metadata": {"name": "other"}}, [], None], ids=json.dumps
)
@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "APPLY"])
def test_what_is_not_the_object_is_no_answer_to_a_write(verb: str, answer: Any) -> None:
    """Whether it was written is not known then."""

    async def main() -> None:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}}
        path = PODS_PATH if verb == "POST" else POD
        answers = {("PATCH" if verb == "APPLY" else verb, path): (200, answer)}
        async with fake(answers=answers) as (_, cluster):
            asks = {
                "POST": (cluster.create, cluster.dry_run_create),
                "PUT": (cluster.replace, cluster.dry_run_replace),
                "APPLY": (cluster.apply, cluster.dry_run_apply),
            }
            for ask in asks.get(verb, ()):
                with pytest.raises(errors.ServerError):
                    await ask(pod)
            if verb == "PATCH":
                with pytest.raises(errors.ServerError):
                    await cluster.patch(PODS, "web", {"metadata": {"labels": {"a": "b"}}}, "shop")

    run(main())


@asynccontextmanager
async def serving(answer: Any) -> AsyncIterator[KubernetesCluster]:
    """A server that writes what ``answer`` gives for a path and its parameters; it never ends by itself."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                url = urlsplit(head.split(" ")[1])
                async for piece in answer(url.path, {k: v[0] for k, v in parse_qs(url.query).items()}):
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    api = FakeApi()
    api.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with cluster_of(api) as cluster:
            yield cluster
    finally:
        server.close()


def whole(body: bytes, kind: str = "application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind.encode(), len(body), body)


def test_a_list_that_gives_the_same_token_again_has_an_end() -> None:
    asked = 0

    async def answer(path: str, params: dict[str, str]) -> AsyncIterator[bytes]:
        nonlocal asked
        asked += 1
        token = "AB"[asked % 2]
        meta = {"resourceVersion": "7", "continue": token}
        yield whole(json.dumps({**LIST, "metadata": meta, "items": [{"metadata": {"name": "a", "uid": "u"}}]}).encode())

    async def main() -> None:
        async with serving(answer) as cluster:
            with pytest.raises(errors.ServerError, match="begins again"):
                await cluster.list_all(PODS, "shop")
        assert asked < 10

    run(main())


def test_a_log_has_a_limit_whatever_the_server_sends() -> None:
    sent = 0

    async def answer(path: str, params: dict[str, str]) -> AsyncIterator[bytes]:
        nonlocal sent
        assert params["limitBytes"] == str(LOG_BYTES)
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        line = b"x" * 65535 + b"\n"
        while True:
            sent += len(line)
            yield b"%x\r\n%s\r\n" % (len(line), line)

    async def main() -> None:
        async with serving(answer) as cluster:
            text = await cluster.logs("web", "shop", tail=5)
        assert len(text) <= LOG_BYTES
        assert sent < 64 * 1024 * 1024

    run(main())


def test_the_end_of_a_log_is_what_is_kept() -> None:
    async def answer(path: str, params: dict[str, str]) -> AsyncIterator[bytes]:
        yield whole(b"first\n" + b"x" * (2 * LOG_BYTES) + b"\nlast\n", "text/plain")

    async def main() -> None:
        async with serving(answer) as cluster:
            text = await cluster.logs("web", "shop")
        assert text.endswith("\nlast\n") and "first" not in text

    run(main())
