# SPDX-License-Identifier: Apache-2.0
"""Bad input to `backout snapshot`, through the command line: a clear error that names the object, an exit code that
tells the truth, and afterwards a repository that is whole."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import secrets
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyrage
import pytest
from backout_shell import Shell

sys.path.insert(0, str(Path(__file__).parents[1] / "contract" / "snapshots"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "snapshots"))

from repository_world import entry
from s3_server import proxy, s3_server
from test_snapshot_commands import CANARY, Command, snapshot  # noqa: F401 - a fixture

from backout.model.settings import SnapshotSettings
from backout.model.snapshot import SnapshotDraft
from backout.snapshots.repository.archive import _header
from backout.snapshots.repository.crypto import deflate
from backout.snapshots.repository.format import PLAIN, Kind
from backout.snapshots.repository.opening import open_repository
from backout.snapshots.repository.packs import assemble
from kubetwin.process import Twin


def data(command: Command) -> Path:
    return command.home / "data" / "snapshots"


def refused(command: Command, *arguments: str, code: int, says: str) -> dict[str, Any]:
    """The error, which has this code and names that."""
    error: dict[str, Any] = command.json(*arguments, code=code)["error"]
    assert says in error["message"], error
    return error


def whole(command: Command) -> None:
    assert command.json("verify", "--read-data")["ok"] is True


def test_a_wrong_key(snapshot: Command) -> None:  # noqa: F811
    key = snapshot.home / "data" / "identity.age"
    mine = key.read_text()
    key.write_text(str(pyrage.x25519.Identity.generate()))
    for arguments in (["list"], ["show", "good"], ["verify"], ["prune", "--dry-run"], ["export", "a.tar", "--all"]):
        assert refused(snapshot, *arguments, code=5, says="snapshots")["code"] == "wrong-key"
    assert not (snapshot.home / "a.tar").exists()
    key.write_text("not a key at all\n")
    assert refused(snapshot, "list", code=3, says=str(key))
    key.write_text(mine)
    whole(snapshot)


def test_a_missing_key(snapshot: Command) -> None:  # noqa: F811
    key = snapshot.home / "data" / "identity.age"
    mine = key.read_text()
    key.unlink()
    error = refused(snapshot, "list", code=5, says="key")
    assert error["code"] == "key-missing"
    assert str(key) in json.dumps(error)
    # a second one is not made in its place: it could open nothing
    assert not key.exists()
    key.write_text(mine)
    key.chmod(0o600)
    whole(snapshot)


@pytest.mark.parametrize("folder", ["packs", "snapshots", "keys"])
@pytest.mark.parametrize("harm", ["flipped bit", "truncated", "missing", "empty"])
def test_a_damaged_file_is_named(snapshot: Command, folder: str, harm: str) -> None:  # noqa: F811
    path = max((data(snapshot) / folder).iterdir(), key=lambda found: found.stat().st_size)
    content = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "truncated":
        path.write_bytes(content[:-7])
    else:
        path.write_bytes(content[:60] + bytes((content[60] ^ 4,)) + content[61:])
    if folder == "keys":
        # Without its keys nothing of a repository can be read.
        error = refused(snapshot, "verify", "--read-data", code=5, says="")
        assert "keys/" in error["message"] or "identity.age" in error["message"]
        assert error["code"] in ("repository-damaged", "repository-changed", "wrong-key")
    elif folder == "snapshots" and harm == "missing":
        # A snapshot less: the storage can always do that, and nothing else is harmed.
        assert snapshot.json("verify", "--read-data")["snapshots"] == 3
    else:
        report = snapshot.json("verify", "--read-data", code=10)
        said = json.dumps(report["problems"])
        # A missing pack is told by what it held.
        assert (path.name in said) or (harm == "missing" and "thing-" in said)
    path.write_bytes(content)
    whole(snapshot)


@pytest.mark.parametrize(("version", "word"), [(0, "older"), (7, "newer")])
def test_another_format_version(snapshot: Command, version: int, word: str) -> None:  # noqa: F811
    config = data(snapshot) / "config"
    before = config.read_text()
    config.write_text(json.dumps(json.loads(before) | {"version": version}))
    for arguments in (["list"], ["prune", "--keep-last", "1", "--yes"], ["import", "x.tar"]):
        (snapshot.home / "x.tar").write_bytes(b"x")
        error = refused(snapshot, *arguments, code=5, says=f"config is in format version {version}, which is {word}")
        assert error["code"] == "format-unknown"
    config.write_text(before)
    summary = min((data(snapshot) / "snapshots").iterdir())
    content = summary.read_bytes()
    summary.write_bytes(content[:4] + bytes((version,)) + content[5:])
    for arguments in (["verify"], ["list"], ["prune", "--keep-last", "1", "--yes"]):
        error = refused(snapshot, *arguments, code=5, says=f"snapshots/{summary.name} is in format version {version}")
        assert word in error["message"]
    summary.write_bytes(content)
    whole(snapshot)


def test_two_writers_at_once(backout: Shell, release: str) -> None:
    backout("snapshot", "create", "-n", release)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda n: backout("snapshot", "create", "-n", release, "--tag", f"t{n}"), range(3)))
    assert [answer.code for answer in answers] == [0, 0, 0], answers[0].err
    assert backout("snapshot", "list", "-n", release, "-o", "json").document["total"] == 4
    assert backout("snapshot", "verify", "--read-data").code == 0


def test_a_prune_beside_a_writer_waits_for_nobody_and_says_who(snapshot: Command) -> None:  # noqa: F811
    async def held(work: Callable[[], Any]) -> Any:
        opened = await open_repository(SnapshotSettings())
        async with opened.repository.writer():
            found = await asyncio.to_thread(work)
        await opened.repository.close()
        return found

    error = asyncio.run(
        held(lambda: refused(snapshot, "prune", "--keep-last", "1", "--yes", code=6, says="is in use: snapshot by "))
    )
    assert error["code"] == "repository-locked"
    assert len(snapshot.json("list")["items"]) == 4
    whole(snapshot)


@pytest.mark.parametrize("limit", [3, 2_000])
def test_a_full_disk(backout: Shell, release: str, limit: int) -> None:
    """The limit on the size of files stands for the end of the disk: the kernel cuts the write and then refuses."""
    assert backout("snapshot", "create", "-n", release).code == 0
    before = backout("snapshot", "list", "-o", "json").document["items"]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, -1)); "
            "from backout.cli.main import main; main()",
            "snapshot",
            "create",
            "-n",
            release,
            "-o",
            "json",
            "-m",
            secrets.token_hex(8000),
        ],
        env={**backout.environment, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=backout.home,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    )
    error = json.loads(done.stdout)["error"]
    assert (error["code"], done.returncode) == ("storage", 1)
    assert "File too large" in error["message"]
    assert str(backout.home / "data" / "snapshots") in error["message"] or "/" in error["message"]
    assert "completed snapshots are not harmed" in error["hint"]
    assert backout("snapshot", "list", "-o", "json").document["items"] == before
    assert backout("snapshot", "verify", "--read-data").code == 0
    assert backout("snapshot", "create", "-n", release).code == 0


@pytest.mark.parametrize("what", ["503", "reset"])
def test_s3_that_fails(backout: Shell, release: str, tmp_path: Path, what: str) -> None:
    """Every answer to a pack is an error, or none comes: nothing is half there; afterwards it goes on."""
    folder = tmp_path / "s3"
    folder.mkdir()
    with s3_server(folder) as server:
        keys = {"AWS_ACCESS_KEY_ID": server.key, "AWS_SECRET_ACCESS_KEY": server.secret}
        config = backout.home / "backout.yaml"
        bucket = server.bucket()
        trouble = ""

        def configured(endpoint: str) -> None:
            config.write_text(json.dumps({"snapshots": {"repository": f"s3://{bucket}/x", "endpoint": endpoint}}))

        async def main() -> None:
            def fails(line: str) -> str:
                return trouble if line.startswith("PUT") and "/locks/" not in line else ""

            async with proxy(server.port, fails) as endpoint:
                configured(endpoint)
                first = await asyncio.to_thread(backout, "snapshot", "create", "-n", release, **keys)
                assert first.code == 0, first.err
                nonlocal trouble
                trouble = what
                error = await asyncio.to_thread(
                    backout.error, "snapshot", "create", "-n", release, "-m", "other", **keys
                )
                assert (error["code"], error["retryable"]) == ("storage-unreachable", True)
                assert "packs/" in error["message"] or "snapshots/" in error["message"]
                for secret in keys.values():
                    assert secret not in json.dumps(error)

        asyncio.run(main())
        configured(server.endpoint)
        assert backout("snapshot", "list", "-o", "json", **keys).document["total"] == 1
        assert backout("snapshot", "verify", "--read-data", **keys).code == 0
        assert backout("snapshot", "create", "-n", release, **keys).code == 0


EVIL = {
    "../../etc/cron.d/x": tarfile.REGTYPE,
    "/etc/passwd": tarfile.REGTYPE,
    "packs/../../x": tarfile.REGTYPE,
    "config": tarfile.SYMTYPE,
    "keys/00000001": tarfile.LNKTYPE,
    "packs/dev": tarfile.CHRTYPE,
}


@pytest.mark.parametrize("name", EVIL)
def test_an_archive_that_leads_elsewhere(snapshot: Command, name: str) -> None:  # noqa: F811
    path = snapshot.home / "evil.tar"
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = EVIL[name], "/etc/passwd", 0o600
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(info)
    before = set(snapshot.home.rglob("*"))
    for arguments in (["import", "evil.tar"], ["import", "evil.tar", "--foreign"]):
        assert refused(snapshot, *arguments, code=5, says=name)["code"] == "bad-archive"
    assert {found for found in snapshot.home.rglob("*") if "/locks" not in str(found)} <= before
    whole(snapshot)


def test_an_archive_of_a_huge_size(snapshot: Command) -> None:  # noqa: F811
    (snapshot.home / "huge.tar").write_bytes(_header("config", 8 * 1024**3 - 1) + bytes(4096))
    error = refused(snapshot, "import", "huge.tar", code=5, says=f"config of {8 * 1024**3 - 1} bytes")
    assert error["code"] == "too-large"
    whole(snapshot)


def test_a_bomb_is_not_inflated(snapshot: Command) -> None:  # noqa: F811
    """Made with the right key, as a recipient could: a summary that names an object which inflates a thousand times."""

    async def main() -> str:
        opened = await open_repository(SnapshotSettings())
        repository = opened.repository
        generation = repository.keyring.current
        content = bytes(300 * 1024 * 1024)
        address = generation.address(Kind.OBJECT, b"bomb")
        nonce = b"\1" * 12
        plain = PLAIN.pack(1, 10) + deflate(content)
        sealed = nonce + generation._cipher.encrypt(nonce, plain, generation._associated(Kind.OBJECT, address))
        pack = assemble(generation, [(Kind.OBJECT, address, sealed)])
        await repository.backend.put(pack.name, pack.content)
        fresh = (await open_repository(SnapshotSettings())).repository
        async with fresh.writer() as writer:
            await writer.add(entry("bomb", address.hex(), b""))
            draft = (await fresh.snapshots())[0]
            made = await writer.save(
                SnapshotDraft(
                    kind="manual", cluster="c", identity=draft.identity, namespace="monitoring", taken_at=draft.taken_at
                )
            )
        return made.id

    id_ = asyncio.run(main())
    limit = 400 * 1024 * 1024
    for arguments in (["verify", "--read-data"], ["diff", id_, "good"]):
        done = subprocess.run(
            [sys.executable, "-m", "backout.cli.main", "snapshot", *arguments, "-o", "json"],
            env={**os.environ, "HOME": str(snapshot.home), "BACKOUT_DATA": str(snapshot.home / "data")},
            cwd=snapshot.home,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
        )
        if arguments[0] == "verify":
            assert done.returncode == 10, done.stdout + done.stderr
            assert "bomb" in json.dumps(json.loads(done.stdout)["problems"])
        else:
            assert done.returncode in (5, 10), done.stdout + done.stderr
    assert CANARY not in snapshot.printed


WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.gone.example"},
    "spec": {
        "group": "gone.example",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@pytest.fixture
def kubectl(tools: dict[str, Path], twin: Twin, tmp_path: Path) -> Callable[..., str]:
    def call(*arguments: str, stdin: Any = None) -> str:
        return subprocess.run(
            [
                str(tools["kubectl"]),
                "--kubeconfig",
                str(twin.kubeconfig),
                "--cache-dir",
                str(tmp_path / "kc"),
                *arguments,
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            input=json.dumps(stdin) if stdin else None,
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        ).stdout

    return call


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_an_object_whose_definition_is_gone(backout: Shell, kubectl: Callable[..., str]) -> None:
    kubectl("create", "namespace", "gone-kind")
    kubectl("apply", "-f", "-", stdin=WIDGETS)
    kubectl("wait", "--for=condition=Established", "crd/widgets.gone.example", "--timeout=240s")
    kubectl("apply", "-n", "gone-kind", "-f", "-", stdin=config_map("web", a="1"))
    kubectl(
        "apply",
        "-n",
        "gone-kind",
        "-f",
        "-",
        stdin={"apiVersion": "gone.example/v1", "kind": "Widget", "metadata": {"name": "w"}},
    )
    assert backout("snapshot", "create", "-n", "gone-kind", "--tag", "v1").code == 0
    kubectl("delete", "crd", "widgets.gone.example", "--timeout=240s")
    kubectl("apply", "-n", "gone-kind", "-f", "-", stdin=config_map("web", a="2"))
    error = backout.error("snapshot", "restore", "v1", "--yes")
    assert (error["code"], error["exitCode"]) == ("refused", 5)
    assert "widget/w" in error["message"]
    assert "nothing was written" in error["message"]
    assert "2" in kubectl("get", "configmap", "web", "-n", "gone-kind", "-o", "jsonpath={.data.a}")
    done = backout("snapshot", "restore", "v1", "--yes", "--partial", "-o", "json")
    assert done.code == 8
    assert {item["ref"]["name"]: item.get("state", item["action"]) for item in done.document["items"]}["w"] == "blocked"
    assert "1" in kubectl("get", "configmap", "web", "-n", "gone-kind", "-o", "jsonpath={.data.a}")


def test_a_namespace_on_its_way_out(backout: Shell, kubectl: Callable[..., str]) -> None:
    kubectl("create", "namespace", "leaving")
    held = config_map("web", a="1")
    held["metadata"]["finalizers"] = ["example.org/hold"]
    kubectl("apply", "-n", "leaving", "-f", "-", stdin=held)
    assert backout("snapshot", "create", "-n", "leaving", "--tag", "v1").code == 0
    kubectl("delete", "namespace", "leaving", "--wait=false")
    try:
        error = backout.error("snapshot", "restore", "v1", "configmap/web", "--yes")
        assert (error["code"], error["exitCode"]) == ("refused", 5)
        assert "The namespace leaving is being deleted, so configmap/web" in error["message"]
    finally:
        kubectl("patch", "configmap", "web", "-n", "leaving", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("wait", "--for=delete", "namespace/leaving", "--timeout=240s")
    assert "There is no namespace leaving" in backout.error("snapshot", "restore", "v1", "--yes")["message"]
