# SPDX-License-Identifier: Apache-2.0
"""Whether what a workload shows is the work of a ConfigMap or Secret that it reads, and that somebody changed by hand.

The change of an object breaks a workload at once, or when its pods start the next time: `kubectl rollout restart` is
then only the trigger. A later change of the workload's own template speaks for that change instead, unless the failing
container itself names the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from backout.changes.writers import Written
from backout.diagnosis.attribution.failures import never_began, refuses
from backout.diagnosis.attribution.signals import signals
from backout.diagnosis.attribution.words import failure_words, names, speaks_of
from backout.diagnosis.detectors.symptoms import MOUNT_EVENTS
from backout.diagnosis.evidence.collect import WorkloadKey
from backout.diagnosis.evidence.metadata import Known, ManagedMeta, reference
from backout.diagnosis.evidence.nearness import SKEW, SOON
from backout.kube.pod_health import IMAGE_REASONS
from backout.kube.projections import PackedWorkload
from backout.kube.references import Reference, references
from backout.model.evidence import Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

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
    def containers(self) -> frozenset[str]:
        """Those that show the symptom, where it tells."""
        return containers_of(self.symptom)

    @property
    def unrecorded(self) -> bool:
        """True when the last that is known to have written it was its release, or nobody is."""
        return self.meta is not None and (self.written is None or self.written.by == "helm")

    @property
    def missing(self) -> bool:
        """True when the object does not exist."""
        return self.meta is None


def suspicions(
    key: WorkloadKey, workload: PackedWorkload, symptoms: Iterable[Symptom], known: Known
) -> Iterator[Suspicion]:
    """Every object that may be to blame: it is missing, its last writer was neither Helm nor Argo CD, or what fails
    names it and a release has it: who removes a key leaves no entry."""
    read = references(workload.spec.template.spec.plain())
    for symptom in symptoms:
        if symptom.code not in EXPLAINABLE:
            continue
        for one in read:
            if not _touches(symptom, one):
                continue
            meta = known.get((one.kind, one.name))
            named = names(symptom, one)
            if not named and never_began(failure_words(symptom)):
                continue
            if meta is None and (symptom.code not in START_CODES or one.optional or not named):
                continue
            written = meta.written(one.kind) if meta else None
            recorded = written is not None and written.by != "helm"
            if meta is not None and (written is None or written.by != "other") and (recorded or not named):
                continue
            yield Suspicion(key, symptom, one, reference(one.kind, one.name, key[0]), meta, written, named)


def containers_of(symptom: Symptom) -> frozenset[str]:
    """The containers that show a symptom, where it tells."""
    return frozenset(
        str(e.data["container"]) for e in symptom.evidence if e.source == "pod" and e.data.get("container")
    )


def _touches(symptom: Symptom, one: Reference) -> bool:
    """True when what fails reads the object at all: the container that crashes, or any one where none is told."""
    if one.how == "pullSecret":
        return symptom.code in IMAGE_REASONS
    if symptom.code in IMAGE_REASONS:
        return False
    containers = containers_of(symptom)
    return not containers or not one.container or one.container in containers


@dataclass(frozen=True, slots=True)
class Weighed:
    """Why an object is believed to be the cause; ``direct`` when that was seen and not inferred."""

    reason: Message
    direct: bool
    against: tuple[Message, ...] = ()


def also_changed(ref: ObjectRef) -> Message:
    """Another object that what fails reads was changed as well, so it is not the only difference."""
    return msg("{object} was changed as well, and what fails reads it, too.", object=str(ref))


def taken_away(suspicion: Suspicion) -> Weighed:
    """What the failing pods name differs from what its release gave it, and nobody is recorded as having written it."""
    return Weighed(
        msg("The failing pods themselves name what they read of {object}.", object=str(suspicion.ref)), direct=True
    )


def _elsewhere(suspicion: Suspicion) -> tuple[Message, ...]:
    """Last words that point to something that the object's change does not speak of."""
    said = failure_words(suspicion.symptom)
    return tuple(
        signal.message
        for signal in signals(said)
        if not (suspicion.ref.kind == "Secret" and signal.name in ("credentials", "certificate"))
    )


def weigh(
    suspicion: Suspicion, changed: bool | None, template_changed: datetime | None, words: tuple[str, ...] | None = None
) -> Weighed | None:
    """Whether the object explains the symptom; None when it does not, or nothing speaks for it.

    ``changed``: it holds something else than it should (None: nothing says what it should); then it may have been
    written again after it began. ``template_changed``: when the workload's template was changed last. ``words``: what
    of its content changed, as far as that is known.
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
    if changed and words and not later and speaks_of(suspicion.symptom, words):
        return Weighed(msg("What fails speaks of what was changed of {object}.", object=name), direct=True)
    if changed and not later and suspicion.reference.how == "pullSecret" and refuses(failure_words(suspicion.symptom)):
        # A node that has the image of the template before never asked the registry for that one.
        return Weighed(
            msg(
                "The registry refuses the login, and that is in {object}, which {manager} changed.",
                object=name,
                manager=who,
            ),
            direct=False,
        )
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
            against=_elsewhere(suspicion),
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
            against=_elsewhere(suspicion),
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
