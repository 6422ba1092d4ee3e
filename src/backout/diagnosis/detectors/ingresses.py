# SPDX-License-Identifier: Apache-2.0
"""Ingresses that name what is not there, or that lead to another program than they did.

An Ingress is asked over HTTP only when its objects give a reason to: whether it answers from here says little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from backout.changes.writers import Written
from backout.cluster.port import ClusterReader
from backout.diagnosis.attribution.faults import Finding
from backout.diagnosis.detectors.lost_routes import lost_finding, lost_routes, set_by, spec_of, still_lost
from backout.diagnosis.detectors.symptoms import serving
from backout.diagnosis.evidence.baseline import Baseline, Expected
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.metadata import Known, reference
from backout.diagnosis.evidence.network import Ingress, Network
from backout.kube.references import Reference, of_ingress
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

if TYPE_CHECKING:
    from backout.probes.ingress import Answer

TIMEOUT = 3.0
FAILING = frozenset({502, 503, 504})
"""An Ingress controller's answers for a backend that is missing, refuses, or has no endpoints (404: no rule)."""
ISSUED = ("cert-manager.io/issuer", "cert-manager.io/cluster-issuer", "kubernetes.io/tls-acme")


@dataclass(slots=True)
class Doubt:
    """An Ingress with a reason to look closer. ``missing`` are references to what does not exist."""

    ref: ObjectRef
    ingress: Ingress
    missing: list[Reference] = field(default_factory=list)
    edited: bool = False
    """Somebody wrote it after it was made."""

    @property
    def written(self) -> Written | None:
        """Who wrote it last."""
        return self.ingress.metadata.written("Ingress")

    @property
    def by_hand(self) -> bool:
        """True when a person, or an unknown program, wrote it last."""
        return self.written is not None and self.written.by == "other"

    def refs(self) -> Iterator[ObjectRef]:
        """What has to be known of the past to judge it."""
        yield self.ref
        for one in self.missing:
            yield reference(one.kind, one.name, self.ref.namespace)

    def named(self) -> tuple[Reference, ...]:
        """What it names."""
        return of_ingress(self.ingress.plain(self.ref.namespace))

    def earlier(self, baseline: Baseline) -> Expected | None:
        """The nearest known past in which it was otherwise; None where a good snapshot holds it as it is."""
        for expected in baseline.pasts(self.ref):
            if spec_of(expected.content) != spec_of(self.ingress.plain("")):
                return expected
            if expected.good:
                return None
        return None


def doubts(network: Network, namespace: str, known: Known, *, secrets: bool, edits: bool) -> Iterator[Doubt]:
    """The Ingresses of a namespace that name what is missing; with ``edits`` those that were changed, too."""
    for (where, name), ingress in network.ingresses.items():
        if where != namespace:
            continue
        missing = [
            one
            for one in of_ingress(ingress.plain(namespace))
            if (one.kind == "Service" and network.listed and (namespace, one.name) not in network.services)
            or (one.kind == "Secret" and secrets and ("Secret", one.name) not in known)
        ]
        written = ingress.metadata.written("Ingress")
        # What was taken out leaves no entry of whoever did it: the generation tells.
        later = ingress.metadata.generation > 1 or (written is not None and not written.born)
        edited = edits and later
        if missing or edited:
            yield Doubt(reference("Ingress", name, namespace), ingress, missing, edited)


async def judged(
    cluster: ClusterReader, state: State, doubt: Doubt, baseline: Baseline, network: Network
) -> list[Finding]:
    """What is wrong with the Ingress, or with what it names."""
    earlier = doubt.earlier(baseline)
    before = of_ingress(earlier.content) if earlier is not None else ()
    found: list[Finding] = []
    for one in doubt.missing:
        finding = _missing(state, doubt, one, baseline, earlier)
        if finding is not None:
            found.append(finding)
    lost = lost_routes(doubt.ref, doubt.ingress, earlier, network) if doubt.edited and earlier is not None else []
    elsewhere = (
        earlier is not None
        and doubt.edited
        and doubt.by_hand
        and any(one not in before for one in doubt.named() if one.kind == "Service")
    )
    if not found and not elsewhere and not lost:
        return []
    answers = await _asked(cluster, doubt.ingress, doubt.ref.namespace)
    failing = [answer for answer in answers if answer.status in FAILING or answer.status == 404]
    mine = next((finding for finding in found if finding.ref == doubt.ref), None)
    backend = next((finding for finding in found if finding.ref.kind in ("Service", "Ingress")), None)
    if failing and backend is not None:
        found.append(_status(doubt, failing, backend))
    elif elsewhere and mine is None and earlier is not None:
        wrong = await _elsewhere(cluster, doubt, answers, before, network, earlier.source)
        found += [wrong] if wrong is not None else []
    if lost and earlier is not None:
        old = {**doubt.ingress.plain(doubt.ref.namespace), "spec": earlier.content.get("spec") or {}}
        served = await _asked(cluster, msgspec.convert(old, Ingress), doubt.ref.namespace)
        gone = still_lost(lost, served)
        found += [lost_finding(doubt.ref, doubt.written, gone, earlier, served)] if gone else []
    unasked = [answer for answer in answers if answer.error is not None]
    return [_unmeasured(finding, unasked, doubt) if unasked and not failing else finding for finding in found]


def _missing(
    state: State, doubt: Doubt, one: Reference, baseline: Baseline, earlier: Expected | None
) -> Finding | None:
    """Who is to blame for a name that leads nowhere: the Ingress that got it, or whoever deleted what it names.

    A name that it always had, of what was never there as far as anything tells, is that of something to come.
    """
    thing = reference(one.kind, one.name, doubt.ref.namespace)
    was_there = baseline.seen(thing) is not None or (one.kind, one.name) in {*baseline.installed, *baseline.removed}
    annotations = doubt.ingress.metadata.annotations or {}
    if one.kind == "Secret" and not was_there and any(name in annotations for name in ISSUED):
        # Somebody is at work on the certificate, and it need not be there yet.
        return None
    written, sure = doubt.written, True
    newly = earlier is not None and (one.kind, one.name) not in {(o.kind, o.name) for o in of_ingress(earlier.content)}
    if newly:
        at_fault, proof = doubt.ref, msg("It names {object}, which does not exist.", object=str(thing))
    elif was_there:
        at_fault, proof = thing, msg("{ingress} names it, and named it before.", ingress=str(doubt.ref))
    elif not baseline.pasts(doubt.ref) and doubt.by_hand and written is not None and not written.born:
        at_fault, proof = doubt.ref, msg("It names {object}, which does not exist.", object=str(thing))
        sure = set_by(doubt.ingress.metadata.managed_fields, written, "rules|defaultBackend|tls")
    elif one.kind == "Secret" or _runs(state, thing):
        at_fault, proof, sure = thing, msg("{ingress} names it.", ingress=str(doubt.ref)), False
    else:
        return None
    text = (
        msg(
            "{object} does not exist: the controller serves {hosts} with another certificate, or not at all",
            object=str(thing),
            hosts=one.path or "it",
        )
        if one.kind == "Secret"
        else msg(
            "{object} does not exist: {where} leads nowhere", object=str(thing), where=one.path or "its default backend"
        )
    )
    evidence = Evidence(
        source="object",
        ref=doubt.ref,
        message=msg("{ingress} names {object}", ingress=str(doubt.ref), object=str(thing)),
    )
    since = written.at if at_fault == doubt.ref and written is not None and doubt.by_hand else None
    symptom = Symptom(code="MissingReference", ref=doubt.ref, message=text, since=since, evidence=(evidence,))
    fields = "tls" if one.kind == "Secret" else "rules|defaultBackend"
    return Finding(
        at_fault,
        symptom,
        None,
        proof,
        direct=sure,
        fields=fields if at_fault == doubt.ref else "",
        before=earlier if at_fault == doubt.ref else None,
    )


def _runs(state: State, service: ObjectRef) -> bool:
    """True when a workload of that name has ready pods: it is no part that is still to come."""
    return any(
        serving(workload, key[1])[0] > 0
        for key, workload in state.workloads.items()
        if (key[0], key[2]) == (service.namespace, service.name)
    )


def _status(doubt: Doubt, failing: list[Answer], backend: Finding) -> Finding:
    first = failing[0]
    text = msg("{host}{path} answers {status}", host=first.host or "*", path=first.path, status=first.status)
    evidence = tuple(
        Evidence(
            source="http",
            ref=doubt.ref,
            data={"status": answer.status, "address": answer.address},
            message=msg(
                "GET http://{address}{path} with Host {host}: {status}",
                address=answer.address,
                path=answer.path,
                host=answer.host or "-",
                status=answer.status,
            ),
        )
        for answer in failing[:3]
    )
    since = backend.symptom.since if backend.symptom is not None else None
    symptom = Symptom(code="HTTPStatus", ref=doubt.ref, message=text, since=since, evidence=evidence)
    return Finding(backend.ref, symptom, None, msg("The Ingress itself answers that way."), direct=True)


async def lead_to(cluster: ClusterReader, network: Network, services: Sequence[Finding]) -> list[Finding]:
    """What the Ingresses answer that lead to Services at fault."""
    at_fault = {(finding.ref.namespace, finding.ref.name): finding for finding in services}
    asked = [
        (reference("Ingress", name, namespace), ingress, at_fault[namespace, one.name])
        for (namespace, name), ingress in network.ingresses.items()
        for one in of_ingress(ingress.plain(namespace))
        if one.kind == "Service" and (namespace, one.name) in at_fault
    ]
    found = await asyncio.gather(*(_asked(cluster, ingress, ref.namespace) for ref, ingress, _ in asked))
    findings = []
    for (ref, ingress, finding), answers in zip(asked, found, strict=True):
        failing = [a for a in answers if a.status in FAILING and a.service == finding.ref.name]
        if failing:
            findings.append(_status(Doubt(ref, ingress), failing, finding))
    return findings


async def _elsewhere(
    cluster: ClusterReader,
    doubt: Doubt,
    answers: list[Answer],
    before: tuple[Reference, ...],
    network: Network,
    source: Message,
) -> Finding | None:
    """Another program behind a route than the one that was there: told by what the two answer."""
    earlier = {one.path: one.name for one in before if one.kind == "Service"}
    namespace = doubt.ref.namespace
    for one in of_ingress(doubt.ingress.plain(namespace)):
        old = earlier.get(one.path)
        if one.kind != "Service" or old is None or old == one.name or (namespace, old) not in network.services:
            continue
        now, then = await asyncio.gather(
            _marker(cluster, network, namespace, one.name), _marker(cluster, network, namespace, old)
        )
        told = (
            next((a.marker for a in answers if f"{a.host or '*'}{a.path}" == one.path and a.status == 200), "") or now
        )
        if not told or not then or told == then:
            continue
        written = doubt.written
        text = msg(
            "{where} leads to {service}, which answers as “{marker}”; {old} answers as “{before}”",
            where=one.path or "its default backend",
            service=f"service/{one.name}",
            marker=told,
            old=f"service/{old}",
            before=then,
        )
        evidence = Evidence(source="http", ref=doubt.ref, message=text, data={"marker": told, "before": then})
        symptom = Symptom(
            code="WrongBackend",
            ref=doubt.ref,
            message=text,
            since=written.at if written else None,
            evidence=(evidence,),
        )
        proof = msg("By {source}, it leads to {service}.", source=source, service=f"service/{old}")
        return Finding(doubt.ref, symptom, None, proof)
    return None


async def _asked(cluster: ClusterReader, ingress: Ingress, namespace: str) -> list[Answer]:
    # An HTTP client of its own, which a diagnosis seldom needs.
    from backout.probes.ingress import ask

    return await ask(cluster, ingress.plain(namespace), timeout=TIMEOUT)


async def _marker(cluster: ClusterReader, network: Network, namespace: str, name: str) -> str:
    from backout.probes.service import connection

    service = network.services.get((namespace, name))
    if service is None or not service.selects:
        return ""
    ports: list[dict[str, Any]] = list(service.spec.ports)
    obj = {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": service.spec.selector, "type": service.spec.type, "ports": ports},
    }
    return (await connection(cluster, namespace, obj, ports[0], timeout=TIMEOUT)).marker if ports else ""


def _unmeasured(finding: Finding, unasked: list[Answer], doubt: Doubt) -> Finding:
    """The finding with a word on why its Ingress could not be asked."""
    why = unasked[0].error
    if finding.symptom is None or why is None:
        return finding
    evidence = Evidence(source="http", ref=doubt.ref, message=msg("what it answers could not be tried: {why}", why=why))
    finding.symptom = msgspec.structs.replace(finding.symptom, evidence=(*finding.symptom.evidence, evidence))
    return finding
