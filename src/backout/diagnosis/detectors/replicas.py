# SPDX-License-Identifier: Apache-2.0
"""Workloads without replicas.

That is ordinary where nothing says that there should be some. It is a symptom where the release or a good snapshot declares
more, and where somebody scaled to 0 what an Ingress or another program asks. Of what nothing asks it is said, and no more. Who
scales as a trade (an autoscaler, KEDA, a CronJob, a downscaler) does so on purpose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime

import msgspec

from backout.changes.authors import authors
from backout.cluster.port import INGRESSES, SERVICES, Object
from backout.diagnosis.detectors.asking import asking
from backout.diagnosis.detectors.scalers import PAUSED, paused_by, to_nothing
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.detectors.selectors import selector_of
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import CRONJOBS, WORKLOADS, Namespace
from backout.kube.names import HELM_RELEASE, LAST_APPLIED
from backout.kube.references import words_of
from backout.model.diagnosis import Stopped
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef, Target
from backout.ownership.owner import Ownership

WANTED = "wanted"
"""In the evidence: how many there should be, or were; 0 where that is not known."""
_TRADE = re.compile(r"downscal|upscal|original-replicas|keda\.sh|kube-green|hibernat|snooze|maintenance", re.IGNORECASE)
_SCALED = re.compile(r"Scaled down replica set (\S+) (?:from (\d+) to 0|to 0 from (\d+))")


class _Scaled(msgspec.Struct, frozen=True):
    """That somebody scaled it to 0: when, and from how many, as far as that is known."""

    at: datetime | None = None
    count: int = 0


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each; of those that nobody asks a note in ``state``."""
    found: list[Seen] = []
    empty = {
        kind: {name: obj for name, obj in (await namespace.named(WORKLOADS[kind])).items() if _count(obj) == 0}
        for kind in ("Deployment", "StatefulSet")
    }
    # Who scales is asked of many kinds, and seldom has to be.
    scalers = await to_nothing(namespace) if any(empty.values()) else {}
    for kind, workloads in empty.items():
        for name, obj in workloads.items():
            ref = ObjectRef(WORKLOADS[kind].api_version, kind, name, namespace.name)
            if (scaler := scalers.get((kind, name))) is not None:
                found += await _held_at_nothing(namespace, state, ref, obj, scaler)
                continue
            baseline = await namespace.baseline()
            if baseline.good is not None and _count(baseline.kept(ref)) == 0:
                # It was so when all was well.
                continue
            if await _meant(namespace, obj):
                continue
            wanted, source, declared = await _wanted(namespace, obj)
            if wanted and not declared and (other := await _replaced_by(namespace, obj)):
                state.stopped.append(
                    Stopped(
                        target=Target(kind.lower(), name, namespace.name, namespace.cluster.name),
                        message=msg(
                            "{object} was scaled to 0; what was asked of it, {other} serves.",
                            object=str(ref),
                            other=other,
                        ),
                    )
                )
                continue
            seen = (
                _seen(
                    ref, obj, msg("it has 0 replicas; by {source} it has {count}", source=source, count=wanted), wanted
                )
                if wanted
                else await _undeclared(namespace, state, events, ref, obj)
            )
            found += [seen] if seen is not None else []
    return found


def _seen(ref: ObjectRef, obj: Object, text: Message, wanted: int, at: datetime | None = None) -> Seen:
    evidence = Evidence(source="object", ref=ref, message=msg("spec.replicas is 0"), data={WANTED: wanted})
    symptom = Symptom(code="ScaledToZero", ref=ref, message=text, since=at, evidence=(evidence,))
    return Seen(symptom=symptom, workload=(ref.namespace, ref.kind, ref.name), at_fault=obj)


async def _meant(namespace: Namespace, obj: Object) -> bool:
    """True where who scales it does so as a trade, or an operator made it so of a resource that says the same as when all was well."""
    if _on_purpose(obj, (await namespace.objects(CRONJOBS)).items):
        return True
    owner = await Ownership(namespace.cluster).of(obj)
    if owner.kind != "operator" or owner.ref is None:
        return False
    maker = await namespace.custom(owner.ref.api_version, owner.ref.kind, owner.ref.name)
    kept = (await namespace.baseline()).kept(owner.ref)
    return maker is not None and (kept is None or kept.get("spec") == maker.get("spec"))


async def _replaced_by(namespace: Namespace, obj: Object) -> str:
    """Another workload with ready pods behind a Service that leads to this one, or led to it when all was well; empty where there is
    none."""
    baseline = await namespace.baseline()
    mine = _labels(obj)
    for service in (await namespace.objects(SERVICES)).items:
        now, was = selector_of(service), selector_of(baseline.kept(ObjectRef.of(service)) or {})
        if not any(selector and selector.items() <= mine.items() for selector in (now, was)):
            continue
        for resource in WORKLOADS.values():
            for name, other in (await namespace.named(resource)).items():
                status = other.get("status") or {}
                ready = status.get("readyReplicas") or status.get("numberReady")
                if ready and now and now.items() <= _labels(other).items():
                    return f"{resource.kind.lower()}/{name}"
    return ""


def _labels(obj: Object) -> dict[str, str]:
    return ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}


async def _held_at_nothing(
    namespace: Namespace, state: State, ref: ObjectRef, obj: Object, scaler: Object
) -> list[Seen]:
    """What scales it was told to leave it at 0, and something asks it; without that, being asleep is its trade."""
    key = paused_by(scaler)
    asked = await _asked(namespace, state, ref, obj) if key else None
    if asked is None:
        return []
    by = str(ObjectRef.of(scaler))
    text = msg(
        "it has 0 replicas, since {scaler} is paused; {who} asks service/{service}",
        scaler=by,
        who=asked[0],
        service=asked[1],
    )
    evidence = Evidence(source="object", ref=ObjectRef.of(scaler), message=msg("it has the annotation {key}", key=key))
    symptom = Symptom(code="ScaledToZero", ref=ref, message=text, evidence=(evidence,))
    note = msg("Take the pause away: kubectl annotate {object} {key}-", object=by, key=key)
    return [Seen(symptom=symptom, at_fault=scaler, fields=PAUSED, notes=(note,))]


async def _asked(namespace: Namespace, state: State, ref: ObjectRef, obj: Object) -> tuple[str, str] | None:
    """Who asks the workload, and by which Service."""
    services = (await namespace.objects(SERVICES)).items
    labels = _labels(obj)
    mine = [s["metadata"]["name"] for s in services if selector_of(s) and selector_of(s).items() <= labels.items()]
    ingresses = (await namespace.objects(INGRESSES)).items
    asked = [(who, service) for service in mine for who in asking(state, ingresses, namespace.name, service)]
    return next(((who, service) for who, service in asked if who != str(ref)), None)


async def _undeclared(namespace: Namespace, state: State, events: Events, ref: ObjectRef, obj: Object) -> Seen | None:
    """One that nobody's release or snapshot speaks of: a symptom where something asks it, else a note."""
    if (await Ownership(namespace.cluster).of(obj)).kind != "none":
        return None
    how = _scaled_by_hand(ref, obj, events)
    if how is None:
        return None
    asked = await _asked(namespace, state, ref, obj)
    before = msg("from {count} to 0", count=how.count) if how.count else msg("to 0; what it was before is not known")
    if not asked:
        state.stopped.append(
            Stopped(
                target=Target(ref.kind.lower(), ref.name, ref.namespace, namespace.cluster.name),
                message=msg(
                    "{object} was scaled {before}; nothing that is known asks it.", object=str(ref), before=before
                ),
            )
        )
        return None
    who, service = asked
    text = msg("it was scaled {before}, and {who} asks service/{service}", before=before, who=who, service=service)
    return _seen(ref, obj, text, how.count, how.at)


def _scaled_by_hand(ref: ObjectRef, obj: Object, events: Events) -> _Scaled | None:
    """That somebody set it to 0 after it was made: whoever made it, or applies it so, wants it so.

    The scale subresource leaves no owner of the field (see `attribution.changes.SCALED`); the event of it is kept for an hour.
    """
    writers = [author for author in authors(obj) if author.owns("spec.replicas")]
    born = obj["metadata"].get("creationTimestamp") or ""
    later = [one for one in writers if one.by == "other" and one.at.strftime("%Y-%m-%dT%H:%M:%SZ") > born]
    if (writers and not later) or _applied(obj) == 0:
        return None
    for event in reversed(events.about(ref.namespace, ref.kind, ref.name)):
        match = _SCALED.search(event.message) if event.reason == "ScalingReplicaSet" else None
        if match is not None:
            return _Scaled(at=event.last, count=int(match.group(2) or match.group(3)))
    return _Scaled(at=later[0].at if later else None)


def _applied(obj: Object) -> int | None:
    try:
        return _count(json.loads((obj["metadata"].get("annotations") or {}).get(LAST_APPLIED) or "{}"))
    except ValueError:
        return None


def _on_purpose(obj: Object, cronjobs: Iterable[Object]) -> bool:
    """Somebody scales it as a trade: noted on it, or a CronJob that names it."""
    if any(_TRADE.search(key) for key in (obj["metadata"].get("annotations") or {})):
        return True
    name = re.compile(rf"(?<![\w-]){re.escape(obj['metadata']['name'])}(?![\w-])")
    for job in cronjobs:
        spec = (((job["spec"].get("jobTemplate") or {}).get("spec") or {}).get("template") or {}).get("spec") or {}
        text = " ".join(word for _, word in words_of(spec))
        if "scale" in text and (name.search(text) or "--all" in text):
            return True
    return False


async def _wanted(namespace: Namespace, obj: Object) -> tuple[int, Message, bool]:
    """How many replicas it should have, who says so, and whether that is its owner."""
    meta = obj["metadata"]
    release = (await namespace.releases()).get(str((meta.get("annotations") or {}).get(HELM_RELEASE) or ""))
    if release is not None:
        content = (await release.contents(release.in_force) or {}).get((obj["kind"], meta["name"]))
        if content is not None:
            count = _count(content)
            source = msg(
                "revision {number} of {release}", number=release.in_force.revision, release=str(release.target)
            )
            return (1 if count is None else count), source, True
    baseline = await namespace.baseline()
    kept = baseline.kept(ObjectRef(obj["apiVersion"], obj["kind"], meta["name"], namespace.name))
    if kept is not None and baseline.good is not None:
        return _count(kept) or 0, msg("snapshot {id}", id=baseline.good.short), False
    return 0, msg(""), False


def _count(obj: Object | None) -> int | None:
    value = ((obj or {}).get("spec") or {}).get("replicas")
    return value if isinstance(value, int) else None
