# SPDX-License-Identifier: Apache-2.0
"""The rules by which a hypothesis is weighed: each looks at one thing, and says what it found. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from backout.diagnosis.attribution.capability import known
from backout.diagnosis.attribution.failures import CREATING, PULLING, SCHEDULING, Kind
from backout.diagnosis.attribution.hypotheses import Hypothesis, Reason, Situation
from backout.diagnosis.attribution.rights import Right, denied
from backout.diagnosis.attribution.signals import does_not_answer, in_its_own_memory, signals
from backout.diagnosis.attribution.words import names_file
from backout.diagnosis.evidence.history import (
    WorkloadHistory,
    became_ready,
    generation_of_mark,
    ran_well_since,
    run_of,
    started_before,
)
from backout.diagnosis.evidence.nearness import SKEW, SOON, TOGETHER
from backout.kube.projections import Pod
from backout.kube.references import FIXED, references
from backout.kube.templates import plain_template, repository_of
from backout.model.change import FieldChange
from backout.model.message import msg
from backout.model.settled import UNPROBED, outlasting

CAPACITY = frozenset({Kind.QUOTA, Kind.LIMIT_RANGE, Kind.ROOM, Kind.SPREAD, Kind.PORT, Kind.VOLUME})
"""Failures that only some of the pods of a template show."""
Rule = Callable[[Hypothesis, Situation], Iterator[Reason]]


def order(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """What came later is no cause; what came long before seldom is."""
    at, since = hypothesis.change.at, situation.since
    if at is None or since is None:
        return
    gap = since - at
    if gap < -SKEW:
        yield Reason(
            rule="order",
            weight="clears",
            message=msg("It began {seconds} s before that change.", seconds=int(-gap.total_seconds())),
        )
        return
    seconds = max(0, int(gap.total_seconds()))
    if gap > SOON:
        yield Reason(
            rule="late",
            weight="against",
            message=msg("It began {seconds} s after that change, which is long.", seconds=seconds),
        )
        return
    yield Reason(rule="soon", weight="for", message=msg("It began {seconds} s after that change.", seconds=seconds))


ELSEWHERE = frozenset({Kind.ROUTED, Kind.PORTLESS, Kind.FEWER})
"""What pods that are well show nothing of."""


def ran_well(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """Pods of the same template that were well for a while, or are: then the template is not what broke it."""
    change, history = hypothesis.change, situation.history
    if not change.generation or all(failure.kinds <= ELSEWHERE for failure in hypothesis.failures):
        # How well its pods are says nothing of who reaches them, nor of nodes that have none.
        return
    done = became_ready(history, change.generation, situation.events)
    if all(failure.kinds <= CAPACITY for failure in hypothesis.failures):
        # That some of its pods found room says nothing of whether it asked for too much.
        if done is not None and situation.since is not None and situation.since > done + timedelta(seconds=1):
            yield Reason(
                rule="ran-well", weight="clears", message=msg("All of its pods had been ready before it began.")
            )
        return
    mine = [pod for pod in history.failing if history.generation_of(pod) == change.generation]
    last = [run.last for pod in mine if (run := run_of(pod, _container(situation), situation.events)).last is not None]
    patience = outlasting(last)
    steady = [
        mark
        for mark in history.marks
        if generation_of_mark(history.key, mark) == change.generation
        and mark.ready_since is not None
        and not mark.restarts
        and situation.now - mark.ready_since >= patience
    ]
    if steady:
        yield Reason(
            rule="ran-well",
            weight="clears",
            message=msg(
                "{count} pods made from the same template are ready and stay so, among them {pod}.",
                count=len(steady),
                pod=steady[0].name,
            ),
        )
        return
    for pod in mine:
        run = run_of(pod, _container(situation), situation.events)
        if run.proves and situation.running:
            yield Reason(
                rule="ran-well",
                weight="clears",
                message=msg(
                    "{pod} ran well on it for {seconds} s before it failed first.",
                    pod=pod.metadata.name,
                    seconds=int(run.well.total_seconds()) if run.well else 0,
                ),
            )
            return
    if done is not None and mine and all(_after(pod, done, situation) for pod in mine):
        yield Reason(
            rule="ran-well",
            weight="clears",
            message=msg("Its rollout was over and all pods were ready before the pods that fail now were made."),
        )


def ran_well_with(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """Pods that were made after an object that they read was changed, and ran well for a while, clear that change."""
    change = hypothesis.change
    if change.generation or change.at is None or hypothesis.direct or not situation.running:
        return
    if not change.touches or any(ref.kind not in ("ConfigMap", "Secret") for ref in change.touches):
        return
    for pod in situation.history.failing:
        if ran_well_since(pod, [_container(situation)], situation.events, change.at):
            yield Reason(
                rule="ran-well-with",
                weight="clears",
                message=msg(
                    "{pod} was made after that change, and ran well before it failed first.", pod=pod.metadata.name
                ),
            )
            return


def not_read_yet(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """What a container holds since its start (environment, ``subPath``) is not what an object was changed to later."""
    change, history = hypothesis.change, situation.history
    if change.generation or change.at is None or not history.failing:
        return
    if not change.touches or any(ref.kind not in ("ConfigMap", "Secret") for ref in change.touches):
        return
    touched = {(ref.kind, ref.name) for ref in change.touches}
    container = _container(situation)
    read = [
        one
        for one in references(history.template.get("spec") or {})
        if (one.kind, one.name) in touched and (not container or one.container in ("", container))
    ]
    names = {container} if container else {one.container for one in read}
    if not read or any(one.how not in FIXED for one in read):
        return
    if all(started_before(pod, names, change.at) for pod in history.failing):
        yield Reason(
            rule="not-read-yet",
            weight="clears",
            message=msg("What fails started before that change, and holds what it read then."),
        )


def _after(pod: Pod, done: datetime, situation: Situation) -> bool:
    """True for a pod that was made after the rollout was over, while what was made before it was well."""
    created = pod.metadata.creation_timestamp
    if created is None or created <= done + timedelta(seconds=1):
        return False
    if not situation.running:
        return True
    bad = [
        event.first
        for event in situation.events.all("Pod")
        if event.reason == "BackOff"
        and event.involved_object.name.startswith(situation.history.generation_of(pod))
        and event.involved_object.name != pod.metadata.name
        and event.first is not None
        and event.first < created
    ]
    return not bad and (created - done >= UNPROBED or _probed(situation))


def _probed(situation: Situation) -> bool:
    """True where that a pod got ready says that the container did what it is for: it answered its probe, or, before the others
    began, it ended well."""
    container, spec = _container(situation), situation.history.template.get("spec") or {}
    for one in spec.get("containers") or ():
        if one.get("name") == container:
            return bool(one.get("readinessProbe"))
    for one in spec.get("initContainers") or ():
        if one.get("name") == container:
            return one.get("restartPolicy") != "Always" or bool(one.get("readinessProbe") or one.get("startupProbe"))
    return False


def _container(situation: Situation) -> str:
    return next((failure.container for failure in situation.failures if failure.container), "")


def others_at_once(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """Others that nobody changed began to fail at the same time, in the same way: then the cause is outside of all of them.

    What only the pods of the new template show, while those of an earlier one are well, is not outside, unless the last
    words are the same: a program may look for what is down only as it starts.
    """
    since = situation.since
    if since is None or hypothesis.direct:
        return
    together = [
        other
        for other in situation.others
        if abs(other.at - since) <= TOGETHER
        and other.at - since < SKEW
        # Who complains that this one does not answer suffers from it.
        and not does_not_answer(other.said, situation.history.key[2])
    ]
    if not together:
        return
    words = situation.words
    alike = [other for other in together if words & other.words or not (words or other.words)]
    apart = _new_alone(hypothesis, situation)
    if alike and (words or not apart):
        yield Reason(
            rule="others-at-once",
            weight="clears",
            message=msg(
                "{count} other workloads that nobody changed began to fail at the same time.", count=len(alike)
            ),
        )
    elif alike or not apart:
        yield Reason(
            rule="others-at-once",
            weight="against",
            message=msg(
                "{count} other workloads that nobody changed began to fail at the same time.", count=len(together)
            ),
        )


def _new_alone(hypothesis: Hypothesis, situation: Situation) -> bool:
    """True when all pods that fail were made from the template that the change brought, and others of an earlier one are
    well."""
    name, history = hypothesis.change.generation, situation.history
    if not name or not history.failing or any(history.generation_of(pod) != name for pod in history.failing):
        return False
    return any(
        mark.ready_since is not None and _older(history, generation_of_mark(history.key, mark), name)
        for mark in history.marks
    )


def good_before(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """What was there before is known to have been well."""
    change, history = hypothesis.change, situation.history
    if change.made:
        return
    if change.by_hand and not change.revision and change.before is not None:
        yield Reason(rule="good-before", weight="for", message=msg("It is not as in {source}.", source=change.before))
        return
    earlier = [g for g in history.generations if not change.generation or _older(history, g.name, change.generation)]
    serving = [
        g
        for g in earlier
        if g.ready or any(m.ready_since and generation_of_mark(history.key, m) == g.name for m in history.marks)
    ]
    if serving:
        # A node that has an image asks no registry: whether that would let it in for the one before, nobody knows.
        yield Reason(
            rule="before" if _registry_alone(hypothesis) else "good-before",
            weight="for",
            message=msg("Pods of the template before it are ready."),
        )
        return
    if (
        change.generation
        and earlier
        and any(
            f.kinds & {*SCHEDULING, *CREATING, *PULLING, Kind.GATED, Kind.CONFIG, Kind.MOUNT, Kind.START, Kind.SECURITY}
            for f in hypothesis.failures
        )
    ):
        yield Reason(rule="before", weight="for", message=msg("What fails was made from the template that it brought."))


def _registry_alone(hypothesis: Hypothesis) -> bool:
    """True where a registry lets nobody in, or does not answer, and the image is another one of the same repository."""
    images = [field for field in hypothesis.fields if field.path.endswith(".image")]
    same = all(
        isinstance(field.before, str)
        and isinstance(field.after, str)
        and repository_of(field.before) == repository_of(field.after)
        for field in images
    )
    return bool(images) and same and all(f.kinds & {Kind.PULL_DENIED, Kind.NO_REGISTRY} for f in hypothesis.failures)


def _older(history: WorkloadHistory, name: str, than: str) -> bool:
    places = {one.name: place for place, one in enumerate(history.generations)}
    return places.get(name, -1) < places.get(than, len(places))


DIRECT: tuple[tuple[Kind, str], ...] = (
    (Kind.SELECTOR, r"nodeSelector|nodeName|affinity"),
    (Kind.TAINT, r"tolerations"),
    (Kind.ROOM, r"resources|replicas"),
    (Kind.PORT, r"hostPort|hostNetwork|ports"),
    (Kind.SPREAD, r"affinity|topologySpread"),
    (Kind.GATED, r"schedulingGates"),
    (Kind.UNMET, r"readinessGates"),
    (Kind.DEVICE, r"resourceClaims|resources\.claims"),
    (Kind.VOLUME, r"volumes|volumeClaimTemplates|nodeSelector|affinity"),
    (Kind.QUOTA, r"resources|replicas"),
    (Kind.LIMIT_RANGE, r"resources"),
    (Kind.ACCOUNT, r"serviceAccount"),
    (Kind.NO_IMAGE, r"image$"),
    (Kind.PULL_DENIED, r"imagePullSecrets|image$"),
    (Kind.CONFIG, r"volumes|env|volumeMounts"),
    (Kind.MOUNT, r"volumes|volumeMounts"),
    (Kind.START, r"command|args|image$"),
    (Kind.OOM, r"resources\.limits\b.*memory"),
    (Kind.LIVENESS, r"livenessProbe|startupProbe"),
    (Kind.READINESS, r"readinessProbe|startupProbe"),
    (Kind.SECURITY, r"securityContext"),
    (Kind.INIT, r"initContainers"),
    (Kind.SCALED, r"replicas"),
    (Kind.FEWER, r"nodeSelector|nodeName|affinity|tolerations"),
    (Kind.HELD, r"."),
    (Kind.ROUTED, r"^spec\.template\.metadata\.labels\b"),
    (Kind.PORTLESS, r"\.ports\b"),
)


_NAMING = frozenset({Kind.CONFIG, Kind.MOUNT, Kind.GATED})
"""Failures whose messages name what is missing, or what holds."""


def told_by_failure(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """The failure's own words lead to the field: no node matches, and the node selector was changed."""
    if hypothesis.change.made:
        return
    for failure in hypothesis.failures:
        for field in hypothesis.fields:
            words = next((p for kind, p in DIRECT if kind in failure.kinds and re.search(p, field.path)), None)
            new = re.match(r"^spec\.template\.spec\.(?:initC|c)ontainers\[name=([^\]]+)\]", field.path)
            whole = new is not None and new.group(1) == failure.container and _is_new(hypothesis, new.group(1))
            if words and failure.kinds <= _NAMING:
                # The message names the object or the key: it is this change's only where that brought the name.
                words = next((name for name in [field.after] if isinstance(name, str) and name in failure.text), None)
            if field.path.endswith(".image") and _registry_alone(hypothesis):
                # It let the nodes in for another image of it once: whether it would today, nobody knows.
                continue
            if words or whole or quoted(field.after, failure.said) or _asked_in_vain(field, failure.said):
                yield Reason(
                    rule="told-by-failure",
                    weight="direct",
                    message=msg(
                        "What fails says so itself: {failure}.", failure=next(iter(sorted(failure.kinds))).value
                    ),
                )
                return


def named_object(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """What fails complains of a file of the ConfigMap or Secret that was changed."""
    if hypothesis.direct or hypothesis.change.made:
        return
    changed = {
        (ref.kind, ref.name): ref
        for ref in hypothesis.change.touches
        if any(field.path.startswith(f"{ref} data") for field in hypothesis.fields)
    }
    for one in references(situation.history.template.get("spec") or {}):
        ref = changed.get((one.kind, one.name))
        if ref is not None and any(names_file(failure.symptom, one) for failure in hypothesis.failures):
            yield Reason(
                rule="named-object",
                weight="direct",
                message=msg("The failing pods themselves name what they read of {object}.", object=str(ref)),
            )
            return


def rights(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """Whether what a program says that it is not allowed is what the change took away."""
    lost = [Right(*one) for one in hypothesis.change.lost]
    if not lost:
        return
    asked = denied(" ".join(failure.said for failure in situation.failures))
    found = next((one for one in asked if any(other.covers(one) for other in lost)), None)
    if found is not None:
        yield Reason(
            rule="rights",
            weight="direct",
            message=msg(
                "What fails may not {verb} {resource}, and that change took this right away.",
                verb=found.verb,
                resource=found.resource,
            ),
        )
    elif asked:
        yield Reason(
            rule="rights", weight="clears", message=msg("What fails is denied something else than what that took away.")
        )
    elif "rights" not in situation.words:
        yield Reason(rule="rights", weight="against", message=msg("Nothing that fails says that it is not allowed."))


def unknown_field(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """What a field of a newer Kubernetes can cause is not known."""
    if hypothesis.fields and not any(known(field.path) for field in hypothesis.fields):
        yield Reason(
            rule="unknown-field",
            weight="against",
            message=msg("Backout does not know what {field} does.", field=hypothesis.fields[0].path),
        )


_TOKEN = re.compile(r"serviceaccount/(token|ca\.crt|namespace)|in-?cluster config|load_incluster_config", re.IGNORECASE)


def account(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """What was changed of an account reaches the pods that are made from then on, and them alone."""
    change = hypothesis.change
    if change.at is None or not change.by_hand or [ref.kind for ref in change.touches] != ["ServiceAccount"]:
        return
    made = [pod.metadata.creation_timestamp for pod in situation.history.failing if pod.metadata.creation_timestamp]
    if any(time < change.at - timedelta(seconds=1) for time in made):
        yield Reason(
            rule="account",
            weight="clears",
            message=msg("Pods fail that were made before that change, and have what the account gave them then."),
        )
        return
    if hypothesis.direct:
        return
    if _TOKEN.search(situation.said):
        yield Reason(
            rule="account", weight="direct", message=msg("What fails says that it finds no token of its account.")
        )
    else:
        yield Reason(rule="account", weight="against", message=msg("Nothing that fails says that it misses a token."))


def says_nothing(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """That a rollout is stuck says nothing of why: where no pod shows anything, what it rolls out is not the cause for certain."""
    template = any(field.path.startswith("spec.template.") for field in hypothesis.fields)
    if template and all(failure.kinds <= {Kind.FOLLOWS} for failure in hypothesis.failures):
        yield Reason(rule="says-nothing", weight="against", message=msg("No pod says why its rollout does not go on."))


def _is_new(hypothesis: Hypothesis, container: str) -> bool:
    return any(
        f.before is None and f.after == container and re.search(r"ontainers\[name=[^\]]+\]\.name$", f.path)
        for f in hypothesis.change.fields
    )


def quoted(value: object, text: str) -> bool:
    """True when the new value stands in what the failing pods say; short words and numbers prove nothing."""
    return (
        isinstance(value, str)
        and len(value) > 5
        and re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w-])", text) is not None
    )


def _asked_in_vain(field: FieldChange, text: str) -> bool:
    """True when a probe asks for the name that a port of the container does not have any more, or for one that it never had
    (kubernetes pkg/probe/util.go: ResolveContainerPort takes it for a number then)."""
    name = re.search(r'probe errored.*strconv\.Atoi: parsing "([^"]+)"', text)
    if name is None:
        return False
    lost = ".ports" in field.path and field.before == name.group(1)
    return lost or ("Probe" in field.path and field.after == name.group(1))


def logs(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """Last words that point elsewhere speak against a change that could not have brought that."""
    if hypothesis.direct:
        return
    for failure in situation.failures:
        for signal in signals(failure.said):
            if signal.name == "disk" and in_its_own_memory(situation.history.template, failure.said):
                continue
            if not any(re.search(signal.by, field.path) for field in hypothesis.fields):
                yield Reason(rule="logs", weight="against", message=signal.message)
                return


def creation(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """That something was created is the cause only where it never ran."""
    if not hypothesis.change.made:
        return
    history = situation.history
    first = history.generations[0].name if history.generations else ""
    if history.failing and all(history.generation_of(pod) != first for pod in history.failing):
        yield Reason(
            rule="creation", weight="clears", message=msg("The pods that fail were made from a later template.")
        )
        return
    kept = plain_template(((history.kept or {}).get("spec") or {}).get("template") or {})
    if history.kept is not None and history.generations and kept == history.generations[0].template:
        yield Reason(
            rule="creation",
            weight="clears",
            message=msg("Snapshot {id} holds it as it was created, and all was well then.", id=history.kept_as),
        )
        return
    ran = [m for m in history.marks if m.ready_since is not None and not m.restarts]
    if ran or any(run_of(pod, _container(situation), situation.events).proves for pod in history.failing):
        yield Reason(rule="creation", weight="clears", message=msg("It ran well after it was created."))
        return
    if not situation.running and any(
        became_ready(history, one.name, situation.events) is not None for one in history.generations
    ):
        yield Reason(rule="creation", weight="clears", message=msg("All of its pods were ready once."))
        return
    began = min((p.metadata.creation_timestamp for p in history.failing if p.metadata.creation_timestamp), default=None)
    if began is not None and history.created is not None and began - history.created > UNPROBED:
        yield Reason(
            rule="creation", weight="clears", message=msg("Its pods of today were made long after it was created.")
        )


def shown_by_its_pods(hypothesis: Hypothesis, situation: Situation) -> Iterator[Reason]:
    """A template is not the cause where all pods that fail were made from an earlier one."""
    change, history = hypothesis.change, situation.history
    if not change.generation or not history.failing:
        return
    made = {history.generation_of(pod) for pod in history.failing}
    if change.generation not in made and all(_older(history, name, change.generation) for name in made):
        yield Reason(rule="shown", weight="clears", message=msg("No pod that fails was made from its template."))


RULES: tuple[tuple[str, Rule], ...] = (
    ("order", order),
    ("told-by-failure", told_by_failure),
    ("named-object", named_object),
    ("unknown-field", unknown_field),
    ("says-nothing", says_nothing),
    ("rights", rights),
    ("account", account),
    ("shown", shown_by_its_pods),
    ("creation", creation),
    ("ran-well", ran_well),
    ("ran-well-with", ran_well_with),
    ("not-read-yet", not_read_yet),
    ("others-at-once", others_at_once),
    ("good-before", good_before),
    ("logs", logs),
)
"""In the order in which they are asked: later ones may look at what earlier ones found."""


def weigh(hypothesis: Hypothesis, situation: Situation) -> None:
    """Asks every rule."""
    for _, rule in RULES:
        hypothesis.reasons = [*hypothesis.reasons, *rule(hypothesis, situation)]
