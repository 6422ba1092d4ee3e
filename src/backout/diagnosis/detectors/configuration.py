# SPDX-License-Identifier: Apache-2.0
"""Configuration that a running program could not load, or that it loaded and that sends its requests nowhere.

Such a program goes on with what it had before, ready and without a restart: nothing of it shows in its pods.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import defaultdict
from collections.abc import Iterable

from backout.cluster.port import PODS, ClusterReader, Object
from backout.diagnosis.attribution.faults import Finding
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.diagnosis.evidence.metadata import MetadataIndex, live, reference
from backout.diagnosis.evidence.programs import Running, started
from backout.errors import AccessDenied, ObjectNotFound
from backout.kube.references import Reference
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef
from backout.probes import hashring
from backout.probes.metrics import page
from backout.probes.reload import Reload, reload_state

AGAIN = 1.2
"""Seconds between two looks at a counter. Only asked a second time when it counted anything at all."""
_FORWARDED = ("thanos_receive_forward_requests_total", "thanos_receive_replications_total")


async def configuration(
    cluster: ClusterReader, state: State, programs: Iterable[Running], metadata_index: MetadataIndex
) -> list[Finding]:
    """What the known programs say of the files that they load while they run."""
    found = await asyncio.gather(
        *(
            _one(cluster, state, program, metadata_index)
            for program in programs
            if program.program.hashring or program.program.config or program.program.component == "rule"
        )
    )
    return [finding for findings in found for finding in findings]


async def _one(cluster: ClusterReader, state: State, running: Running, metadata_index: MetadataIndex) -> list[Finding]:
    program = running.program
    # What the other files hold does not matter for whether a reload failed.
    files: dict[str, bytes] = {program.config: b""} if program.config else {}
    ring: tuple[ObjectRef, bytes] | None = None
    if program.hashring:
        ring = await _ring(cluster, running)
        if ring is None:
            return []
        files[program.hashring] = ring[1]
    namespace = running.workload[0]
    pods = [pod for pod in running.pods if started(pod, program.container) is not None]
    states = await asyncio.gather(
        *(reload_state(cluster, namespace, pod, program.container, program, files, None) for pod in pods)
    )
    failed = [(pod, told) for pod, told in zip(pods, states, strict=True) if told.state == "failed"]
    findings: list[Finding] = []
    if failed:
        at_fault = ring[0] if ring else await _source(running, [told for _, told in failed], metadata_index)
        if at_fault is not None:
            findings.append(_failed(at_fault, running, failed))
    if ring is not None:
        findings += await _forwarding(cluster, state, running, *ring, metadata_index, failed=bool(failed))
    return findings


async def _ring(cluster: ClusterReader, running: Running) -> tuple[ObjectRef, bytes] | None:
    """The object and the content of a receiver's hashring file, as the object has it now."""
    source = running.source_of(running.program.hashring)
    if source is None:
        return None
    one, key = source
    ref = reference(one.kind, one.name, running.workload[0])
    found = await live(cluster, ref)
    content = _content(found, key) if found else None
    return (ref, content) if content is not None else None


def _content(obj: Object, key: str) -> bytes | None:
    text = (obj.get("data") or {}).get(key)
    if text is not None and obj["kind"] == "ConfigMap":
        return str(text).encode()
    encoded = text if text is not None else (obj.get("binaryData") or {}).get(key)
    try:
        return base64.b64decode(encoded) if encoded is not None else None
    except (binascii.Error, ValueError):
        return None


async def _source(running: Running, told: Iterable[Reload], metadata_index: MetadataIndex) -> ObjectRef | None:
    """The object at fault of those that a program loads: the one that it names, else the last one written by hand."""
    known = await metadata_index.of(running.workload[0])
    texts = [one.message.text for one in told]

    def rank(one: Reference) -> tuple[bool, bool, float]:
        named = any(f"{one.path.rstrip('/')}/" in text for text in texts)
        meta = known.get((one.kind, one.name))
        written = meta.written(one.kind) if meta else None
        return (named, written is not None and written.by == "other", written.at.timestamp() if written else 0.0)

    candidates = [one for one in running.followed() if (one.kind, one.name) in known]
    if not candidates:
        return None
    best = max(candidates, key=rank)
    return reference(best.kind, best.name, running.workload[0])


def _failed(ref: ObjectRef, running: Running, failed: list[tuple[Object, Reload]]) -> Finding:
    names = tuple(sorted(pod["metadata"]["name"] for pod, _ in failed))
    text = msg("{program} could not load it, and goes on with what it had before", program=running.program.name)
    distinct = {told.message.text: (pod, told) for pod, told in reversed(failed)}
    evidence = tuple(
        Evidence(
            source="log" if told.by == "log" else "metric",
            at=told.at,
            message=told.message,
            ref=ObjectRef("v1", "Pod", pod["metadata"]["name"], running.workload[0]),
        )
        for pod, told in list(distinct.values())[:3]
    )
    since = min((told.at for _, told in failed if told.at), default=None)
    symptom = Symptom(
        code="ConfigReloadFailed",
        ref=workload_ref(running.workload),
        message=text,
        since=since,
        pods=names,
        evidence=evidence,
    )
    proof = msg("The program that reads it says itself that it can't load it.")
    return Finding(ref, symptom, running.workload, proof, direct=True)


async def _forwarding(
    cluster: ClusterReader,
    state: State,
    running: Running,
    ref: ObjectRef,
    content: bytes,
    metadata_index: MetadataIndex,
    *,
    failed: bool,
) -> list[Finding]:
    """Requests that receivers can't forward, where the hashring itself gives reason to look."""
    known = await metadata_index.of(ref.namespace)
    meta = known.get((ref.kind, ref.name))
    written = meta.written(ref.kind) if meta else None
    strangers = await _nobody(cluster, state, hashring.endpoints(content), ref.namespace)
    by_hand = written is not None and written.by == "other" and not written.born
    if not strangers and not failed and not by_hand:
        return []
    grown, why = await _failing(cluster, running)
    evidence: list[Evidence] = []
    if strangers:
        evidence.append(
            Evidence(
                source="object",
                ref=ref,
                data={"endpoints": list(strangers)},
                message=msg("it names {endpoints}, and there is no such pod", endpoints=", ".join(strangers[:3])),
            )
        )
    for pod, rate in grown.items():
        pod_ref = ObjectRef("v1", "Pod", pod, ref.namespace)
        evidence.append(
            Evidence(
                source="metric",
                ref=pod_ref,
                data={"failed": rate},
                message=msg(
                    "{pod}: {count} requests to other receivers failed within {seconds} s",
                    pod=pod,
                    count=round(rate),
                    seconds=AGAIN,
                ),
            )
        )
    if grown:
        text = msg("{program} can't forward requests to receivers of its hashring", program=running.program.name)
    elif strangers and why is not None:
        text = msg(
            "{program} is to forward requests to receivers that do not exist; whether any failed can't be seen: {why}",
            program=running.program.name,
            why=why,
        )
    elif strangers:
        text = msg("{program} is to forward requests to receivers that do not exist", program=running.program.name)
    else:
        return []
    symptom = Symptom(
        code="ForwardRequestFailures",
        ref=workload_ref(running.workload),
        message=text,
        since=written.at if written and not failed else None,
        pods=tuple(sorted(grown)),
        evidence=tuple(evidence[:4]),
    )
    proof = (
        msg("It names receivers that do not exist.")
        if strangers
        else msg("Requests between the receivers that read it fail.")
    )
    return [Finding(ref, symptom, running.workload, proof, direct=bool(strangers))]


async def _failing(cluster: ClusterReader, running: Running) -> tuple[dict[str, float], Message | None]:
    """By pod, how many forwarded requests failed between two looks; and why it can't be told."""

    async def look() -> tuple[dict[str, float], Message | None]:
        program, namespace = running.program, running.workload[0]
        names = [pod["metadata"]["name"] for pod in running.pods if started(pod, program.container) is not None]
        pages = await asyncio.gather(
            *(page(cluster, namespace, name, program.port, _FORWARDED, path=program.metrics_path) for name in names)
        )
        values = {
            name: max((found.value(metric, result="error") or 0.0) for metric in _FORWARDED)
            for name, found in zip(names, pages, strict=True)
            if found.refusal is None
        }
        return values, next((found.refusal for found in pages if found.refusal is not None), None)

    first, why = await look()
    if not any(first.values()):
        return {}, None if first else why
    await asyncio.sleep(AGAIN)
    second, _ = await look()
    return {name: value - first[name] for name, value in second.items() if name in first and value > first[name]}, None


async def _nobody(cluster: ClusterReader, state: State, endpoints: Iterable[str], namespace: str) -> tuple[str, ...]:
    """The endpoints that name a pod which does not exist: ``POD.SERVICE[.NAMESPACE[.svc[.…]]]:PORT``.

    A pod has such a name when a StatefulSet made it (pod.spec.hostname and subdomain). Other names are left alone.
    """
    wanted: dict[tuple[str, str], list[str]] = defaultdict(list)
    for endpoint in endpoints:
        labels = endpoint.partition(":")[0].split(".")
        if len(labels) == 2 or (len(labels) > 2 and labels[2] == namespace):
            wanted[namespace, labels[0]].append(endpoint)
    sets = {
        name: workload
        for (place, kind, name), workload in state.workloads.items()
        if place == namespace and kind == "StatefulSet"
    }
    strangers: list[str] = []
    for (place, pod), named in wanted.items():
        base, _, ordinal = pod.rpartition("-")
        if base not in sets or not ordinal.isdecimal() or int(ordinal) < sets[base].replicas:
            continue
        if not await _exists(cluster, pod, place):
            strangers += named
    return tuple(strangers)


async def _exists(cluster: ClusterReader, pod: str, namespace: str) -> bool:
    try:
        await cluster.get(PODS, pod, namespace)
    except ObjectNotFound:
        return False
    except AccessDenied:
        return True
    return True


def workload_ref(key: WorkloadKey) -> ObjectRef:
    """The reference of a workload."""
    namespace, kind, name = key
    return ObjectRef(WORKLOAD_RESOURCES[kind].api_version, kind, name, namespace)
