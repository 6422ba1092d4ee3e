# SPDX-License-Identifier: Apache-2.0
"""What of a revision can stay as it is in the cluster, and the manifest and record that say so."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from backout.errors import Invalid
from backout.helm.manifest import entries
from backout.helm.payload import decode
from backout.helm.staying import Kept, only_grown, staying, ways_to_stay, with_manifest
from backout.kube.diff import diff_objects


def claim(size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"resources": {"requests": {"storage": size}}, **spec},
    }


LIVE = {"storageClassName": "fast", "volumeName": "pvc-1", "volumeMode": "Filesystem", "accessModes": ["ReadWriteOnce"]}


@pytest.mark.parametrize(
    ("base", "target", "live", "sizes", "said", "grown"),
    [
        pytest.param(claim("2Gi"), claim("1Gi"), claim("2Gi", **LIVE), ["2Gi"], set(), True, id="it has grown"),
        pytest.param(claim("2000Mi"), claim("1Gi"), claim("2000Mi"), ["2000Mi"], set(), True, id="in other units"),
        pytest.param(
            claim("1Gi"),
            claim("3Gi"),
            claim("1Gi", **LIVE),
            ["3Gi", "1Gi"],
            set(),
            False,
            id="it may grow, where that is let",
        ),
        pytest.param(
            claim("2Gi", storageClassName="fast"),
            claim("1Gi", storageClassName="slow"),
            claim("2Gi", **LIVE),
            ["2Gi"],
            {"storageClassName"},
            False,
            id="it was made anew of another class",
        ),
        pytest.param(
            claim(storageClassName="fast"),
            claim(),
            claim(**LIVE),
            ["1Gi"],
            {"storageClassName"},
            False,
            id="a class that was added",
        ),
        pytest.param(
            claim(accessModes=["ReadWriteOnce"]),
            claim(accessModes=["ReadWriteMany"], volumeAttributesClassName="gold"),
            claim(**LIVE),
            ["1Gi"],
            {"accessModes", "volumeAttributesClassName"},
            False,
            id="what may change goes back",
        ),
    ],
)
def test_a_claim_keeps_what_it_can_not_give_back_and_no_more_is_said_than_the_manifests_say(
    base: dict[str, Any], target: dict[str, Any], live: dict[str, Any], sizes: list[str], said: set[str], grown: bool
) -> None:
    ways = list(ways_to_stay(base, target, live))
    assert [way["spec"]["resources"]["requests"]["storage"] for way in ways] == sizes
    for way in ways:
        assert set(way["spec"]) == {"resources", *said} and way["metadata"] == target["metadata"]
        assert {key: way["spec"][key] for key in said & LIVE.keys()} == {key: LIVE[key] for key in said & LIVE.keys()}
        assert way["spec"].get("volumeAttributesClassName") == target["spec"].get("volumeAttributesClassName")
    paths = [field for field in diff_objects(claim(**live["spec"]), target) if field.after is not None]
    assert only_grown(paths) is grown


def test_what_is_no_claim_does_not_stay() -> None:
    thing = {"kind": "Secret", "spec": {"a": 1}}
    assert not list(ways_to_stay(thing, thing, thing))
    assert not only_grown(())


MANIFEST = """---
# Source: shop/templates/pvc.yaml
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, labels: {note: "2026-01-02"}}
spec: {resources: {requests: {storage: 1Gi}}}
---
# Source: shop/templates/list.yaml
apiVersion: v1
kind: PersistentVolumeClaimList
items:
- {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: logs}, spec: {resources: {requests: {storage: 1Gi}}}}
- {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: other}, spec: {volumeMode: Block}}
---
# Source: shop/templates/cm.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: data}
data:
  text: |
    kind: PersistentVolumeClaim
    é ✓ 😀
"""


def test_the_manifest_says_what_stays_and_all_else_byte_by_byte() -> None:
    spec = {"resources": {"requests": {"storage": "2Gi"}}, "storageClassName": "🐢-slow"}
    kept = [Kept("PersistentVolumeClaim", "ns", "data", spec), Kept("PersistentVolumeClaim", "ns", "logs", {"a": "b"})]
    found = staying(MANIFEST, "ns", kept)
    said = {(e.kind, e.namespace("ns"), e.name): e.object for e in entries(found)}
    before = {(e.kind, e.namespace("ns"), e.name): e.object for e in entries(MANIFEST)}
    assert list(said) == list(before)
    assert said["PersistentVolumeClaim", "ns", "data"] == {
        **before["PersistentVolumeClaim", "ns", "data"],
        "spec": spec,
    }
    assert said["PersistentVolumeClaim", "ns", "logs"]["spec"] == {"a": "b"}
    untouched = [("PersistentVolumeClaim", "other", "data"), ("ConfigMap", "ns", "data")]
    assert [said[key] for key in untouched] == [before[key] for key in untouched]
    assert found.endswith(MANIFEST[MANIFEST.index("---\n# Source: shop/templates/cm.yaml") :])
    assert "# Source: shop/templates/pvc.yaml\n" in found
    assert staying(MANIFEST, "ns", kept) == found
    assert staying(found, "ns", kept) == found
    assert staying(MANIFEST, "ns", ()) == MANIFEST


def test_a_record_with_another_manifest_is_otherwise_what_it_was() -> None:
    number = "12345678901234567890.50"
    inner = f'{{"name":"web","manifest":"old","config":{{"big":{number},"z":1,"a":{{}}}},"info":{{"status":"deployed"}},"version":3}}'
    for wrapped in (True, False):
        coded = base64.b64encode(gzip.compress(inner.encode()))
        text = (base64.b64encode(coded) if wrapped else coded).decode()
        found = with_manifest(text, "r", "new é\n", wrapped=wrapped)
        release = decode(found, "r", wrapped=wrapped)
        assert (release.manifest, release.name, release.version, release.info.status) == (
            "new é\n",
            "web",
            3,
            "deployed",
        )
        raw = base64.b64decode(found)
        plain = gzip.decompress(base64.b64decode(raw) if wrapped else raw).decode()
        assert number in plain and json.loads(plain)["config"] == json.loads(inner)["config"]
    with pytest.raises(Invalid):
        with_manifest(base64.b64encode(b"[]").decode(), "r", "", wrapped=False)
