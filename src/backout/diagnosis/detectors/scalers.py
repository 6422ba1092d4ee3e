# SPDX-License-Identifier: Apache-2.0
"""Who scales a workload to nothing as a trade, and whether somebody told it to stay there.

An autoscaler of Kubernetes whose least is 1 or more never does: at 0 replicas it stands still (kubernetes
pkg/controller/podautoscaler, ``ScalingDisabled``). Others do it themselves, and name what they scale in ``scaleTargetRef``, as KEDA's
ScaledObject does; that stays where it is while an annotation ``…/paused…`` says so (keda.sh/docs, "Pausing autoscaling").
"""

from __future__ import annotations

import re

from backout.cluster.port import Object
from backout.diagnosis.evidence.namespace import AUTOSCALERS, Namespace
from backout.kube.groups import custom
from backout.kube.sanitise import controller

PAUSED = r"(?i)paused"
"""In the name of an annotation, or the type of a condition."""


async def to_nothing(namespace: Namespace) -> dict[tuple[str, str], Object]:
    """Kind and name of each workload that something may scale to 0, with what does it: a custom resource where there is one."""
    found: dict[tuple[str, str], Object] = {}
    for obj in (await namespace.objects(AUTOSCALERS)).items:
        maker = controller(obj)
        if (obj.get("spec") or {}).get("minReplicas") == 0 or (maker is not None and custom(str(maker["apiVersion"]))):
            found[_target(obj)] = obj
    for obj in await namespace.customs():
        if isinstance((obj.get("spec") or {}).get("scaleTargetRef"), dict):
            found[_target(obj)] = obj
    return found


def paused_by(scaler: Object) -> str:
    """The annotation that holds it; empty where none does."""
    notes = (scaler["metadata"].get("annotations") or {}).items()
    return next((key for key, value in notes if re.search(PAUSED, key) and str(value).lower() != "false"), "")


def _target(obj: Object) -> tuple[str, str]:
    wanted = (obj.get("spec") or {}).get("scaleTargetRef") or {}
    return str(wanted.get("kind") or "Deployment"), str(wanted.get("name") or "")
