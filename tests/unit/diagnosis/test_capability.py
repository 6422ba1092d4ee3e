# SPDX-License-Identifier: Apache-2.0
"""Which fields of a custom resource can have brought which failures of what its operator makes of it."""

from __future__ import annotations

import pytest

from backout.diagnosis.attribution.capability import able, can_cause
from backout.diagnosis.attribution.failures import Failure, Kind
from backout.model.change import FieldChange
from backout.model.evidence import Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef

POD = ObjectRef("v1", "Pod", "store-0", "ns")


@pytest.mark.parametrize(
    ("field", "kind", "possible"),
    [
        ("spec.image", Kind.NO_IMAGE, True),
        ("spec.image", Kind.CRASH, True),
        ("spec.image", Kind.ROOM, False),
        ("spec.nodeSelector.disk", Kind.SELECTOR, True),
        ("spec.nodeSelector.disk", Kind.CRASH, False),
        ("spec.replicas", Kind.ROOM, True),
        ("spec.replicas", Kind.CRASH, False),
        ("spec.storage.resources.requests", Kind.ROOM, True),
        ("spec.template.resources.limits.memory", Kind.OOM, True),
        ("spec.retentionPolicy", Kind.CRASH, True),
        ("spec.retentionPolicy", Kind.NO_IMAGE, False),
        ('metadata.labels["team"]', Kind.CRASH, False),
    ],
)
def test_a_field_of_a_custom_resource_and_what_it_can_bring(field: str, kind: Kind, possible: bool) -> None:
    symptom = Symptom(code="Error", ref=POD, message=msg("it fails"))
    failure = Failure(symptom=symptom, kinds=frozenset({kind}))
    assert can_cause(f"datastore/main {field}", failure) is possible


def test_what_is_no_custom_resource_has_a_row_of_its_own() -> None:
    failure = Failure(symptom=Symptom(code="Error", ref=POD, message=msg("it fails")), kinds=frozenset({Kind.CRASH}))
    assert can_cause("configmap/settings data.a", failure)
    assert not can_cause("resourcequota/small spec.hard", failure)


@pytest.mark.parametrize(
    ("before", "after", "kind", "possible"),
    [
        ("256Mi", "10Mi", Kind.OOM, True),
        ("64Mi", "0.5Gi", Kind.OOM, False),
        (None, "64Mi", Kind.OOM, True),
        ("64Mi", None, Kind.OOM, True),  # what the namespace gives by default may be less
        ("64Mi", "512Gi", Kind.LIMIT_RANGE, True),
    ],
)
def test_a_limit_that_was_raised_ends_no_program(
    before: str | None, after: str | None, kind: Kind, possible: bool
) -> None:
    failure = Failure(symptom=Symptom(code="x", ref=POD, message=msg("x")), kinds=frozenset({kind}), container="main")
    field = FieldChange("spec.template.spec.containers[name=main].resources.limits.memory", before, after)
    assert bool(able([field], failure)) is possible


@pytest.mark.parametrize("kind", ["serviceaccount", "secret", "configmap", "role"])
def test_labels_of_what_is_read_lead_to_nothing(kind: str) -> None:
    symptom = Symptom(code="Error", ref=POD, message=msg("it fails"))
    failure = Failure(symptom=symptom, kinds=frozenset({Kind.CRASH, Kind.PULL_DENIED}))
    assert not can_cause(f'{kind}/main metadata.labels["app.kubernetes.io/version"]', failure)
    assert can_cause(f"{kind}/main metadata.name", failure)
