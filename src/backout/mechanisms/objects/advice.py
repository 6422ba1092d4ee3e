# SPDX-License-Identifier: Apache-2.0
"""What the reader must know before, and which rights the steps need. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backout.cluster.port import PODS
from backout.kube.resources import OBJECT_RESOURCES, WORKLOAD_RESOURCES
from backout.kube.workloads import interrupts
from backout.mechanisms.common.steps import writing as changing
from backout.mechanisms.objects.helm import consequence
from backout.mechanisms.objects.needs import Need
from backout.mechanisms.objects.planning import Planned, writing
from backout.model.message import Message, few, msg
from backout.model.part import Access, Risk, Step
from backout.model.target import ObjectRef

_DELETING = frozenset({"objects.replace-pods", "workload.replace-stuck-pods", "workload.delete-outdated-pods"})


def risks(planned: Planned) -> list[Risk]:
    """In the order of their weight."""
    found: list[Risk] = []
    ref = str(planned.seen.ref)
    scaled = [need for need in planned.needs if need.what == "scale"]
    restarted = [need for need in planned.needs if need.what == "restart"]
    if planned.anew:
        found.append(_recreate(planned, scaled))
    if restarted:
        names = ", ".join(str(need.ref) for need in restarted)
        found.append(_risk("restart", msg("{readers} must be restarted to read {ref}.", readers=names, ref=ref)))
    alone = [need for need in restarted if interrupts(need.workload.obj)]
    if alone:
        found.append(
            _risk(
                "interruption",
                msg(
                    "Restarting {readers} interrupts it: its pods end before others are ready.",
                    readers=", ".join(str(need.ref) for need in alone),
                ),
            )
        )
    found += [_risk("scaling", message) for message in _scaling(planned, scaled)]
    if planned.seen.ref.kind == "Secret" and planned.seen.live is not None:
        found.append(
            _risk(
                "secret-elsewhere",
                msg(
                    "Older credentials help only where they are still accepted: if they were changed on the other side as "
                    "well, the former ones are refused there."
                ),
            )
        )
    if planned.helm is not None:
        found.append(_risk("helm-owned", consequence(planned.helm)))
        if planned.helm.server_side:
            found.append(
                _risk(
                    "field-manager",
                    msg(
                        "{name} is written by server-side apply: Backout becomes the owner of these fields, and an upgrade "
                        "that changes them stops with a conflict, unless helm is told --force-conflicts.",
                        name=f"helm/{planned.helm.release}",
                    ),
                )
            )
    found += [_risk("other-readers", message) for message in _others(planned)]
    if planned.mute:
        found.append(
            _risk(
                "not-provable",
                msg(
                    "You may not use pods/proxy in {namespace}: whether programs have loaded the content is told by their "
                    "logs at most, so the run may end “unknown”.",
                    namespace=planned.seen.ref.namespace,
                ),
            )
        )
    found += [_risk("readers-hidden", message) for message in planned.blind]
    return found


def _recreate(planned: Planned, scaled: Sequence[Need]) -> Risk:
    ref = str(planned.seen.ref)
    message = msg("{ref} can't be changed, only deleted and created anew.", ref=ref)
    if scaled:
        message = msg(
            "{ref} can't be changed, only deleted and created anew. Nodes keep the old content while pods use it, so "
            "all pods of {readers} end first: an interruption.",
            ref=ref,
            readers=", ".join(str(need.ref) for need in scaled),
        )
    elif planned.seen.ref.kind == "Service":
        message = msg("{ref} can't be changed, only deleted and created anew: it may get other addresses.", ref=ref)
    return Risk(code="recreate", message=message, needs_approval=True)


def _scaling(planned: Planned, scaled: Sequence[Need]) -> Iterable[Message]:
    for growth in planned.ring.growth:
        yield msg(
            "statefulset/{name} grows from {now} to {wanted} pods first: the hashring of that time names them. "
            "An autoscaler, or the next upgrade, may take them away again.",
            name=growth.name,
            now=growth.now,
            wanted=growth.wanted,
        )
    if scaled:
        yield msg("If the run is stopped half-way, readers may stay at 0 pods until `backout resume` goes on.")


def _others(planned: Planned) -> Iterable[Message]:
    """Readers that are not acted on, each kind with what will happen to it."""
    ref = str(planned.seen.ref)
    pods = sorted({str(reader.workload) for reader in planned.others if reader.workload.kind == "Pod"})
    if pods:
        yield msg(
            "{pods} read {ref}, and nothing makes them anew: restart them yourself if they read it only once.",
            pods=few(pods),
            ref=ref,
        )
    custom = sorted(
        {str(reader.workload) for reader in planned.others if reader.workload.kind not in ("Pod", "Ingress")}
    )
    if custom:
        yield msg("{names} name {ref} as well; whatever runs them acts on it by itself.", names=few(custom), ref=ref)


def _risk(code: str, message: Message) -> Risk:
    return Risk(code=code, message=message)


def access(planned: Planned) -> list[Access]:
    """Every right that the steps need."""
    found = set(writing(planned.content))
    for step in planned.steps:
        found |= set(_of_step(step, planned))
    return sorted(found)


def _of_step(step: Step, planned: Planned) -> Iterable[Access]:
    if step.action == "objects.restore":
        return ()
    params, namespace = step.params, planned.seen.ref.namespace
    ref = ObjectRef(str(params["api_version"]), str(params["kind"]), str(params["name"]), namespace)
    rights = set(changing(ref))
    if step.action not in ("objects.scale", "workload.restart"):
        rights = {right for right in rights if right.verb != "patch"}
    if step.action in _DELETING:
        rights.add(Access("delete", "", PODS.plural, namespace))
    return rights


def usual_access(namespace: str) -> list[Access]:
    """The rights to put any object back, whatever that takes, with the workloads that read it."""
    found = {
        Access(verb, resource.group, resource.plural, namespace)
        for resource in OBJECT_RESOURCES.values()
        for verb in ("get", "list", "watch", "create", "update", "delete")
    }
    for kind in WORKLOAD_RESOURCES:
        found |= set(changing(ObjectRef("apps/v1", kind, "", namespace)))
    return sorted(found | {Access("delete", "", PODS.plural, namespace)})
