# SPDX-License-Identifier: Apache-2.0
"""Tokens of service accounts (the TokenRequest API)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from kubetwin.apiserver import clock, encode
from kubetwin.apiserver import schema as schemas
from kubetwin.apiserver.call import Call
from kubetwin.apiserver.fields import managed
from kubetwin.apiserver.rest import pipeline
from kubetwin.apiserver.rest.read import find
from kubetwin.apiserver.status import Cause, invalid, not_found
from kubetwin.apiserver.tokens import DEFAULT_SECONDS, ISSUER
from kubetwin.serving.http import Response

_BINDABLE = {"Pod": ("pod", ("", "pods")), "Secret": ("secret", ("", "secrets")), "Node": ("node", ("", "nodes"))}


def create_token(call: Call) -> Response:
    media = call.accept()
    account = find(call).obj
    body, _ = pipeline.parse_body(call)
    spec: dict[str, Any] = dict(body.get("spec") or {})
    seconds = spec.get("expirationSeconds") or DEFAULT_SECONDS
    if seconds < 600:
        text = "may not specify a duration less than 10 minutes"
        cause = Cause.invalid("spec.expirationSeconds", seconds, text)
        raise invalid("TokenRequest.authentication.k8s.io", "", [cause])
    audiences = spec.get("audiences") or [ISSUER]
    meta = account["metadata"]
    claims: dict[str, Any] = {
        "namespace": meta["namespace"],
        "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
    }
    if bound := spec.get("boundObjectRef"):
        claim, storage = _BINDABLE.get(bound.get("kind", ""), ("", ("", "")))
        if not claim:
            text = f'cannot bind token for serviceaccount "{meta["name"]}" to object {bound.get("kind")}'
            raise invalid("TokenRequest.authentication.k8s.io", "", [Cause.invalid("spec.boundObjectRef", bound, text)])
        namespace = "" if claim == "node" else meta["namespace"]
        target = call.cluster.store.collection(storage).get(namespace, bound.get("name", ""))
        if target is None:
            raise not_found(storage[1], bound.get("name", ""))
        claims[claim] = {"name": bound["name"], "uid": target.obj["metadata"]["uid"]}
    subject = f"system:serviceaccount:{meta['namespace']}:{meta['name']}"
    token = call.cluster.signer.issue({"aud": audiences, "kubernetes.io": claims, "sub": subject}, seconds)
    answer: dict[str, Any] = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "creationTimestamp": clock.now()},
        "spec": {**spec, "audiences": audiences, "expirationSeconds": seconds},
        "status": {
            "token": token,
            "expirationTimestamp": clock.rfc3339(datetime.now(UTC) + timedelta(seconds=seconds)),
        },
    }
    answer["spec"].setdefault("boundObjectRef", None)
    own_token_request(call, answer, spec)
    return encode.render(msgspec.json.encode(answer), media, 201)


def own_token_request(call: Call, answer: dict[str, Any], spec: dict[str, Any]) -> None:
    """Token requests are not stored, but their answer tells who asked."""
    meta: dict[str, Any] = {}
    body = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": meta, "spec": spec}
    managed.update(
        None,
        body,
        manager=call.field_manager,
        schema=schemas.for_kind("authentication.k8s.io/v1", "TokenRequest"),
        api_version="authentication.k8s.io/v1",
        subresource="token",
        now=clock.now(),
    )
    answer["metadata"]["managedFields"] = meta.get("managedFields", [])
