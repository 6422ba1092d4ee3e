# SPDX-License-Identifier: Apache-2.0
"""One namespace in which much goes on: 2,000 objects, 500 changes, 10,000 events. Pure: all follows from numbers.

Twelve Helm releases of ten revisions own five Deployments each, with a ConfigMap, a Secret and a Service for each;
seventy Deployments and ten StatefulSets are nobody's. Each workload had two earlier templates, so that 388 changes are
revisions. Thirty workloads are
broken since their last change: twenty of them crash, so that their logs are of interest, the others in the other usual
ways. A hundred and twelve fields were written by hand, most of them in ConfigMaps that nothing broken reads.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from bench import population
from bench.namespace import text
from bench.population import App, Obj

NAME = "busy"
RELEASES, OWNED, REVISIONS = 12, 5, 10
LOOSE, SETS = 70, 10
CONFIGS, SECRETS = 360, 150
EDITS = 112
EVENTS = 10_000
BROKEN = 30
OTHER_FAULTS = ("missing", "unready", "oom", "config", "unschedulable")
HOURS = 48
"""Over which the changes are spread; the last ones are of this hour."""


@dataclass(frozen=True, slots=True)
class Busy(App):
    """A workload of three pods, one of which shows what is wrong with its newest template."""

    release: str = ""

    @property
    def replicas(self) -> int:
        return 3

    @property
    def broken(self) -> int:
        return 1 if self.fault else 0

    def annotations(self) -> dict[str, str]:
        if not self.release:
            return {}
        return {"meta.helm.sh/release-name": self.release, "meta.helm.sh/release-namespace": self.namespace}


def apps() -> list[Busy]:
    """All workloads: those of releases, those of nobody, the StatefulSets; the broken ones are spread over them."""
    count = RELEASES * OWNED + LOOSE + SETS
    bad = [number * count // BROKEN for number in range(BROKEN)]
    faults = {n: OTHER_FAULTS[i // 3 % len(OTHER_FAULTS)] if i % 3 == 2 else "crash" for i, n in enumerate(bad)}
    found = []
    for number in range(count):
        kind = "StatefulSet" if number >= count - SETS else "Deployment"
        release = f"app-{number // OWNED:02d}" if number < RELEASES * OWNED else ""
        word = population.word(number)
        found.append(
            Busy(
                kind,
                f"{word}-{'store' if kind == 'StatefulSet' else 'api'}-{number:03d}",
                NAME,
                number,
                faults.get(number, ""),
                bool(release),
                release,
            )
        )
    return found


def objects() -> Iterator[Obj]:
    """What stands beside the workloads."""
    for app in apps():
        meta = {"name": app.name, "namespace": NAME, "labels": app.labels(), "annotations": app.annotations()}
        selector = {"app.kubernetes.io/name": app.name}
        ports = [{"name": "http", "port": 80, "targetPort": "http"}]
        yield {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": selector, "ports": ports}}
        if app.fault != "config":
            yield {**config(f"{app.name}-config", app.number), "metadata": {**meta, "name": f"{app.name}-config"}}
        ready = {"conditions": {"ready": True}, "addresses": [f"10.0.0.{app.number}"]}
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": app.name}},
            "addressType": "IPv4",
            "endpoints": [ready],
            "ports": [{"name": "http", "port": 8080}],
        }
    workloads = len(apps())
    for number in range(workloads, CONFIGS):
        yield config(f"settings-{number:03d}", number)
    for number in range(SECRETS):
        data = {"token": base64.b64encode(f"not-a-secret-{number}".encode()).decode()}
        meta = {"name": f"token-{number:03d}", "namespace": NAME}
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": data}
    for number in range(30):
        meta = {"name": f"front-{number:02d}", "namespace": NAME}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
        yield {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": meta,
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/name": f"front-{number}"}}},
        }
        yield {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": meta,
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": apps()[number].name},
                "minReplicas": 3,
                "maxReplicas": 6,
            },
        }


def config(name: str, number: int, round_: int = 0) -> Obj:
    """A ConfigMap of 1 kB."""
    data = {"config.yaml": text(number, round_, 900), "LOG_LEVEL": "info"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAME}, "data": data}


def edits() -> Iterator[tuple[str, str, Obj]]:
    """Kind, name and merge patch of the fields that were written by hand."""
    for number in range(EDITS):
        if number % 4 == 0:
            app = apps()[number]
            yield app.kind, app.name, {"metadata": {"annotations": {"team": f"shop-{number}"}}}
        else:
            name = f"settings-{number + CONFIGS - EDITS:03d}"
            yield "ConfigMap", name, {"data": {"LOG_LEVEL": "debug", "edited": str(number)}}


def release_names() -> list[str]:
    """The releases."""
    return [f"app-{number:02d}" for number in range(RELEASES)]


def record(release: str, revision: int, at: datetime) -> Obj:
    """The Secret of one revision: each brings another image to one workload; the last one the present templates."""
    owned = [app for app in apps() if app.release == release]
    manifest = ""
    for place, app in enumerate(owned):
        newest = revision == REVISIONS or (revision >= 8 and not app.fault and place <= revision - 8)
        tag = app.revisions[2 if newest else 1 if revision > 4 else 0]
        for obj in (population.workload(app, tag), config(f"{app.name}-config", app.number)):
            manifest += f"---\n# Source: shop/templates/{obj['kind'].lower()}.yaml\n{json.dumps(obj)}\n"
    status = "deployed" if revision == REVISIONS else "superseded"
    payload = {
        "name": release,
        "namespace": NAME,
        "version": revision,
        "manifest": manifest,
        "config": {},
        "info": {
            "first_deployed": (at - timedelta(hours=HOURS)).isoformat(),
            "last_deployed": at.isoformat(),
            "deleted": "",
            "description": "Upgrade complete",
            "status": status,
        },
        "chart": {"metadata": {"name": "shop", "version": f"4.{revision}.0", "apiVersion": "v2"}, "values": {}},
    }
    body = base64.b64encode(gzip.compress(json.dumps(payload).encode(), mtime=0))
    labels = {"owner": "helm", "name": release, "status": status, "version": str(revision)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": f"sh.helm.release.v1.{release}.v{revision}",
            "namespace": NAME,
            "labels": {**labels, "modifiedAt": str(int(at.timestamp()))},
        },
        "data": {"release": base64.b64encode(body).decode()},
    }


def events(pods: list[tuple[str, str]], now: str) -> Iterator[Obj]:
    """So many that there are ``EVENTS`` of them: what the cluster says all day, of pods (name and uid) and workloads."""
    said = (
        ("Normal", "Pulled", "Container image already present on machine"),
        ("Normal", "Created", "Created container main"),
        ("Normal", "Started", "Started container main"),
        ("Warning", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
        ("Warning", "DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted"),
    )
    for number in range(EVENTS):
        name, uid = pods[number % len(pods)]
        kind, reason, words = said[number * 7 % len(said)]
        yield {
            "apiVersion": "v1",
            "kind": "Event",
            "type": kind,
            "reason": reason,
            "message": words,
            "count": 1 + number % 3 if reason != "Unhealthy" else 1,
            "metadata": {"name": f"{name}.{number:016x}", "namespace": NAME},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": NAME, "uid": uid},
            "source": {"component": "kubelet", "host": "worker-0000"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "reportingComponent": "kubelet",
            "reportingInstance": "",
        }
