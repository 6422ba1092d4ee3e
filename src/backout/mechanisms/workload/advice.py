# SPDX-License-Identifier: Apache-2.0
"""What the reader must know before, what is measured afterwards, and which rights the steps need. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backout.cluster.port import CONTROLLERREVISIONS, PODS, REPLICASETS, Object
from backout.kube.needs import needs_of
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.templates import references
from backout.kube.workloads import desired, interrupts, on_delete, ordered
from backout.mechanisms.common.steps import params_of
from backout.mechanisms.workload.history import TemplateRevision, WorkloadHistory
from backout.model.message import Message, msg
from backout.model.part import Access, Check, Risk, Step
from backout.model.target import ObjectRef, Target


def risks(
    snapshot: WorkloadHistory, wanted: TemplateRevision, steps: list[Step], missing: Sequence[ObjectRef] = ()
) -> list[Risk]:
    """What a template does not cover, and what the steps do besides. ``missing``: what its pods read and is not there."""
    obj, name = snapshot.obj, str(ObjectRef.of(snapshot.obj))
    found = [
        _risk(
            "read-objects",
            msg(
                "{object}, which it reads, does not exist any more: pods that run go on, new ones would not start. "
                "`backout run {object}` brings it back where a snapshot has it.",
                object=str(ref),
            ),
        )
        for ref in missing
    ]
    names = sorted(set(references(wanted.template)))
    if names:
        found.append(
            _risk(
                "configuration-not-included",
                msg(
                    "{names} stay as they are now: a revision of a workload does not hold what it reads.",
                    names=", ".join(names),
                ),
            )
        )
    if obj["spec"].get("volumeClaimTemplates"):
        found.append(
            _risk(
                "data-stays",
                msg(
                    "The volumes of {ref} stay as they are: the older version must read what the newer one wrote.",
                    ref=name,
                ),
            )
        )
    if (ordered(obj) and snapshot.digest != wanted.digest) or snapshot.stuck:
        found.append(
            _risk(
                "pods-deleted",
                msg(
                    "Pods of {ref} that are not ready and of another revision are deleted one by one; claims stay.",
                    ref=name,
                ),
            )
        )
    if on_delete(obj):
        found.append(
            _risk(
                "on-delete",
                msg(
                    "{ref} replaces pods only when they are deleted (OnDelete): Backout deletes outdated ones.",
                    ref=name,
                ),
            )
        )
    if any(step.action == "workload.set-partition" for step in steps):
        found.append(
            _risk(
                "partition",
                msg("Its partition is set to 0, since it would hold pods at another revision; it is not put back."),
            )
        )
    if obj["spec"].get("paused"):
        found.append(_paused(steps))
    if interrupts(obj):
        found.append(
            _risk(
                "interruption",
                msg("Replacing the pods of {ref} interrupts it: they end before others are ready.", ref=name),
            )
        )
    undo = next((step for step in steps if step.action == "workload.undo"), None)
    if undo is not None and undo.compensation is None:
        found.append(
            _risk(
                "not-undone",
                msg("No revision keeps the template in force, and it holds secrets: `backout undo` can't restore it."),
            )
        )
    return found


def _paused(steps: list[Step]) -> Risk:
    if any(step.action == "workload.set-paused" for step in steps):
        return _risk(
            "paused",
            msg("Its rollout is paused half-way: it is resumed for the way back, and paused again afterwards."),
        )
    return _risk(
        "paused",
        msg("Its rollout is paused and stays so: no pod has the template that goes, so that none is replaced."),
    )


def _risk(code: str, message: Message) -> Risk:
    return Risk(code=code, message=message)


def checks(snapshot: WorkloadHistory, target: Target, wanted: TemplateRevision, services: list[Object]) -> list[Check]:
    """The right template, ready pods, no restarts, endpoints, claims."""
    ref = ObjectRef.of(snapshot.obj)
    params: dict[str, Any] = params_of(ref)
    name = str(ref)
    found = [
        Check(
            code="revision-restored",
            target=target,
            params={"digest": wanted.digest},
            title=msg("{ref} has the pod template of revision {n}", ref=name, n=wanted.number),
        ),
        Check(
            code="workload-ready",
            target=target,
            params={**params, "images": _images(wanted.template)},
            title=msg("{ref} is ready at its new revision", ref=name),
        ),
        Check(
            code="no-new-restarts", target=target, params=params, title=msg("Pods of {ref} do not restart", ref=name)
        ),
    ]
    labels = (wanted.template.get("metadata") or {}).get("labels") or {}
    fronting = sorted(
        service["metadata"]["name"]
        for service in services
        if (selector := (service.get("spec") or {}).get("selector"))
        and all(labels.get(key) == value for key, value in selector.items())
    )
    if needs_of(wanted.template.get("spec") or {}):
        found.append(
            Check(
                code="read-objects",
                target=target,
                params=params,
                title=msg("What pods of {ref} read is there", ref=name),
            )
        )
    if fronting and desired(snapshot.obj):
        found.append(
            Check(
                code="endpoints",
                target=target,
                params={"services": fronting},
                title=msg("Services of {ref} have ready endpoints", ref=name),
            )
        )
    if snapshot.obj["spec"].get("volumeClaimTemplates"):
        found.append(Check(code="pvc-bound", target=target, title=msg("Volume claims of {ref} are Bound", ref=name)))
    return found


def _images(template: dict[str, Any]) -> dict[str, str]:
    spec = template.get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return {entry["name"]: entry.get("image", "") for entry in containers}


def access(kind: str, namespace: str, steps: list[Step]) -> list[Access]:
    """Every right that the steps and the checks need."""
    resource = WORKLOAD_RESOURCES[kind]
    found = {Access(verb, resource.group, resource.plural, namespace) for verb in ("get", "list", "watch", "patch")}
    kept = REPLICASETS if kind == "Deployment" else CONTROLLERREVISIONS
    found |= {Access("list", kept.group, kept.plural, namespace)}
    if kind == "Deployment":
        found |= {Access("watch", kept.group, kept.plural, namespace)}
    found |= {Access(verb, "", PODS.plural, namespace) for verb in ("list", "watch")}
    deleting = {"workload.replace-stuck-pods", "workload.delete-outdated-pods"}
    if any(step.action in deleting for step in steps):
        found.add(Access("delete", "", PODS.plural, namespace))
    return sorted(found)
