# SPDX-License-Identifier: Apache-2.0
"""Whether what a workload shows is the work of a ConfigMap or Secret that it reads, and that somebody changed by hand.

The change of an object breaks a workload at once, or when its pods start the next time: `kubectl rollout restart` is
then only the trigger. A later change of the workload's own template speaks for that change instead, unless the failing
container itself names the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backout.changes.writers import Written
from backout.diagnosis.detectors.symptoms import MOUNT_EVENTS
from backout.diagnosis.evidence.collect import WorkloadKey
from backout.diagnosis.evidence.metadata import Known, ManagedMeta, reference
from backout.kube.pod_health import IMAGE_REASONS
from backout.kube.projections import PackedWorkload
from backout.kube.references import Reference, references
from backout.model.evidence import Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

SKEW = timedelta(seconds=5)
SOON = timedelta(minutes=10)
START_CODES = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", *MOUNT_EVENTS, "MissingReference"}
)
"""What pods show that wait for an object, or for a key of it."""
EXPLAINABLE = frozenset({*START_CODES, *IMAGE_REASONS, "CrashLoopBackOff", "NotReady"})
FOLLOWS = frozenset({"RolloutStuck"})
"""Symptoms that only say that pods of a workload are broken."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One object that may be the cause of one symptom of one workload."""

    workload: WorkloadKey
    symptom: Symptom
    reference: Reference
    ref: ObjectRef
    meta: ManagedMeta | None
    written: Written | None
    named: bool
    """The failing pods name the object, or a file of it."""

    @property
    def missing(self) -> bool:
        """True when the object does not exist."""
        return self.meta is None


def suspicions(
    key: WorkloadKey, workload: PackedWorkload, symptoms: Iterable[Symptom], known: Known
) -> Iterator[Suspicion]:
    """Every object that may be to blame: it is missing, or its last writer was neither Helm nor Argo CD."""
    read = references(workload.spec.template.spec.plain())
    for symptom in symptoms:
        if symptom.code not in EXPLAINABLE:
            continue
        for one in read:
            if not _touches(symptom, one):
                continue
            meta = known.get((one.kind, one.name))
            named = names(symptom, one)
            if meta is None and (symptom.code not in START_CODES or one.optional or not named):
                continue
            written = meta.written(one.kind) if meta else None
            if meta is not None and (written is None or written.by != "other"):
                continue
            yield Suspicion(key, symptom, one, reference(one.kind, one.name, key[0]), meta, written, named)


def _touches(symptom: Symptom, one: Reference) -> bool:
    """True when what fails reads the object at all: the container that crashes, or any one where none is told."""
    if one.how == "pullSecret":
        return symptom.code in IMAGE_REASONS
    if symptom.code in IMAGE_REASONS:
        return False
    containers = {str(e.data["container"]) for e in symptom.evidence if e.source == "pod" and e.data.get("container")}
    return not containers or not one.container or one.container in containers


def names(symptom: Symptom, one: Reference) -> bool:
    """True when the pods' messages, events or last log lines name the object, or a file of it.

    As the kubelet words it: ``configmap "web" not found``, ``couldn't find key x in Secret shop/web``.
    """
    marks = [f'{one.kind.lower()} "{one.name}"', f"{symptom.ref.namespace}/{one.name} "]
    if one.how in ("volume", "subPath", "projected") and len(one.path.strip("/")) > 2:
        marks += [f"{one.path.rstrip('/')}/"] if not one.files else list(one.files)
    return any(mark in text or mark in text.lower() for text in texts(symptom) for mark in marks)


def texts(symptom: Symptom) -> Iterator[str]:
    """Everything in words that a symptom brings along."""
    yield f"{symptom.message.text} "
    for evidence in symptom.evidence:
        yield f"{evidence.message.text} "
        yield from (f"{line} " for line in evidence.data.get("lines", ()))


@dataclass(frozen=True, slots=True)
class Weighed:
    """Why an object is believed to be the cause; ``direct`` when that was seen and not inferred."""

    reason: Message
    direct: bool


def weigh(suspicion: Suspicion, changed: bool | None, template_changed: datetime | None) -> Weighed | None:
    """Whether the object explains the symptom; None when it does not, or nothing speaks for it.

    ``changed``: it holds something else than it should (None: nothing says what it should); then it may have been
    written again after it began. ``template_changed``: when the workload's template was changed last.
    """
    written, since = suspicion.written, suspicion.symptom.since
    if written is None or changed is False:
        return None
    later = since is not None and written.at > since + SKEW
    if later and not changed:
        return None
    if changed is None and written.born and template_changed is not None and template_changed >= written.at - SKEW:
        # It was made together with the template that reads it: who made it be read is to be asked.
        return None
    who, name = written.manager, str(suspicion.ref)
    if suspicion.named:
        return Weighed(msg("The failing pods themselves name what they read of {object}.", object=name), direct=True)
    # What is kept of several writes is the time of the last, such as an attempt to mend it: the template is to blame
    # then if it was changed not long before it began.
    suspect = since - SOON if later and since is not None else written.at + SKEW
    if template_changed is not None and template_changed > suspect:
        return None
    if changed:
        return Weighed(
            msg(
                "What fails reads {object}, and {manager} was the last to change anything that it reads.",
                object=name,
                manager=who,
            ),
            direct=False,
        )
    if since is not None and since - written.at <= SOON:
        seconds = max(0, int((since - written.at).total_seconds()))
        return Weighed(
            msg(
                "What fails reads {object}, and it began {seconds} s after {manager} wrote that.",
                object=name,
                seconds=seconds,
                manager=who,
            ),
            direct=False,
        )
    return None


def ran_with_it(workload: PackedWorkload, kind: str) -> bool:
    """True when ready pods of the present template prove that all that it names was there when they started."""
    status = workload.status
    if kind == "DaemonSet":
        return status.number_ready > 0 and status.updated_number_scheduled >= status.desired_number_scheduled > 0
    if status.ready_replicas <= 0:
        return False
    if kind == "StatefulSet":
        return bool(status.current_revision) and status.current_revision == status.update_revision
    return status.updated_replicas >= status.replicas > 0


def strongest(weighed: Sequence[tuple[Suspicion, Weighed]]) -> tuple[Suspicion, Weighed] | None:
    """The one to blame for a symptom: what the pods name, else what was written last."""

    def rank(pair: tuple[Suspicion, Weighed]) -> tuple[bool, float]:
        written = pair[0].written
        return pair[1].direct, written.at.timestamp() if written else 0.0

    return max(weighed, key=rank, default=None)
