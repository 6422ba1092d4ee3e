# SPDX-License-Identifier: Apache-2.0
"""What operators made of a release's custom resources: workloads that stand in no manifest, and yet are the release's.

An operator's workload has a controlling ownerReference to the resource, maybe through another one. Which revision a template of
it belongs to is told by time: the one that was in force when the template came up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from backout.cluster.port import ClusterReader, Resource
from backout.errors import AccessDenied, NotFoundError, ServerError
from backout.helm.customs import CustomId, CustomResource
from backout.kube.custom_status import CustomHealth, CustomState, custom_health
from backout.kube.definitions import answers
from backout.mechanisms.common.evidence import Evidence, LivePod, LiveWorkload, gather
from backout.mechanisms.common.findings import Finding, Span, Verdicts
from backout.mechanisms.common.made import Child, children_of
from backout.mechanisms.helm.backoffs import BackOff, failed_to_their_end, read_backoffs
from backout.model.message import msg
from backout.model.settled import settled

SKEW = timedelta(seconds=2)
"""Times of records and of templates are whole seconds."""
FOLLOWED = timedelta(seconds=60)
"""So soon after a revision began must a resource have failed for that revision to be what it fails of."""


class Custom(msgspec.Struct, frozen=True, kw_only=True):
    """What is live of one custom resource: its health, what was made of it."""

    resource: CustomResource
    children: tuple[Child, ...] = ()
    health: CustomHealth = CustomHealth(state=CustomState.UNKNOWN)
    created: datetime | None = None
    live: bool = True
    obj: dict[str, Any] | None = None
    """As the API gave it."""
    changed: datetime | None = None
    """When somebody changed it past Helm, so that the newest revision does not say any more what it is."""
    served: Resource | None = None
    """Its kind as the API serves it; None where that is not known."""
    backoffs: tuple[BackOff, ...] = ()
    """Of pods that were made of it, also of those that are gone."""


async def read_customs(
    reader: ClusterReader, resources: Iterable[CustomResource], now: datetime
) -> tuple[dict[CustomId, Custom], Evidence, frozenset[CustomId]]:
    """Of all ``resources`` (the newest description of each), those of which something was made or somebody is to say how they are,
    and what is live of that; and those that only configure something, of which nobody says anything."""
    newest = {resource.id: resource for resource in resources}
    if not newest:
        return {}, Evidence(), frozenset()
    made, told = await asyncio.gather(children_of(reader, newest.values()), _answered(reader, newest.values()))
    children = {identity: made.get(identity, ()) for identity in newest if identity in made or told.get(identity)}
    ids = {child.id for made in children.values() for child in made}
    names = {identity: [child.name for child in made] for identity, made in children.items()}
    evidence, lives, backoffs = await asyncio.gather(
        gather(reader, ids, now),
        asyncio.gather(*(_live(reader, newest[identity]) for identity in children)),
        read_backoffs(reader, names),
    )
    found = {}
    for identity, (served, live) in zip(children, lives, strict=True):
        found[identity] = Custom(
            resource=newest[identity],
            children=children[identity],
            health=custom_health(live) if live else CustomHealth(state=CustomState.UNKNOWN),
            created=_created(live),
            live=live is not None,
            obj=live,
            served=served,
            backoffs=backoffs.get(identity, ()),
        )
    return found, evidence, frozenset(identity for identity, yes in told.items() if not yes)


async def _answered(reader: ClusterReader, resources: Iterable[CustomResource]) -> dict[CustomId, bool]:
    """Whether somebody is to say in the status of each how it is; without those of which that can't be told."""
    kinds: dict[tuple[str, str], list[CustomId]] = {}
    for resource in resources:
        kinds.setdefault((resource.api_version, resource.kind), []).append(resource.id)

    async def one(api_version: str, kind: str) -> bool | None:
        try:
            return await answers(reader, await reader.resource(api_version, kind))
        except (NotFoundError, AccessDenied, ServerError):
            return None

    told = await asyncio.gather(*(one(*kind) for kind in kinds))
    return {identity: yes for ids, yes in zip(kinds.values(), told, strict=True) if yes is not None for identity in ids}


async def _live(reader: ClusterReader, resource: CustomResource) -> tuple[Resource | None, dict[str, Any] | None]:
    kind = None
    try:
        kind = await reader.resource(resource.api_version, resource.kind)
        return kind, await reader.get(kind, resource.name, resource.namespace if kind.namespaced else "")
    except (NotFoundError, AccessDenied, ServerError):
        return kind, None


def _created(live: dict[str, Any] | None) -> datetime | None:
    text = ((live or {}).get("metadata") or {}).get("creationTimestamp")
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def custom_findings(
    custom: Custom, evidence: Evidence, versions: Sequence[CustomResource | None], spans: Sequence[Span]
) -> Verdicts:
    """What is known for or against the revisions' descriptions of one resource, by revision and key. Pure."""
    verdicts: Verdicts = {}

    def put(key: str, finding: Finding) -> None:
        for version, span in zip(versions, spans, strict=True):
            if version is not None and version.key == key:
                verdicts.setdefault((span.number, key), finding)

    label = custom.resource.label
    since = custom.health.since
    by_hand = custom.changed is not None and since is not None and since + SKEW >= custom.changed
    if by_hand and versions[-1] is not None and _stood(custom, spans):
        put(versions[-1].key, Finding(True, msg("{resource} was well until it was changed past Helm.", resource=label)))
    elif versions[-1] is not None and custom.health.state is CustomState.FAILED and _since_head(custom, spans):
        why = custom.health.message or custom.health.reason
        put(versions[-1].key, Finding(False, msg("{resource} says: {why}", resource=label, why=why)))
    elif versions[-1] is not None and custom.health.state is CustomState.READY and not custom.children:
        put(versions[-1].key, Finding(True, msg("{resource} says that it is ready.", resource=label)))
    for child in custom.children:
        seen = evidence.workloads.get(child.id)
        if seen is not None:
            for key, finding in _of_child(label, _before(seen, custom.changed), versions, spans):
                put(key, finding)
    for number, key, finding in (
        *_failing_since(custom, versions, spans),
        *failed_to_their_end(label, custom.backoffs, versions, spans),
    ):
        verdicts.setdefault((number, key), finding)
    return verdicts


def _of_child(
    label: str, seen: LiveWorkload, versions: Sequence[CustomResource | None], spans: Sequence[Span]
) -> Iterable[tuple[str, Finding]]:
    keys = {g.name: key for g in seen.generations if (key := _key_at(g.created, versions, spans)) is not None}
    failing: dict[str, list[LivePod]] = {}
    steady: dict[str, list[LivePod]] = {}
    for pod in seen.pods:
        key = keys.get(pod.generation)
        if key is None:
            continue
        if pod.failing:
            failing.setdefault(key, []).append(pod)
        elif pod.steady and settled(pod.ready_since, seen.at):
            steady.setdefault(key, []).append(pod)
    for key, pods in failing.items():
        first = min(pods, key=lambda pod: pod.name)
        yield (
            key,
            Finding(
                False,
                msg(
                    "Pods that {resource} has made fail now: {count} ({pod}: {reason}).",
                    resource=label,
                    count=len(pods),
                    pod=first.name,
                    reason=first.failing,
                ),
            ),
        )
    for key, pods in steady.items():
        yield (
            key,
            Finding(
                True, msg("Pods that {resource} has made are ready now: {count}.", resource=label, count=len(pods))
            ),
        )
    current = next((g for g in seen.generations if g.name == seen.current_revision), None)
    first_made = min((g.created for g in seen.generations if g.created), default=None)
    for later in seen.generations:
        key = keys.get(later.name)
        newest = later.name == seen.update_revision
        if key and current and later.order > current.order and not newest and key != keys.get(current.name):
            yield (
                key,
                Finding(
                    False,
                    msg(
                        "{workload} never got all of its pods to it: status.currentRevision is still that of before.",
                        workload=seen.label,
                    ),
                ),
            )
    reached = keys.get(current.name) if current else None
    if reached and current and current.created and first_made and current.created > first_made:
        yield (
            reached,
            Finding(
                True,
                msg(
                    "Every pod of {workload} reached it and was ready (status.currentRevision names it).",
                    workload=seen.label,
                ),
            ),
        )


def _key_at(created: datetime | None, versions: Sequence[CustomResource | None], spans: Sequence[Span]) -> str | None:
    """The content that was in force when a template came up: operators follow within moments."""
    if created is None:
        return None
    found = None
    for version, span in zip(versions, spans, strict=True):
        if span.started is not None and span.started <= created + SKEW:
            found = version.key if version is not None else None
    return found


def _before(seen: LiveWorkload, changed: datetime | None) -> LiveWorkload:
    """Without the templates that came of a change past Helm."""
    if changed is None:
        return seen
    kept = tuple(g for g in seen.generations if g.created is None or g.created + SKEW < changed)
    return msgspec.structs.replace(seen, generations=kept)


def _stood(custom: Custom, spans: Sequence[Span]) -> bool:
    """True when the newest revision had been in force for a while before the change past Helm."""
    began = spans[-1].started
    return settled(began, custom.changed)


def _since_head(custom: Custom, spans: Sequence[Span]) -> bool:
    began, since = spans[-1].started, custom.health.since
    return since is None or began is None or since + SKEW >= began


def _failing_since(
    custom: Custom, versions: Sequence[CustomResource | None], spans: Sequence[Span]
) -> Iterable[tuple[int, str, Finding]]:
    """Against the revisions from the one that it fails of up to the newest.

    That it failed only from then on is not told: prometheus-operator gives its conditions the time at which it wrote them
    last, whatever they were before (pkg/prometheus/operator.go, a status that is made anew each time).
    """
    since, head = custom.health.since, spans[-1].started
    if custom.health.state is not CustomState.FAILED or since is None or head is None or since + SKEW >= head:
        return
    began = max((span.started for span in spans if span.started and span.started <= since + SKEW), default=None)
    if began is None or since - began > FOLLOWED:
        return
    for version, span in zip(versions[:-1], spans[:-1], strict=True):
        if version is not None and span.started is not None and span.started >= began:
            why = msg("{resource} failed while it was in force.", resource=custom.resource.label)
            yield span.number, version.key, Finding(False, why)
