# SPDX-License-Identifier: Apache-2.0
"""What a program asks of its callers since it was changed: it is ready as ever, and they are the ones that fail."""

from __future__ import annotations

import re
from typing import Any

from backout.cluster.port import SERVICES, Object
from backout.diagnosis.attribution.changes import Change, short
from backout.diagnosis.attribution.circumstances import Circumstance, codes_of, kinds_of
from backout.diagnosis.attribution.custom_change import of_templates
from backout.diagnosis.attribution.failures import RUNNING
from backout.diagnosis.attribution.hypotheses import Situation
from backout.diagnosis.attribution.object_change import object_change
from backout.diagnosis.evidence.namespace import WORKLOADS, Namespace
from backout.diagnosis.evidence.nearness import SKEW, SOON
from backout.kube.references import mentions
from backout.kube.workloads import matches
from backout.model.change import FieldChange
from backout.model.message import few, msg
from backout.model.target import ObjectRef

_TOPICS = (
    (
        re.compile(r"(?i)\b(tls|ssl|x509|certificate|handshake)|sslhandshake|requires? (tls|ssl|https)|plain ?text"),
        re.compile(r"(?i)tls|ssl|cert|https"),
    ),
    (
        re.compile(
            r"(?i)authenticat|unauthori[sz]ed|access denied|permission denied for|invalid credentials|\bNOAUTH\b|login"
        ),
        re.compile(r"(?i)auth|passw|user|credential|token|acl|login"),
    ),
)
"""What callers say when a program wants something of them that they don't do, and the settings by which it is made to."""
_SETTINGS = r"^spec\.template\.spec\.(containers|initContainers|volumes)\b"


async def demands(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """A program that what fails calls, that is ready, and that was made to ask for encryption or for a login shortly before."""
    if not kinds_of(situation) & RUNNING or situation.since is None:
        return None
    said = situation.said
    topics = [settings for words, settings in _TOPICS if words.search(said)]
    if not topics:
        return None
    for name, service in sorted((await namespace.named(SERVICES)).items()):
        if not mentions(said, name):
            continue
        for obj in await _behind(namespace, service):
            if ObjectRef.of(obj) == ObjectRef.of(situation.history.obj):
                continue
            change = await _changed(namespace, obj)
            if change is None or change.at is None or not -SKEW <= situation.since - change.at <= SOON:
                continue
            asked = [field for field in change.fields if any(one.search(_news(field)) for one in topics)]
            if asked:
                return _told(situation, obj, service, change, asked)
    return None


async def _changed(namespace: Namespace, obj: Object) -> Change | None:
    """The step that its release, or the workload itself, went: those are what one can go back by."""
    change = await object_change(namespace, obj, _SETTINGS)
    if change is not None and change.revision is not None:
        return change
    return await of_templates(namespace, obj) or change


async def _behind(namespace: Namespace, service: Object) -> list[Object]:
    """The workloads behind a Service, where all of them serve."""
    selector = (service.get("spec") or {}).get("selector") or {}
    found = []
    for resource in WORKLOADS.values() if selector else ():
        for obj in (await namespace.objects(resource)).items:
            labels = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
            if matches({"matchLabels": selector}, labels):
                found.append(obj)
    return found if all(_serves(one) for one in found) else []


def _serves(workload: Object) -> bool:
    status = workload.get("status") or {}
    return bool(status.get("readyReplicas") or status.get("numberReady"))


def _news(field: FieldChange) -> str:
    """What a change brought, with the place that it stands in: of a Secret the place alone is known."""
    before, after = _words(field.before), _words(field.after)
    return " ".join(
        [field.path, *(word for word in after if word not in before), *(w for w in before if w not in after)]
    )


def _words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [word for pair in value.items() for part in pair for word in _words(part)]
    if isinstance(value, list | tuple):
        return [word for part in value for word in _words(part)]
    return [] if value is None else [str(value)]


def _told(situation: Situation, obj: Object, service: Object, change: Change, asked: list[FieldChange]) -> Circumstance:
    return Circumstance(
        key=str(change.target),
        change=change,
        confidence="likely",
        cause=msg(
            "{codes}: {workload} asks for something else since {what}",
            codes=codes_of(situation),
            workload=str(ObjectRef.of(obj)),
            what=change.summary,
        ),
        why=(
            msg(
                "What fails says so of {service}, whose pods are ready; shortly before that began, this was changed: {fields}.",
                service=str(ObjectRef.of(service)),
                fields=few([short(field.path.removeprefix(f"{ObjectRef.of(obj)} ")) for field in asked]),
            ),
        ),
    )
