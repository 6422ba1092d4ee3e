# SPDX-License-Identifier: Apache-2.0
"""How helm is called and what its last words mean."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from backout import errors
from backout.mechanisms.helm import binary
from backout.mechanisms.helm.failures import error_from
from backout.model.message import Message
from backout.tools.locate import Tool

THREE = Tool("helm", "/usr/bin/helm", "3.18.0", "PATH")
FOUR = Tool("helm", "/usr/bin/helm", "4.3.1", "PATH")


def arguments(helm: Tool, **more: object) -> list[str]:
    values = {"release": "web", "revision": 2, "namespace": "shop", "context": "c1", "server_side": True} | more
    return binary.rollback_arguments(helm, **values)  # type: ignore[arg-type]


def test_the_revision_is_always_said_and_nothing_is_pruned() -> None:
    for helm in (THREE, FOUR):
        found = arguments(helm)
        assert found[:4] == ["/usr/bin/helm", "rollback", "web", "2"]
        assert found[found.index("--history-max") + 1] == "0"
        assert found[found.index("--kube-context") + 1] == "c1"
        assert not any(argument.startswith("--wait") or argument == "--force" for argument in found)


def test_each_major_version_gets_flags_that_it_knows() -> None:
    assert "--server-side=true" in arguments(FOUR)
    assert "--server-side=false" in arguments(FOUR, server_side=False, force_conflicts=True)
    assert "--force-conflicts" in arguments(FOUR, force_conflicts=True)
    assert "--force-conflicts" not in arguments(FOUR, server_side=False, force_conflicts=True)
    assert not any("server-side" in argument or "conflicts" in argument for argument in arguments(THREE))
    assert "--no-hooks" in arguments(THREE, no_hooks=True)


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        (
            "Error: conflict occurred while applying object a/b, Kind=Deployment: Apply failed with 1 conflict: "
            'conflict with "kubectl-set" using apps/v1: .spec.replicas',
            errors.Conflict,
        ),
        (
            'Error: cannot patch "db" with kind StatefulSet: StatefulSet.apps "db" is invalid: spec: Forbidden: updates '
            "to statefulset spec",
            errors.Invalid,
        ),
        ('Error: secrets is forbidden: User "bob" cannot list resource "secrets"', errors.AccessDenied),
        ("Error: release: not found", errors.ReleaseNotFound),
        ("Error: release has no 9 version", errors.RevisionNotFound),
        ('Error: no ConfigMap with the name "x" found', errors.PreconditionFailed),
        (
            "Error: Kubernetes cluster unreachable: dial tcp 127.0.0.1:1: connect: connection refused",
            errors.ClusterUnreachable,
        ),
        ("Error: pre-rollback hooks failed: 1 error occurred", errors.ToolFailed),
        ("Error: failed to create: sh.helm.release.v1.web.v4 already exists", errors.LockedError),
        ("Error: the server has asked for the client to provide credentials", errors.TokenExpired),
        ("something that nobody foresaw", errors.ToolFailed),
        ("", errors.ToolFailed),
    ],
)
def test_helm_s_words_become_our_errors(output: str, kind: type[errors.BackoutError]) -> None:
    found = error_from(output, release="helm/web", found="revision 3, failed")
    assert type(found) is kind
    assert found.hint and found.arguments["state"] == "revision 3, failed"


def test_credentials_in_helm_s_words_do_not_show() -> None:
    found = error_from("Error: Get https://bob:hunter2@host/: token=abcdefgh12345", release="helm/web", found="")
    assert "hunter2" not in found.message and "abcdefgh" not in found.message


def run(program: str, **more: object) -> tuple[binary.Result, list[str]]:
    lines: list[str] = []
    values: dict[str, object] = {"timeout": 30.0, "line": lines.append} | more
    result = asyncio.run(binary.run([sys.executable, "-c", program], dict(os.environ), **values))  # type: ignore[arg-type]
    return result, lines


def test_lines_come_through_redacted_and_the_code_is_kept() -> None:
    result, lines = run("import sys; print('one', flush=True); print('password=hunter2', file=sys.stderr); sys.exit(3)")
    assert result.code == 3
    assert lines[0] == "one" and "hunter2" not in " ".join(lines)


def test_a_program_that_does_not_end_is_stopped_and_said_so() -> None:
    with pytest.raises(errors.TimedOut):
        run("import time; time.sleep(60)", timeout=0.5)


def test_a_program_that_is_missing_is_said_so() -> None:
    with pytest.raises(errors.ToolFailed):
        asyncio.run(binary.run(["/nonexistent/helm"], {}, timeout=1, line=lambda text: None))


def test_a_helm_that_is_given_up_ends_with_all_that_it_started_and_frees_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is stopped, as it is when a whole machine or session was."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    began = tmp_path / "began"
    program = (
        "import os, pathlib, signal, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'], close_fds=False)\n"
        f"pathlib.Path({str(began)!r}).write_text(str(child.pid))\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    said: list[Message] = []

    async def first(stop: asyncio.Event | None) -> None:
        async with binary.lock("k", wait=5, waiting=said.append) as handle:
            await binary.run(
                [sys.executable, "-c", program],
                dict(os.environ),
                keep=(handle,),
                timeout=600,
                line=lambda text: None,
                stop=stop,
            )

    async def main() -> None:
        stop = asyncio.Event()
        for cancelled in (True, False):
            began.unlink(missing_ok=True)
            task = asyncio.create_task(first(None if cancelled else stop))
            while not began.exists() or not began.read_text():  # noqa: ASYNC110 - written by another process
                await asyncio.sleep(0.02)
            with pytest.raises(errors.LockedError):
                async with binary.lock("k", wait=0.3, waiting=said.append):
                    pass
            if cancelled:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                stop.set()
                await task
            async with binary.lock("k", wait=30, waiting=said.append):
                assert said

    asyncio.run(main())
    assert (tmp_path / "backout" / "helm" / "k.lock").stat().st_mode & 0o777 == 0o600
