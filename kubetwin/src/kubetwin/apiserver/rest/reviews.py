# SPDX-License-Identifier: Apache-2.0
"""Questions to the server that are answered and not stored: who am I, may I, whose token is this."""

from __future__ import annotations

from typing import Any

import msgspec

from kubetwin.apiserver import auth, clock, encode
from kubetwin.apiserver.call import Call
from kubetwin.apiserver.rbac import Attributes
from kubetwin.apiserver.rest import pipeline
from kubetwin.apiserver.status import Cause, bad_request, invalid
from kubetwin.apiserver.store import Object
from kubetwin.serving.http import Response, User

RESOURCES = frozenset(
    (
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "localsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    )
)


def create(call: Call) -> Response:
    media = call.accept()
    obj = pipeline.decode_body(call, call.type)
    meta = obj["metadata"]
    for name in ("uid", "creationTimestamp", "resourceVersion"):
        meta.pop(name, None)
    if call.type.resource == "selfsubjectreviews":
        meta["creationTimestamp"] = clock.now()
    else:
        pipeline.own(call, None, obj, clock.now())
    spec = obj.get("spec") or {}
    match call.type.resource:
        case "selfsubjectreviews":
            obj["status"] = {"userInfo": user_info(call.user)}
        case "tokenreviews":
            obj["status"] = _token(call, spec)
        case "selfsubjectrulesreviews":
            obj["status"] = _rules(call, spec)
            obj["metadata"], obj["spec"] = {}, {}
        case "selfsubjectaccessreviews":
            obj["status"] = _access(call, obj, spec, call.user)
        case _:
            if call.type.namespaced:
                _check_local(call, spec)
                meta["namespace"] = call.namespace
            user = User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""))
            obj["status"] = _access(call, obj, spec, user)
    ordered = {k: obj[k] for k in ("kind", "apiVersion", "metadata", "spec", "status") if k in obj}
    return encode.render(msgspec.json.encode(ordered), media, 201)


def user_info(user: User) -> dict[str, Any]:
    info: dict[str, Any] = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _token(call: Call, spec: dict[str, Any]) -> dict[str, Any]:
    token = spec.get("token", "")
    if not token:
        raise bad_request("token is required for TokenReview in authentication")
    user = auth.token_user(call.cluster, token)
    if user is None:
        return {"user": {}, "error": "[invalid bearer token, token lookup failed]"}
    audiences = spec.get("audiences") or ["https://kubernetes.default.svc.cluster.local"]
    return {"authenticated": True, "user": user_info(user), "audiences": audiences}


def _check_local(call: Call, spec: dict[str, Any]) -> None:
    wanted = (spec.get("resourceAttributes") or {}).get("namespace", "")
    if wanted != call.namespace:
        cause = Cause.invalid("spec.resourceAttributes.namespace", wanted, "must match metadata.namespace")
        raise invalid(call.type.group_kind, "", [cause])


def _access(call: Call, obj: Object, spec: dict[str, Any], user: User) -> dict[str, Any]:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        text = "cannot be specified in combination with resourceAttributes"
        raise invalid(call.type.group_kind, "", [Cause.invalid("spec.nonResourceAttributes", path, text)])
    if resource is None and path is None:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        # The real server forgets to name the kind here.
        raise invalid(f".{call.type.group}", "", [Cause.invalid("spec.resourceAttributes", None, text)])
    if call.type.resource != "selfsubjectaccessreviews" and not user.name and not user.groups:
        text = "at least one of user or group must be specified"
        raise invalid(call.type.group_kind, "", [Cause.invalid("spec.user", "", text)])
    if resource is not None:
        attributes = Attributes(
            verb=resource.get("verb", ""),
            group=resource.get("group", ""),
            resource=resource.get("resource", ""),
            subresource=resource.get("subresource", ""),
            namespace=resource.get("namespace", ""),
            name=resource.get("name", ""),
        )
    else:
        attributes = Attributes(verb=(path or {}).get("verb", ""), path=(path or {}).get("path", "") or "/")
    reason = call.cluster.authorizer.reason(user, attributes)
    status: dict[str, Any] = {"allowed": reason is not None}
    if reason:
        status["reason"] = reason
    return status


def _rules(call: Call, spec: dict[str, Any]) -> dict[str, Any]:
    namespace = spec.get("namespace", "")
    if not namespace:
        raise bad_request("no namespace on request")
    resource_rules: list[dict[str, Any]] = []
    other_rules: list[dict[str, Any]] = []
    rules = list(call.cluster.authorizer.rules_for(call.user, namespace))
    if "system:masters" in call.user.groups:
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        if everything not in rules:
            rules += [everything, {"verbs": ["*"], "nonResourceURLs": ["*"]}]
    for rule in rules:
        if rule.get("resources"):
            keys = ("verbs", "apiGroups", "resources", "resourceNames")
            resource_rules.append({k: rule[k] for k in keys if rule.get(k)})
        if rule.get("nonResourceURLs"):
            other_rules.append({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]})
    return {"resourceRules": resource_rules, "nonResourceRules": other_rules, "incomplete": False}
