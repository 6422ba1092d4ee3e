# SPDX-License-Identifier: Apache-2.0
"""What stands around a workload and was changed: Services that it calls, policies, and what the namespace gives its pods."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any

from backout.cluster.port import SERVICES, Object
from backout.diagnosis.attribution.changes import Change
from backout.diagnosis.attribution.circumstances import Circumstance, codes_of, kinds_of, last_write
from backout.diagnosis.attribution.failures import RUNNING, Kind
from backout.diagnosis.attribution.hypotheses import Situation
from backout.diagnosis.attribution.object_change import object_change
from backout.diagnosis.attribution.signals import does_not_answer, does_not_resolve, signals
from backout.diagnosis.evidence.baseline import Baseline
from backout.diagnosis.evidence.namespace import LIMITRANGES, NETWORKPOLICIES, WORKLOADS, Namespace
from backout.diagnosis.evidence.nearness import SKEW, SOON
from backout.kube.groups import TRAFFIC, custom
from backout.kube.names import HELM_RELEASE
from backout.kube.references import mentions
from backout.kube.workloads import matches
from backout.model.change import FieldChange
from backout.model.message import few, msg
from backout.model.target import ObjectRef


async def policies(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """A NetworkPolicy for these pods that somebody made or changed shortly before it began."""
    if not kinds_of(situation) & RUNNING:
        return None
    labels = (situation.history.template.get("metadata") or {}).get("labels") or {}
    calls = any(signal.name in ("dependency", "dns") for signal in signals(situation.said))
    found = [
        change
        for obj in (await namespace.objects(NETWORKPOLICIES)).items
        if matches((obj.get("spec") or {}).get("podSelector") or {}, labels)
        and shuts(obj, ("Egress",) if calls else ("Egress", "Ingress"))
        and (change := await _lately(situation, namespace, obj)) is not None
    ]
    if not found:
        return None
    change = max(found, key=_time)
    return Circumstance(
        key=str(change.target),
        change=change,
        confidence="likely",
        cause=msg("{codes}: {what}", codes=codes_of(situation), what=change.summary),
        why=(msg("It selects the pods that fail, and it was written shortly before that began."),),
    )


async def gates(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """Gates that nobody takes away from pods, and that no change of the workload brought."""
    if Kind.GATED not in kinds_of(situation):
        return None
    held = list(dict.fromkeys(gate.name for pod in situation.history.failing for gate in pod.spec.scheduling_gates))
    spec = situation.history.template.get("spec") or {}
    own = {str(gate.get("name")) for gate in spec.get("schedulingGates") or ()}
    given = [name for name in held if name not in own]
    names = ", ".join(given or held) or "?"
    why = (
        msg("Its template does not have them: whoever admits pods set them (a queue, a webhook).")
        if given
        else msg("The template before had them as well.")
    )
    return Circumstance(
        key=f"gates:{names}",
        confidence="likely" if held else "unknown",
        cause=msg(
            "{codes}: nobody takes away the scheduling gates {gates}, and no change of the workload brought them",
            codes=codes_of(situation),
            gates=names,
        ),
        why=(why,) if held else (),
        notes=(
            msg("Look at the program that takes away {gates}: does it run, and what does it wait for?", gates=names),
        ),
    )


def shuts(policy: Object, ways: Collection[str]) -> bool:
    """Whether a NetworkPolicy keeps anything out (``Ingress``) or in (``Egress``) on one of these ways.

    Without ``policyTypes`` it is of ingress, and of egress where it has such rules; an empty rule allows everything
    (kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1).
    """
    spec = policy.get("spec") or {}
    kinds = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return any(way in kinds and {} not in (spec.get(way.lower()) or []) for way in ways)


async def unanswered(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """A Service that what fails says does not answer, though pods are ready behind it: where it, or a NetworkPolicy for
    these pods, was changed shortly before that began."""
    if not kinds_of(situation) & RUNNING:
        return None
    for name, service in sorted((await namespace.named(SERVICES)).items()):
        if not does_not_answer(situation.said, name):
            continue
        found = [
            change
            async for obj in _in_front(service, namespace)
            if (change := await _written(situation, namespace, obj)) is not None
            and (obj is not service or any(_leads_elsewhere(field) for field in change.fields))
        ]
        if found:
            change = max(found, key=_time)
            return Circumstance(
                key=str(change.target),
                change=change,
                confidence="likely",
                cause=msg("{codes}: {what}", codes=codes_of(situation), what=change.summary),
                why=(
                    msg(
                        "What fails says that {service} does not answer, and {object} was written shortly before that began.",
                        service=str(ObjectRef.of(service)),
                        object=str(change.touches[0]),
                    ),
                ),
            )
    return None


async def vanished(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """A Service whose name can't be resolved any more, and that went together with the workloads behind it: the last good snapshot
    has them all."""
    services, baseline = await namespace.objects(SERVICES), await namespace.baseline()
    if not kinds_of(situation) & RUNNING or not services.readable or baseline.good is None:
        return None
    there = {one["metadata"]["name"] for one in services.items}
    for name in sorted(name for kind, name in baseline.entries if kind == "Service" and name not in there):
        if not (does_not_resolve(situation.said, name) or does_not_answer(situation.said, name)):
            continue
        ref = ObjectRef("v1", "Service", name, namespace.name)
        kept = baseline.kept(ref) or {}
        lost = await _lost_behind(kept, namespace, baseline)
        if not lost:
            continue
        release = str((kept["metadata"].get("annotations") or {}).get(HELM_RELEASE) or "")
        gone = few([*map(str, lost), str(ref)])
        uninstalled = bool(release) and release not in await namespace.releases()
        return Circumstance(
            key=str(ref),
            confidence="likely",
            cause=msg(
                "{codes}: {release} was uninstalled: {objects} do not exist any more",
                codes=codes_of(situation),
                release=f"helm/{release}",
                objects=gone,
            )
            if uninstalled
            else msg("{codes}: {objects} do not exist any more", codes=codes_of(situation), objects=gone),
            why=(
                msg("What fails says that it can't reach {service}.", service=str(ref)),
                msg("Snapshot {id} holds it.", id=baseline.good.short),
            ),
            notes=(
                msg("Who deleted it is recorded nowhere in the cluster."),
                msg("backout snapshot restore {id} puts it back.", id=baseline.good.short),
            ),
        )
    return None


async def _lost_behind(service: Object, namespace: Namespace, baseline: Baseline) -> list[ObjectRef]:
    """The workloads that a Service of a snapshot selected; none where one of them is there still."""
    selector = (service.get("spec") or {}).get("selector") or {}
    lost = []
    for kind, name in sorted(baseline.entries):
        if kind not in WORKLOADS or not selector:
            continue
        ref = ObjectRef(WORKLOADS[kind].api_version, kind, name, namespace.name)
        template = ((baseline.kept(ref) or {}).get("spec") or {}).get("template") or {}
        if not matches({"matchLabels": selector}, (template.get("metadata") or {}).get("labels") or {}):
            continue
        known = await namespace.objects_meta(WORKLOADS[kind])
        if known is None or name in known:
            return []
        lost.append(ref)
    return lost


def _leads_elsewhere(field: FieldChange) -> bool:
    """True for a field of a Service that requests may be lost by; one more port, or who is asked first, loses none."""
    if field.path.startswith("spec.ports"):
        return field.before is not None
    return re.match(r"^spec\.(selector|internalTrafficPolicy|type|externalName|clusterIP)", field.path) is not None


async def _in_front(service: Object, namespace: Namespace) -> AsyncIterator[Object]:
    """The Service, and the policies that shut off the pods behind it; nothing where none of these are well: then it is
    they who do not answer."""
    selector = (service.get("spec") or {}).get("selector") or {}
    behind: list[dict[str, Any]] = []
    for resource in WORKLOADS.values() if selector else ():
        for obj in (await namespace.named(resource)).values():
            labels = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
            if matches({"matchLabels": selector}, labels):
                if not _serves(obj):
                    return
                behind.append(labels)
    yield service
    for obj in await namespace.customs() if behind else ():
        name = str(service["metadata"]["name"])
        if _carries(obj) and any(name == host.partition(".")[0] for host in texts(obj.get("spec"))):
            yield obj
    for policy in (await namespace.objects(NETWORKPOLICIES)).items if behind else ():
        chosen = (policy.get("spec") or {}).get("podSelector") or {}
        if shuts(policy, ("Ingress",)) and any(matches(chosen, labels) for labels in behind):
            yield policy


def _serves(workload: Object) -> bool:
    status = workload.get("status") or {}
    return bool(status.get("readyReplicas") or status.get("numberReady"))


async def configured(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """A custom resource that somebody changed shortly before: what it says since is what the program complains of; or it carries
    requests, and chooses the pods that fail."""
    if not kinds_of(situation) & RUNNING:
        return None
    history, said = situation.history, situation.said
    mine = {ObjectRef.of(obj) for obj in (history.obj, history.subject)}
    labels = (history.template.get("metadata") or {}).get("labels") or {}
    calls = any(signal.name in ("dependency", "dns") for signal in signals(said))
    told: list[tuple[Change, str]] = []
    chosen: list[Change] = []
    for obj in await namespace.customs():
        if ObjectRef.of(obj) in mine or (change := await _written(situation, namespace, obj)) is None:
            continue
        quoted = next((word for field in change.fields for word in _news(field) if mentions(said, word)), "")
        if quoted and (change.before is not None or _carries(obj)):
            told.append((change, quoted))
        elif calls and _carries(obj) and any(matches({"matchLabels": one}, labels) for one in _selectors(obj)):
            chosen.append(change)
    if told:
        change, quoted = max(told, key=lambda one: _time(one[0]))
        why = msg("What fails says {word}, which {object} says since then.", word=quoted, object=str(change.touches[0]))
    elif chosen:
        change = max(chosen, key=_time)
        why = msg("It selects the pods that fail, and it was written shortly before that began.")
    else:
        return None
    return Circumstance(
        key=str(change.target),
        change=change,
        confidence="likely" if told else "possible",
        cause=msg("{codes}: {what}", codes=codes_of(situation), what=change.summary),
        why=(why,),
    )


def _carries(obj: Object) -> bool:
    return str(obj.get("apiVersion")).partition("/")[0] in TRAFFIC


def texts(node: Any) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(node, str):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from texts(inner)


_TELLING = 4
"""Characters of a word that nobody says by chance."""
_NAMING = re.compile(r"(?i)(host|name|service|address|url|uri|endpoint|server|backend|target|secret|ref)\w*$")


def _news(field: FieldChange) -> Iterator[str]:
    """The names that a change brought: words such as ``info`` or ``http`` are said of anything."""
    before, naming = set(texts(field.before)), _NAMING.search(re.sub(r"\[[^\]]*\]", "", field.path))
    for word in texts(field.after):
        if word in before or len(word) < _TELLING or word.isdecimal():
            continue
        if naming or re.search(r"[-./:_\d]", word):
            yield word


def _selectors(obj: Object) -> Iterator[dict[str, Any]]:
    """What looks like a selection of pods by labels in a resource: ``selector``, ``podSelector``, ``endpointSelector``, …"""
    pending: list[Any] = [obj.get("spec")]
    while pending:
        node = pending.pop()
        for key, inner in node.items() if isinstance(node, dict) else ():
            if key.lower().endswith("selector") and isinstance(inner, dict):
                yield from (one for one in (inner, *inner.values()) if isinstance(one, dict) and one and _flat(one))
            else:
                pending.append(inner)
        pending += node if isinstance(node, list) else []


def _flat(labels: dict[str, Any]) -> bool:
    return all(isinstance(value, str) for value in labels.values())


async def imposed(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """A memory limit that the pods got from a LimitRange, since their template names none."""
    if Kind.OOM not in kinds_of(situation):
        return None
    failing, containers = situation.history.failing, {failure.container for failure in situation.failures}
    made = [pod.metadata.creation_timestamp for pod in failing if pod.metadata.creation_timestamp is not None]
    specs = [
        one
        for one in (situation.history.template.get("spec") or {}).get("containers") or ()
        if one.get("name") in containers
    ]
    if not made or not specs or any(((one.get("resources") or {}).get("limits") or {}).get("memory") for one in specs):
        return None
    for obj in (await namespace.objects(LIMITRANGES)).items:
        given = [
            (one.get("default") or {}).get("memory")
            for one in (obj.get("spec") or {}).get("limits") or ()
            if one.get("type") == "Container"
        ]
        change = await last_write(situation, namespace, obj) if any(given) else None
        if change is None or change.at is None or any(time < change.at for time in made):
            continue
        return Circumstance(
            key=str(change.target),
            change=change,
            confidence="likely",
            cause=msg("{codes}: {what}", codes=codes_of(situation), what=change.summary),
            why=(
                msg(
                    "The template names no memory limit; pods that were made since then have that of {object}: {limit}.",
                    object=str(change.touches[0]),
                    limit=str(next(one for one in given if one)),
                ),
            ),
            notes=(msg("Look at {object}, and at who set it.", object=str(change.target)),),
        )
    return None


async def _written(situation: Situation, namespace: Namespace, obj: Object) -> Change | None:
    """The last write of an object; of a custom resource what was changed of it, field by field, as far as anything tells."""
    change = await object_change(namespace, obj) if custom(str(obj.get("apiVersion"))) else None
    if change is None:
        return await _lately(situation, namespace, obj)
    since = situation.since
    if change.at is None or since is None or not since - SOON <= change.at <= since + SKEW:
        return None
    return change


async def _lately(situation: Situation, namespace: Namespace, obj: Object) -> Change | None:
    """The last write of an object, where it came shortly before what fails began."""
    change = await last_write(situation, namespace, obj)
    if change is None or change.at is None or situation.since is None or situation.since - change.at > SOON:
        return None
    return change


def _time(change: Change) -> float:
    return change.at.timestamp() if change.at else 0.0
