# SPDX-License-Identifier: Apache-2.0
"""What changes something outside of this process passes one gate: nothing else holds what such a change is made with."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest

import backout
from backout.cluster.guarded import GuardedCluster
from backout.cluster.port import CONFIGMAPS, Cluster, ClusterReader
from backout.effects import KINDS, Passage, observed, passing
from backout.errors import LeaseLost

HOUSE = Path(backout.__file__).parent
THROUGH = {
    "cluster/wire.py": ("handle_async_request", "cluster"),
    "engine/store/postgres/connection.py": ("psycopg.connect", "state"),
    "engine/store/sqlite/database.py": ("BEGIN IMMEDIATE", "state"),
    "git/forges/http.py": ("AsyncClient", "forge"),
    "mechanisms/helm/binary.py": ("Popen", "program"),
    "snapshots/place.py": ("os.open", "capture"),
    "snapshots/repository/directory.py": ("os.open", "storage"),
    "snapshots/repository/objectstore.py": ("put_async", "storage"),
    "tools/run.py": ("create_subprocess_exec", "program"),
}
"""The modules that change something outside, what with, and as which kind that passes the gate."""
BESIDE = {
    "app/files.py": "files that somebody asked for by name",
    "app/audit/keys.py": "the key that signs, made once",
    "cli/console.py": "the terminal",
    "cli/main.py": "the terminal",
    "cli/output.py": "the terminal",
    "cluster/execplugin.py": "asks a program for credentials",
    "cluster/gate.py": "a kubeconfig for a child, gone with it",
    "cluster/tls.py": "a certificate for the TLS library, gone at once",
    "cluster/verbs.py": "builds requests, which the wire sends",
    "engine/dbos_records.py": "the durable engine's own records",
    "engine/store/sqlite/file.py": "opens the state database",
    "engine/store/sqlite/processes.py": "the mark of this process beside the state database",
    "git/mirror.py": "a mirror of a repository: what is lost of it is fetched again",
    "git/revert.py": "a temporary index",
    "mechanisms/helm/binary.py": "see above; and its lock",
    "probes/ingress.py": "asks a program over HTTP, by GET",
    "snapshots/capture.py": "tries whether the folder can be written",
    "snapshots/identity.py": "the user's key, made once",
    "snapshots/repository/archive.py": "a file that somebody asked for by name",
    "snapshots/repository/keys.py": "a key file that somebody asked for by name",
    "tools/install.py": "programs that Backout installs for itself",
    "tools/unpack.py": "programs that Backout installs for itself",
    "workflows/retention.py": "captures of runs that are forgotten",
}
"""Modules that hold such a thing for something else."""
TOOLS = frozenset(
    [
        "AsyncClient",
        "AsyncHTTPTransport",
        "Popen",
        "copy_async",
        "create_engine",
        "create_subprocess_exec",
        "create_subprocess_shell",
        "delete_async",
        "execv",
        "execve",
        "handle_async_request",
        "hardlink_to",
        "mkstemp",
        "os.link",
        "os.open",
        "os.remove",
        "os.rename",
        "os.replace",
        "os.system",
        "psycopg.connect",
        "put_async",
        "rename",
        "rmtree",
        "sqlite3.connect",
        "subprocess.run",
        "symlink_to",
        "touch",
        "unlink",
        "urlopen",
        "write_bytes",
        "write_text",
        "NamedTemporaryFile",
    ]
)


def held(path: Path) -> set[str]:
    """What such changes are made with that is called in a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found |= {name, name.rpartition(".")[2]} & TOOLS
    return found


def test_nothing_else_holds_what_changes_are_made_with() -> None:
    house = {str(path.relative_to(HOUSE)): path for path in HOUSE.rglob("*.py") if path.parts[-2] != "lab"}
    holding = {name: tools for name, path in house.items() if (tools := held(path))}
    unknown = {name: tools for name, tools in holding.items() if name not in THROUGH and name not in BESIDE}
    assert not unknown, f"have it pass backout.effects, or say here what it is for: {unknown}"
    assert not [name for name in BESIDE if name not in holding], "of these nothing holds anything any more"


@pytest.mark.parametrize("name", THROUGH)
def test_what_changes_something_passes_the_gate(name: str) -> None:
    tool, kind = THROUGH[name]
    text = (HOUSE / name).read_text(encoding="utf-8")
    assert tool in text and f'passing("{kind}"' in text


def test_every_kind_of_effect_has_its_place() -> None:
    assert {kind for _, kind in THROUGH.values()} == set(KINDS)


def test_who_stands_at_the_gate_is_told_before_and_after_and_can_keep_an_effect_from_happening() -> None:
    seen: list[Passage] = []
    with observed(seen.append):
        with passing("state"):
            assert seen == [("before", "state", "")]
        with pytest.raises(OSError), passing("storage", "put x"):
            raise OSError
    with passing("state"):
        pass
    assert seen == [("before", "state", ""), ("after", "state", ""), ("before", "storage", "put x")]

    def refuses(passage: Passage) -> None:
        raise PermissionError(passage.what)

    with observed(refuses), pytest.raises(PermissionError), passing("program", "helm"):
        pytest.fail("it happened all the same")


class Written:
    """A cluster that notes each write."""

    name = context = kubeconfig = ""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def call(*_: Any, **__: Any) -> dict[str, Any]:
            self.calls.append(name)
            return {}

        return call


WRITES = {
    "create": ({},),
    "replace": ({},),
    "patch": (CONFIGMAPS, "one", {}),
    "apply": ({},),
    "delete": (CONFIGMAPS, "one"),
}


def test_each_write_of_a_cluster_is_tried_below() -> None:
    handing_on = {"lease", "give_back", "gate", "close"}
    assert {
        name for name in set(dir(Cluster)) - set(dir(ClusterReader)) if name[0] != "_"
    } == WRITES.keys() | handing_on


@pytest.mark.parametrize("verb", WRITES)
def test_a_step_writes_nothing_that_its_lock_does_not_allow(verb: str) -> None:
    cluster = Written()
    allowed = [True]

    async def lock() -> None:
        if not allowed:
            raise LeaseLost("Another process has it.")
        allowed.pop()

    async def main() -> None:
        guarded = GuardedCluster(cluster, lock)  # type: ignore[arg-type]
        await getattr(guarded, verb)(*WRITES[verb])
        with pytest.raises(LeaseLost):
            await getattr(guarded, verb)(*WRITES[verb])

    asyncio.run(main())
    assert cluster.calls == [verb]


def test_an_effect_that_forgets_its_guard_is_held_to_the_lock_all_the_same(tmp_path: Path) -> None:
    from backout.model.part import Step
    from backout.workflows.services import EffectContext

    confirmed: list[int] = []

    class Lock:
        async def confirm(self) -> None:
            confirmed.append(1)

    class Story:
        run = "r1"

    async def main() -> None:
        cluster: Any = Written()
        step: Any = Step
        context = EffectContext(Story(), Lock(), cluster, step, None, again=False)  # type: ignore[arg-type]
        await context.guard()
        await context.cluster.create({})
        assert len(confirmed) == 1, "one confirmation is good for the write right after it"
        await context.cluster.create({})
        assert (len(confirmed), context.wrote) == (2, True)

    asyncio.run(main())
