# SPDX-License-Identifier: Apache-2.0
"""Credentials of many contexts, with real programs: who runs how often, and how many at a time."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cluster_authority import Authority
from cluster_fakeapi import FakeApi, Faults
from cluster_helpers import PODS_PATH, cluster_of, run, until

from backout import errors
from backout.cluster import execplugin, yamlfile
from backout.cluster import plugins as plugins_module
from backout.cluster.client import connect
from backout.cluster.credentials import Credentials
from backout.cluster.kubeconfig import Connection, ExecPlugin
from backout.cluster.plugins import AT_ONCE, Plugins
from backout.cluster.port import PODS

V1 = "client.authentication.k8s.io/v1"


class Program:
    """A credential program that notes when it begins and ends; ``body`` says what it gives, with ``n``, the number of the call."""

    def __init__(self, folder: Path, body: str = "give(token=f'token-{n}')") -> None:
        folder.mkdir(exist_ok=True)
        self._log = folder / "log"
        script = folder / "login.py"
        script.write_text(
            "import json, os, sys, time\n"
            "def note(word):\n"
            f"    with open({str(self._log)!r}, 'a+') as log:\n"
            "        log.write(word + '\\n'); log.seek(0); return log.read().split().count(word)\n"
            "def give(**status):\n"
            f"    print(json.dumps(dict(kind='ExecCredential', apiVersion={V1!r}, status=status)))\n"
            "n = note('begin')\n" + body + "\nnote('end')\n"
        )
        self.plugin = ExecPlugin(sys.executable, ("-S", "-E", str(script)), interactive="Never")

    def words(self) -> list[str]:
        return self._log.read_text().split() if self._log.exists() else []

    @property
    def runs(self) -> int:
        return self.words().count("begin")


async def many(apis: list[FakeApi], plugin: ExecPlugin, times: int = 1) -> None:
    """Asks each server, all beside each other, as many clusters of one operation do."""

    async def one(api: FakeApi) -> None:
        for _ in range(times):
            async with cluster_of(api, exec=plugin) as cluster:
                await cluster.get(PODS, "web", "shop")

    await asyncio.gather(*(one(api) for api in apis))


class Servers:
    """Some API servers that take ``tokens``."""

    def __init__(self, count: int, *tokens: str) -> None:
        self.apis = [FakeApi(Faults(good_tokens=tokens)) for _ in range(count)]

    def take(self, *tokens: str) -> None:
        for api in self.apis:
            api.faults.good_tokens = tokens

    async def __aenter__(self) -> list[FakeApi]:
        self._open = [api.serve() for api in self.apis]
        for opened in self._open:
            await opened.__aenter__()
        for api in self.apis:
            api.put(PODS_PATH, "web")
        return self.apis

    async def __aexit__(self, *_: object) -> None:
        for opened in self._open:
            await opened.__aexit__(None, None, None)


def test_one_user_of_many_clusters_runs_one_program_once(tmp_path: Path) -> None:
    program = Program(tmp_path, "time.sleep(0.2); give(token='t')")

    async def main() -> None:
        async with Servers(10, "t") as apis:
            await many(apis, program.plugin, times=2)
            assert program.runs == 1
            assert sum(api.requests.total() for api in apis) == 20

    run(main())


def test_a_kubeconfig_of_400_contexts(tmp_path: Path) -> None:
    program = Program(tmp_path / "program", "give(token='t')")

    async def main() -> None:
        parsed = yamlfile._parsed.cache_info().misses
        async with Servers(1, "t") as (api,):
            ca = base64.b64encode(Authority().pem).decode()
            user = {"apiVersion": V1, "command": sys.executable, "args": list(program.plugin.args)}
            names = [f"edge-{number:03}" for number in range(400)]
            known = {
                "clusters": [{"name": "one", "cluster": {"server": api.url, "certificate-authority-data": ca}}],
                "users": [{"name": "me", "user": {"exec": {**user, "interactiveMode": "Never"}}}],
                "contexts": [{"name": name, "context": {"cluster": "one", "user": "me"}} for name in names],
            }
            file = tmp_path / "kubeconfig"
            file.write_text(json.dumps(known))
            slots = asyncio.Semaphore(16)

            async def one(name: str) -> None:
                async with slots, connect(str(file), name) as cluster:
                    await cluster.get(PODS, "web", "shop")

            await asyncio.gather(*map(one, names))
            assert (program.runs, api.requests.total()) == (1, 400)
            assert yamlfile._parsed.cache_info().misses - parsed == 1

    run(main())


def test_programs_of_many_users_run_a_few_at_a_time(tmp_path: Path) -> None:
    plugins, users = Plugins(), 3 * AT_ONCE
    program = Program(tmp_path, "time.sleep(0.1); give(token='t')")
    both = [ExecPlugin(sys.executable, (*program.plugin.args, str(user)), interactive="Never") for user in range(users)]

    async def main() -> None:
        connection = Connection(context="x", server="https://x")
        await asyncio.gather(*(plugins.get(connection, plugin) for plugin in both))
        assert program.runs == users
        assert 1 < max(at_a_time(program.words())) <= AT_ONCE

    run(main())


def at_a_time(words: list[str]) -> Iterator[int]:
    now = 0
    for word in words:
        now += 1 if word == "begin" else -1
        yield now


def test_a_token_that_is_refused_in_the_middle_is_renewed_once_for_all(tmp_path: Path) -> None:
    program, servers = Program(tmp_path), Servers(5, "token-1")

    async def main() -> None:
        async with servers as apis:
            await many(apis, program.plugin)
            servers.take("token-2")
            await many(apis, program.plugin, times=2)
            assert program.runs == 2

    run(main())


def test_a_server_that_refuses_everybody_makes_no_program_run_for_each_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins_module, "ANEW", 600.0)
    program, good, bad = Program(tmp_path), Servers(2, "token-1", "token-2"), Servers(6, "other")

    async def main() -> None:
        async with good as others, bad as apis:
            await many(others, program.plugin)
            for _ in range(3):
                found = await asyncio.gather(
                    *(many([api], program.plugin) for api in apis), many(others, program.plugin), return_exceptions=True
                )
                assert [type(one) for one in found] == [errors.TokenExpired] * 6 + [type(None)]
            assert program.runs == 2

    run(main())


def test_a_credential_is_renewed_shortly_before_its_end(tmp_path: Path) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    program = Program(tmp_path, f"give(token='t', expirationTimestamp={end.isoformat()!r})")
    now = [end - timedelta(hours=1)]
    plugins, connection = Plugins(now=lambda: now[0]), Connection(context="x", server="https://x")

    async def main() -> None:
        serials = []
        for before in (3600, 60, 11, 9):
            now[0] = end - timedelta(seconds=before)
            serials.append((await plugins.get(connection, program.plugin)).serial)
        assert serials == [1, 1, 1, 2]

    run(main())


@pytest.mark.parametrize("off", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_is_an_hour_off_makes_no_program_run_for_each_request(tmp_path: Path, off: timedelta) -> None:
    """A token of 15 minutes: an hour ahead it is over before it began, and the server takes it all the same."""
    end = datetime.now(UTC) + timedelta(minutes=15)
    program = Program(tmp_path, f"give(token='t', expirationTimestamp={end.isoformat()!r})")
    plugins = Plugins(now=lambda: datetime.now(UTC) + off)

    async def main() -> None:
        connection = Connection(context="x", server="https://x", exec=program.plugin)
        credentials = Credentials(connection, lambda cert, key: None, plugins)
        assert {await credentials.header() for _ in range(20)} == {"Bearer t"}
        assert program.runs == (2 if off > timedelta() else 1)

    run(main())


def test_a_program_that_fails_is_one_answer_to_all_who_need_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(tmp_path, "time.sleep(0.2); sys.exit(3)")
    monkeypatch.setattr(plugins_module, "FAILED_FOR", 600.0)

    async def main() -> None:
        async with Servers(5, "t") as apis:
            found = await asyncio.gather(*(many([api], program.plugin) for api in apis), return_exceptions=True)
            assert {type(one) for one in found} == {errors.TokenExpired}
            assert program.runs == 1

    run(main())


def test_who_stops_waiting_takes_it_from_nobody(tmp_path: Path) -> None:
    go = tmp_path / "go"
    program = Program(
        tmp_path, f"while n == 1 and not os.path.exists({str(go)!r}): time.sleep(0.01)\ngive(token=f'token-{{n}}')"
    )
    plugins, connection = Plugins(), Connection(context="x", server="https://x")

    async def main() -> None:
        first, second, third = (asyncio.ensure_future(plugins.get(connection, program.plugin)) for _ in range(3))
        await until(lambda: program.runs == 1)
        second.cancel()
        first.cancel()  # the one that runs it: the program is ended, and the third runs it anew
        assert (await third).credential.token == "token-2"
        assert all(isinstance(one, asyncio.CancelledError) for one in await _all(first, second))
        assert program.words() == ["begin", "begin", "end"]

    run(main())


async def _all(*tasks: asyncio.Future[Any]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("time.sleep(600)", errors.TokenExpired, "did not end within 1 s"),
        ("print('x' * 3_000_000)", errors.ConfigError, "more than 1048576 bytes"),
    ],
)
def test_a_program_has_limits(tmp_path: Path, body: str, kind: type[Exception], words: str) -> None:
    program = Program(tmp_path, body)

    async def main() -> None:
        with pytest.raises(kind, match=words):
            await execplugin.run(Connection(context="x", server="https://x"), program.plugin, timeout=1.0)
        assert program.words() == ["begin"]

    run(main())


def test_clusters_are_told_apart_where_the_program_is_told_of_them(tmp_path: Path) -> None:
    program = Program(tmp_path)
    told = ExecPlugin(program.plugin.command, program.plugin.args, interactive="Never", cluster_info=True)
    plugins = Plugins()

    async def main() -> None:
        for server in ("https://a", "https://b", "https://a"):
            await plugins.get(Connection(context=server, server=server), told)
        assert program.runs == 2

    run(main())
