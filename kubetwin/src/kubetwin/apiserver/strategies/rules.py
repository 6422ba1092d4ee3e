# SPDX-License-Identifier: Apache-2.0
"""The rules of single resources, by storage group and resource."""

from __future__ import annotations

import base64

from kubetwin.apiserver.store import Object
from kubetwin.apiserver.strategies import pods, services, workloads
from kubetwin.apiserver.strategies.context import Context, CreateRule, UpdateRule


def _create_namespace(obj: Object, context: Context) -> None:
    obj["status"] = {"phase": "Active"}
    finalizers = obj.setdefault("spec", {}).setdefault("finalizers", [])
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")


def _update_namespace(new: Object, old: Object, subresource: str, context: Context) -> None:
    if subresource == "finalize":
        new["status"] = old.get("status", {})
    elif subresource != "status":
        new["spec"] = old.get("spec", {})


def _secret(obj: Object) -> None:
    plain = obj.pop("stringData", None)
    if plain:
        data = obj.setdefault("data", {})
        for key, value in plain.items():
            data[key] = base64.b64encode(value.encode()).decode()


def _create_secret(obj: Object, context: Context) -> None:
    _secret(obj)


def _update_secret(new: Object, old: Object, subresource: str, context: Context) -> None:
    _secret(new)
    if not new.get("type"):
        new["type"] = old.get("type", "Opaque")


def _create_claim(obj: Object, context: Context) -> None:
    obj["status"] = {"phase": "Pending"}


def _create_volume(obj: Object, context: Context) -> None:
    obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": context.now}


def _update_volume(new: Object, old: Object, subresource: str, context: Context) -> None:
    if subresource == "status":
        phase, before = new.get("status", {}).get("phase"), (old.get("status") or {}).get("phase")
        if phase != before and not new["status"].get("lastPhaseTransitionTime"):
            new["status"]["lastPhaseTransitionTime"] = context.now


def _create_node(obj: Object, context: Context) -> None:
    obj.setdefault("spec", {})
    obj.setdefault("status", {})


def _create_signing_request(obj: Object, context: Context) -> None:
    user = context.user
    obj["spec"]["username"] = user.name
    obj["spec"]["groups"] = list(user.groups)
    if user.uid:
        obj["spec"]["uid"] = user.uid
    if user.extra:
        obj["spec"]["extra"] = {name: list(values) for name, values in user.extra.items()}


def _update_signing_request(new: Object, old: Object, subresource: str, context: Context) -> None:
    new["spec"] = old["spec"]


def _create_definition(obj: Object, context: Context) -> None:
    stored = [v["name"] for v in obj.get("spec", {}).get("versions") or () if v.get("storage")]
    obj["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}


def _create_role(obj: Object, context: Context) -> None:
    # Stored objects are binary on a real server, where no list is no different from an empty one.
    if obj.get("rules") == [] and not context.dry_run:
        obj["rules"] = None


def _update_role(new: Object, old: Object, subresource: str, context: Context) -> None:
    _create_role(new, context)


CREATE: dict[tuple[str, str], CreateRule] = {
    ("", "namespaces"): _create_namespace,
    ("", "nodes"): _create_node,
    ("", "persistentvolumeclaims"): _create_claim,
    ("", "persistentvolumes"): _create_volume,
    ("", "pods"): pods.create,
    ("", "secrets"): _create_secret,
    ("", "services"): services.create,
    ("apiextensions.k8s.io", "customresourcedefinitions"): _create_definition,
    ("apps", "daemonsets"): workloads.create_daemon_set,
    ("batch", "jobs"): workloads.create_job,
    ("certificates.k8s.io", "certificatesigningrequests"): _create_signing_request,
    ("rbac.authorization.k8s.io", "clusterroles"): _create_role,
    ("rbac.authorization.k8s.io", "roles"): _create_role,
}
UPDATE: dict[tuple[str, str], UpdateRule] = {
    ("", "namespaces"): _update_namespace,
    ("", "persistentvolumes"): _update_volume,
    ("", "pods"): pods.update,
    ("", "secrets"): _update_secret,
    ("", "services"): services.update,
    ("apps", "daemonsets"): workloads.update_daemon_set,
    ("apps", "deployments"): workloads.update_deployment,
    ("certificates.k8s.io", "certificatesigningrequests"): _update_signing_request,
    ("rbac.authorization.k8s.io", "clusterroles"): _update_role,
    ("rbac.authorization.k8s.io", "roles"): _update_role,
}
