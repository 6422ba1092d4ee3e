# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot` as a user has it: a process of its own, a home that is thrown away, every format, no secret."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from held import hold

from backout.model.message import msg
from backout.model.scope import ClusterIdentity
from backout.model.settings import SnapshotSettings
from backout.model.snapshot import Entry, Pointers, ReleasePointer, Skipped, SnapshotDraft
from backout.model.target import ObjectRef
from backout.snapshots.repository.opening import open_repository

CANARY = "canary-53c1a9-password"


class Command:
    """Runs `backout snapshot …` in a home of its own, and keeps all that it printed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.printed = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "BACKOUT_", "LC_"))}
        environment |= {"HOME": str(self.home), "BACKOUT_DATA": str(self.home / "data"), "LANG": "C.UTF-8"}
        done = subprocess.run(
            [sys.executable, "-m", "backout.cli.main", "snapshot", *arguments],
            env=environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        self.printed += done.stdout + done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        # With `-o json` an error is a document on stdout.
        return done.stdout if code in (0, 10) or "json" in arguments else done.stderr

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self(*arguments, "-o", "json", code=code))
        return hold(found)


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A home with a repository of four snapshots."""
    monkeypatch.setenv("BACKOUT_DATA", str(tmp_path / "data"))
    asyncio.run(_filled())
    return Command(tmp_path)


async def _filled() -> None:
    opened = await open_repository(SnapshotSettings(), create=True)
    for number in range(4):
        async with opened.repository.writer() as writer:
            for i in range(30):
                content = f'{{"data": "{CANARY} {i} {number if i < 5 else 0}"}}'.encode()
                ref = ObjectRef("v1", "Secret" if i % 2 else "ConfigMap", f"thing-{i}", "monitoring")
                await writer.add(Entry(ref=ref, address=await writer.put(content), size=len(content), owner="helm/x"))
            record = await writer.put(f"{CANARY} record {number}".encode())
            release = ReleasePointer(name="thanos", namespace="monitoring", revision=number + 1, address=record)
            await writer.save(
                SnapshotDraft(
                    kind="manual" if number < 3 else "incident",
                    incident=number == 3,
                    cluster="cluster-01",
                    identity=ClusterIdentity("u", "c"),
                    namespace="monitoring" if number != 1 else "other",
                    taken_at=datetime.now(UTC) - timedelta(days=4 - number),
                    tags=(f"v1.{number}",),
                    message="before \x1b[31mthe upgrade",
                    healthy=number == 0,
                    actor="bob",
                    skipped=(Skipped(ObjectRef("v1", "Event", ""), msg("{kind} is not put back", kind="Event"), 7),),
                    pointers=Pointers(releases=(release,)),
                )
            )
    await opened.repository.close()


def test_list_show_and_names(snapshot: Command) -> None:
    items = snapshot.json("list")["items"]
    assert [item["tags"] for item in items] == [["v1.3"], ["v1.2"], ["v1.1"], ["v1.0"]]
    assert len(snapshot.json("list", "-n", "other")["items"]) == 1
    assert snapshot.json("list", "--context", "nowhere")["items"] == []
    assert snapshot.json("list", "--tag", "v1.1")["total"] == 1
    shown = snapshot.json("show", "good", "--objects")
    assert (shown["id"], shown["good"], len(shown["entries"])) == (items[3]["id"], True, 30)
    assert shown["kinds"] == {"ConfigMap": 15, "Secret": 15}
    assert snapshot.json("show", "latest")["id"] == items[1]["id"]
    assert snapshot.json("show", items[0]["id"][:8])["incident"] is True
    text = snapshot("show", "v1.2", "--objects")
    assert "secret/thing-1" in text
    assert "Event is not put back" in text
    assert snapshot.json("show", "v9", code=4)["error"]["code"] == "snapshot-not-found"
    assert "\x1b[31mthe" not in snapshot.printed


def test_verify_says_what_is_damaged_and_exits_10(snapshot: Command) -> None:
    assert "Every snapshot is whole" in snapshot("verify", "--read-data")
    assert snapshot.json("verify")["ok"] is True
    assert snapshot.json("verify", "--read-data-subset", "1/2")["packsRead"] <= 4
    assert snapshot.json("verify", "--read-data-subset", "half", code=2)["error"]["code"] == "usage"
    snapshot("verify", "--read-data", "--read-data-subset", "10%", code=2)
    pack = max((snapshot.home / "data" / "snapshots" / "packs").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[40] ^= 1
    pack.write_bytes(content)
    assert snapshot.json("verify")["ok"] is True
    report = snapshot.json("verify", "--read-data", code=10)
    assert any(pack.name in problem["name"] for problem in report["problems"])
    assert any("thing-0" in name for problem in report["problems"] for name in problem["neededBy"])
    assert pack.name in snapshot("verify", "--read-data", code=10)


def test_prune_asks_and_keeps_the_good_one(snapshot: Command) -> None:
    planned = snapshot.json("prune", "--keep-last", "1", "--dry-run")
    assert [item["tags"] for item in planned["removed"]] == []
    snapshot("prune", "--keep-daily", "1")
    assert snapshot.json("prune", "--keep-tagged")["removed"] == []
    assert len(snapshot.json("list")["items"]) == 4
    # Without a terminal nobody can be asked, so nothing goes.
    asyncio.run(_filled())
    assert "Nobody can be asked" in snapshot("prune", "--keep-last", "1", code=5)
    done = snapshot.json("prune", "--keep-last", "1", "--yes")
    assert len(done["removed"]) == 4
    assert "good" in done["kept"].values()
    assert snapshot.json("verify", "--read-data")["ok"] is True


def test_export_and_import(snapshot: Command, tmp_path: Path) -> None:
    snapshot("export", "a.tar", code=2)
    exported = snapshot.json("export", "a.tar", "good", "v1.2")
    assert len(exported["snapshots"]) == 2
    assert len(snapshot.json("import", "a.tar")["present"]) == 2
    snapshot("export", "a.tar", "good", code=2)
    (tmp_path / "evil.tar").write_bytes(b"evil" * 1000)
    assert snapshot.json("import", "evil.tar", code=5)["error"]["code"] == "bad-archive"
    other = Command(tmp_path / "other")
    other.home.mkdir()
    assert other.json("import", "../a.tar", code=5)["error"]["code"] == "refused"
    assert other.json("import", "../a.tar", "--foreign", code=5)["error"]["code"] == "wrong-key"
    theirs = other.json("key", "show")["own"][0]
    snapshot("export", "b.tar", "--all", "--recipient", theirs)
    assert len(other.json("import", "../b.tar", "--foreign")["imported"]) == 4
    assert "foreign" in other("list")
    other("show", "latest", code=4)
    assert CANARY not in other.printed


def test_the_first_use_explains_the_key(tmp_path: Path) -> None:
    fresh = Command(tmp_path)
    assert fresh.json("list", code=4)["error"]["code"] == "repository-not-found"
    assert not (tmp_path / "data").exists()
    (tmp_path / "x.tar").write_bytes(b"x")
    fresh("import", "x.tar", code=5)
    for part in ("identity.age", "Losing it loses the snapshots", "Its public half is age1", "snapshot key add"):
        assert part in fresh.printed
    assert (tmp_path / "data" / "identity.age").stat().st_mode & 0o777 == 0o600
    secret = (tmp_path / "data" / "identity.age").read_text().strip()
    assert secret not in fresh.printed


def test_keys(snapshot: Command) -> None:
    second = pyrage.x25519.Identity.generate()
    public = str(second.to_public())
    shown = snapshot.json("key", "add", public, "--name", "the team")
    assert [item["name"] for item in shown["recipients"]] == ["first key", "the team"]
    (snapshot.home / "second.age").write_text(str(second))
    (snapshot.home / "second.age").chmod(0o600)
    (snapshot.home / "backout.yaml").write_text("snapshots: {identity: second.age}\n")
    assert snapshot.json("show", "good")["objects"] == 30
    (snapshot.home / "backout.yaml").unlink()
    rotated = snapshot.json("key", "rotate")
    assert (rotated["generations"], rotated["fingerprint"] == shown["fingerprint"]) == (2, False)
    assert snapshot.json("key", "remove", "the team")["generations"] == 3
    before = (snapshot.home / "data" / "identity.age").read_text()
    replaced = snapshot.json("key", "rotate", "--identity")
    assert len(replaced["recipients"]) == 1
    assert replaced["recipients"][0]["recipient"] not in json.dumps(rotated)
    after = (snapshot.home / "data" / "identity.age").read_text()
    assert after.endswith(before)
    assert snapshot.json("verify", "--read-data")["ok"] is True
    (snapshot.home / "backout.yaml").write_text("snapshots: {identity: second.age}\n")
    assert snapshot.json("list", code=5)["error"]["code"] == "wrong-key"
    (snapshot.home / "backout.yaml").write_text(f"snapshots: {{recipients: ['{public}']}}\n")
    assert "can't open them yet" in snapshot("key", "show")
    assert "AGE-SECRET" not in snapshot.printed


def test_no_secret_is_printed_or_lies_in_clear(snapshot: Command) -> None:
    commands = [
        ["list"],
        ["show", "good", "--objects"],
        ["verify", "--read-data"],
        ["key", "show"],
        ["prune", "--dry-run"],
        ["export", "a.tar", "--all"],
        ["import", "a.tar"],
    ]
    for command in commands:
        for output in ("text", "json", "yaml"):
            (snapshot.home / "a.tar").unlink(missing_ok=True) if command[0] == "export" else None
            snapshot(*command, "-o", output)
    assert CANARY not in snapshot.printed
    for path in snapshot.home.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes()
