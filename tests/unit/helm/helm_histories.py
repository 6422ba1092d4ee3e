# SPDX-License-Identifier: Apache-2.0
"""Synthetic histories and what the live cluster would show of them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from backout.helm.manifest import digest
from backout.helm.payload import Hook, Info, Release
from backout.helm.records import Record
from backout.helm.workloads import workloads
from backout.mechanisms.common.evidence import Evidence, Generation, LivePod, LiveWorkload
from backout.mechanisms.helm.judgement import Facts, Judged, judge

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
NS = "monitoring"


def minutes(count: float) -> datetime:
    return START + timedelta(minutes=count)


def template(image: str, **extra: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}], **extra}}


def live_template(image: str, **extra: Any) -> dict[str, Any]:
    """As the server stores it: with defaults."""
    found = template(image, **extra)
    found["spec"] |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}
    found["spec"]["containers"][0] |= {"imagePullPolicy": "IfNotPresent", "resources": {}}
    return found


def manifest(image: str, kind: str = "StatefulSet", config: str = "", **extra: Any) -> str:
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template(image, **extra)}
    obj = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}, "spec": spec}
    documents = [msgspec.yaml.encode(obj).decode()]
    if config:
        configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"k": config}}
        documents.append(msgspec.yaml.encode(configmap).decode())
    return "---\n".join(documents)


def fact(
    number: int,
    image: str = "",
    *,
    status: str = "superseded",
    description: str = "Upgrade complete",
    at: float | None = None,
    text: str = "",
    hooks: tuple[Hook, ...] = (),
    inner: str = "",
    left_for: int = 0,
) -> Facts:
    started = minutes(number if at is None else at)
    text = text or manifest(image)
    release = Release(
        name="web",
        namespace=NS,
        version=number,
        manifest=text,
        hooks=hooks,
        info=Info(status=inner or status, description=description),
    )
    record = Record(
        name=f"sh.helm.release.v1.web.v{number}",
        namespace=NS,
        release="web",
        revision=number,
        status=status,
        uid=f"uid-{number}",
        resource_version="1",
        created=started,
    )
    return Facts(
        record=record,
        release=release,
        digest=digest(text),
        workloads=workloads(text, NS),
        started=started,
        left_for=left_for,
    )


def judged(facts: list[Facts], seen: LiveWorkload | None = None) -> list[Judged]:
    linked = [msgspec.structs.replace(one, ended=following.started) for one, following in itertools.pairwise(facts)]
    evidence = Evidence(workloads={(seen.kind, NS, "web"): seen} if seen else {})
    return judge([*linked, facts[-1]], evidence)


def goodness(facts: list[Facts], seen: LiveWorkload | None = None) -> str:
    """One letter for each revision: g, b or u."""
    return "".join(verdict.goodness[0] for verdict in judged(facts, seen))


def pod(name: str, generation: str, *, steady: bool = True, failing: str = "", at: float = 0) -> LivePod:
    return LivePod(
        name=name,
        generation=generation,
        created=minutes(at),
        steady=steady and not failing,
        failing=failing,
        ready_since=minutes(at) if steady and not failing else None,
    )


def generation(name: str, image: str, order: int, *, at: float, ready: int = 0, **extra: Any) -> Generation:
    return Generation(name=name, template=live_template(image, **extra), order=order, created=minutes(at), ready=ready)


def statefulset(
    generations: list[Generation], pods: list[LivePod], *, current: str, update: str, ordered: bool = True
) -> LiveWorkload:
    newest = next(g for g in generations if g.name == update)
    return LiveWorkload(
        kind="StatefulSet",
        name="web",
        created=minutes(0),
        template=newest.template,
        generations=tuple(generations),
        pods=tuple(pods),
        current_revision=current,
        update_revision=update,
        ordered=ordered,
        desired=3,
        at=minutes(120),
    )


def deployment(
    generations: list[Generation],
    pods: list[LivePod],
    *,
    recreate: bool = False,
    unavailable_since: datetime | None = None,
) -> LiveWorkload:
    newest = max(generations, key=lambda g: g.order)
    return LiveWorkload(
        kind="Deployment",
        name="web",
        created=minutes(0),
        template=newest.template,
        generations=tuple(generations),
        pods=tuple(pods),
        recreate=recreate,
        unavailable_since=unavailable_since,
        desired=3,
        at=minutes(120),
    )
