# SPDX-License-Identifier: Apache-2.0
"""What an operator makes of Prometheus, Alertmanager and ThanosRuler resources. Pure.

Facts: prometheus-operator pkg/prometheus/server/statefulset.go, pkg/alertmanager/statefulset.go, pkg/thanos/statefulset.go
(names, labels, governing Services, Parallel pod management, the input hash as an annotation), pkg/operator/image.go (``image``
before ``version``), pkg/prometheus/promcfg.go (retention), documentation of ``paused``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubetwin.client import Obj
from kubetwin.meta import canonical_json, labels_of, name_of, namespace_of, owner_reference

GROUP, VERSION = "monitoring.coreos.com", "v1"
INPUT_HASH = "prometheus-operator-input-hash"
OPERATOR = "prometheus-operator"
_DURATION = re.compile(r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$")
_SEMVER = re.compile(r"^v?\d+\.\d+\.\d+([-+].*)?$")
_CARRIED = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "serviceAccountName",
    "imagePullSecrets",
    "priorityClassName",
    "hostNetwork",
    "securityContext",
    "dnsPolicy",
)
"""Fields of the resource that its pods have under the same name."""


@dataclass(frozen=True, slots=True)
class Made:
    """One kind of custom resource: how what is made of it is called, and which program it runs."""

    kind: str
    plural: str
    prefix: str
    service: str
    container: str
    image: str
    version: str
    port: int
    port_name: str = "web"


KINDS: Mapping[str, Made] = {
    made.kind: made
    for made in (
        Made(
            "Prometheus",
            "prometheuses",
            "prometheus",
            "prometheus-operated",
            "prometheus",
            "quay.io/prometheus/prometheus",
            "v2.51.0",
            9090,
        ),
        Made(
            "Alertmanager",
            "alertmanagers",
            "alertmanager",
            "alertmanager-operated",
            "alertmanager",
            "quay.io/prometheus/alertmanager",
            "v0.27.0",
            9093,
        ),
        Made(
            "ThanosRuler",
            "thanosrulers",
            "thanos-ruler",
            "thanos-ruler-operated",
            "thanos-ruler",
            "quay.io/thanos/thanos",
            "v0.34.1",
            10902,
        ),
    )
}


class Refused(Exception):
    """The operator can't make anything of the resource; its conditions say why."""


def set_name(made: Made, obj: Obj) -> str:
    """The name of its StatefulSet."""
    return f"{made.prefix}-{name_of(obj)}"


def checked(obj: Obj) -> None:
    """
    Raises:
        Refused: a field that the schema allows, and the operator does not.
    """
    spec = obj.get("spec") or {}
    retention = str(spec.get("retention") or "")
    if not _DURATION.match(retention):
        raise Refused(
            f'making statefulset failed: invalid retention value specified: not a valid duration string: "{retention}"'
        )
    version = str(spec.get("version") or "")
    if version and not _SEMVER.match(version):
        raise Refused(
            f"making statefulset failed: failed to parse version: Invalid character(s) found in major number {version!r}"
        )


def governing_service(made: Made, obj: Obj) -> Obj:
    """The headless Service that its StatefulSets share."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": made.service,
            "namespace": namespace_of(obj),
            "labels": {"operated-" + made.container: "true", "managed-by": OPERATOR},
            "ownerReferences": [{**owner_reference(obj, controller=False, block=False)}],
        },
        "spec": {
            "clusterIP": "None",
            "ports": [{"name": made.port_name, "port": made.port, "targetPort": made.port_name}],
            "selector": {"app.kubernetes.io/name": made.container},
        },
    }


def configuration(made: Made, obj: Obj) -> Obj:
    """The Secret with the program's configuration."""
    content = (
        "global:\n  scrape_interval: 30s\nrule_files: []\n"
        if made.kind == "Prometheus"
        else "route: {receiver: none}\n"
    )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": set_name(made, obj),
            "namespace": namespace_of(obj),
            "labels": {"managed-by": OPERATOR},
            "ownerReferences": [owner_reference(obj)],
        },
        "stringData": {f"{made.container}.yaml": content},
    }


def stateful_set(made: Made, obj: Obj, reloader: str) -> Obj:
    """The StatefulSet; ``reloader`` is the image that the operator was told to run beside it."""
    spec = obj.get("spec") or {}
    labels = _labels(made, obj)
    pod_meta = spec.get("podMetadata") or {}
    template = {
        "metadata": {
            "labels": {**(pod_meta.get("labels") or {}), **labels},
            "annotations": {
                **(pod_meta.get("annotations") or {}),
                "kubectl.kubernetes.io/default-container": made.container,
            },
        },
        "spec": {
            **{field: spec[field] for field in _CARRIED if field in spec},
            "automountServiceAccountToken": True,
            "terminationGracePeriodSeconds": 600,
            "containers": [_program(made, spec), _reloader(reloader)],
            "volumes": [
                {"name": "config", "secret": {"secretName": set_name(made, obj)}},
                *(spec.get("volumes") or ()),
            ],
        },
    }
    claims = [_claim(made, obj)] if (spec.get("storage") or {}).get("volumeClaimTemplate") else []
    if not claims:
        template["spec"]["volumes"].append({"name": f"{set_name(made, obj)}-db", "emptyDir": {}})
    wanted: Obj = {
        "replicas": spec.get("replicas", 1),
        "serviceName": made.service,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate"},
        "minReadySeconds": spec.get("minReadySeconds", 0),
        "selector": {"matchLabels": labels},
        "template": template,
        "volumeClaimTemplates": claims,
    }
    annotations = {INPUT_HASH: hashlib.sha256(canonical_json(wanted)).hexdigest()[:19]}
    meta = {
        "name": set_name(made, obj),
        "namespace": namespace_of(obj),
        # Helm's own marks are not handed on; other labels are.
        "labels": {**{k: v for k, v in labels_of(obj).items() if k != "app.kubernetes.io/managed-by"}, **labels},
        "annotations": annotations,
        "ownerReferences": [owner_reference(obj)],
    }
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": wanted}


def _labels(made: Made, obj: Obj) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": made.container,
        "app.kubernetes.io/managed-by": OPERATOR,
        "app.kubernetes.io/instance": name_of(obj),
        f"operator.{made.prefix}.io/name" if made.kind == "Prometheus" else made.container: name_of(obj),
    }


def _program(made: Made, spec: Obj) -> Obj:
    image = spec.get("image") or f"{spec.get('baseImage') or made.image}:{spec.get('version') or made.version}"
    arguments = [f"--config.file=/etc/{made.container}/config/{made.container}.yaml"]
    if spec.get("retention"):
        arguments.append(f"--storage.tsdb.retention.time={spec['retention']}")
    if spec.get("externalUrl"):
        arguments.append(f"--web.external-url={spec['externalUrl']}")
    arguments += [f"--log.level={spec['logLevel']}"] if spec.get("logLevel") else []
    container: Obj = {
        "name": made.container,
        "image": image,
        "args": arguments,
        "ports": [{"name": made.port_name, "containerPort": made.port}],
        "readinessProbe": {
            "httpGet": {"path": "/-/ready", "port": made.port_name},
            "periodSeconds": 5,
            "failureThreshold": 3,
        },
        "volumeMounts": [{"name": "config", "mountPath": f"/etc/{made.container}/config"}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if spec.get("resources"):
        container["resources"] = spec["resources"]
    return container


def _reloader(image: str) -> Obj:
    return {"name": "config-reloader", "image": image, "ports": [{"name": "reloader-web", "containerPort": 8080}]}


def _claim(made: Made, obj: Obj) -> Obj:
    template: dict[str, Any] = obj["spec"]["storage"]["volumeClaimTemplate"]
    meta = template.get("metadata") or {}
    name = meta.get("name") or f"{set_name(made, obj)}-db"
    return {"metadata": {**meta, "name": name}, "spec": template.get("spec") or {}}


def input_hash(obj: Obj) -> str:
    """What a StatefulSet was last made from."""
    return str(((obj.get("metadata") or {}).get("annotations") or {}).get(INPUT_HASH, ""))
