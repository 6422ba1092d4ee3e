# SPDX-License-Identifier: Apache-2.0
"""The documents of the outside: schemas that are what the structs say, one spelling, one shape."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backout.documents.kinds import _structs, kinds, schema
from backout.documents.reading import ClusterVerdict, VerdictList, diagnosis_list
from backout.documents.shipped import kinds as shipped_kinds
from backout.documents.shipped import schema_text
from backout.errors import UsageError
from backout.model.diagnosis import Diagnosis, Problem
from backout.model.evidence import Symptom
from backout.model.message import msg
from backout.model.spelling import camel, read, written
from backout.model.target import ObjectRef, Target

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
NAME = re.compile(r"[a-z][a-zA-Z0-9]*")


def test_the_shipped_schemas_are_those_of_the_structs() -> None:
    done = subprocess.run([sys.executable, "tools/schemas.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run: python tools/schemas.py"
    assert shipped_kinds() == sorted(kinds())


@pytest.mark.parametrize("kind", kinds())
def test_each_kind_is_a_schema_with_names_in_one_spelling(kind: str) -> None:
    found = schema(kind)
    parts = [found, *found.get("$defs", {}).values()]
    names = {name for part in parts for name in part.get("properties", ())}
    assert names and all(NAME.fullmatch(name) for name in names), names
    assert found["properties"]["kind"] == {"const": kind} and {"apiVersion", "kind"} <= set(found["required"])
    assert all(part.get("description") for part in parts if "properties" in part), "documented"
    classes = [struct.__name__ for struct in _structs(kinds()[kind])]
    assert len(classes) == len(set(classes)), "a name means one thing in a document"


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind.endswith("List")])
def test_a_list_has_items(kind: str) -> None:
    found = schema(kind)
    assert found["properties"]["items"]["type"] == "array" and "items" in found["required"]


def test_every_kind_is_in_the_table_of_the_docs() -> None:
    page = (ROOT / "docs" / "documents.md").read_text()
    assert re.findall(r"^\| `([A-Z]\w+)` \|", page, re.MULTILINE) == sorted(kinds())


def test_an_unknown_kind_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        schema_text("Nonsense")
    assert "DiagnosisList" in str(caught.value.arguments["known"])
    assert schema_text("diagnosislist") == schema_text("DiagnosisList")


class Inner(msgspec.Struct, frozen=True, tag="inner"):
    taken_at: datetime
    labels: dict[str, str] = {}


class Other(msgspec.Struct, frozen=True, tag="other"):
    count_of: int


class Outer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    kind: str = "Outer"
    parts: tuple[Inner | Other, ...] = ()
    by_name: dict[str, Inner | None] = {}
    data: dict[str, Any] = {}
    left_out: int = 0


def test_fields_are_spelt_in_camel_case_and_what_users_wrote_stays() -> None:
    value = Outer(
        parts=(Inner(AT, {"app_name": "web"}), Other(3)),
        by_name={"snake_key": Inner(AT), "none_yet": None},
        data={"earlierAttempt": True},
    )
    plain = written(value)
    assert plain == {
        "kind": "Outer",
        "parts": [
            {"type": "inner", "takenAt": "2026-11-01T12:00:00Z", "labels": {"app_name": "web"}},
            {"type": "other", "countOf": 3},
        ],
        "byName": {"snake_key": {"type": "inner", "takenAt": "2026-11-01T12:00:00Z", "labels": {}}, "none_yet": None},
        "data": {"earlierAttempt": True},
    }
    back = msgspec.convert(read(plain, Outer), Outer)
    assert back == value


class Timed(msgspec.Struct, frozen=True, omit_defaults=True):
    timeout: float = 300.0
    left_out: float = 1.0


def test_what_is_written_and_read_again_is_the_same_to_a_hash() -> None:
    value = Timed(timeout=float("300"))
    back = msgspec.convert(read(msgspec.json.decode(msgspec.json.encode(written(value))), Timed), Timed)
    assert msgspec.to_builtins(back) == msgspec.to_builtins(value) == {"timeout": 300.0}


@pytest.mark.parametrize(("name", "spelt"), [("a", "a"), ("api_version", "apiVersion"), ("apiVersion", "apiVersion")])
def test_one_name(name: str, spelt: str) -> None:
    assert camel(name) == spelt


def problem(cluster: str) -> Problem:
    ref = ObjectRef("apps/v1", "Deployment", "web", "shop")
    return Problem(
        target=Target("deployment", "web", "shop", cluster),
        mechanism="workload",
        symptoms=(Symptom(code="CrashLoopBackOff", ref=ref, message=msg("it crashes")),),
        cause=msg("an image that crashes"),
        bad_revision=2,
        confidence="certain",
    )


@pytest.mark.parametrize("clusters", [1, 2])
def test_a_diagnosis_has_one_shape_with_all_problems_on_top(clusters: int) -> None:
    names = [f"cluster-0{number}" for number in range(clusters)]
    found = [
        Diagnosis(cluster=name, namespace="shop", at=AT, problems=(problem(name),), looked_at={"pods": 3})
        for name in names
    ]
    plain = written(diagnosis_list(found))
    assert list(plain)[:2] == ["apiVersion", "kind"] and plain["kind"] == "DiagnosisList"
    assert [one["target"]["cluster"] for one in plain["problems"]] == names
    assert plain["problems"][0]["badRevision"] == 2 and plain["problems"][0]["cause"]["text"] == "an image that crashes"
    assert [(one["cluster"], one["lookedAt"], one["healthy"]) for one in plain["items"]] == [
        (name, {"pods": 3}, False) for name in names
    ]
    assert plain["healthy"] is False


def test_nothing_found_has_the_same_shape() -> None:
    plain = written(diagnosis_list([Diagnosis(cluster="c", namespace="n", at=AT)]))
    assert (plain["healthy"], plain["problems"], len(plain["items"])) == (True, [], 1)
    assert written(VerdictList(items=()))["items"] == []
    verdict = ClusterVerdict(cluster="c", outcome="unknown", checks=(), at=AT)
    assert written(VerdictList(items=(verdict,)))["items"][0]["checks"] == []
