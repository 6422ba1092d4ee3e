# SPDX-License-Identifier: Apache-2.0
"""The definitions that a record's chart brought in its crds/ folder, and what a plan says of them."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from test_helm_steps import analysis, item

from backout.helm.crds import definitions_in
from backout.kube.definitions import DefinitionGap
from backout.mechanisms.helm.definitions import Definitions, notes, risks

CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: stores.data.example}
"""


def record(*files: tuple[str, str]) -> str:
    listed = [{"name": name, "data": base64.b64encode(text.encode()).decode()} for name, text in files]
    release: dict[str, Any] = {"name": "web", "chart": {"files": listed}}
    return base64.b64encode(gzip.compress(json.dumps(release).encode())).decode()


def test_definitions_are_read_from_the_crds_folder_alone() -> None:
    body = record(("crds/a.yaml", CRD), ("README.md", CRD), ("crds/broken.yaml", ": ["), ("crds/notes.txt", "kind: X"))
    assert [one["metadata"]["name"] for one in definitions_in(body, "r", wrapped=False)] == ["stores.data.example"]
    assert definitions_in(record(), "r", wrapped=False) == ()


def told(found: Definitions) -> str:
    return " ".join(note.text for note in notes(found, analysis(item("Thing", {"spec": {}}, {"spec": {}}))))


def test_nothing_is_said_where_nothing_differs() -> None:
    assert told(Definitions(recorded=True)) == ""


def test_what_differs_is_said_with_what_each_side_calls_itself() -> None:
    gap = DefinitionGap(name="stores.data.example", live="0.72.0", wanted="0.73.0", lacks=("spec.size",))
    text = told(Definitions(gaps=(gap,), recorded=True))
    assert "live (0.72.0)" in text and "others (0.73.0): stores.data.example" in text and "stores spec.size" in text
    assert "may not be read" not in text
    assert "stores.data.example" in told(Definitions(blind=("stores.data.example",), recorded=True))


def test_versions_that_an_older_operator_does_not_know_are_a_risk() -> None:
    gap = DefinitionGap(name="stores.data.example", stored=("v2",), unserved=("v1beta1",))
    found = risks(Definitions(gaps=(gap,), recorded=True), analysis())
    assert [risk.code for risk in found] == ["crd-stored-versions", "crd-unserved"]
