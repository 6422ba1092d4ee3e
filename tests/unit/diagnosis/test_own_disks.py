# SPDX-License-Identifier: Apache-2.0
"""A full disk that a pod has for itself points nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from backout.diagnosis.attribution.signals import in_its_own_memory


def template(path: str = "", **volume: Any) -> dict[str, Any]:
    mounts = [{"name": "v", "mountPath": path}] if path else []
    return {"spec": {"containers": [{"name": "app", "volumeMounts": mounts}], "volumes": [{"name": "v", **volume}]}}


@pytest.mark.parametrize(
    ("found", "said", "own"),
    [
        (template(), "write /dev/shm/frame.bin: no space left on device", True),
        (template("/dev/shm", emptyDir={"medium": "Memory"}), "write /dev/shm/a: no space left on device", True),
        (template("/dev/shm", hostPath={"path": "/dev/shm"}), "write /dev/shm/a: no space left on device", False),
        (template("/cache/", emptyDir={"sizeLimit": "1Mi"}), "write /cache/a: No space left on device", True),
        (template("/cache", emptyDir={}), "write /cache/a: no space left on device", False),
        (template("/data", persistentVolumeClaim={"claimName": "c"}), "write /data/a: no space left on device", False),
        (template(), "write /dev/shmx/a: no space left on device", False),
        (template(), "write /dev/shm/a: no space left on device; write /var/b: no space left on device", False),
        (template(), "no space left on device", False),
        (template(), "/dev/shm/a is there", False),
    ],
)
def test_whose_disk_is_full(found: dict[str, Any], said: str, own: bool) -> None:
    assert in_its_own_memory(found, said) is own
