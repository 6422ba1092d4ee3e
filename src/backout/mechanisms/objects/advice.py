# SPDX-License-Identifier: Apache-2.0
"""What the reader must know before, and which rights the steps need. Pure, but for `held_access`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from backout.changes.authors import authors
from backout.cluster.port import PODS, ClusterReader, Object
from backout.errors import AccessDenied, ObjectNotFound
from backout.kube.projections import Bare
from backout.kube.resources import OBJECT_RESOURCES, WORKLOAD_RESOURCES
from backout.kube.workloads import interrupts
from backout.mechanisms.common.steps import writing as changing
from backout.mechanisms.objects.helm import consequence
from backout.mechanisms.objects.kinds import KINDS
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
    if planned.content.how == "delete":
        found.append(_deletes(planned))
    if planned.anew:
        found.append(_recreate(planned, scaled))
    found += _of_kind(planned)
    if restarted:
        names = ", ".join(str(need.ref) for need in restarted)
        message = msg("{readers} must be restarted to read {ref}.", readers=names, ref=ref)
        if KINDS[planned.seen.ref.kind].dependents == "account":
            message = msg(
                "{readers} must be restarted: their pods hold a token of the {ref} that was deleted, and it is refused.",
                readers=names,
                ref=ref,
            )
        found.append(_risk("restart", message))
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


def _deletes(planned: Planned) -> Risk:
    ref, live = str(planned.seen.ref), planned.seen.live or {"metadata": {}}
    maker = next((author.manager for author in reversed(authors(live)) if author.by != "cluster"), "?")
    return Risk(
        code="deletes",
        needs_approval=True,
        message=msg(
            "{ref} is deleted: {manager} made it at {at}, when all was well it was not there. {warning}",
            ref=ref,
            manager=maker,
            at=str(live["metadata"].get("creationTimestamp") or "?"),
            warning=KINDS[planned.seen.ref.kind].warns or "",
        ),
    )


def _of_kind(planned: Planned) -> Iterable[Risk]:
    """What is particular to the kind of object."""
    kind, wanted = KINDS[planned.seen.ref.kind], planned.past.content
    if kind.warns is not None and wanted is not None and planned.content.how != "unchanged":
        yield _risk(kind.risk, kind.warns)
        if kind.dependents == "rights" and (why := _powerful(wanted, planned.seen.live)) is not None:
            yield Risk(code=POWERFUL, message=why, needs_approval=True)
    if kind.dependents == "account" and planned.seen.live is None and planned.content.how == "create":
        yield _risk(
            "new-identity",
            msg(
                "{ref} gets another uid: whoever uses a token of the former one needs a new token.",
                ref=str(planned.seen.ref),
            ),
        )


POWERFUL = "powerful-rights"
_ADMINS = frozenset({"cluster-admin", "admin"})
_BEYOND = frozenset({"escalate", "bind", "impersonate", "*"})


def _powerful(wanted: Object, live: Object | None) -> Message | None:
    """Why rights that are given again are more than a program ordinarily has; None where they are not, or are held still.

    Source: kubernetes.io/docs/concepts/security/rbac-good-practices, "Privilege escalation risks".
    """
    reference = wanted.get("roleRef") or {}
    subjects, had = wanted.get("subjects") or [], (live or {}).get("subjects") or []
    given = [one for one in subjects if live is None or one not in had or live.get("roleRef") != reference]
    if reference.get("kind") == "ClusterRole" and reference.get("name") in _ADMINS and given:
        return msg("It gives the rights of {role} again.", role=f"clusterrole/{reference['name']}")
    rules = [rule for rule in wanted.get("rules") or () if rule not in ((live or {}).get("rules") or ())]
    if any(_BEYOND & set(rule.get("verbs") or ()) or "secrets" in (rule.get("resources") or ()) for rule in rules):
        return msg("It gives rights again that reach far: every verb, Secrets, or those of others.")
    return None


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
    if step.action in ("objects.restore", "objects.remove"):
        return ()
    params, namespace = step.params, planned.seen.ref.namespace
    ref = ObjectRef(str(params["api_version"]), str(params["kind"]), str(params["name"]), namespace)
    rights = set(changing(ref))
    if step.action not in ("objects.scale", "objects.ask-again", "workload.restart"):
        rights = {right for right in rights if right.verb != "patch"}
    if step.action in _DELETING:
        rights.add(Access("delete", "", PODS.plural, namespace))
    return rights


def usual_access(namespace: str) -> list[Access]:
    """The rights to put objects back that are everywhere, whatever that takes, with the workloads that read them."""
    found = {access for kind, one in KINDS.items() if one.everywhere for access in _whatever(kind, namespace)}
    for kind in WORKLOAD_RESOURCES:
        found |= set(changing(ObjectRef("apps/v1", kind, "", namespace)))
    return sorted(found | {Access("delete", "", PODS.plural, namespace)})


async def held_access(cluster: ClusterReader, namespace: str) -> list[Access]:
    """The rights to put back objects of the other kinds, where there are such."""

    async def one(kind: str) -> list[Access]:
        try:
            there = await cluster.list_as(Bare, OBJECT_RESOURCES[kind], namespace, metadata_only=True)
        except (AccessDenied, ObjectNotFound):
            return []
        # Every namespace has that account, and its controller makes it anew.
        ours = any((kind, item.metadata.name) != ("ServiceAccount", "default") for item in there)
        return _whatever(kind, namespace) if ours else []

    found = await asyncio.gather(*(one(kind) for kind, entry in KINDS.items() if not entry.everywhere))
    return sorted({access for some in found for access in some})


def _whatever(kind: str, namespace: str) -> list[Access]:
    resource = OBJECT_RESOURCES[kind]
    verbs = ("get", "list", "watch", "create", "update", "delete")
    return [Access(verb, resource.group, resource.plural, namespace) for verb in verbs]
