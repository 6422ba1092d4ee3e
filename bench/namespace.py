# SPDX-License-Identifier: Apache-2.0
"""The objects of one large namespace, as people and charts write them. Pure: contents follow from a number.

Of a hundred objects 45 are ConfigMaps of about 2 kB, 25 Secrets, 15 Services and 15 Deployments (of no pods).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from bench.population import App as Workload
from bench.population import Obj, pod_spec
from kubetwin.client import Resource

NAME = "bench"
KINDS = {
    "ConfigMap": Resource("", "v1", "configmaps", "ConfigMap"),
    "Secret": Resource("", "v1", "secrets", "Secret"),
    "Service": Resource("", "v1", "services", "Service"),
    "Deployment": Resource("apps", "v1", "deployments", "Deployment"),
}
PLURALS = "configmaps,secrets,services,deployments.apps,serviceaccounts"
"""What kubectl is asked for: every kind of which there are objects that a snapshot holds."""
_OF_A_HUNDRED = ("ConfigMap",) * 45 + ("Secret",) * 25 + ("Service",) * 15 + ("Deployment",) * 15


def kind_of(number: int) -> str:
    """The kind of one object; the kinds are mixed."""
    return _OF_A_HUNDRED[number * 37 % 100]


def name_of(number: int) -> str:
    """Its name."""
    return f"thing-{number:06d}"


def text(number: int, round_: int, size: int) -> str:
    """Settings that compress about as settings do, with something of their own in each line."""
    lines, length, line = [], 0, 0
    while length < size:
        mark = hashlib.blake2b(f"{number} {round_} {line}".encode(), digest_size=6).hexdigest()
        lines.append(f"server.listener-{line}.address = http://backend-{mark}.shop.svc.cluster.local:8080/api/v1")
        length += len(lines[-1]) + 1
        line += 1
    return "\n".join(lines) + "\n"


def obj(number: int, round_: int = 0) -> Obj:
    """One object; another round has other content."""
    kind, name = kind_of(number), name_of(number)
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "shop"}
    meta = {"name": name, "namespace": NAME, "labels": labels}
    if kind == "ConfigMap":
        data = {"server.properties": text(number, round_, 1800), "LOG_LEVEL": "info", "REPLICAS": str(number % 7)}
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, "data": data}
    if kind == "Secret":
        raw = hashlib.shake_256(f"{number} {round_}".encode()).digest(90)
        data = {"password": base64.b64encode(raw[:30]).decode(), "key": base64.b64encode(raw).decode()}
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, "type": "Opaque", "data": data}
    if kind == "Service":
        ports = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "metrics", "port": 9090 + round_}]
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": {"selector": labels, "ports": ports}}
    spec = pod_spec(Workload("Deployment", name, NAME, number), f"1.{round_}.{number % 9}")
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": meta,
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }


def objects(count: int, round_: int = 0) -> Iterator[Obj]:
    """All of them."""
    return (obj(number, round_) for number in range(count))
