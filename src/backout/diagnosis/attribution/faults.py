# SPDX-License-Identifier: Apache-2.0
"""An object that is at fault: what points to it, who wrote it, what it should hold, and who takes it back."""

from __future__ import annotations

from dataclasses import dataclass, field

from backout.changes.writers import Written
from backout.cluster.port import ClusterReader, Object
from backout.diagnosis.attribution.changes import Change
from backout.diagnosis.evidence.baseline import Baseline, Expected
from backout.diagnosis.evidence.collect import WorkloadKey
from backout.diagnosis.evidence.metadata import ManagedMeta
from backout.model.diagnosis import ConsumedBy
from backout.model.evidence import Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef, Target
from backout.ownership.owner import Owner, owner_of


@dataclass(slots=True)
class Finding:
    """One thing that was seen and that an object is to blame for; ``workload`` is whose symptom it is, if anybody's.

    ``proof`` says why the object is believed to be the cause; ``direct`` is True when that was seen and not inferred.
    """

    ref: ObjectRef
    symptom: Symptom | None = None
    workload: WorkloadKey | None = None
    proof: Message | None = None
    direct: bool = False
    moved: bool = False
    """The symptom is one that the workload was found with before anybody asked for objects."""
    against: tuple[Message, ...] = ()
    """What speaks for another cause."""
    gone: bool = False
    """It is one only as long as the object does not exist."""
    fields: str = ""
    """A pattern of the fields of the object that could have brought it."""
    before: Expected | None = None
    """What it was when that was not so, where something tells."""


@dataclass(slots=True)
class Fault:
    """Everything that one object is to blame for. ``live`` is None when it does not exist (or may not be read)."""

    ref: ObjectRef
    findings: list[Finding] = field(default_factory=list)
    meta: ManagedMeta | None = None
    live: Object | None = None
    missing: bool = False
    written: Written | None = None
    unrecorded: bool = False
    """It was changed past its release, and whoever did it left no entry: a key that was removed belongs to nobody."""
    baseline: Baseline = field(default_factory=Baseline)
    readers: tuple[ConsumedBy, ...] = ()
    moved: list[tuple[WorkloadKey, Symptom]] = field(default_factory=list)
    """Symptoms of workloads that would otherwise be their own owners' business."""
    step: Change | None = None
    """The revision of its release that made it so, where that did."""

    @property
    def before(self) -> Expected | None:
        """What it was before, as far as something tells."""
        told = (finding.before for finding in self.findings if finding.before is not None)
        return next(told, self.baseline.expected(self.ref))

    @property
    def fields(self) -> str:
        """A pattern of the fields of it that could have brought what it is blamed for."""
        return "|".join(dict.fromkeys(finding.fields for finding in self.findings if finding.fields))


@dataclass(frozen=True, slots=True)
class Way:
    """Whom to ask for the way back of a fault."""

    target: Target
    mechanism: str
    owner: Owner


async def way_of(cluster: ClusterReader, fault: Fault) -> Way:
    """Who takes the object back: its owner where that wrote it last, else whoever has a snapshot of it."""
    itself = Target(fault.ref.kind.lower(), fault.ref.name, fault.ref.namespace, cluster.name)
    key = (fault.ref.kind, fault.ref.name)
    if fault.missing or fault.meta is None:
        remover = fault.baseline.removed.get(key)
        if fault.missing and remover is not None:
            message = msg("The Helm release {name} held it, and its newest revision does not.", name=remover.name)
            return Way(remover, "helm", Owner(kind="helm", target=remover, message=message))
        there = fault.baseline.installed.get(key)
        if there is not None:
            message = msg("The Helm release {name} has it in its manifest.", name=there.release.name)
            return Way(itself, "objects", Owner(kind="helm", target=there.release, message=message))
        return Way(itself, "objects", Owner(kind="none", ref=fault.ref, message=msg("Nobody manages it.")))
    obj = fault.meta.as_object(fault.ref.kind, fault.ref.api_version, fault.ref.namespace)
    owner = await owner_of(cluster, obj)
    if owner.kind in ("controller", "operator"):
        return Way(owner.target or itself, "", owner)
    if owner.kind == "argocd":
        # It would write over whatever is put back; by whom the object was changed is worth saying all the same.
        by_hand = fault.written is not None and fault.written.by == "other"
        return Way(itself if by_hand else owner.target or itself, "", owner)
    by_helm = not fault.unrecorded and (fault.written is None or fault.written.by == "helm")
    if owner.kind == "helm" and owner.target is not None and by_helm:
        return Way(owner.target, "helm", owner)
    return Way(itself, "objects", owner)
