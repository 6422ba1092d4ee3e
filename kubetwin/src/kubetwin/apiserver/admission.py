# SPDX-License-Identifier: Apache-2.0
"""The admission plug-ins of a default API server that users meet, in the order in which they run.

Source: pkg/kubeapiserver/options/plugins.go (the order) and plugin/pkg/admission (each plug-in).
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from kubetwin.apiserver import limits
from kubetwin.apiserver.call import Call
from kubetwin.apiserver.rbac import GROUP as RBAC
from kubetwin.apiserver.rbac import Attributes, uncovered
from kubetwin.apiserver.status import Cause, forbidden, not_found
from kubetwin.apiserver.store import Change, Object

ACCOUNT_WAIT = 1.5
"""Seconds that the creation of a pod waits for the namespace's default service account."""
_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


async def wait_for_account(call: Call) -> None:
    """Give the controller a moment to make the default service account of a new namespace."""
    accounts = call.cluster.store.collection(("", "serviceaccounts"))
    if call.type.storage_key != ("", "pods") or accounts.get(call.namespace, "default") is not None:
        return
    if call.cluster.store.collection(("", "namespaces")).get("", call.namespace) is None:
        return
    found = asyncio.Event()

    def on_change(change: Change) -> None:
        if change.entry.key == f"{call.namespace}/default":
            found.set()

    accounts.watchers.add(on_change)
    try:
        await asyncio.wait_for(found.wait(), ACCOUNT_WAIT)
    except TimeoutError:
        return
    finally:
        accounts.watchers.discard(on_change)


def on_create(call: Call, obj: Object) -> None:
    """Check and complete a new object (in the stored version), in place; raises ApiError 403, 404 or 422."""
    namespace_exists(call, obj)
    match call.type.storage_key:
        case ("", "pods"):
            limits.complete(call, obj)
            _service_account(call, obj)
            _priority(call, obj)
            _tolerations(obj["spec"])
            _runtime_class(call, obj)
        case ("", "persistentvolumeclaims"):
            _storage_class(call, obj)
            _protect(obj, "kubernetes.io/pvc-protection")
        case ("", "nodes"):
            _unready(obj)
        case ("", "persistentvolumes"):
            _protect(obj, "kubernetes.io/pv-protection")
        case ("networking.k8s.io", "ingresses"):
            _ingress_class(call, obj)
        case (group, _) if group == RBAC:
            _escalation(call, obj)


def after_validation(call: Call, obj: Object) -> None:
    """The plug-ins that judge a complete new object; raises ApiError 403."""
    limits.check(call, obj)
    call.cluster.quotas.check(call.type, call.namespace, obj)


def on_update(call: Call, new: Object, old: Object, subresource: str) -> None:
    match call.type.storage_key:
        case ("", "persistentvolumeclaims") if not subresource:
            _claim_growth(call, new, old)
        case (group, _) if group == RBAC:
            _escalation(call, new)


def namespace_exists(call: Call, obj: Object) -> None:
    """NamespaceLifecycle: nothing is created in a namespace that is missing or being deleted."""
    if not call.type.namespaced:
        return
    entry = call.cluster.store.collection(("", "namespaces")).get("", call.namespace)
    if entry is None:
        raise not_found("namespaces", call.namespace)
    if (entry.obj.get("status") or {}).get("phase") == "Terminating":
        name = obj["metadata"].get("name", "")
        text = f"unable to create new content in namespace {call.namespace} because it is being terminated"
        cause = Cause("metadata.namespace", "NamespaceTerminating", f"namespace {call.namespace} is being terminated")
        raise forbidden(call.type.group_resource, name, text, [cause])


def _service_account(call: Call, pod: Object) -> None:
    spec, name = pod["spec"], pod["metadata"].get("name", "")
    account_name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = account_name
    entry = call.cluster.store.collection(("", "serviceaccounts")).get(call.namespace, account_name)
    if entry is None:
        text = (
            f"error looking up service account {call.namespace}/{account_name}:"
            f' serviceaccount "{account_name}" not found'
        )
        raise forbidden("pods", name, text)
    account = entry.obj
    automount = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
    if automount:
        _mount_token(spec)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(item) for item in account["imagePullSecrets"]]


def _mount_token(spec: dict[str, Any]) -> None:
    volumes = spec.get("volumes") or []
    volume_name = next((v["name"] for v in volumes if v["name"].startswith("kube-api-access-")), "")
    needed = False
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        mounts = container.get("volumeMounts") or []
        if any(mount.get("mountPath") == _TOKEN_PATH for mount in mounts):
            continue
        needed = True
        volume_name = volume_name or "kube-api-access-" + _random_suffix()
        container["volumeMounts"] = [*mounts, {"name": volume_name, "readOnly": True, "mountPath": _TOKEN_PATH}]
    if needed and not any(v["name"] == volume_name for v in volumes):
        spec["volumes"] = [*volumes, _token_volume(volume_name)]


def _random_suffix() -> str:
    return "".join(random.choices(_SUFFIX, k=5))


def _token_volume(name: str) -> dict[str, Any]:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 420}}


def _priority(call: Call, pod: Object) -> None:
    spec = pod["spec"]
    classes = call.cluster.store.collection(("scheduling.k8s.io", "priorityclasses"))
    wanted = spec.get("priorityClassName", "")
    if wanted:
        entry = classes.get("", wanted)
        if entry is None:
            raise forbidden("pods", pod["metadata"].get("name", ""), f"no PriorityClass with name {wanted} was found")
        chosen = entry.obj
    else:
        defaults = [e.obj for e in classes.scan() if e.obj.get("globalDefault")]
        chosen = min(defaults, key=lambda c: int(c["value"])) if defaults else {"value": 0}
        if defaults:
            spec["priorityClassName"] = chosen["metadata"]["name"]
    value = int(chosen["value"])
    if "priority" in spec and spec["priority"] != value:
        text = (
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority admission"
            f" controller computed {value} from the given PriorityClass name"
        )
        raise forbidden("pods", pod["metadata"].get("name", ""), text)
    spec["priority"] = value
    policy = chosen.get("preemptionPolicy", "PreemptLowerPriority")
    if spec.setdefault("preemptionPolicy", policy) != policy:
        text = (
            f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; priority"
            f" admission controller computed {policy} from the given PriorityClass name"
        )
        raise forbidden("pods", pod["metadata"].get("name", ""), text)


def _runtime_class(call: Call, pod: Object) -> None:
    """RuntimeClass: a pod has the overhead of its class, and goes where that is served; without the class it is refused."""
    spec, name = pod["spec"], pod["metadata"].get("name", "")
    wanted, given = spec.get("runtimeClassName"), spec.get("overhead")
    chosen: Object = {}
    if wanted:
        entry = call.cluster.store.collection(("node.k8s.io", "runtimeclasses")).get("", wanted)
        if entry is None:
            raise forbidden("pods", name, f'pod rejected: RuntimeClass "{wanted}" not found')
        chosen = entry.obj
    overhead = (chosen.get("overhead") or {}).get("podFixed")
    if given and not overhead:
        text = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
        raise forbidden("pods", name, text)
    if given and given != overhead:
        text = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
        raise forbidden("pods", name, text)
    if overhead:
        spec["overhead"] = dict(overhead)
    scheduling = chosen.get("scheduling") or {}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        own = spec.setdefault("nodeSelector", {}).setdefault(key, value)
        if own != value:
            text = (
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
            )
            raise forbidden("pods", name, text)
    more = [one for one in scheduling.get("tolerations") or () if one not in spec["tolerations"]]
    spec["tolerations"] = [*spec["tolerations"], *more]


def _tolerations(spec: dict[str, Any]) -> None:
    """DefaultTolerationSeconds: pods stay five minutes on a node that is not ready or not reachable."""
    tolerations = spec.get("tolerations") or []
    for key in (_NOT_READY, _UNREACHABLE):
        if not any(t.get("key", "") in (key, "") and t.get("effect", "") in ("NoExecute", "") for t in tolerations):
            entry = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            tolerations = [*tolerations, entry]
    spec["tolerations"] = tolerations


def _unready(node: Object) -> None:
    """TaintNodesByCondition: a new node gets no pods before the node lifecycle controller has looked at it."""
    taints = node.setdefault("spec", {}).setdefault("taints", [])
    if not any(taint.get("key") == _NOT_READY and taint.get("effect") == "NoSchedule" for taint in taints):
        taints.append({"key": _NOT_READY, "effect": "NoSchedule"})


def _protect(obj: Object, finalizer: str) -> None:
    """StorageObjectInUseProtection: the finalizer that a controller takes away once nothing uses the object."""
    finalizers = obj["metadata"].setdefault("finalizers", [])
    if finalizer not in finalizers:
        finalizers.append(finalizer)


def _storage_class(call: Call, claim: Object) -> None:
    spec = claim.get("spec") or {}
    if "storageClassName" in spec or "volume.beta.kubernetes.io/storage-class" in (
        claim["metadata"].get("annotations") or {}
    ):
        return
    classes = [
        entry.obj
        for entry in call.cluster.store.collection(("storage.k8s.io", "storageclasses")).scan()
        if (entry.obj["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
    ]
    if classes:
        newest = max(classes, key=lambda c: (c["metadata"]["creationTimestamp"], c["metadata"]["name"]))
        spec["storageClassName"] = newest["metadata"]["name"]


def _ingress_class(call: Call, ingress: Object) -> None:
    spec = ingress.get("spec") or {}
    annotations = ingress["metadata"].get("annotations") or {}
    if "ingressClassName" in spec or "kubernetes.io/ingress.class" in annotations:
        return
    default = "ingressclass.kubernetes.io/is-default-class"
    classes = [
        entry.obj["metadata"]
        for entry in call.cluster.store.collection(("networking.k8s.io", "ingressclasses")).scan()
        if (entry.obj["metadata"].get("annotations") or {}).get(default) == "true"
    ]
    if classes:
        newest = max(classes, key=lambda m: (m["creationTimestamp"], m["name"]))
        spec["ingressClassName"] = newest["name"]


def _claim_growth(call: Call, new: Object, old: Object) -> None:
    """PersistentVolumeClaimResize: only a class that allows it lets a claim ask for more."""

    def wanted(claim: Object) -> Any:
        return ((claim.get("spec") or {}).get("resources") or {}).get("requests", {}).get("storage")

    if wanted(new) == wanted(old):
        return
    name = (old.get("spec") or {}).get("storageClassName", "")
    entry = call.cluster.store.collection(("storage.k8s.io", "storageclasses")).get("", name) if name else None
    bound = (old.get("status") or {}).get("phase") == "Bound"
    if bound and (entry is None or not entry.obj.get("allowVolumeExpansion")):
        text = (
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must"
            " support resize"
        )
        raise forbidden("persistentvolumeclaims", new["metadata"]["name"], text)


def _escalation(call: Call, obj: Object) -> None:
    """Nobody may grant rights they do not have (unless they may escalate or bind)."""
    authorizer, user = call.cluster.authorizer, call.user
    if "system:masters" in user.groups:
        return
    namespace, resource = call.namespace, call.type.resource
    name = obj["metadata"]["name"]
    if resource in ("roles", "clusterroles"):
        granted = obj.get("rules") or []
        bypass = Attributes("escalate", RBAC, resource, namespace=namespace, name=name)
    else:
        reference = obj["roleRef"]
        roles = call.cluster.store.collection((RBAC, "roles" if reference["kind"] == "Role" else "clusterroles"))
        role = roles.get(namespace if reference["kind"] == "Role" else "", reference["name"])
        granted = role.obj.get("rules") or [] if role is not None else []
        kind = "roles" if reference["kind"] == "Role" else "clusterroles"
        bypass = Attributes("bind", RBAC, kind, namespace=namespace, name=reference["name"])
    if authorizer.allowed(user, bypass):
        return
    missing = uncovered(list(authorizer.rules_for(user, namespace)), granted)
    if missing:
        listed = "\n".join(_describe(rule) for rule in missing)
        groups = " ".join(f'"{group}"' for group in user.groups)
        text = (
            f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
            f"{listed}"
        )
        raise forbidden(call.type.group_resource, name, text)


def _describe(rule: dict[str, Any]) -> str:
    def listed(values: list[str]) -> str:
        return "[" + ", ".join(f'"{v}"' for v in values) + "]"

    if "nonResourceURLs" in rule:
        return f"{{NonResourceURLs:{listed(rule['nonResourceURLs'])}, Verbs:{listed(rule['verbs'])}}}"
    names = f", ResourceNames:{listed(rule['resourceNames'])}" if "resourceNames" in rule else ""
    return (
        f"{{APIGroups:{listed(rule['apiGroups'])}, Resources:{listed(rule['resources'])}{names},"
        f" Verbs:{listed(rule['verbs'])}}}"
    )
