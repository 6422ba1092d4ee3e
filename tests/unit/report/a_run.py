# SPDX-License-Identifier: Apache-2.0
"""A rollback of a stuck StatefulSet by Helm, with fixed times, as the store gives it back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from backout.model.change import Changes, FieldChange, LedgerEntry, ObjectChange
from backout.model.diagnosis import Problem
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.operation import Operation
from backout.model.part import Check, Compensation, Part, Risk, Step
from backout.model.revision import Revision
from backout.model.run import CaptureNote, Run, RunEvent
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.target import ObjectRef, Target
from backout.model.verdict import CheckResult, CheckStatus, judge

T0 = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)
TARGET = Target("helm", "thanos", "monitoring", "cluster-01")
SET = ObjectRef("apps/v1", "StatefulSet", "thanos-receive", "monitoring")
POD = ObjectRef("v1", "Pod", "thanos-receive-2", "monitoring")
CAPTURE = "/home/alice/.local/share/backout/captures/r1.capture"
CANARY = "canary-77aa-secret"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def problem() -> Problem:
    log = Evidence(
        source="log",
        ref=POD,
        message=msg("last lines of {container}:", container="receive"),
        data={"lines": ["level=info msg=starting", "panic: `boom` ```", f"password={CANARY}"]},
    )
    state = Evidence(source="pod", ref=POD, message=msg("Running, CrashLoopBackOff, 4 restarts"), at=at(75))
    field = FieldChange("spec.template.spec.containers[name=receive].image", "thanos:v1", "thanos:v2|bad")
    return Problem(
        target=TARGET,
        mechanism="helm",
        workload=SET,
        bad_revision=3,
        confidence="certain",
        serving=2,
        desired=3,
        cause=msg("revision {n} of the release brought the image {image}", n=3, image="thanos:v2"),
        why=(msg("the first failure came {seconds} s after the change", seconds=15),),
        suspect=LedgerEntry(
            at=at(60),
            source="helm",
            target=TARGET,
            actor="ci_bot",
            revision=3,
            previous=2,
            summary=msg("upgrade to chart {chart}", chart="thanos-1.2.0"),
            fields=(field,),
        ),
        symptoms=(
            Symptom(
                code="CrashLoopBackOff",
                ref=SET,
                since=at(75),
                pods=("thanos-receive-2",),
                evidence=(state, log),
                message=msg("{pod}: container receive ends with exit code 2", pod="thanos-receive-2"),
            ),
        ),
    )


def part(**more: Any) -> Part:
    steps = (
        Step(
            id="rollback",
            action="helm.rollback",
            target=TARGET,
            title=msg("Roll the release back from revision {head} to revision {n}", head=3, n=2),
            compensation=Compensation("helm.rollback", {"revision": 3}),
        ),
        Step(
            id="replace",
            action="workload.replace-stuck-pods",
            target=TARGET,
            title=msg("Replace pods of {workload} that are stuck on another revision", workload="thanos-receive"),
        ),
    )
    secret = ObjectRef("v1", "Secret", "objstore", "monitoring")
    changes = Changes(
        objects=(
            ObjectChange(ref=SET, action="update", fields=(FieldChange("spec.template.x", "v2", "v1"),)),
            ObjectChange(ref=secret, action="update", fields=(FieldChange("data.key", "•••", "•••", secret=True),)),
        )
    )
    values: dict[str, Any] = {
        "id": str(TARGET),
        "scope": ClusterScope(
            cluster="cluster-01", namespace="monitoring", identity=ClusterIdentity("11111111-2222", "ca")
        ),
        "target": TARGET,
        "mechanism": "helm",
        "cause": problem().cause,
        "current": Revision(number=3, digest="bad", chart="thanos-1.2.0"),
        "revision": Revision(number=2, digest="good", chart="thanos-1.1.0"),
        "why_good": (msg("all its pods were ready for {hours} h", hours=6),),
        "problems": (problem(),),
        "steps": steps,
        "changes": changes,
        "risks": (Risk(code="x", message=msg("Hooks of the chart are not run.")),),
        "soak": 10.0,
        "checks": (
            Check(code="release-deployed", target=TARGET, title=msg("the release is deployed")),
            Check(code="workload-ready", target=TARGET, title=msg("{w} is ready", w="statefulset/thanos-receive")),
            Check(code="no-new-restarts", target=TARGET, title=msg("no container restarts")),
            Check(code="pvc-bound", target=TARGET, title=msg("volume claims are Bound")),
        ),
    }
    return Part(**(values | more))


def operation(*parts: Part, undo_of: str = "") -> Operation:
    """An operation of these parts."""
    return Operation(made_at=at(180), parts=parts, undo_of=undo_of, hash="sha256:0123456789abcdef")


def plan(undo_of: str = "", **more: Any) -> Operation:
    """An operation of that one part."""
    return operation(part(**more), undo_of=undo_of)


def measured(statuses: dict[str, CheckStatus]) -> tuple[CheckResult, ...]:
    return tuple(
        CheckResult(
            code=check.code,
            target=check.target,
            title=check.title,
            status=statuses.get(check.code, "pass"),
            measured=msg("value of {code}", code=check.code),
            at=at(230),
        )
        for check in part().checks
    )


def event(type: str, second: float, message: Message, seq: int, step: str = "", **data: Any) -> RunEvent:
    return RunEvent(
        run="r1", part=str(TARGET), type=type, at=at(second), message=message, step=step, data=data, seq=seq
    )


def recovered(**statuses: CheckStatus) -> tuple[Run, list[RunEvent]]:
    verdict = judge(measured({code.replace("_", "-"): status for code, status in statuses.items()}), at(230), 10.0)
    run = Run(
        id="20261122-030310-7f3a",
        state=verdict.outcome,
        operation=plan(),
        started=at(190),
        ended=at(231),
        actor="alice",
        verdict=verdict,
        captures={str(TARGET): CaptureNote(CAPTURE, "sha256:feedfacefeedface")},
    )
    captured = {"objects": 9, "digest": "sha256:feedfacefeedface", "path": CAPTURE}
    events = [
        event(
            "run-started",
            190,
            msg("{target} is to go back to revision {revision}.", target="helm/thanos", revision=2),
            1,
        ),
        event("captured", 191, msg("kept"), 2, **captured),
        event("step-started", 192, msg("roll"), 3, "rollback"),
        event(
            "step-done", 200, msg("{release} is at revision {n}", release="thanos", n=4), 4, "rollback", changed=True
        ),
        event("step-started", 200, msg("replace"), 5, "replace"),
        event("step-done", 212, msg("1 pod replaced"), 6, "replace", changed=True),
        event("verdict", 230, msg("judged"), 7),
        event("run-ended", 231, msg("Done and verified."), 8),
    ]
    return run, events


def changed(run: Run, **values: Any) -> Run:
    return msgspec.structs.replace(run, **values)
