# SPDX-License-Identifier: Apache-2.0
"""What an API server fills in where a manifest says nothing: the defaults of the built-in kinds, as data. Pure.

Facts: kubernetes pkg/apis/{core,apps,batch,networking,rbac,storage,policy,autoscaling,admissionregistration}/*/defaults.go,
pkg/apis/core/v1/defaults.go for pods. ``a[].b`` means each element of a list. A default is filled in where its parent is there;
those of a probe, a volume source or a strategy do not make one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

Default = tuple[str, Any]

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")


def _probe(path: str) -> tuple[Default, ...]:
    return (
        (f"{path}.timeoutSeconds", 1),
        (f"{path}.periodSeconds", 10),
        (f"{path}.successThreshold", 1),
        (f"{path}.failureThreshold", 3),
        (f"{path}.httpGet.path", "/"),
        (f"{path}.httpGet.scheme", "HTTP"),
        (f"{path}.grpc.service", ""),
    )


def _container(path: str) -> tuple[Default, ...]:
    return (
        (f"{path}.terminationMessagePath", "/dev/termination-log"),
        (f"{path}.terminationMessagePolicy", "File"),
        (f"{path}.ports[].protocol", "TCP"),
        (f"{path}.env[].valueFrom.fieldRef.apiVersion", "v1"),
        (f"{path}.env[].valueFrom.resourceFieldRef.divisor", "0"),
        (f"{path}.securityContext.procMount", "Default"),
        *_probe(f"{path}.livenessProbe"),
        *_probe(f"{path}.readinessProbe"),
        *_probe(f"{path}.startupProbe"),
        *(
            default
            for hook in ("postStart", "preStop")
            for default in (
                (f"{path}.lifecycle.{hook}.httpGet.path", "/"),
                (f"{path}.lifecycle.{hook}.httpGet.scheme", "HTTP"),
            )
        ),
    )


def _pod(path: str) -> tuple[Default, ...]:
    volume = f"{path}.volumes[]"
    return (
        (f"{path}.restartPolicy", "Always"),
        (f"{path}.dnsPolicy", "ClusterFirst"),
        (f"{path}.schedulerName", "default-scheduler"),
        (f"{path}.terminationGracePeriodSeconds", 30),
        *_container(f"{path}.initContainers[]"),
        *_container(f"{path}.containers[]"),
        (f"{volume}.secret.defaultMode", 420),
        (f"{volume}.configMap.defaultMode", 420),
        (f"{volume}.downwardAPI.defaultMode", 420),
        (f"{volume}.downwardAPI.items[].fieldRef.apiVersion", "v1"),
        (f"{volume}.downwardAPI.items[].resourceFieldRef.divisor", "0"),
        (f"{volume}.projected.defaultMode", 420),
        (f"{volume}.projected.sources[].serviceAccountToken.expirationSeconds", 3600),
        (f"{volume}.projected.sources[].downwardAPI.items[].fieldRef.apiVersion", "v1"),
        (f"{volume}.projected.sources[].downwardAPI.items[].resourceFieldRef.divisor", "0"),
        (f"{volume}.hostPath.type", ""),
        (f"{volume}.iscsi.iscsiInterface", "default"),
        (f"{volume}.rbd.pool", "rbd"),
        (f"{volume}.rbd.user", "admin"),
        (f"{volume}.rbd.keyring", "/etc/ceph/keyring"),
        (f"{volume}.azureDisk.cachingMode", "ReadWrite"),
        (f"{volume}.azureDisk.kind", "Shared"),
        (f"{volume}.azureDisk.fsType", "ext4"),
        (f"{volume}.azureDisk.readOnly", False),
        (f"{volume}.scaleIO.storageMode", "ThinProvisioned"),
        (f"{volume}.scaleIO.fsType", "xfs"),
        (f"{volume}.ephemeral.volumeClaimTemplate.spec.volumeMode", "Filesystem"),
    )


_TEMPLATE = _pod("spec.template.spec")
_CLAIM: tuple[Default, ...] = (
    ("spec.volumeClaimTemplates[].apiVersion", "v1"),
    ("spec.volumeClaimTemplates[].kind", "PersistentVolumeClaim"),
    ("spec.volumeClaimTemplates[].spec.volumeMode", "Filesystem"),
)
_JOB = (
    ("backoffLimit", 6),
    ("completionMode", "NonIndexed"),
    ("suspend", False),
    ("podReplacementPolicy", "TerminatingOrFailed"),
)
_WEBHOOK: tuple[Default, ...] = (
    ("webhooks[].failurePolicy", "Fail"),
    ("webhooks[].matchPolicy", "Equivalent"),
    ("webhooks[].timeoutSeconds", 10),
    ("webhooks[].namespaceSelector", {}),
    ("webhooks[].objectSelector", {}),
    ("webhooks[].rules[].scope", "*"),
    ("webhooks[].clientConfig.service.port", 443),
)

_OF_KIND: dict[tuple[str, str], tuple[Default, ...]] = {
    ("", "Pod"): (*_pod("spec"), ("spec.enableServiceLinks", True)),
    ("", "PodTemplate"): _pod("template.spec"),
    ("", "ReplicationController"): (("spec.replicas", 1), *_TEMPLATE),
    ("", "Service"): (("spec.type", "ClusterIP"), ("spec.sessionAffinity", "None"), ("spec.ports[].protocol", "TCP")),
    ("", "PersistentVolumeClaim"): (("spec.volumeMode", "Filesystem"),),
    ("", "PersistentVolume"): (
        ("spec.volumeMode", "Filesystem"),
        ("spec.persistentVolumeReclaimPolicy", "Retain"),
        ("spec.hostPath.type", ""),
    ),
    ("", "Secret"): (("type", "Opaque"),),
    ("apps", "Deployment"): (
        ("spec.replicas", 1),
        ("spec.revisionHistoryLimit", 10),
        ("spec.progressDeadlineSeconds", 600),
        ("spec.strategy.type", "RollingUpdate"),
        *_TEMPLATE,
    ),
    ("apps", "ReplicaSet"): (("spec.replicas", 1), *_TEMPLATE),
    ("apps", "StatefulSet"): (
        ("spec.replicas", 1),
        ("spec.revisionHistoryLimit", 10),
        ("spec.podManagementPolicy", "OrderedReady"),
        ("spec.updateStrategy.type", "RollingUpdate"),
        *_CLAIM,
        *_TEMPLATE,
    ),
    ("apps", "DaemonSet"): (
        ("spec.revisionHistoryLimit", 10),
        ("spec.updateStrategy.type", "RollingUpdate"),
        *_TEMPLATE,
    ),
    ("batch", "Job"): (*((f"spec.{name}", value) for name, value in _JOB), *_TEMPLATE),
    ("batch", "CronJob"): (
        ("spec.concurrencyPolicy", "Allow"),
        ("spec.suspend", False),
        ("spec.successfulJobsHistoryLimit", 3),
        ("spec.failedJobsHistoryLimit", 1),
        *_pod("spec.jobTemplate.spec.template.spec"),
    ),
    ("networking.k8s.io", "NetworkPolicy"): (
        ("spec.ingress[].ports[].protocol", "TCP"),
        ("spec.egress[].ports[].protocol", "TCP"),
    ),
    ("networking.k8s.io", "IngressClass"): (("spec.parameters.scope", "Cluster"),),
    ("autoscaling", "HorizontalPodAutoscaler"): (("spec.minReplicas", 1),),
    ("storage.k8s.io", "StorageClass"): (("reclaimPolicy", "Delete"), ("volumeBindingMode", "Immediate")),
    ("storage.k8s.io", "CSIDriver"): (
        ("spec.attachRequired", True),
        ("spec.podInfoOnMount", False),
        ("spec.storageCapacity", False),
        ("spec.fsGroupPolicy", "ReadWriteOnceWithFSType"),
        ("spec.requiresRepublish", False),
        ("spec.seLinuxMount", False),
    ),
    ("scheduling.k8s.io", "PriorityClass"): (("preemptionPolicy", "PreemptLowerPriority"),),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): _WEBHOOK,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): (
        *_WEBHOOK,
        ("webhooks[].reinvocationPolicy", "Never"),
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (("spec.conversion.strategy", "None"),),
}

CHOSEN: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "Service"): (
        "spec.clusterIP",
        "spec.clusterIPs",
        "spec.ipFamilies",
        "spec.ipFamilyPolicy",
        "spec.healthCheckNodePort",
        "spec.ports[].nodePort",
    ),
    ("", "PersistentVolumeClaim"): ("spec.volumeName", "spec.storageClassName", "spec.volumeAttributesClassName"),
    ("", "PersistentVolume"): ("spec.claimRef",),
    ("", "Pod"): (
        "spec.nodeName",
        "spec.serviceAccountName",
        "spec.serviceAccount",
        "spec.priority",
        "spec.preemptionPolicy",
        "spec.tolerations",
        "spec.volumes",
        "spec.containers[].volumeMounts",
        "spec.containers[].resources.requests",
        "spec.initContainers[].volumeMounts",
    ),
    ("", "Namespace"): ("spec.finalizers", "spec", 'metadata.labels["kubernetes.io/metadata.name"]'),
    ("", "ServiceAccount"): ("secrets",),
    ("apps", "StatefulSet"): (
        "spec.volumeClaimTemplates[].spec.storageClassName",
        "spec.volumeClaimTemplates[].status",
    ),
    ("batch", "Job"): ("spec.manualSelector", "spec.selector", "spec.template.metadata.labels"),
    ("autoscaling", "HorizontalPodAutoscaler"): ("spec.metrics", "spec.behavior"),
    ("apiregistration.k8s.io", "APIService"): ("spec.service.port",),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        "spec.conversion",
        "spec.names.singular",
        "spec.names.listKind",
        "spec.preserveUnknownFields",
    ),
}
"""Fields that the server (or a controller of the cluster) chooses where the manifest leaves them out: no difference then."""


def defaults_of(group: str, kind: str) -> tuple[Default, ...]:
    """The defaults of a built-in kind; none for any other."""
    return _OF_KIND.get((group, kind), ())


def fill(obj: dict[str, Any], group: str, kind: str) -> None:
    """Fills the defaults of its kind into ``obj``, and those that depend on other fields."""
    _grow(obj, _tree(group, kind))
    for spec in pod_specs(obj, group, kind):
        _pod_rules(spec)
    rule = _RULES.get((group, kind))
    if rule is not None:
        rule(obj)


def pod_specs(obj: dict[str, Any], group: str, kind: str) -> Iterator[dict[str, Any]]:
    """The pod spec of ``obj``, if its kind has one."""
    paths = {
        "Pod": ("spec",),
        "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
        "PodTemplate": ("template", "spec"),
    }
    if group not in ("", "apps", "batch"):
        return
    node: Any = obj
    for step in paths.get(kind, ("spec", "template", "spec")):
        node = node.get(step) if isinstance(node, dict) else None
    if isinstance(node, dict):
        yield node


class _Tree(NamedTuple):
    """The defaults of a kind by their paths: of a node itself, and of what lies in it (in a list: of each element)."""

    values: dict[str, Any]
    fields: dict[str, _Tree]
    lists: dict[str, _Tree]


@cache
def _tree(group: str, kind: str) -> _Tree:
    """No default is a part of another one's path, so that their order does not matter."""
    root = _Tree({}, {}, {})
    for path, value in defaults_of(group, kind):
        node = root
        *steps, last = path.split(".")
        for step in steps:
            inner = node.lists if step.endswith("[]") else node.fields
            node = inner.setdefault(step.removesuffix("[]"), _Tree({}, {}, {}))
        node.values[last] = value
    return root


def _grow(node: Any, tree: _Tree) -> None:
    if not isinstance(node, dict):
        return
    for name, value in tree.values.items():
        if node.get(name) is None:
            node[name] = value
    for name, inner in tree.fields.items():
        if name in node:
            _grow(node[name], inner)
    for name, inner in tree.lists.items():
        for item in node.get(name) or ():
            _grow(item, inner)


def _pod_rules(spec: dict[str, Any]) -> None:
    """Defaults that depend on what else is said (SetDefaults_Container, conversion of serviceAccount)."""
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = account
    spec.pop("serviceAccount", None)
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        if not isinstance(container, dict):
            continue
        if not container.get("imagePullPolicy"):
            container["imagePullPolicy"] = "Always" if _latest(str(container.get("image", ""))) else "IfNotPresent"
        for port in container.get("ports") or ():
            # On the node's own network a port is the node's, whether that is said or not.
            if isinstance(port, dict) and spec.get("hostNetwork") and port.get("hostPort") == port.get("containerPort"):
                port.pop("hostPort", None)
    for volume in spec.get("volumes") or ():
        if isinstance(volume, dict) and set(volume) == {"name"}:
            volume["emptyDir"] = {}


def _latest(image: str) -> bool:
    """Whether an image has the tag ``latest``, which is meant where none is given; a digest is none."""
    if "@" in image:
        return False
    name = image.rpartition("/")[2]
    return ":" not in name or name.endswith(":latest")


def _subjects(obj: dict[str, Any]) -> None:
    for subject in obj.get("subjects") or ():
        if isinstance(subject, dict) and not subject.get("apiGroup"):
            subject["apiGroup"] = "" if subject.get("kind") == "ServiceAccount" else "rbac.authorization.k8s.io"
    reference = obj.get("roleRef")
    if isinstance(reference, dict) and not reference.get("apiGroup"):
        reference["apiGroup"] = "rbac.authorization.k8s.io"


def _limits(obj: dict[str, Any]) -> None:
    """SetDefaults_LimitRangeItem: ``max`` → ``default`` → ``defaultRequest``, of containers only; ``min`` first."""
    for item in (obj.get("spec") or {}).get("limits") or ():
        if isinstance(item, dict) and item.get("type") == "Container":
            default = {**(item.get("max") or {}), **(item.get("default") or {})}
            request = {**default, **(item.get("min") or {}), **(item.get("defaultRequest") or {})}
            item.update({name: value for name, value in (("default", default), ("defaultRequest", request)) if value})


def _rolling(field: str, values: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """The numbers of a rolling update, which are filled in where that is the strategy."""

    def rule(obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        strategy = spec[field] = {"type": "RollingUpdate", **(spec.get(field) or {})}
        if strategy["type"] == "RollingUpdate":
            strategy["rollingUpdate"] = {**values, **_said(strategy.get("rollingUpdate"))}

    return rule


def _set_rules(obj: dict[str, Any]) -> None:
    _rolling("updateStrategy", {"partition": 0})(obj)
    spec = obj["spec"]
    keep = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    spec["persistentVolumeClaimRetentionPolicy"] = {**keep, **_said(spec.get("persistentVolumeClaimRetentionPolicy"))}


def _service(obj: dict[str, Any]) -> None:
    """SetDefaults_Service."""
    spec = obj.setdefault("spec", {})
    kind = spec.get("type") or "ClusterIP"
    for port in spec.get("ports") or ():
        if isinstance(port, dict) and not port.get("targetPort"):
            port["targetPort"] = port.get("port")
    if spec.get("sessionAffinity") == "ClientIP":
        timeout = {"clientIP": {"timeoutSeconds": 10800}}
        spec["sessionAffinityConfig"] = {**timeout, **_said(spec.get("sessionAffinityConfig"))}
    if kind != "ExternalName":
        spec["internalTrafficPolicy"] = spec.get("internalTrafficPolicy") or "Cluster"
    if kind in ("NodePort", "LoadBalancer"):
        spec["externalTrafficPolicy"] = spec.get("externalTrafficPolicy") or "Cluster"
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is None:
        spec["allocateLoadBalancerNodePorts"] = True


def _policy(obj: dict[str, Any]) -> None:
    """SetDefaults_NetworkPolicy."""
    spec = obj.setdefault("spec", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


_JOB_LABELS = ("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name")


def _job(obj: dict[str, Any]) -> None:
    """SetDefaults_Job: one of one, where neither number is given; and without the labels that every Job gets."""
    spec = obj.setdefault("spec", {})
    for meta in (obj.get("metadata"), (spec.get("template") or {}).get("metadata")):
        for label in _JOB_LABELS:
            ((meta or {}).get("labels") or {}).pop(label, None)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1


def _said(value: Any) -> dict[str, Any]:
    return {key: inner for key, inner in (value or {}).items() if inner is not None}


_RULES: dict[tuple[str, str], Callable[[dict[str, Any]], None]] = {
    ("apps", "Deployment"): _rolling("strategy", {"maxSurge": "25%", "maxUnavailable": "25%"}),
    ("apps", "DaemonSet"): _rolling("updateStrategy", {"maxSurge": 0, "maxUnavailable": 1}),
    ("apps", "StatefulSet"): _set_rules,
    ("batch", "Job"): _job,
    ("", "Service"): _service,
    ("networking.k8s.io", "NetworkPolicy"): _policy,
    ("rbac.authorization.k8s.io", "RoleBinding"): _subjects,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _subjects,
    ("", "LimitRange"): _limits,
}
