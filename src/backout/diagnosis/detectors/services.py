# SPDX-License-Identifier: Apache-2.0
"""Services that lead nowhere: a selector that matches no pods, a port that no pod has, or that nobody listens on.

A Service without pods is ordinary: its workload may be scaled to 0, or never have been there. It is a problem when it
had pods by what is known of the past, or when somebody changed it by hand a short while ago.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from backout.changes.authors import of_entries
from backout.changes.writers import Written
from backout.cluster.port import ClusterReader
from backout.diagnosis.attribution.faults import Finding
from backout.diagnosis.detectors.symptoms import serving
from backout.diagnosis.evidence.baseline import Baseline, Expected
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.diagnosis.evidence.metadata import reference
from backout.diagnosis.evidence.network import Labelled, Network, Service, declared, selected
from backout.kube.services import Maker, wants_addresses
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

LATELY = timedelta(hours=24)
"""Without anything to compare with, an older edit of a Service without pods is no news."""


@dataclass(frozen=True, slots=True)
class Loose:
    """A Service, or a port of one, that seems to lead nowhere.

    ``unselected``: no pod and no workload matches. ``nameless``: no pod has a port of the name that it points to.
    ``undeclared``: its pods are ready, but none of their containers says that it listens on that number.
    """

    ref: ObjectRef
    service: Service
    what: Literal["unselected", "nameless", "undeclared"]
    port: dict[str, Any]
    workloads: tuple[WorkloadKey, ...] = ()
    ready: int = 0

    @property
    def written(self) -> Written | None:
        """Who wrote the Service last."""
        return self.service.metadata.written("Service")

    def set_later(self, fields: str) -> bool:
        """True when whoever wrote it last, after it was made, set one of these fields (a pattern)."""
        written = self.written
        if written is None or written.by != "other" or written.born:
            return False
        mine = [a for a in of_entries(self.service.metadata.managed_fields) if a.manager == written.manager]
        return any(re.search(rf"^spec\.({fields})", path) for author in mine for path in author.paths)


def loose(state: State, network: Network, namespace: str) -> Iterator[Loose]:
    """What looks wrong with the Services of a namespace by the objects alone."""
    if not network.sliced:
        return
    labelled = Labelled(state, namespace)
    for (where, name), service in network.services.items():
        if where != namespace or not service.selects:
            continue
        ref = reference("Service", name, namespace)
        behind = network.endpoints.get((where, name))
        workloads = labelled.selected(service.spec.selector or {})
        if behind is None or behind.total == 0:
            if not workloads:
                yield Loose(ref, service, "unselected", {})
            elif _named_nowhere(state, service, workloads) and _wanted(state, service.spec.selector or {}, workloads):
                yield Loose(ref, service, "nameless", _first_named(service), tuple(workloads))
            continue
        yield from _ports(state, ref, service, behind.ports, behind.ready, workloads)


def _ports(
    state: State,
    ref: ObjectRef,
    service: Service,
    there: set[tuple[str, int]],
    ready: int,
    workloads: list[WorkloadKey],
) -> Iterator[Loose]:
    _, numbers = declared(state, workloads)
    with_pods = {name for name, _ in there}
    for port in service.spec.ports:
        target = port.get("targetPort") or port.get("port")
        if str(port.get("name") or "") not in with_pods:
            yield Loose(ref, service, "nameless", port, tuple(workloads), ready)
        elif isinstance(target, int) and ready and numbers and target not in numbers:
            yield Loose(ref, service, "undeclared", port, tuple(workloads), ready)


def _first_named(service: Service) -> dict[str, Any]:
    return next((port for port in service.spec.ports if isinstance(port.get("targetPort"), str)), {})


def _named_nowhere(state: State, service: Service, workloads: list[WorkloadKey]) -> bool:
    names, _ = declared(state, workloads)
    targets = [port.get("targetPort") for port in service.spec.ports]
    return bool(targets) and all(isinstance(target, str) and target not in names for target in targets)


def _wanted(state: State, selector: dict[str, str], workloads: list[WorkloadKey]) -> bool:
    return wants_addresses(selector, _makers(state, workloads))


def _makers(state: State, workloads: list[WorkloadKey]) -> Iterator[Maker]:
    for key in workloads:
        workload = state.workloads[key]
        yield Maker(workload.spec.template.metadata.labels or {}, serving(workload, key[1])[1])


def without_pods(state: State, found: Loose, baseline: Baseline, now: datetime) -> Finding | None:
    """The finding of a Service, or of a port of it, that has no pods where it should have some; None else."""
    name, written = found.ref.name, found.written
    before, why = _led_to_pods(state, found, baseline), None
    if before is not None:
        expected, workloads = before
        names = ", ".join(f"{kind.lower()}/{name}" for _, kind, name in workloads)
        why = msg("By {source}, {workloads} is behind it.", source=expected.source, workloads=names)
    elif baseline.expected(found.ref) is None and written is not None and _lately(written, now):
        why = msg("{manager} changed it lately; what it was before is not known.", manager=written.manager)
    if why is None:
        return None
    if found.what == "unselected":
        text = msg("its selector matches no pod: {selector}", selector=_labels(found.service.spec.selector))
    else:
        text = msg("no pod has a port called {port}", port=str(found.port.get("targetPort")))
    evidence = Evidence(
        source="object",
        ref=found.ref,
        message=msg("the EndpointSlices of {service} hold no pod", service=name),
        data={"selector": found.service.spec.selector or {}, "ports": list(found.service.spec.ports)},
    )
    symptom = Symptom(
        code="NoEndpoints",
        ref=found.ref,
        message=text,
        evidence=(evidence,),
        since=written.at if written and written.by == "other" else None,
    )
    fields = "selector" if found.what == "unselected" else "ports|targetPort"
    # Without anything to compare with, whoever wrote just that field after the Service was made is the nearest.
    direct = before is not None or found.set_later(fields)
    return Finding(
        found.ref, symptom, None, why, direct=direct, fields=fields, before=before[0] if before is not None else None
    )


def _lately(written: Written, now: datetime) -> bool:
    return written.by == "other" and not written.born and now - written.at <= LATELY


def _led_to_pods(state: State, found: Loose, baseline: Baseline) -> tuple[Expected, list[WorkloadKey]] | None:
    """The nearest known past in which it led to pods that are wanted, and those; None where none is known.

    What a good snapshot holds just so is not what broke it.
    """
    for expected in baseline.pasts(found.ref):
        spec = expected.content.get("spec") or {}
        selector = spec.get("selector") or {}
        workloads = selected(state, found.ref.namespace, selector)
        if found.what == "unselected":
            differs = selector != (found.service.spec.selector or {})
        else:
            differs = _port_differs(spec, found.port, state, workloads)
        if differs and _wanted(state, selector, workloads):
            return expected, workloads
        if expected.good:
            return None
    return None


def _port_differs(spec: dict[str, Any], port: dict[str, Any], state: State, workloads: list[WorkloadKey]) -> bool:
    """True when the port was another one, and its pods have that."""
    before = _same_port(spec, port)
    if before is None or before.get("targetPort") == port.get("targetPort"):
        return False
    names, _ = declared(state, workloads)
    target = before.get("targetPort")
    return not isinstance(target, str) or target in names


def _same_port(spec: dict[str, Any], port: dict[str, Any]) -> dict[str, Any] | None:
    found = [p for p in spec.get("ports") or () if str(p.get("name") or "") == str(port.get("name") or "")]
    return found[0] if found else None


def _labels(selector: dict[str, str] | None) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted((selector or {}).items()))


def moved(found: Loose, baseline: Baseline) -> tuple[bool, Expected | None]:
    """Whether an undeclared port is another one than it was, or was set by hand; and what says what it was."""
    known = False
    for expected in baseline.pasts(found.ref):
        known = True
        before = _same_port(expected.content.get("spec") or {}, found.port)
        if before is None or (before.get("targetPort") or before.get("port")) != found.port.get("targetPort"):
            return True, expected
        if expected.good:
            return False, None
    written = found.written
    return not known and written is not None and written.by == "other" and not written.born, None


async def refused(cluster: ClusterReader, found: Loose, baseline: Baseline) -> Finding | None:
    """The finding of a port behind which nobody listens. Only a port that was moved is knocked on."""
    was_moved, expected = moved(found, baseline)
    if not was_moved:
        return None
    port, target = found.port, found.port.get("targetPort")
    evidence = [
        Evidence(
            source="object",
            ref=found.ref,
            data={"port": port, "ready": found.ready},
            message=msg(
                "{ready} pods are ready behind it; none of their containers declares port {port}",
                ready=found.ready,
                port=str(target),
            ),
        )
    ]
    measured, words = await _knock(cluster, found)
    if measured == "answers":
        return None
    if measured == "refused":
        evidence.append(Evidence(source="http", ref=found.ref, message=words))
        text = msg("nobody listens on port {port} of its pods: the connection is refused", port=str(target))
    else:
        text = msg(
            "no container of its pods declares port {port}; whether somebody listens could not be tried: {why}",
            port=str(target),
            why=words,
        )
    written = found.written
    symptom = Symptom(
        code="ConnectionRefused",
        ref=found.ref,
        message=text,
        evidence=tuple(evidence),
        since=written.at if written and written.by == "other" else None,
    )
    before = _same_port((expected.content.get("spec") or {}) if expected else {}, port) or {}
    proof = (
        msg(
            "By {source}, it points to {before}.",
            source=expected.source,
            before=str(before.get("targetPort") or before.get("port") or "another port"),
        )
        if expected
        else None
    )
    return Finding(
        found.ref, symptom, None, proof, direct=measured == "refused", fields="ports|targetPort", before=expected
    )


async def _knock(cluster: ClusterReader, found: Loose) -> tuple[str, Message]:
    """What a connection to the port comes to, and in which words."""
    from backout.probes.service import connection

    meta = {"name": found.ref.name, "namespace": found.ref.namespace}
    spec = {
        "selector": found.service.spec.selector,
        "type": found.service.spec.type,
        "ports": list(found.service.spec.ports),
    }
    told = await connection(cluster, found.ref.namespace, {"metadata": meta, "spec": spec}, found.port)
    return told.state, told.message
