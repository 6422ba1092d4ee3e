# SPDX-License-Identifier: Apache-2.0
"""What else than a change of the workload explains what it shows: quotas, nodes, registries, rights, or others.

"Not caused by a change" is an answer. Each finder looks at one thing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from backout.changes.authors import authors
from backout.cluster.port import CONFIGMAPS, SECRETS, Object
from backout.diagnosis.attribution.changes import Change
from backout.diagnosis.attribution.failures import RUNNING, Kind
from backout.diagnosis.attribution.hypotheses import Situation
from backout.diagnosis.attribution.signals import signals
from backout.diagnosis.attribution.ways import target_of, way_back
from backout.diagnosis.evidence.history import generation_of_mark
from backout.diagnosis.evidence.namespace import LIMITRANGES, QUOTAS, SERVICEACCOUNTS, WORKLOADS, Namespace
from backout.diagnosis.evidence.nearness import SKEW, TOGETHER
from backout.kube.diff import diff_objects
from backout.kube.references import references
from backout.model.change import FieldChange
from backout.model.diagnosis import Confidence
from backout.model.message import Message, distinct, msg
from backout.model.target import ObjectRef, Target

LATELY = timedelta(minutes=30)


class Circumstance(msgspec.Struct, frozen=True, kw_only=True):
    """What explains the failure. ``change`` is the one behind it, where it is one that somebody made elsewhere; ``key``
    is the same for workloads that suffer from the same."""

    key: str
    cause: Message
    confidence: Confidence
    why: tuple[Message, ...] = ()
    notes: tuple[Message, ...] = ()
    change: Change | None = None


Finder = Callable[[Situation, Namespace], Awaitable[Circumstance | None]]


def kinds_of(situation: Situation) -> frozenset[Kind]:
    """Everything that the workload shows."""
    return frozenset(kind for failure in situation.failures for kind in failure.kinds)


def codes_of(situation: Situation) -> str:
    """The same in the words of the cluster."""
    return ", ".join(dict.fromkeys(failure.symptom.code for failure in situation.failures))


async def quota(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """A quota that was made or changed, or that others use up."""
    if Kind.QUOTA not in kinds_of(situation):
        return None
    text = " ".join(failure.text for failure in situation.failures)
    match = re.search(r"(?:exceeded|failed) quota: ([\w.-]+)", text)
    name = match.group(1) if match else ""
    return await _limit(situation, namespace, QUOTAS, name, "quota")


async def limit_range(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """A LimitRange that forbids what the pods ask for."""
    if Kind.LIMIT_RANGE not in kinds_of(situation):
        return None
    return await _limit(situation, namespace, LIMITRANGES, "", "limit range")


async def _limit(
    situation: Situation, namespace: Namespace, resource: Any, name: str, word: str
) -> Circumstance | None:
    found = await namespace.named(resource)
    live = [obj for key, obj in found.items() if not name or key == name]
    changes = [change for obj in live if (change := await last_write(situation, namespace, obj)) is not None]
    said = next((failure.symptom.message for failure in situation.failures), msg(""))
    if changes:
        change = max(changes, key=lambda one: one.at.timestamp() if one.at else 0.0)
        return Circumstance(
            key=str(change.target),
            change=change,
            confidence="likely",
            cause=msg("{codes}: {what}", codes=codes_of(situation), what=change.summary),
            why=(
                msg("What the pods are refused for is what {object} forbids.", object=str(change.touches[0])),
                msg("Nothing of the workload was changed that asks for more."),
            ),
            notes=(msg("Look at {object}, and at who set it: {said}", object=str(change.target), said=said),),
        )
    users = [text async for text in _grown(situation, namespace)]
    which = f"resourcequota/{name}" if name else word
    return Circumstance(
        key=which,
        confidence="likely" if users else "unknown",
        cause=msg(
            "{codes}: {which} is used up, and no change of the workload did that",
            codes=codes_of(situation),
            which=which,
        ),
        why=tuple(users[:3]),
        notes=(msg("Look at who uses the {word}: {said}", word=word, said=said),),
    )


async def last_write(situation: Situation, namespace: Namespace, obj: Object) -> Change | None:
    """The last write of an object by somebody, where it is one that can have brought this."""
    author = next((a for a in authors(obj) if a.by != "cluster"), None)
    since = situation.since
    born = msgspec.convert(obj["metadata"]["creationTimestamp"], datetime)
    ref = ObjectRef.of(obj)
    baseline = await namespace.baseline()
    kept = baseline.kept(ref)
    if kept is not None:
        fields = tuple(f for f in diff_objects(kept, obj) if f.path.startswith("spec"))
        if not fields:
            return None
    else:
        settled = _settled(situation)
        if baseline.good is None and settled is not None and born <= settled:
            # As old as what it limits, and nothing says that it was other.
            if author is None or author.at <= settled:
                return None
        elif baseline.good is not None and born < baseline.good.taken_at:
            return None
        fields = tuple(FieldChange(f"spec.{key}", None, value) for key, value in (obj.get("spec") or {}).items())
    at = author.at if author is not None else born
    if since is not None and at > since + SKEW:
        return None
    actor = author.manager if author is not None else ""
    summary = (
        msg("{manager} created {object}", manager=actor or "?", object=str(ref))
        if kept is None and abs((at - born).total_seconds()) <= 1
        else msg("{manager} changed {object}", manager=actor or "?", object=str(ref))
    )
    target = target_of(ref, ref.namespace or namespace.name, namespace.cluster.name)
    return Change(
        at=at,
        actor=actor,
        source="managedfields",
        target=target,
        mechanism=await way_back(namespace.cluster, target),
        touches=(ref,),
        fields=fields,
        by_hand=True,
        summary=summary,
    )


def _settled(situation: Situation) -> datetime | None:
    """Until when what was made around a workload was made together with it: until its pods were ready, a minute at most."""
    history = situation.history
    if history.created is None:
        return None
    ready = [done for one in history.generations if (done := history.completed(one.name)) is not None]
    return min([history.created + timedelta(seconds=60), *ready])


async def _grown(situation: Situation, namespace: Namespace) -> Any:
    """Other workloads that were scaled or changed before it began: who may use what is missing."""
    for resource in WORKLOADS.values():
        for name, obj in (await namespace.named(resource)).items():
            if (resource.kind, name) == (situation.history.key[1], situation.history.key[2]):
                continue
            for author in authors(obj):
                if author.by == "other" and author.owns("spec.replicas") and _before(author.at, situation.since):
                    yield msg(
                        "{object} was scaled to {count} by {manager} before.",
                        object=str(ObjectRef.of(obj)),
                        count=(obj.get("spec") or {}).get("replicas", 1),
                        manager=author.manager,
                    )
                    break


def _before(at: datetime, since: datetime | None) -> bool:
    return since is None or since - LATELY <= at <= since + SKEW


async def nodes(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """Nodes that are closed, tainted, full, or that fail; a node selector that matches none by now."""
    kinds = kinds_of(situation)
    scheduling = kinds & {Kind.TAINT, Kind.CORDON, Kind.ROOM, Kind.SELECTOR, Kind.UNPLACED}
    listed = await namespace.nodes()
    if scheduling:
        closed = []
        for node in listed.items:
            spec, name = node.get("spec") or {}, node["metadata"]["name"]
            if spec.get("unschedulable"):
                closed.append(msg("node/{name} is closed for new pods (cordoned).", name=name))
            for taint in spec.get("taints") or ():
                if (
                    taint.get("effect") in ("NoSchedule", "NoExecute")
                    and taint.get("key") != "node.kubernetes.io/unschedulable"
                ):
                    closed.append(
                        msg("node/{name} has the taint {taint}.", name=name, taint=f"{taint['key']}:{taint['effect']}")
                    )
        if closed and kinds & {Kind.TAINT, Kind.CORDON}:
            return Circumstance(
                key="nodes",
                confidence="likely",
                cause=msg(
                    "{codes}: nodes are closed or tainted, and no change of the workload did that",
                    codes=codes_of(situation),
                ),
                why=tuple(closed[:4]),
                notes=(msg("Open the node again (kubectl uncordon, kubectl taint … -), or ask who closed it."),),
            )
        said = situation.failures[0].symptom.message
        return Circumstance(
            key=f"scheduling:{situation.history.key}",
            confidence="unknown",
            cause=msg("{codes}: {said}; no change of the workload brought that", codes=codes_of(situation), said=said),
            why=tuple(closed[:4]),
            notes=(msg("Look at the nodes: labels, taints, and what room they have."),),
        )
    return _one_node(situation, listed.items)


def _one_node(situation: Situation, listed: Iterable[Object]) -> Circumstance | None:
    """All pods that fail are on one node, and others of the same workload elsewhere are well."""
    history = situation.history
    failing = {pod.spec.node_name for pod in history.failing if pod.spec.node_name}
    made = {history.generation_of(pod) for pod in history.failing}
    well = {
        mark.node
        for mark in history.marks
        if mark.ready_since is not None and mark.node and generation_of_mark(history.key, mark) in made
    }
    sick = {
        node["metadata"]["name"]
        for node in listed
        if any(
            (c.get("type") == "Ready" and c.get("status") != "True")
            or (c.get("type") in ("MemoryPressure", "DiskPressure", "PIDPressure") and c.get("status") == "True")
            for c in (node.get("status") or {}).get("conditions") or ()
        )
    }
    if len(failing) == 1 and (
        failing & sick or ((well - failing and len(history.failing) > 1) or (well - failing and situation.others))
    ):
        name = next(iter(failing))
        why = [msg("All pods that fail are on it: {count}.", count=len(history.failing))]
        if well - failing:
            why.append(msg("Pods of the same workload on other nodes are ready."))
        if name in sick:
            why.append(msg("The node itself says that it is not well."))
        return Circumstance(
            key=f"node/{name}",
            confidence="likely",
            cause=msg("{codes}: only on node/{name}, so not caused by a change", codes=codes_of(situation), name=name),
            why=tuple(why),
            notes=(msg("Look at the node: kubectl describe node {name}", name=name),),
        )
    return None


async def registry_down(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """The registry does not answer, or does not let in, and the image is the one that it was."""
    kinds = kinds_of(situation)
    if Kind.NO_REGISTRY in kinds:
        return Circumstance(
            key="registry",
            confidence="likely",
            cause=msg(
                "{codes}: the registry does not answer; the image is the one that ran before", codes=codes_of(situation)
            ),
            notes=(msg("Look at the registry, and at the way to it from the nodes."),),
        )
    if not kinds & {Kind.PULL_DENIED, Kind.NO_IMAGE}:
        return None
    secrets = await namespace.objects_meta(SECRETS)
    wanted = _pull_secrets(situation, await namespace.named(SERVICEACCOUNTS))
    missing = [name for name in wanted if secrets is not None and name not in secrets]
    if missing:
        return await gone(situation, namespace, "v1", "Secret", missing[0], msg("The pods pull their images with it."))
    return Circumstance(
        key="registry",
        confidence="unknown",
        cause=msg("{codes}: the registry refuses an image that ran before", codes=codes_of(situation)),
        notes=(msg("Look whether the image is still in the registry, and whether its credentials are still valid."),),
    )


def _pull_secrets(situation: Situation, accounts: dict[str, Object]) -> list[str]:
    spec = situation.history.template.get("spec") or {}
    account = accounts.get(str(spec.get("serviceAccountName") or "default")) or {}
    named = [*(spec.get("imagePullSecrets") or ()), *(account.get("imagePullSecrets") or ())]
    return list(dict.fromkeys(str(one.get("name")) for one in named if one.get("name")))


async def gone(
    situation: Situation,
    namespace: Namespace,
    api_version: str,
    kind: str,
    name: str,
    proof: Message,
    *,
    was_there: bool = False,
) -> Circumstance:
    """An object that what fails needs, and that does not exist. ``was_there``: ``proof`` says so, snapshot or not."""
    baseline = await namespace.baseline()
    known = (kind, name) in baseline.entries
    ref = ObjectRef(api_version, kind, name, namespace.name)
    target = Target(kind.lower(), name, namespace.name, namespace.cluster.name)
    source = baseline.good.short if baseline.good is not None else ""
    why, mechanism = [proof], await way_back(namespace.cluster, target)
    if known:
        why.append(msg("Snapshot {id} holds it.", id=source))
    elif mechanism:
        known = True
        why.append(msg("Its release has it in its manifest."))
    elif not was_there:
        why.append(msg("Whether it was ever there is not known."))
    return Circumstance(
        key=str(target),
        confidence="likely" if known or was_there else "possible",
        cause=msg("{codes}: {object} does not exist any more", codes=codes_of(situation), object=str(ref)),
        why=tuple(why),
        notes=(msg("Who deleted it is recorded nowhere in the cluster."),),
        change=Change(
            at=None,
            actor="",
            source="snapshot",
            target=target,
            mechanism=mechanism,
            touches=(ref,),
            fields=(),
            summary=msg("{object} was deleted", object=str(ref)),
        ),
    )


async def missing_reference(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """A ConfigMap or Secret that the pods name and that does not exist, though an earlier template read it just the same, or all
    pods of the same template were ready once."""
    if not kinds_of(situation) & {Kind.CONFIG, Kind.MOUNT}:
        return None
    text, history = " ".join(failure.text for failure in situation.failures), situation.history
    made = {history.generation_of(pod) for pod in history.failing}
    first = min((one.order for one in history.generations if one.name in made), default=0)
    earlier = [one for one in history.generations if one.order < first]
    read = {(r.kind, r.name) for one in earlier for r in references(one.template.get("spec") or {})}
    ran = [one for one in history.generations if one.name in made and history.completed(one.name) is not None]
    had = {(r.kind, r.name) for one in ran for r in references(one.template.get("spec") or {}) if not r.optional}
    for one in references(history.template.get("spec") or {}):
        resource = {"ConfigMap": CONFIGMAPS, "Secret": SECRETS}.get(one.kind)
        if (
            resource is None
            or (one.kind, one.name) not in read | had
            or f'{one.kind.lower()} "{one.name}"' not in text.lower()
        ):
            continue
        there = await namespace.objects_meta(resource)
        if there is not None and one.name not in there:
            was_there = (one.kind, one.name) in had
            proof = (
                msg("All pods of the same template were ready once, so it was there.")
                if was_there
                else msg("The template before read it as well.")
            )
            return await gone(situation, namespace, "v1", one.kind, one.name, proof, was_there=was_there)
    return None


async def outside(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """Several that nobody changed began to fail at once."""
    since = situation.since
    if since is None or not kinds_of(situation) & RUNNING:
        return None
    together = [other for other in situation.others if abs(other.at - since) <= TOGETHER]
    if len(together) < 2:
        return None
    return Circumstance(
        key="outside",
        confidence="unknown",
        cause=msg(
            "{codes}: several workloads began to fail at once, so the cause is outside of them",
            codes=codes_of(situation),
        ),
        notes=(
            *distinct(signal.message for failure in situation.failures for signal in signals(failure.said)),
            msg("Look at what they have in common: the network, DNS, a database, a certificate, the nodes."),
        ),
    )


async def words(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """What the program's last words point to."""
    found = [signal for failure in situation.failures for signal in signals(failure.said)]
    if not found:
        return None
    return Circumstance(
        key=f"words:{situation.history.key}",
        confidence="unknown",
        cause=msg("{codes}; no change is known that brought it", codes=codes_of(situation)),
        notes=distinct(signal.message for signal in found),
    )
