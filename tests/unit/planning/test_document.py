# SPDX-License-Identifier: Apache-2.0
"""The plan as a file: what was approved is what runs, or nothing runs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backout.errors import PlanChanged, UsageError
from backout.model.change import Changes, FieldChange, ObjectChange
from backout.model.message import msg
from backout.model.plan import Access, Check, ClusterIdentity, Plan, Risk, Step
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target
from backout.planning import document

TARGET = Target("helm", "shop", "store", "east")


def plan() -> Plan:
    return document.seal(
        Plan(
            cluster="east",
            identity=ClusterIdentity("uid", "ca"),
            namespace="store",
            made_at=datetime(2026, 11, 22, tzinfo=UTC),
            target=TARGET,
            mechanism="helm",
            cause=msg("{a}: bad", a="한글"),
            revision=Revision(number=2, digest="d", created=datetime(2026, 11, 1, 3, 4, 5, 678901, tzinfo=UTC)),
            steps=(Step(id="s", action="helm.rollback", target=TARGET, title=msg("go"), params={"revision": 2}),),
            changes=Changes(
                objects=(
                    ObjectChange(
                        ref=ObjectRef("v1", "ConfigMap", "a: b"),
                        action="update",
                        fields=(FieldChange("data.on", "yes", None), FieldChange("spec.x", 1.5, {"no": [True, "1e3"]})),
                    ),
                )
            ),
            risks=(Risk(code="r", message=msg("careful")),),
            checks=(Check(code="workload-ready", target=TARGET, title=msg("ready")),),
            access=(Access("get", "", "pods", "store"),),
        )
    )


def test_what_is_written_is_what_is_read() -> None:
    sealed = plan()
    assert document.load(document.dump([sealed]), "f") == [sealed]
    assert document.load(document.dump([sealed, sealed]), "f") == [sealed, sealed]


def test_every_edit_is_found() -> None:
    text = document.dump([plan()])
    lines = text.splitlines()
    edited = 0
    for number, line in enumerate(lines):
        key, colon, value = line.partition(": ")
        if not colon or key.strip() in ("apiVersion", "kind") or value.strip() in ("''", '""'):
            continue
        changed = f"{key}: {int(value) + 1}" if value.isdecimal() else f"{key}: {value.strip(chr(39))}x"
        try:
            found = document.load("\n".join([*lines[:number], changed, *lines[number + 1 :]]), "f")
        except (PlanChanged, UsageError):
            edited += 1
        else:
            pytest.fail(f"nobody noticed the edit of line {number + 1}: {changed!r} gave {found}")
    assert edited > 20


def test_an_added_key_is_found() -> None:
    with pytest.raises(PlanChanged):
        document.load(document.dump([plan()]).replace("soak: 10.0", "soak: 0.0"), "f")


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b", "kind: Deployment", "{", "apiVersion: v2\nkind: Plan"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        document.load(text, "f")
