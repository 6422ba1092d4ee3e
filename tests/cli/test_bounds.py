# SPDX-License-Identifier: Apache-2.0
"""Files, folders, terminals and disks that are not what they should be: each has its exit code and a next step, in bounded time
and memory, and nothing is written to a cluster."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from backout_shell import Shell
from terminal import on_terminal

LAUGHS = "x0: &x0 [lol]\n" + "\n".join(f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 12))
MERGES = "x0: &x0 {a: 1}\n" + "\n".join(f"x{n}: &x{n} {{<<: [{','.join([f'*x{n - 1}'] * 9)}]}}" for n in range(1, 12))
BAD = {
    "laughs": LAUGHS,
    "merges": MERGES,
    "deep flow": "[" * 5000 + "]" * 5000,
    "deep": "a: " + "[" * 300 + "]" * 300,
    "deep blocks": "- " * 5000 + "a",
    "of itself": "a: &a [*a]",
    "binary": "\x00\x01\x02",
    "not text": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "tags": "!!python/object/apply:os.system [id]",
    "many documents": "---\na\n" * 2000,
}
MEMORY = 2 * 1024**3


def called(shell: Shell, *arguments: str, memory: int = MEMORY) -> subprocess.CompletedProcess[str]:
    """Runs a command with little memory and little time."""
    return subprocess.run(
        [sys.executable, "-m", "backout.cli.main", *arguments],
        env=shell.environment,
        cwd=shell.home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
    )


@pytest.mark.parametrize("kind", BAD)
def test_a_configuration_and_a_plan_are_read_in_bounds(backout: Shell, kind: str) -> None:
    path = backout.home / "file.yaml"
    path.write_text(BAD[kind], encoding="utf-8")
    for words, code in ((("runs", "--config", "file.yaml"), 3), (("run", "file.yaml", "--yes"), 2)):
        done = called(backout, *words, "-o", "json")
        assert done.returncode == code, (words, done.stdout, done.stderr)
        error = json.loads(done.stdout)["error"]
        assert error["message"] and "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["laughs", "merges", "deep flow", "of itself", "binary"])
def test_a_kubeconfig_is_read_in_bounds(backout: Shell, kind: str) -> None:
    path = backout.home / "kubeconfig"
    path.write_text(BAD[kind], encoding="utf-8")
    done = called(backout, "status", "--kubeconfig", "kubeconfig", "-o", "json")
    assert done.returncode == 3 and json.loads(done.stdout)["error"]["message"], done.stderr


def test_large_files_and_no_files(backout: Shell) -> None:
    with (backout.home / "large.yaml").open("wb") as file:
        file.truncate(3 * 1024**3)  # no room on the disk
    os.mkfifo(backout.home / "pipe.yaml")
    (backout.home / "folder.yaml").mkdir()
    (backout.home / "loop.yaml").symlink_to("loop.yaml")
    for name in ("large.yaml", "pipe.yaml", "folder.yaml", "loop.yaml", "/dev/zero"):
        for words, code in ((("run", name, "--yes"), (2,)), (("runs", "--config", name), (2, 3))):
            done = called(backout, *words, "-o", "json")
            assert done.returncode in code, (words, done.stdout, done.stderr)
            assert json.loads(done.stdout)["error"]["message"] and "Traceback" not in done.stderr


def test_what_is_written_is_ours_alone(backout: Shell, release: str) -> None:
    for name in ("plan.yaml", "fresh.yaml"):
        path = backout.home / name
        if name == "plan.yaml":
            path.write_text("x" * 100_000)
            path.chmod(0o666)
        done = backout("plan", f"helm/{release}", "--to", "4", "-n", release, "--context", "cluster-01", "--out", name)
        assert done.code == 0, done.err
        assert path.stat().st_mode & 0o077 == 0 and "x" * 100 not in path.read_text()


@pytest.mark.parametrize(
    "words", [("status",), ("status", "-o", "json"), ("runs", "-o", "yaml"), ("schema",), ("doctor",)]
)
def test_a_reader_that_goes_is_no_error(backout: Shell, release: str, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "backout.cli.main", *words, "-n", release, "--context", "cluster-01"]
    with subprocess.Popen(
        command, env=backout.environment, cwd=backout.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(120) in (0, 5, 7), said
    assert "Traceback" not in said and "BrokenPipe" not in said


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nowhere", "/sys/kernel"])
def test_a_home_where_nothing_can_be_made(backout: Shell, release: str, home: str) -> None:
    own = dict.fromkeys(("BACKOUT_STATE", "BACKOUT_DATA", "XDG_STATE_HOME", "XDG_DATA_HOME"), "")
    backout.environment = {k: v for k, v in backout.environment.items() if k not in own} | {"HOME": home}
    here = ("-n", release, "--context", "cluster-01")
    assert backout("status", *here).code == 0, "reading needs no home"
    for words in (
        ("run", f"helm/{release}", "--to", "4", "--yes", "--approve", "not-proven-good"),
        ("snapshot", "create"),
    ):
        error = backout.error(*words, *here)
        assert error["exitCode"] in (1, 3, 5) and error["code"] != "unexpected" and error["hint"], error


def test_a_disk_that_fills_up_ends_in_something_that_can_be_resumed_or_begun_anew(backout: Shell, release: str) -> None:
    here = ("-n", release, "--context", "cluster-01")
    words = ("run", f"helm/{release}", "--to", "4", "--yes", "--approve", "not-proven-good", *here)

    def full(room: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    for room in (0, 2000, 9000, 40_000, 130_000):
        done = subprocess.run(
            [sys.executable, "-m", "backout.cli.main", *words, "-o", "json"],
            env={**backout.environment, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=backout.home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            preexec_fn=lambda room=room: full(room),  # type: ignore[misc]
        )
        assert "Traceback" not in done.stderr, done.stderr
        if done.returncode != 0:
            error = json.loads(done.stdout)
            code = error["error"]["exitCode"] if error["kind"] == "Error" else error["exitCode"]
            assert code in (1, 3, 5, 8), done.stdout
    for run in backout("runs", "-o", "json").document["items"]:
        if run["state"] in ("interrupted", "running", "pending"):
            assert backout("resume", run["id"]).code == 0
    done = backout(*words)
    assert done.code in (0, 5), done.err


def test_the_end_of_a_terminal_stops_a_run_at_its_next_step(backout: Shell, release: str) -> None:
    """As Ctrl-C: whoever's connection breaks does not leave a lease, or a run that nobody can go on with."""
    here = ("-n", release, "--context", "cluster-01")
    words = ("run", f"helm/{release}", "--to", "5", "--yes", "--approve", "not-proven-good", *here)
    (backout.home / "backout.yaml").write_text("verify: {soak: 60}")
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "backout.cli.main", *words],
        env={**backout.environment, "TERM": "xterm"},
        cwd=backout.home,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        found = backout("runs", "-o", "json").document["items"]
        if found and found[0]["state"] == "running":
            break
    assert process.poll() is None, "it is still at work"
    os.close(master)
    process.send_signal(signal.SIGHUP)
    assert process.wait(120) == 130
    run = backout("runs", "-o", "json").document["items"][0]
    assert run["state"] == "interrupted"
    assert backout("abort", run["id"]).code in (0, 130)


def test_a_terminal_that_is_told_everything(backout: Shell) -> None:
    assert on_terminal(backout, "version")[0] == 0
