# SPDX-License-Identifier: Apache-2.0
"""`twin break`: makes running pods fail by a rule that the simulated kubelet reads; no workload is changed."""

from __future__ import annotations

import hashlib
import re

from kubetwin.client import Api, ApiException, Obj
from kubetwin.errors import NotFoundError, UsageError
from kubetwin.kinds import CONFIGMAPS, DAEMONSETS, DEPLOYMENTS, JOBS, PODS, REPLICASETS, STATEFULSETS
from kubetwin.kubelet.faults import RULE_LABEL, parse_fault

NAMESPACE = "kube-system"
_KINDS = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "job": "Job",
    "replicaset": "ReplicaSet",
    "pod": "Pod",
}
_RESOURCES = {resource.kind: resource for resource in (DEPLOYMENTS, STATEFULSETS, DAEMONSETS, JOBS, REPLICASETS, PODS)}


def rule(fault: str, workload: str, namespace: str, container: str = "") -> Obj:
    """The rule that makes the pods of ``workload`` (``kind/name``) fail in one way.

    Raises:
        UsageError: no such fault, or no such kind of workload.
    """
    try:
        parse_fault(fault)
    except ValueError as error:
        raise UsageError(
            "{fault} is not a fault.",
            fault=fault,
            expected="such as crash, crash-exit3, oom, missing, unready, slow20s, nokey",
        ) from error
    kind, slash, name = workload.partition("/")
    if not slash or kind.lower() not in _KINDS:
        raise UsageError("{workload} is not a workload.", workload=workload, expected="such as deployment/web")
    data = {"fault": fault, "namespace": namespace, "workload": f"{_KINDS[kind.lower()]}/{name}"}
    if container:
        data["container"] = container
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": rule_name(workload, namespace), "namespace": NAMESPACE, "labels": {RULE_LABEL: "true"}},
        "data": data,
    }


def rule_name(workload: str, namespace: str) -> str:
    """One rule a workload; the digest keeps names apart that look alike."""
    plain = re.sub(r"[^a-z0-9]+", "-", f"{namespace}-{workload}".lower()).strip("-")[:60]
    return f"break-{plain}-{hashlib.sha256(f'{namespace}/{workload.lower()}'.encode()).hexdigest()[:8]}"


async def break_workload(api: Api, fault: str, workload: str, namespace: str, container: str = "") -> None:
    """Puts the rule into force, in place of an earlier one for the same workload.

    Raises:
        NotFoundError: there is no such workload: nothing would fail.
        UsageError: as `rule`.
    """
    wanted = rule(fault, workload, namespace, container)
    kind, _, name = workload.partition("/")
    try:
        await api.get(_RESOURCES[_KINDS[kind.lower()]], name, namespace)
    except ApiException as error:
        if not error.not_found:
            raise
        raise NotFoundError(
            "{workload} in {namespace} does not exist.", workload=workload, namespace=namespace
        ) from error
    await api.apply(CONFIGMAPS, wanted, field_manager="backout-twin", force=True)


async def mend_workload(api: Api, workload: str, namespace: str) -> None:
    """Takes the rule away.

    Raises:
        NotFoundError: there is none.
    """
    try:
        await api.delete(CONFIGMAPS, rule_name(workload, namespace), NAMESPACE)
    except ApiException as error:
        if not error.not_found:
            raise
        raise NotFoundError(
            "Nothing was made to fail on {workload} in {namespace}.", workload=workload, namespace=namespace
        ) from error
