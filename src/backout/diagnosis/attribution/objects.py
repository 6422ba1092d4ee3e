# SPDX-License-Identifier: Apache-2.0
"""Which single objects are at fault: asked of everything that a diagnosis saw, and told apart from what releases did.

What it costs follows what there is to suspect: metadata of ConfigMaps and Secrets where something is broken or one
namespace was asked for, contents and the past only of objects under suspicion, probes only of programs that are known.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from backout.changes.writers import template_write
from backout.cluster.port import ClusterReader, Object
from backout.diagnosis.attribution.faults import Fault, Finding
from backout.diagnosis.attribution.object_cause import replaced
from backout.diagnosis.attribution.read_objects import (
    EXPLAINABLE,
    FOLLOWS,
    Suspicion,
    Weighed,
    also_changed,
    ran_with_it,
    strongest,
    suspicions,
    taken_away,
    weigh,
)
from backout.diagnosis.attribution.words import changed_words, missing_key
from backout.diagnosis.detectors import missing
from backout.diagnosis.detectors.configuration import configuration
from backout.diagnosis.detectors.ingresses import Doubt, doubts, judged, lead_to
from backout.diagnosis.detectors.objectstorage import object_storage
from backout.diagnosis.detectors.services import Loose, loose, refused, without_pods
from backout.diagnosis.evidence.baseline import Baseline, Baselines
from backout.diagnosis.evidence.budgeted_reader import BudgetedReader
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.diagnosis.evidence.consumers import consumed_by
from backout.diagnosis.evidence.events import EventIndex, Events
from backout.diagnosis.evidence.history import generations_of, ran_well_since, started_before
from backout.diagnosis.evidence.metadata import Known, Managed, MetadataIndex, live
from backout.diagnosis.evidence.namespace import Namespace
from backout.diagnosis.evidence.network import Network, read_network
from backout.diagnosis.evidence.programs import running
from backout.errors import AccessDenied
from backout.kube.projections import Pod
from backout.kube.references import FIXED, Reference, references
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.templates import images, repository_of
from backout.model.evidence import Symptom
from backout.model.target import ObjectRef

Broken = dict[WorkloadKey, list[Symptom]]
MANY = 200
"""Objects under suspicion in one namespace; what is more than that is not looked into."""


async def find_faults(
    cluster: ClusterReader, events: EventIndex, state: State, broken: Broken, now: datetime
) -> list[Fault]:
    """The objects at fault; what a workload shows because of one stands in ``Fault.moved``, and in ``broken`` still."""
    look = _Look(BudgetedReader(cluster), events, state, broken, now)
    try:
        return await look.all()
    finally:
        await look.metadata_index.close()


def take_out(broken: Broken, fault: Fault) -> None:
    """Takes the symptoms that an object explains away from the workloads that show them."""
    for key, symptom in fault.moved:
        left = [other for other in broken.get(key, []) if other is not symptom]
        if left and all(other.code in FOLLOWS for other in left):
            fault.findings += [Finding(fault.ref, other, key) for other in left]
            left = []
        if left:
            broken[key] = left
        else:
            broken.pop(key, None)


class _Look:
    """One look at the objects of a cluster."""

    def __init__(self, cluster: ClusterReader, events: EventIndex, state: State, broken: Broken, now: datetime) -> None:
        self.cluster, self.events, self.state, self.broken, self.now = cluster, events, state, broken, now
        self.metadata_index = MetadataIndex(cluster)
        self.baselines = Baselines(cluster)
        self._references: dict[WorkloadKey, tuple[Reference, ...]] = {}

    async def all(self) -> list[Fault]:
        """Namespace by namespace, what is suspected there."""
        network, measured = await asyncio.gather(read_network(self.cluster, self.state.namespace), self._measured())
        self.state.blind.extend(network.blind)
        hinted = {key[0] for key, found in self.broken.items() if any(s.code in EXPLAINABLE for s in found)}
        hinted |= {finding.ref.namespace for finding in measured}
        hinted |= {namespace for namespace, _ in (*network.services, *network.ingresses)}
        hinted |= {self.state.namespace} - {""}
        found = await asyncio.gather(*(self._namespace(name, network, measured) for name in sorted(hinted)))
        return [fault for some in found for fault in some]

    async def _measured(self) -> list[Finding]:
        """What known programs say."""
        programs = await running(self.cluster, self.state)
        told = await asyncio.gather(
            configuration(self.cluster, self.state, programs, self.metadata_index),
            object_storage(self.cluster, programs, self.now),
        )
        return [finding for findings in told for finding in findings]

    async def _namespace(self, namespace: str, network: Network, measured: Sequence[Finding]) -> list[Fault]:
        broken = {
            key: found for key, found in self.broken.items() if key[0] == namespace and key in self.state.workloads
        }
        ends = list(loose(self.state, network, namespace))
        one_asked = bool(self.state.namespace)
        deep = one_asked or any(s.code in EXPLAINABLE for found in broken.values() for s in found)
        known: Known = await self.metadata_index.of(namespace) if deep else Known()
        questions = list(
            doubts(
                network,
                namespace,
                known,
                edits=one_asked,
                secrets=deep and self.metadata_index.readable(namespace, "Secret"),
            )
        )
        suspected = []
        for key, found in broken.items():
            for suspicion in suspicions(key, self.state.workloads[key], found, known):
                if suspicion.meta is not None or self.metadata_index.readable(namespace, suspicion.ref.kind):
                    suspected.append(suspicion)
                else:
                    self.state.unread.setdefault(key, set()).add(suspicion.ref)
        findings = [finding for finding in measured if finding.ref.namespace == namespace]
        if one_asked:
            waiting = {key for key, found in broken.items() if missing.waits({s.code for s in found})}
            findings += missing.unbroken(
                self.state, waiting, known, lambda kind: self.metadata_index.readable(namespace, kind), self.references
            )
        refs = {s.ref for s in suspected} | {f.ref for f in findings} | {e.ref for e in ends}
        refs |= {ref for one in questions for ref in one.refs()}
        if not refs:
            return []
        chosen = sorted(refs)[:MANY]
        known = known or await self.metadata_index.of(namespace)
        await self.metadata_index.confirm(chosen, known)
        suspected = [one for one in suspected if not one.missing or (one.ref.kind, one.ref.name) not in known]
        findings = [one for one in findings if not one.gone or (one.ref.kind, one.ref.name) not in known]
        for doubt in questions:
            doubt.missing = [one for one in doubt.missing if (one.kind, one.name) not in known]
        baseline, contents = await asyncio.gather(self.baselines.of(namespace, chosen), self._live(chosen, known))
        for ref, content in contents.items():
            if content is not None:
                baseline.add_applied(ref, content)
        findings += await self._explained(suspected, baseline, contents)
        findings += await self._network(ends, questions, baseline, network)
        findings = [finding for finding in findings if self._counts(finding, known, baseline, contents)]
        return await self._faults(findings, known, baseline, contents, network)

    def references(self, key: WorkloadKey) -> tuple[Reference, ...]:
        """What the template of a workload reads."""
        if key not in self._references:
            self._references[key] = references(self.state.workloads[key].spec.template.spec.plain())
        return self._references[key]

    async def _live(self, refs: Iterable[ObjectRef], known: Known) -> dict[ObjectRef, Object | None]:
        wanted = [ref for ref in refs if ref.kind not in ("ConfigMap", "Secret") or (ref.kind, ref.name) in known]
        return dict(zip(wanted, await asyncio.gather(*(live(self.cluster, ref) for ref in wanted)), strict=True))

    async def _explained(
        self, suspected: Sequence[Suspicion], baseline: Baseline, contents: dict[ObjectRef, Object | None]
    ) -> list[Finding]:
        """One object at most for each symptom."""
        templates = await self._templates({one.workload for one in suspected if not one.missing})
        told = await self.events.of(suspected[0].ref.namespace) if suspected else Events()
        by_symptom: dict[int, list[tuple[Suspicion, Weighed]]] = defaultdict(list)
        for one in suspected:
            if one.missing:
                weighed = self._gone(one, baseline)
            else:
                weighed = self._changed(one, baseline, contents.get(one.ref), templates.get(one.workload))
                if weighed is not None and not weighed.direct and self._ran_with(one, told):
                    weighed = None
                if weighed is not None and self._not_read_yet(one):
                    weighed = None
                if weighed is not None and one.reference.how == "pullSecret" and not await self._of_one_repository(one):
                    weighed = None
            if weighed is not None:
                by_symptom[id(one.symptom)].append((one, weighed))
        found = []
        for group in by_symptom.values():
            best = strongest(group)
            if best is not None:
                one, weighed = best
                rivals = tuple(sorted({other.ref for other, _ in group} - {one.ref})) if not weighed.direct else ()
                found.append(
                    Finding(
                        one.ref,
                        one.symptom,
                        one.workload,
                        weighed.reason,
                        weighed.direct,
                        moved=True,
                        against=(*weighed.against, *map(also_changed, rivals)),
                    )
                )
        return found

    def _ran_with(self, one: Suspicion, events: Events) -> bool:
        """True when a pod that fails was made after the object was written, and ran well with it for much longer than now."""
        return one.written is not None and any(
            ran_well_since(pod, one.containers, events, one.written.at) for pod in self._pods(one)
        )

    def _not_read_yet(self, one: Suspicion) -> bool:
        """True when all that fails started before the object was written, and holds what it held then."""
        pods, written = self._pods(one), one.written
        return (
            one.reference.how in FIXED
            and written is not None
            and bool(pods)
            and all(started_before(pod, one.containers or {one.reference.container}, written.at) for pod in pods)
        )

    async def _of_one_repository(self, one: Suspicion) -> bool:
        """False where the images of today lie elsewhere than those of the template before: whether a login is good for these is
        another question than whether it was changed."""
        namespace = Namespace(self.cluster, one.ref.namespace)
        try:
            obj = await namespace.find(one.workload[1], one.workload[2])
            made = sorted(await generations_of(namespace, obj), key=lambda each: each.order) if obj is not None else []
        finally:
            await namespace.close()
        asked = [set(map(repository_of, images(each.template))) for each in made[-2:]]
        return all(each == asked[0] for each in asked)

    def _pods(self, one: Suspicion) -> list[Pod]:
        return [
            pod
            for pod in self.state.pods
            if pod.metadata.namespace == one.ref.namespace and pod.metadata.name in one.symptom.pods
        ]

    def _changed(
        self, one: Suspicion, baseline: Baseline, content: Object | None, template: datetime | None
    ) -> Weighed | None:
        """What speaks for an object that is there: whoever wrote it, or nobody whose name is recorded."""
        if content is None:
            return None if one.unrecorded else weigh(one, None, template)
        if (key := missing_key(one.symptom, one.ref)) and baseline.key_differs(one.ref, content, key) is False:
            # That key never was there: who made it be read is to be asked.
            return None
        if one.unrecorded:
            return taken_away(one) if baseline.past_owner(one.ref, content) else None
        return weigh(
            one, baseline.changed(one.ref, content), template, changed_words(baseline.expected(one.ref), content)
        )

    def _gone(self, one: Suspicion, baseline: Baseline) -> Weighed | None:
        """An object that was there once: one that never was is the business of whoever named it."""
        if (one.ref.kind, one.ref.name) in baseline.removed:
            return None
        ran = ran_with_it(self.state.workloads[one.workload], one.workload[1])
        reason = missing.was_there(one.ref, baseline, ran)
        return Weighed(reason, direct=True) if reason is not None else None

    def _counts(
        self, finding: Finding, known: Known, baseline: Baseline, contents: dict[ObjectRef, Object | None]
    ) -> bool:
        """False for what is known to be as it should: failing requests are then somebody else's doing."""
        if finding.symptom is None or finding.symptom.code not in ("ObjectStorageErrors", "ForwardRequestFailures"):
            return True
        content = contents.get(finding.ref)
        if content is None or baseline.changed(finding.ref, content) is not False:
            return True
        meta = known.get((finding.ref.kind, finding.ref.name))
        written = meta.written(finding.ref.kind) if meta is not None else None
        # A release that changed it holds what is live, and yet that may be what broke it.
        return baseline.kept(finding.ref) is None and written is not None and written.by == "helm" and not written.born

    async def _templates(self, keys: set[WorkloadKey]) -> dict[WorkloadKey, datetime | None]:
        """When the template of each workload was changed last."""

        async def one(key: WorkloadKey) -> datetime | None:
            namespace, kind, name = key
            try:
                found = await self.cluster.list_as(
                    Managed, WORKLOAD_RESOURCES[kind], namespace, fields=f"metadata.name={name}", metadata_only=True
                )
            except AccessDenied:
                return None
            return template_write(found[0].metadata.managed_fields) if found else None

        ordered = sorted(keys)
        return dict(zip(ordered, await asyncio.gather(*(one(key) for key in ordered)), strict=True))

    async def _network(
        self, ends: Sequence[Loose], questions: Sequence[Doubt], baseline: Baseline, network: Network
    ) -> list[Finding]:
        """Services and Ingresses, by what they were, and by asking them."""
        found = [without_pods(self.state, one, baseline, self.now) for one in ends if one.what != "undeclared"]
        found += await asyncio.gather(
            *(refused(self.cluster, one, baseline) for one in ends if one.what == "undeclared")
        )
        services = [finding for finding in found if finding is not None]
        answers, *others = await asyncio.gather(
            lead_to(self.cluster, network, services),
            *(judged(self.cluster, self.state, one, baseline, network) for one in questions),
        )
        return [*services, *answers, *(finding for some in others for finding in some)]

    async def _faults(
        self,
        findings: Iterable[Finding],
        known: Known,
        baseline: Baseline,
        contents: dict[ObjectRef, Object | None],
        network: Network,
    ) -> list[Fault]:
        """Everything that one object is to blame for, together."""
        faults: dict[ObjectRef, Fault] = {}
        for finding in findings:
            fault = faults.get(finding.ref)
            if fault is None:
                fault = faults[finding.ref] = self._fault(finding.ref, known, baseline, contents, network)
            if not any(finding.symptom is not None and finding.symptom is other.symptom for other in fault.findings):
                fault.findings.append(finding)
            if finding.moved and finding.symptom is not None and finding.workload is not None:
                fault.moved.append((finding.workload, finding.symptom))
        await missing.first_signs(self.events, faults.values())
        for fault in faults.values():
            symptom = replaced(fault)
            if symptom is not None:
                fault.findings.append(Finding(fault.ref, symptom))
            fault.readers = await consumed_by(self.cluster, self.state, fault.ref, network, self.references)
        return list(faults.values())

    def _fault(
        self,
        ref: ObjectRef,
        known: Known,
        baseline: Baseline,
        contents: dict[ObjectRef, Object | None],
        network: Network,
    ) -> Fault:
        name = (ref.namespace, ref.name)
        if ref.kind == "Service":
            service = network.services.get(name)
            meta = service.metadata if service is not None else None
        elif ref.kind == "Ingress":
            ingress = network.ingresses.get(name)
            meta = ingress.metadata if ingress is not None else None
        else:
            meta = known.get((ref.kind, ref.name))
        written, content = meta.written(ref.kind) if meta is not None else None, contents.get(ref)
        unrecorded = (
            ref.kind in ("ConfigMap", "Secret")
            and (written is None or written.by == "helm")
            and content is not None
            and baseline.past_owner(ref, content)
        )
        return Fault(
            ref=ref,
            meta=meta,
            live=content,
            missing=meta is None,
            baseline=baseline,
            written=None if unrecorded else written,
            unrecorded=unrecorded,
        )
