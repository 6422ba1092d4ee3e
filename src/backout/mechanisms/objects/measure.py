# SPDX-License-Identifier: Apache-2.0
"""What objects hold, and whether those who read them work with it: the measurements of this way back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec

from backout.changes.authors import written_at
from backout.cluster.port import CONFIGMAPS, PODS, SECRETS, ClusterReader, Object
from backout.errors import ObjectNotFound
from backout.kube.find_consumers import find_consumers
from backout.kube.pod_health import health_of
from backout.kube.references import references
from backout.mechanisms.common.measuring import Named, namespace_of
from backout.mechanisms.objects.content import Origin, Wanted, load, strayed
from backout.mechanisms.objects.history import live_object, resource_of
from backout.mechanisms.objects.kinds import KINDS
from backout.mechanisms.objects.reload import data_of
from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, listed, passed, unknown
from backout.model.message import Message, msg
from backout.model.target import ObjectRef
from backout.snapshots.desired import update, without_node_ports

AT_ONCE = 16


class RestoredParams(Named, frozen=True, kw_only=True):
    """``object-restored``; with ``other_ports``, its addresses belong to others by now."""

    origin: Origin
    other_ports: bool = False


class ReadingContainer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A container that reads an object: ``kind/name`` of its workload, and its name."""

    workload: str
    container: str


class ReadersParams(Named, frozen=True, kw_only=True):
    """``object-storage``, ``requests-forwarded``: of the object, those who read it."""

    readers: tuple[ReadingContainer, ...] = ()


class ReloadedParams(ReadersParams, frozen=True, kw_only=True):
    """``config-reloaded``: ``since`` when it was written, if that is known."""

    since: datetime | None = None


async def object_restored(check: CheckOf[RestoredParams], cluster: ClusterReader) -> Measured:
    """The live object holds the content that it was to have; of differences only the places are named, never the values."""
    params = check.params
    ref = ObjectRef(params.api_version or "v1", params.kind, params.name, namespace_of(check))
    live = await live_object(cluster, resource_of(ref), ref)
    wanted, _ = await load(cluster, params.origin, ref)
    if live is None:
        return failed(msg("{object} does not exist", object=str(ref)))
    if live["metadata"].get("deletionTimestamp"):
        return failed(msg("{object} is being deleted", object=str(ref)))
    if params.other_ports:
        # They belong to another Service by now, as the plan said.
        wanted = Wanted(without_node_ports(wanted.content, live), wanted.exact)
    content = wanted.content
    if not wanted.held_by(live):
        exact = wanted.exact
        places = _differing(live, update(content, live)) if exact else [f.path for f in strayed(content, live)]
        return failed(
            msg("{object} holds something else in: {places}", object=str(ref), places=listed(places, 8)),
            msg("the content of {source}", source=params.origin.label),
            places=places,
        )
    if not wanted.exact:
        return passed(msg("it holds what {source} says", source=params.origin.label))
    if ref.kind in ("ConfigMap", "Secret"):
        keys = len(content.get("data") or {}) + len(content.get("binaryData") or {})
        return passed(msg("it holds exactly what the snapshot holds (keys: {count})", count=keys), keys=keys)
    if params.other_ports:
        return passed(msg("it is as in the snapshot, but for its addresses"))
    return passed(msg("it is exactly as in the snapshot"))


def _differing(live: Object, content: Object) -> list[str]:
    """Keys of the data, and names of other fields."""
    places: list[str] = []
    for field in ("data", "binaryData"):
        here, there = live.get(field) or {}, content.get(field) or {}
        places += [f"{field}.{key}" for key in sorted({*here, *there}) if here.get(key) != there.get(key)]
    here, there = live.get("spec") or {}, content.get("spec") or {}
    places += [f"spec.{key}" for key in sorted(there) if here.get(key) != there[key]]
    for field in KINDS[str(live["kind"])].content:
        if field not in ("data", "binaryData", "spec", "secrets"):
            places += [field] if live.get(field) != content.get(field) else []
    for field in ("labels", "annotations"):
        here, there = (obj["metadata"].get(field) or {} for obj in (live, content))
        places += [f"{field} {key}" for key in sorted(there) if here.get(key) != there[key]]
    return places or ["other fields"]


async def config_reloaded(check: CheckOf[ReloadedParams], cluster: ClusterReader) -> Measured:
    """Every container of ``readers`` works with the content that the object holds now, by its own word."""
    from backout.probes.programs import recognise
    from backout.probes.reload import Reload, reload_state

    params, namespace = check.params, namespace_of(check)
    kind, name = params.kind, params.name
    try:
        live = await cluster.get(SECRETS if kind == "Secret" else CONFIGMAPS, name, namespace)
    except ObjectNotFound:
        return failed(msg("{object} does not exist", object=f"{kind.lower()}/{name}"))
    data = data_of({**live, "kind": kind})
    since = params.since or written_at(live)

    async def ask(pod: Object, container: str) -> Reload:
        files = {
            file: content
            for reference in references(pod["spec"])
            if (reference.kind, reference.name, reference.container) == (kind, name, container)
            for key, content in data.items()
            if (file := reference.file(key))
        }
        program = recognise(pod["spec"], container)
        return await reload_state(cluster, namespace, pod, container, program, files, since)

    found = await _each(cluster, check, ObjectRef("v1", kind, name, namespace), ask)
    if not found:
        return failed(msg("none of its readers has a pod"), again=True)
    by_state = _by_state(found, lambda state: state.state)
    for state in ("failed", "pending"):
        if by_state.get(state):
            return failed(
                _told(by_state[state]),
                msg("loaded by all {count} pods", count=len(found)),
                again=True,
                pods=sorted(by_state[state]),
            )
    if doubtful := by_state.get("unknown"):
        return unknown(_told(doubtful), pods=sorted(doubtful))
    return passed(
        msg("{told} ({count} of {count} pods)", told=_told(found, others=False), count=len(found)), pods=sorted(found)
    )


async def object_storage(check: CheckOf[ReadersParams], cluster: ClusterReader) -> Measured:
    """Requests to the object storage succeed, and none of any container of ``readers`` fails."""
    from backout.probes.objectstorage import StorageState, storage_state
    from backout.probes.programs import recognise

    params, namespace = check.params, namespace_of(check)
    now = await cluster.server_time()

    async def ask(pod: Object, container: str) -> StorageState:
        program = recognise(pod["spec"], container)
        if program is None:
            return StorageState("unknown", msg("it is not known what runs in {container}", container=container))
        return await storage_state(cluster, namespace, pod, container, program, now=now)

    ref = ObjectRef("v1", params.kind, params.name, namespace)
    found = await _each(cluster, check, ref, ask)
    if not found:
        return failed(msg("none of its readers has a pod"), again=True)
    by_state = _by_state(found, lambda state: state.state)
    if failing := by_state.get("failing"):
        return failed(_told(failing), again=True, pods=sorted(failing))
    if before := by_state.get("failed"):
        return unknown(_told(before), again=True, pods=sorted(before))
    works = by_state.get("works")
    silent = {name: state for name, state in found.items() if state.state in ("idle", "unknown")}
    if not works:
        return unknown(_told(silent), again="idle" in by_state, pods=sorted(silent))
    if silent:
        # The same configuration: an uploader may have nothing to upload for hours.
        return passed(
            msg("{told}; nothing to tell yet: {pods}", told=_told(works, others=False), pods=listed(sorted(silent))),
            pods=sorted(works),
        )
    return passed(
        msg("{told} ({count} of {count} pods)", told=_told(found, others=False), count=len(found)), pods=sorted(found)
    )


async def requests_forwarded(check: CheckOf[ReadersParams], cluster: ClusterReader) -> Measured:
    """No request of the receivers among ``readers`` to another receiver fails now.

    Where they can't be asked, every endpoint of the hashring has to be a pod that is ready.
    """
    from backout.probes.forwarding import Forwarding, forwarding
    from backout.probes.programs import recognise

    params, namespace = check.params, namespace_of(check)

    async def ask(pod: Object, container: str) -> Forwarding:
        program = recognise(pod["spec"], container)
        if program is None:
            return Forwarding("unknown", msg("it is not known what runs in {container}", container=container))
        return await forwarding(cluster, namespace, pod, program)

    ref = ObjectRef("v1", params.kind, params.name, namespace)
    found = await _each(cluster, check, ref, ask)
    if not found:
        return failed(msg("none of its readers has a pod"), again=True)
    by_state = _by_state(found, lambda state: state.state)
    if failing := by_state.get("failing"):
        return failed(_told(failing), msg("no request fails"), again=True, pods=sorted(failing))
    if doubtful := by_state.get("unknown"):
        return await _endpoints_ready(cluster, check, ref, _told(doubtful))
    return passed(
        msg("{told} ({count} of {count} pods)", told=_told(found, others=False), count=len(found)),
        pods=sorted(found),
        requests=sum(state.done for state in found.values()),
    )


async def _endpoints_ready(
    cluster: ClusterReader, check: CheckOf[ReadersParams], ref: ObjectRef, why: Message
) -> Measured:
    """By the objects alone. An endpoint that is no ``POD.SERVICE…`` of this namespace can't be judged."""
    from backout.probes import hashring

    live = await cluster.get(SECRETS if ref.kind == "Secret" else CONFIGMAPS, ref.name, ref.namespace)
    named = sorted(
        {
            endpoint
            for content in data_of({**live, "kind": ref.kind}).values()
            for endpoint in hashring.endpoints(content)
        }
    )
    pods = {pod["metadata"]["name"]: pod for pod in await cluster.list_all(PODS, ref.namespace)}
    of_pods = {endpoint: hashring.pod_of(endpoint, ref.namespace) for endpoint in named}
    if not named or not all(of_pods.values()):
        return unknown(why)
    gone = [endpoint for endpoint, pod in of_pods.items() if pod not in pods or not health_of(pods[pod]).ready]
    if gone:
        return failed(msg("endpoints without a ready pod: {endpoints}", endpoints=listed(gone)), again=True)
    return passed(
        msg(
            "every endpoint is a pod that is ready: {count} (requests could not be counted: {why})",
            count=len(named),
            why=why,
        ),
        endpoints=named,
    )


async def _each(
    cluster: ClusterReader, check: CheckOf[ReadersParams], ref: ObjectRef, ask: Callable[[Object, str], Awaitable[Any]]
) -> dict[str, Any]:
    """Asks each container of ``readers`` in each of its pods: ``pod`` (or ``pod/container``) → the answer."""
    wanted = {(entry.workload, entry.container) for entry in check.params.readers}
    pods, readers = await asyncio.gather(
        cluster.list_all(PODS, ref.namespace), find_consumers(cluster, ref.namespace, custom=False)
    )
    by_name = {pod["metadata"]["name"]: pod for pod in pods if health_of(pod).counts}
    asked = sorted(
        {
            (pod, reader.container)
            for reader in readers.of(ref.kind, ref.name)
            if (str(reader.workload), reader.container) in wanted
            for pod in reader.pods
            if pod in by_name
        }
    )
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(pod: str, container: str) -> Any:
        async with gate:
            return await ask(by_name[pod], container)

    answers = await asyncio.gather(*(one(pod, container) for pod, container in asked))
    single = len({pod for pod, _ in asked}) == len(asked)
    return {
        (pod if single else f"{pod}/{container}"): answer
        for (pod, container), answer in zip(asked, answers, strict=True)
    }


def _by_state(found: dict[str, Any], state: Callable[[Any], str]) -> dict[str, dict[str, Any]]:
    grouped: dict[str, dict[str, Any]] = {}
    for name, answer in found.items():
        grouped.setdefault(state(answer), {})[name] = answer
    return grouped


def _told(found: dict[str, Any], *, others: bool = True) -> Message:
    name, answer = min(found.items())
    if len(found) == 1 or not others:
        return msg("{pod}: {message}", pod=name, message=answer.message)
    return msg("{pod}: {message} (and {count} more)", pod=name, message=answer.message, count=len(found) - 1)
