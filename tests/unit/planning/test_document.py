# SPDX-License-Identifier: Apache-2.0
"""The plan as a file: what was approved is what runs, or nothing runs."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from backout.errors import PlanChanged, UsageError
from backout.model.change import Changes, FieldChange, ObjectChange
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.part import Access, Check, Part, Risk, Step
from backout.model.revision import Revision
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.target import ObjectRef, Target
from backout.planning import document
from backout.planning.order import in_order, reversed_needs

ROLLBACK = {"release": "shop", "revision": 2, "digest": "d", "apply": "csa"}
TARGET = Target("helm", "shop", "store", "east")


def part(id: str = "helm/shop", *needs: str) -> Part:
    return Part(
        id=id,
        needs=needs,
        scope=ClusterScope(cluster="east", namespace="store", identity=ClusterIdentity("uid", "ca")),
        target=TARGET,
        mechanism="helm",
        cause=msg("{a}: bad", a="한글"),
        revision=Revision(number=2, digest="d", created=datetime(2026, 11, 1, 3, 4, 5, 678901, tzinfo=UTC)),
        steps=(
            Step(
                id="s",
                action="helm.rollback",
                target=TARGET,
                title=msg("go"),
                params=ROLLBACK,
                precondition={"head": 3, "digest": "now"},
            ),
        ),
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


def plan(*parts: Part) -> Operation:
    return document.seal(Operation(made_at=datetime(2026, 11, 22, tzinfo=UTC), parts=parts or (part(),)))


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


def test_one_hash_is_over_all_parts_and_their_order() -> None:
    both = plan(part("a"), part("b", "a"))
    assert document.load(document.dump([both]), "f") == [both]
    other = plan(part("b"), part("a", "b"))
    assert len({both.hash, other.hash, plan(part("a"), part("b")).hash, plan(part("a")).hash}) == 4
    with pytest.raises(PlanChanged):
        document.check(msgspec.structs.replace(both, parts=both.parts[:1]))


@pytest.mark.parametrize(
    "parts", [(part("a"), part("a")), (part("a", "b"), part("b", "a")), (part("a", "nowhere"),), (part("a", "a"),)]
)
def test_parts_that_can_not_be_put_in_order(parts: tuple[Part, ...]) -> None:
    with pytest.raises(PlanChanged):
        plan(*parts)
    made = Operation(made_at=datetime(2026, 11, 22, tzinfo=UTC), parts=parts)
    sealed = msgspec.structs.replace(made, hash=document.digest(made))
    with pytest.raises(PlanChanged):
        document.load(document.dump([sealed]), "f")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just words",
        "- a\n- b",
        "kind: Deployment",
        "{",
        "apiVersion: v2\nkind: Operation",
        "apiVersion: v2\nkind: Plan",
        "kind: Plan",
    ],
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        document.load(text, "f")


def test_an_operation_without_parts_is_no_plan() -> None:
    empty = document.seal(Operation(made_at=datetime(2026, 11, 22, tzinfo=UTC), parts=()))
    with pytest.raises(UsageError, match="holds no plan"):
        document.load(document.dump([empty]), "f")


def test_a_file_of_an_earlier_version_says_to_make_it_anew() -> None:
    with pytest.raises(PlanChanged, match="earlier version") as told:
        document.load("apiVersion: backout.dev/v1\nkind: Plan\ncluster: east\nhash: sha256:1\n", "old.yaml")
    assert told.value.exit_code == 5
    assert "backout plan --out" in told.value.hint


def test_the_order_of_parts() -> None:
    parts = (part("c", "b"), part("d"), part("b", "a"), part("a"))
    assert [one.id for one in in_order(parts)] == ["d", "a", "b", "c"]
    assert reversed_needs(parts, (parts[0], parts[3], parts[1])) == {"c": (), "a": ("c",), "d": ()}


def test_a_hash_does_not_depend_on_which_object_holds_an_empty_value() -> None:
    bare = msgspec.structs.replace(part(), changes=Changes(), problems=(), cause=msg("bad"))
    other = msgspec.structs.replace(
        bare, changes=Changes(objects=(), notes=()), cause=msgspec.structs.replace(bare.cause, args={})
    )
    assert plan(bare).hash == plan(other).hash
    assert plan(bare).hash != plan(part()).hash
    zero, none = (msgspec.structs.replace(bare.steps[0], params={"to": value}) for value in (0, None))
    assert (
        plan(msgspec.structs.replace(bare, steps=(zero,))).hash
        != plan(msgspec.structs.replace(bare, steps=(none,))).hash
    )
