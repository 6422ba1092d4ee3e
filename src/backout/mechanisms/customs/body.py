# SPDX-License-Identifier: Apache-2.0
"""What a custom resource says: everything but metadata and status. Pure, and never shown as a whole: it may hold secrets."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from backout.changes.authors import authors
from backout.cluster.port import Object
from backout.kube.intent import canonical_template
from backout.kube.names import LAST_APPLIED
from backout.kube.templates import digest_of, plain_template

_NOT = ("apiVersion", "kind", "metadata", "status")


def body_of(obj: Object) -> Object:
    """What it says."""
    return {key: value for key, value in obj.items() if key not in _NOT}


def applied_to(live: Object) -> tuple[Object, datetime | None] | None:
    """What it would say if what was changed since its last `kubectl apply` were taken back, and when that was; None where it has no
    such note, or one of another version of its kind.

    What the note does not say stays: its operator, and the defaults of its schema, fill in the rest.
    """
    try:
        found = json.loads((live["metadata"].get("annotations") or {}).get(LAST_APPLIED) or "null")
    except ValueError:
        return None
    if not isinstance(found, dict) or any(found.get(key) != live[key] for key in ("apiVersion", "kind")):
        return None
    if (found.get("metadata") or {}).get("name") != live["metadata"]["name"]:
        return None
    path = f'metadata.annotations["{LAST_APPLIED}"]'
    since = next((author.at for author in authors(live) if author.owns(path)), None)
    return _over(body_of(live), body_of(found)), since


def _over(live: Any, said: Any) -> Any:
    if isinstance(live, dict) and isinstance(said, dict):
        return {**live, **{key: _over(live.get(key), value) for key, value in said.items()}}
    return said


def with_template(obj: Object, template: dict[str, Any]) -> Object:
    """What it says, with another pod template."""
    body = body_of(obj)
    return {**body, "spec": {**(body.get("spec") or {}), "template": plain_template(template)}}


def with_replicas_of(body: Object, live: Object) -> Object:
    """With as many replicas as there are to be now, where there are any."""
    spec, now = body.get("spec"), (live.get("spec") or {}).get("replicas")
    if not isinstance(spec, dict) or "replicas" not in spec or now is None:
        return body
    return {**body, "spec": {**spec, "replicas": now}}


def template_of(body: Object) -> dict[str, Any] | None:
    """The pod template in it, where it has one."""
    template = (body.get("spec") or {}).get("template") if isinstance(body.get("spec"), dict) else None
    containers = (template.get("spec") or {}).get("containers") if isinstance(template, dict) else None
    return template if isinstance(containers, list) else None


def digest(body: Object) -> str:
    """Names what it says."""
    return digest_of(meant(body))


def meant(body: Object) -> Object:
    """What it says, a pod template as what it means: one that was read from a ReplicaSet has its defaults."""
    template = template_of(body)
    if template is None:
        return body
    plain = canonical_template(plain_template(template))
    return {**body, "spec": {**body["spec"], "template": plain}}


def patch(live: Object, wanted: Object) -> list[dict[str, Any]]:
    """A JSON patch from what ``live`` says to ``wanted``: only the parts of the spec that differ, if nobody changed it since."""
    meta = live["metadata"]
    now = body_of(live)
    found: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": meta["uid"]}]
    if meta.get("generation") is not None:
        found.append({"op": "test", "path": "/metadata/generation", "value": meta["generation"]})
    for key in sorted(now.keys() | wanted.keys()):
        before, after = now.get(key), wanted.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += _parts(f"/{_escaped(key)}", before, after)
        elif before != after:
            found.append(_set(f"/{_escaped(key)}", after))
    return found


def _parts(path: str, before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        _set(f"{path}/{_escaped(key)}", after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _set(path: str, value: Any) -> dict[str, Any]:
    return {"op": "remove", "path": path} if value is None else {"op": "add", "path": path, "value": value}


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
