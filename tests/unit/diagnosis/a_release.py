# SPDX-License-Identifier: Apache-2.0
"""A Helm release in the namespace of a scene."""

from __future__ import annotations

import base64
import gzip
import json

from a_namespace import NS, Scene, ago

MARKS = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {"meta.helm.sh/release-name": "stack", "meta.helm.sh/release-namespace": NS},
}


def record(scene: Scene, number: int, text: str, *, status: str, seconds: float) -> None:
    payload = {
        "name": "stack",
        "namespace": NS,
        "version": number,
        "manifest": text,
        "info": {"status": status, "description": "Upgrade complete", "last_deployed": ago(seconds)},
        "chart": {"metadata": {"name": "chart", "version": "1.0.0"}},
    }
    inner = base64.b64encode(gzip.compress(json.dumps(payload).encode()))
    meta = {
        "labels": {"owner": "helm", "name": "stack", "version": str(number), "status": status},
        "resourceVersion": "1",
    }
    scene.put(
        "Secret",
        f"sh.helm.release.v1.stack.v{number}",
        born=seconds,
        type="helm.sh/release.v1",
        meta=meta,
        data={"release": base64.b64encode(inner).decode()},
    )


def release(scene: Scene, *revisions: str) -> None:
    for number, text in enumerate(revisions, 1):
        last = number == len(revisions)
        record(scene, number, text, status="deployed" if last else "superseded", seconds=92 if last else 7200)
