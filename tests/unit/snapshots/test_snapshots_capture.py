# SPDX-License-Identifier: Apache-2.0
"""Captures: encrypted, whole or absent, and refused when they are not what was written."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from backout.errors import CaptureError, ConfigError, RefusedError
from backout.model.scope import ClusterIdentity
from backout.snapshots.capture import MAGIC, Capture, CaptureStore
from backout.snapshots.identity import identity, identity_path

CANARY = "canary-1f2e3d-secret"


def capture(run: str = "r1") -> Capture:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": CANARY}}
    return Capture(run=run, cluster="c", identity=ClusterIdentity("uid", "ca"), at=datetime.now(UTC), objects=(secret,))


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path)
    kept = capture()
    receipt = store.save(kept)
    assert CaptureStore(tmp_path).load("r1", receipt.digest) == kept
    assert receipt.objects == 1
    assert receipt.bytes == Path(receipt.path).stat().st_size


def test_nothing_is_in_clear_and_nothing_is_for_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    CaptureStore(folder).save(capture())
    for file in (path for path in folder.rglob("*") if path.is_file()):
        assert CANARY.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["identity.age", "r1.capture"]


def test_the_key_is_made_once(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path)
    store.save(capture("r1"))
    before = identity_path(tmp_path).read_bytes()
    store.save(capture("r2"))
    assert identity_path(tmp_path).read_bytes() == before
    assert store.load("r1").run == "r1"


@pytest.mark.parametrize("position", [0, len(MAGIC) + 3, -40, -1])
def test_a_flipped_bit_is_refused(tmp_path: Path, position: int) -> None:
    store = CaptureStore(tmp_path)
    receipt = store.save(capture())
    content = bytearray(store.path("r1").read_bytes())
    content[position] ^= 1
    store.path("r1").write_bytes(bytes(content))
    with pytest.raises(CaptureError, match="not the file that was written"):
        store.load("r1", receipt.digest)
    with pytest.raises(CaptureError):
        store.load("r1")


def test_truncated_missing_exchanged(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path)
    first, second = store.save(capture("r1")), store.save(capture("r2"))
    content = store.path("r1").read_bytes()
    store.path("r1").write_bytes(content[:-20])
    with pytest.raises(CaptureError):
        store.load("r1")
    store.path("r1").write_bytes(store.path("r2").read_bytes())
    with pytest.raises(CaptureError):
        store.load("r1", first.digest)
    store.path("r2").unlink()
    with pytest.raises(CaptureError, match="can't be read"):
        store.load("r2", second.digest)


def test_another_key_does_not_open_it(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path)
    store.save(capture())
    identity_path(tmp_path).unlink()
    with pytest.raises(ConfigError, match="key of the captures"):
        store.load("r1")
    identity(tmp_path, create=True)
    with pytest.raises(CaptureError, match="can't be decrypted"):
        store.load("r1")


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path)
    store.save(capture())
    identity_path(tmp_path).chmod(0o644)
    with pytest.raises(RefusedError, match="may be read by others"):
        store.load("r1")


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CaptureStore(tmp_path)
    store.save(capture())
    monkeypatch.setattr("backout.snapshots.capture.LIMIT", 1 << 20)
    packed = zlib.compress(b"\0" * (8 << 20))
    store.path("r1").write_bytes(MAGIC + pyrage.encrypt(packed, [identity(tmp_path).to_public()]))
    with pytest.raises(CaptureError, match="larger than"):
        store.load("r1")


def test_a_place_that_is_no_folder_is_said_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CaptureError, match="Nothing was written to the cluster"):
        CaptureStore(tmp_path / "file").save(capture())
    with pytest.raises(CaptureError):
        CaptureStore(tmp_path / "file").check()


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """A file-size limit of the process makes the kernel refuse the write, as a full disk does."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from backout.snapshots.capture import CaptureStore; from backout.errors import CaptureError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: CaptureStore(Path(sys.argv[1])).check()\n"
        "except CaptureError as error: print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "can't be kept" in done.stdout
    assert os.listdir(tmp_path / "captures") == []
