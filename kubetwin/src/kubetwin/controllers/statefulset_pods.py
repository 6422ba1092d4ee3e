# SPDX-License-Identifier: Apache-2.0
"""Identity, storage and state of a StatefulSet's pods (facts: pkg/controller/statefulset/stateful_set_utils.go)."""

from __future__ import annotations

import copy
import re

from kubetwin.client import Obj
from kubetwin.controllers.refs import pod_from_template
from kubetwin.meta import (
    deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    pod_available,
    pod_phase,
    pod_ready,
)

REVISION_LABEL = "controller-revision-hash"
NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"^(.*)-([0-9]+)$")


def ordinal_of(pod: Obj) -> int:
    found = _NAME.match(name_of(pod))
    return int(found.group(2)) if found else -1


def parent_name(pod: Obj) -> str:
    found = _NAME.match(name_of(pod))
    return found.group(1) if found else ""


def start_ordinal(sts: Obj) -> int:
    return int((sts["spec"].get("ordinals") or {}).get("start") or 0)


def revision_of(pod: Obj) -> str:
    return labels_of(pod).get(REVISION_LABEL, "")


def is_created(pod: Obj) -> bool:
    return bool(pod_phase(pod))


def running_and_ready(pod: Obj) -> bool:
    return pod_phase(pod) == "Running" and pod_ready(pod)


def running_and_available(pod: Obj, min_ready: int) -> bool:
    return pod_phase(pod) == "Running" and pod_available(pod, min_ready)


def unavailable(pod: Obj, min_ready: int) -> bool:
    return deleting(pod) or not running_and_available(pod, min_ready)


def claim_name(sts: Obj, template: Obj, ordinal: int) -> str:
    return f"{template['metadata']['name']}-{name_of(sts)}-{ordinal}"


def claims_for(sts: Obj, ordinal: int) -> list[Obj]:
    """The PersistentVolumeClaims of one ordinal."""
    out: list[Obj] = []
    selected = (sts["spec"].get("selector") or {}).get("matchLabels") or {}
    for template in sts["spec"].get("volumeClaimTemplates") or ():
        meta = template["metadata"]
        metadata: Obj = {
            "name": claim_name(sts, template, ordinal),
            "namespace": namespace_of(sts),
            "labels": {**(meta.get("labels") or {}), **selected},
        }
        if meta.get("annotations"):
            metadata["annotations"] = dict(meta["annotations"])
        out.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": metadata,
                "spec": copy.deepcopy(template["spec"]),
            }
        )
    return out


def new_pod(sts: Obj, template: Obj, revision: str, ordinal: int) -> Obj:
    name = f"{name_of(sts)}-{ordinal}"
    pod = pod_from_template(template, sts, name=name)
    pod["metadata"]["generateName"] = f"{name_of(sts)}-"
    labels = pod["metadata"].setdefault("labels", {})
    labels.update({NAME_LABEL: name, INDEX_LABEL: str(ordinal), REVISION_LABEL: revision})
    spec = pod["spec"]
    spec["hostname"] = name
    if sts["spec"].get("serviceName"):
        spec["subdomain"] = sts["spec"]["serviceName"]
    claims = {t["metadata"]["name"]: claim_name(sts, t, ordinal) for t in sts["spec"].get("volumeClaimTemplates") or ()}
    volumes = [
        {"name": volume, "persistentVolumeClaim": {"claimName": claim}} for volume, claim in sorted(claims.items())
    ]
    volumes.extend(v for v in spec.get("volumes") or () if v["name"] not in claims)
    if volumes:
        spec["volumes"] = volumes
    return pod


def identity_matches(sts: Obj, pod: Obj) -> bool:
    return (
        ordinal_of(pod) >= 0
        and parent_name(pod) == name_of(sts)
        and labels_of(pod).get(NAME_LABEL) == name_of(pod)
        and labels_of(pod).get(INDEX_LABEL) == str(ordinal_of(pod))
    )


def retention(sts: Obj) -> tuple[str, str]:
    """(whenDeleted, whenScaled)."""
    policy = sts["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    return policy.get("whenDeleted") or "Retain", policy.get("whenScaled") or "Retain"


def wanted_claim_owners(sts: Obj, claim: Obj, pod: Obj, ordinal: int) -> list[Obj]:
    """The owner references that make the retention policy come true by garbage collection."""
    when_deleted, when_scaled = retention(sts)
    pod_name = f"{name_of(sts)}-{ordinal}"
    kept = [
        r
        for r in claim["metadata"].get("ownerReferences") or ()
        if not (r["kind"] == "Pod" and r["name"] == pod_name)
        and not (r["kind"] == "StatefulSet" and r["name"] == name_of(sts))
    ]
    if any(r.get("controller") for r in kept):
        return kept
    start = start_ordinal(sts)
    condemned = not start <= ordinal < start + int(sts["spec"].get("replicas", 1))
    if when_scaled == "Delete" and condemned:
        return [*kept, owner_reference({"apiVersion": "v1", "kind": "Pod", **pod})]
    if when_deleted == "Delete":
        return [*kept, owner_reference(sts)]
    return kept
