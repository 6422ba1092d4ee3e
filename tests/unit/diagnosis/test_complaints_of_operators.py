# SPDX-License-Identifier: Apache-2.0
"""An operator that complains of a resource: of what was changed of it, or of something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from a_namespace import KINDS, Scene, ago, codes, writer

from backout.cluster.port import Resource

SECRET = Resource("external-secrets.io/v1", "ExternalSecret", "externalsecrets")


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setitem(KINDS, "ExternalSecret", SECRET)
    return Scene(tmp_path)


@pytest.mark.parametrize(
    ("said", "seconds", "confidence"),
    [
        ("could not get provider client: store vault-2 not found", 85, "likely"),
        ("could not get provider client: store vault-2: 503 Service Unavailable", 85, "likely"),
        ("invalid value of storeName", 20, "likely"),
        ("it can't be reconciled", 85, "likely"),
        # Something else does not answer, or it had been content.
        ("could not get secret data from provider: 503 Vault is sealed", 85, "possible"),
        ("429 urn:ietf:params:acme:error:rateLimited", 85, "possible"),
        ("dial tcp: lookup vault.example: no such host", 85, "possible"),
        ("it can't be reconciled", 20, "possible"),
    ],
)
def test_of_what_it_complains(scene: Scene, said: str, seconds: int, confidence: str) -> None:
    made = writer("kubectl-create", 7200, "spec/storeName")
    scene.put("ExternalSecret", "db", made, spec={"storeName": "vault-1"})
    scene.snapshot(kinds=("ExternalSecret",))
    condition = {"type": "Ready", "status": "False", "reason": "Error", "message": said}
    scene.put(
        "ExternalSecret",
        "db",
        made,
        writer("kubectl-edit", 90, "spec/storeName"),
        spec={"storeName": "vault-2"},
        status={"conditions": [{**condition, "lastTransitionTime": ago(seconds)}]},
    )
    (problem,) = scene.problems().values()
    assert codes(problem) == {"NotReconciled"}
    assert problem.confidence == confidence and bool(problem.against) is (confidence == "possible")
    assert problem.suspect is not None and problem.suspect.actor == "kubectl-edit"
