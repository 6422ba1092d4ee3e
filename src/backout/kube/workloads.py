# SPDX-License-Identifier: Apache-2.0
"""Small readings of workloads, of their revisions and of their pods, as plain objects. Pure.

A revision is a ReplicaSet of a Deployment, or a ControllerRevision of a StatefulSet or DaemonSet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from backout.cluster.port import Object
from backout.kube import projections, rollout
from backout.kube.names import REVISION_LABELS
from backout.kube.templates import digest_of, plain_template


def controller_uid(obj: Object) -> str:
    """The uid of the owner that manages an object; empty when none does."""
    return next((str(o["uid"]) for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), "")


def selector_of(obj: Object) -> str:
    """The label selector of a workload as a query parameter."""
    selector = obj["spec"].get("selector") or {}
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or ():
        key, values = rule["key"], ",".join(rule.get("values") or ())
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[rule["operator"]]
        )
    return ",".join(parts)


def matches(selector: dict[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector, as objects hold it, selects these labels; one that is empty selects everything."""
    wanted = selector or {}
    if any(labels.get(key) != value for key, value in (wanted.get("matchLabels") or {}).items()):
        return False
    for rule in wanted.get("matchExpressions") or ():
        value, values = labels.get(rule["key"]), rule.get("values") or ()
        held = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not held[rule["operator"]]:
            return False
    return True


def desired(obj: Object) -> int:
    """How many pods there should be."""
    return rollout.desired(obj["kind"], projections.workload(obj))


def observed(obj: Object) -> bool:
    """Whether the controller has seen the newest spec."""
    return rollout.observed(projections.workload(obj))


def partition_of(obj: Object) -> int:
    """Ordinals below it keep the revision that they have; 0 for all but StatefulSets."""
    return projections.workload(obj).partition if obj["kind"] == "StatefulSet" else 0


def on_delete(obj: Object) -> bool:
    """Whether pods are replaced only when somebody deletes them."""
    return projections.workload(obj).on_delete


def ordered(obj: Object) -> bool:
    """Whether the controller stops at the first pod that is not ready."""
    return rollout.ordered(obj["kind"], projections.workload(obj))


def interrupts(obj: Object) -> bool:
    """Whether replacing its pods may leave none that serves: all of them may end before another is ready.

    A Deployment's maxUnavailable rounds down, its maxSurge up, and where both are 0 one pod may be missing
    (k8s.io/kubectl/pkg/util/deployment, ResolveFenceposts). A StatefulSet ends each pod before it makes the next.
    """
    wanted, spec = desired(obj), obj["spec"]
    if not wanted:
        return False
    plan = spec.get("strategy" if obj["kind"] == "Deployment" else "updateStrategy") or {}
    if plan.get("type") == "Recreate":
        return True
    rolling = plan.get("rollingUpdate") or {}
    if obj["kind"] == "Deployment":
        surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
        missing = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
        return (missing or int(not surge)) >= wanted
    surge = _share(rolling.get("maxSurge", 0), wanted, up=True) if obj["kind"] == "DaemonSet" else 0
    missing = _share(rolling.get("maxUnavailable", 1), wanted, up=True)
    return not surge and max(missing, 1) >= wanted


def _share(value: Any, of: int, *, up: bool) -> int:
    """A number, or a percentage of ``of``."""
    text = str(value or 0)
    if not text.endswith("%"):
        return int(text) if text.isdecimal() else 0
    hundredths = int(text[:-1]) * of if text[:-1].isdecimal() else 0
    return -(-hundredths // 100) if up else hundredths // 100


def ordinal(pod: Object) -> int:
    """The number at the end of the name of a StatefulSet's pod; -1 for any other."""
    return rollout.ordinal(str(pod["metadata"]["name"]))


def revision_label(pod: Object, kind: str) -> str:
    """Of which revision a pod is."""
    return str((pod["metadata"].get("labels") or {}).get(REVISION_LABELS[kind], ""))


def template_digest(obj: Object) -> str:
    """Names the content of a workload's (or ReplicaSet's) pod template, whatever labels controllers added."""
    return digest_of(plain_template(obj["spec"]["template"]))


def template_in(revision: Object) -> dict[str, Any]:
    """The pod template that a ReplicaSet or a ControllerRevision keeps, ready to be put back."""
    source = revision.get("data", revision)
    return plain_template(((source or {}).get("spec") or {}).get("template") or {})


def label_in(revision: Object, kind: str) -> str:
    """The value of the label that pods of a ReplicaSet or ControllerRevision carry."""
    if kind == "StatefulSet":
        return str(revision["metadata"]["name"])
    return str((revision["metadata"].get("labels") or {}).get(REVISION_LABELS[kind], ""))


def revision_in_force(obj: Object, revisions: Iterable[Object]) -> str:
    """What pods of the revision that ``obj`` wants carry in their label; empty while its controller has made none.

    ``revisions`` are all that may be its own: others are left out here.
    """
    if obj["kind"] == "StatefulSet":
        return str((obj.get("status") or {}).get("updateRevision") or "")
    uid, digest = obj["metadata"]["uid"], template_digest(obj)
    same = [item for item in revisions if controller_uid(item) == uid and digest_of(template_in(item)) == digest]
    newest = max(same, key=lambda item: int(item.get("revision") or 0), default=None)
    return label_in(newest, obj["kind"]) if newest is not None else ""


def job_ended(obj: Object) -> bool:
    """Whether a Job is over, well or not (batch/v1: a condition Complete or Failed that is True)."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(one.get("type") in ("Complete", "Failed") and one.get("status") == "True" for one in conditions)
