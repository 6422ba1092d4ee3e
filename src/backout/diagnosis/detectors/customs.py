# SPDX-License-Identifier: Apache-2.0
"""Custom resources that say that they are not well, or of which nobody says anything though somebody should.

What its operator refuses is a problem; where pods of what it makes fail, they show it already. What nobody says anything of is no
problem that is known, and not healthy either: it is told as what could not be seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec

from backout.changes.authors import authors
from backout.cluster.port import Object
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.detectors.symptoms import serving
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import Namespace
from backout.errors import BackoutError, NotFoundError
from backout.kube.custom_status import CustomHealth, CustomState, custom_health
from backout.kube.find_customs import Customs, denied, find_customs
from backout.kube.groups import custom
from backout.kube.references import mentions
from backout.model.diagnosis import UnderWay, Unseen
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef, Target
from backout.ownership.operators import operators_of, silence

FAIR = timedelta(seconds=60)
"""In which an operator that runs has said something: it acts on a watch."""

_WORDS = {
    "NoStatus": msg("its operator has not said anything of it yet"),
    "NotObserved": msg("its operator has not taken up its newest generation yet"),
}

Held = Mapping[tuple[str, str], Mapping[str, str]]
"""Group and kind → name → the release whose revision in force has it."""


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """Those that say themselves that they failed, and those that their release has and the cluster does not; what nobody
    answers for is noted in ``state``."""
    try:
        kinds = await find_customs(namespace.cluster, namespace.name)
    except BackoutError as error:
        state.blind.append(msg("Custom resources can't be read: {why}", why=error.message))
        return []
    held = await _held(namespace)
    now = await namespace.cluster.server_time()
    found = await _missing(namespace, kinds, held)
    for one in kinds:
        mine = held.get((one.resource.group, one.resource.kind), {})
        if one.error is not None:
            if mine or not denied(one):
                state.blind.append(
                    msg("{resource} can't be read: {why}", resource=one.resource.plural, why=one.error.message)
                )
            continue
        for obj in one.objects:
            if not one.ask(obj):
                continue
            health = custom_health(obj)
            release = mine.get(obj["metadata"]["name"], "")
            if health.state is CustomState.FAILED:
                if not _shown(state, obj) and not _follows(state, health):
                    found.append(_seen(namespace, obj, health))
                continue
            since = _since(obj, health)
            owner = (Target("helm", release, namespace.name, namespace.cluster.name),) if release else ()
            if since is not None and now - since < FAIR:
                state.under_way += _at_work(state, obj, health, owner)
            elif (why := await _unanswered(namespace, state, one, obj, health)) is not None:
                state.unseen.append(Unseen(ref=ObjectRef.of(obj), why=why, owners=owner))
            elif health.state is CustomState.UNDER_WAY:
                state.under_way += _at_work(state, obj, health, owner)
    return found


async def _held(namespace: Namespace) -> dict[tuple[str, str], dict[str, str]]:
    held: dict[tuple[str, str], dict[str, str]] = {}
    for release in (await namespace.releases()).values():
        for (kind, name), obj in (await release.contents(release.in_force) or {}).items():
            group, slash, _ = str(obj.get("apiVersion")).partition("/")
            if slash and custom(str(obj.get("apiVersion"))):
                held.setdefault((group, kind), {})[name] = release.target.name
    return held


async def _missing(namespace: Namespace, kinds: list[Customs], held: Held) -> list[Seen]:
    """Custom resources of a release that do not exist, maybe with their whole kind."""
    live = {(one.resource.group, one.resource.kind): one for one in kinds}
    found = []
    for release in (await namespace.releases()).values():
        if release.in_force is not release.head or release.in_force.status != "deployed":
            continue
        for (kind, name), obj in (await release.contents(release.in_force) or {}).items():
            api_version = str(obj.get("apiVersion"))
            if not custom(api_version):
                continue
            known = live.get((api_version.partition("/")[0], kind))
            if known is not None and (known.error or any(o["metadata"]["name"] == name for o in known.objects)):
                continue
            if (why := await _absent(namespace, api_version, kind, name)) is None:
                continue
            ref = ObjectRef(api_version, kind, name, namespace.name)
            symptom = Symptom(
                code="MissingObject",
                ref=ref,
                message=msg("{object} of helm/{release} does not exist", object=str(ref), release=release.target.name),
                evidence=(Evidence(source="release", ref=ref, message=why),),
            )
            found.append(Seen(symptom=symptom, gone=ref, release=release.target.name, notes=(why,)))
    return found


async def _absent(namespace: Namespace, api_version: str, kind: str, name: str) -> Message | None:
    """How one knows that it does not exist; None where it does, or where that can't be told."""
    try:
        resource = await namespace.cluster.resource(api_version, kind)
    except NotFoundError:
        return msg("The cluster does not serve the kind {kind} of {api} any more.", kind=kind, api=api_version)
    except BackoutError:
        return None
    try:
        await namespace.cluster.get(resource, name, namespace.name if resource.namespaced else "")
    except NotFoundError:
        return msg("The revision in force has it in its manifest.")
    except BackoutError:
        return None
    return None


def _at_work(state: State, obj: Object, health: CustomHealth, owners: tuple[Target, ...]) -> Iterator[UnderWay]:
    """What is told of a resource that its operator is at, or was given a moment ago."""
    if health.state is CustomState.UNDER_WAY or (health.reason == "NoStatus" and not _made(state, obj)):
        why = health.message or _WORDS.get(health.reason, health.reason)
        told = msg("{resource} is under way: {why}.", resource=str(ObjectRef.of(obj)), why=why)
        yield UnderWay(ObjectRef.of(obj), told, owners)


async def _unanswered(
    namespace: Namespace, state: State, kind: Customs, obj: Object, health: CustomHealth
) -> Message | None:
    """What is not known of a resource, after a fair time; None where enough is."""
    ref = ObjectRef.of(obj)
    if health.reason == "Deleting":
        return msg("{resource} is being deleted, and finalizers hold it: {why}.", resource=str(ref), why=health.message)
    if health.reason == "NotObserved":
        why = silence(await operators_of(namespace.cluster, kind.resource, namespace.name))
        return msg(
            "The operator of {resource} has not taken up its newest generation. {why}", resource=str(ref), why=why
        )
    if health.reason != "NoStatus" or _made(state, obj):
        return None
    if kind.answers is None:
        return msg(
            "{resource} has no status, and the definition of its kind may not be read, which says whether it should.",
            resource=str(ref),
        )
    why = silence(await operators_of(namespace.cluster, kind.resource, namespace.name))
    return msg("The operator of {resource} has not said anything of it. {why}", resource=str(ref), why=why)


def _since(obj: Object, health: CustomHealth) -> datetime | None:
    """Since when it waits for an answer."""
    if health.since is not None:
        return health.since
    written = [author.at for author in authors(obj) if author.owns("spec")]
    text = obj["metadata"].get("creationTimestamp")
    return max(written, default=msgspec.convert(text, datetime) if text else None)


def _shown(state: State, obj: Object) -> bool:
    """True where something that is made of it is not complete, or pods that it made fail."""
    meta = obj["metadata"]
    if (meta.get("namespace", ""), obj["kind"], meta["name"]) in state.makers:
        return True
    return any(ready < desired for ready, desired in _made(state, obj))


def _follows(state: State, health: CustomHealth) -> bool:
    """True where its operator complains of what shows a failure of its own: a pod, or a workload or resource by kind and name."""
    if any(mentions(health.message, pod.metadata.name) for pod in state.pods):
        return True
    failing = [key for key, one in state.workloads.items() if (told := serving(one, key[1]))[0] < told[1]]
    return any(
        re.search(rf"(?i)\b{re.escape(kind)}\b[^A-Za-z0-9]+(?:[\w.-]+/)?{re.escape(name)}(?![\w-])", health.message)
        for _, kind, name in (*failing, *state.makers)
    )


def _made(state: State, obj: Object) -> list[tuple[int, int]]:
    """Ready and wanted pods of each workload that is made of it."""
    uid = obj["metadata"]["uid"]
    found = []
    for key, workload in state.workloads.items():
        controller = workload.metadata.controller
        if controller is not None and controller.uid == uid:
            found.append(serving(workload, key[1]))
    return found


def _seen(namespace: Namespace, obj: Object, health: CustomHealth) -> Seen:
    whole = ObjectRef.of(obj)
    ref = ObjectRef(whole.api_version, whole.kind, whole.name, namespace.name)
    said = msg("its operator says: {why}", why=health.message or health.reason)
    evidence = Evidence(source="condition", ref=ref, at=health.since, message=said)
    symptom = Symptom(code="NotReconciled", ref=ref, message=said, since=health.since, evidence=(evidence,))
    return Seen(symptom=symptom, at_fault=obj)
