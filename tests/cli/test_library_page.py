# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/library.md, carried out in their order on an embedded cluster."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from kubetwin.process import Twin

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
RESTARTS = "{.items[*].status.containerStatuses[0].restartCount}"


def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def shop(twin: Twin, tools: dict[str, Path]) -> None:
    """A Deployment that ran well, and whose last update crashes."""

    def kubectl(*words: str) -> str:
        where = ["--kubeconfig", str(twin.kubeconfig), "--context", "cluster-01", "-n", "shop"]
        words = (str(tools["kubectl"]), *where, *words)
        return subprocess.run(words, check=True, capture_output=True, timeout=60, text=True).stdout

    kubectl("create", "namespace", "shop")
    kubectl("create", "configmap", "colours", "--from-literal=wall=blue")
    kubectl("create", "deployment", "web", "--image=registry.example/web:1.0")
    kubectl("rollout", "status", "deployment/web", "--timeout=50s")
    kubectl("set", "image", "deployment/web", "web=registry.example/web:1.1-crash")
    deadline = time.monotonic() + 60
    while not any(map(int, kubectl("get", "pods", "-o", f"jsonpath={RESTARTS}").split())):
        assert time.monotonic() < deadline, "nothing crashed"
        time.sleep(0.5)


@pytest.mark.usefixtures("shop")
def test_every_example_works(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "KUBECONFIG": twin.kubeconfig,
        "BACKOUT_STATE": tmp_path / "state.db",
        "BACKOUT_DATA": tmp_path / "data",
        "HOME": tmp_path,
    }.items():
        monkeypatch.setenv(name, str(value))
    found = examples()
    assert len(found) >= 10
    names: dict[str, Any] = {"__name__": "examples"}

    async def play() -> None:
        for example in found:
            code = compile(example, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            answer = eval(code, names)
            if inspect.isawaitable(answer):
                await answer

    asyncio.run(play())
    said = capsys.readouterr().out
    assert "deployment/web" in said and "recovered" in said
    assert [names[name].state for name in ("run", "undone", "again")] == ["recovered"] * 3
    assert names["undone"].undo_of == names["run"].id
    assert names["verdict"].outcome == "recovered"
    assert not names["diagnosis"].healthy and names["difference"].comparison.differences == ()
    assert "not-found" in said and "usage" in said and "Watching" in said
