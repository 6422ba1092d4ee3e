# SPDX-License-Identifier: Apache-2.0
"""What an undo says of its steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from backout.mechanisms.common.steps import wait_ready
from backout.model.message import Message, msg
from backout.model.part import Part
from backout.model.revision import Revision
from backout.model.run import RunEvent
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.target import ObjectRef, Target
from backout.workflows.undo import _other_title, _starts


def test_an_undo_of_an_undo_does_the_step_again() -> None:
    title = msg("Put the pod template of revision {n} back", n=2)
    undone = _other_title(title)
    assert undone.text == "Take back: Put the pod template of revision 2 back"
    # A plan comes back from the disk before it is undone.
    kept = msgspec.json.decode(msgspec.json.encode(undone), type=Message)
    assert _other_title(kept).text == title.text
    assert _other_title(_other_title(kept)).text == undone.text


def part() -> Part:
    target = Target("helm", "shop", "shop", "c")
    waits = [
        wait_ready(
            ObjectRef("apps/v1", "Deployment", name, "shop"), Target("deployment", name, "shop", "c"), id=f"wait-{name}"
        )
        for name in ("api", "web")
    ]
    scope = ClusterScope(cluster="c", namespace="shop", identity=ClusterIdentity("u", "ca"))
    return Part(
        id="p",
        scope=scope,
        target=target,
        mechanism="helm",
        cause=msg("x"),
        revision=Revision(number=1, digest="d"),
        steps=tuple(waits),
    )


def event(type: str, step: str = "", **data: Any) -> RunEvent:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    return RunEvent(run="r", part="p", type=type, at=at, message=msg("x"), step=step, data=data)


def check(name: str, status: str, code: str = "workload-ready") -> RunEvent:
    return event("check", code=code, status=status, target=f"deployment/{name}")


@pytest.mark.parametrize(
    ("events", "started"),
    [
        pytest.param([], [], id="nothing is known to fail"),
        pytest.param([event("step-failed", "wait-web")], ["web"], id="it was waited for in vain"),
        pytest.param([event("step-failed", "rollback")], [], id="another step failed"),
        pytest.param([check("api", "fail"), check("web", "pass")], ["api"], id="it was measured as failing"),
        pytest.param([check("api", "fail"), check("api", "pass")], [], id="and got well in the end"),
        pytest.param([check("api", "fail", "no-new-restarts")], ["api"], id="it restarts"),
        pytest.param([check("api", "fail", "endpoints"), check("api", "unknown")], [], id="other checks, or not known"),
        pytest.param([check("other", "fail")], [], id="the plan did not wait for it"),
    ],
)
def test_an_undo_starts_what_failed_at_the_end_of_the_run(events: list[RunEvent], started: list[str]) -> None:
    found = _starts(part(), events)
    assert [(step.action, step.params["name"]) for step in found] == [("workload.start-anew", name) for name in started]
