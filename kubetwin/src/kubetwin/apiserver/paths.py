# SPDX-License-Identifier: Apache-2.0
"""What a request asks for, read from its method and path (as apiserver's ``RequestInfo``)."""

from __future__ import annotations

from dataclasses import dataclass

from kubetwin.serving import query
from kubetwin.serving.http import Request

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclass(slots=True)
class RequestInfo:
    """``is_resource`` is False for paths outside ``/api`` and ``/apis`` (and for discovery)."""

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    rest: str = ""


def parse(request: Request) -> RequestInfo:
    """The request's info; never fails (unknown paths are non-resource requests)."""
    path = request.path
    if "//" in path:
        return RequestInfo(verb=request.method.lower(), path=path)
    info = RequestInfo(verb=request.method.lower(), path=path)
    parts = [part for part in path.split("/") if part]
    if not parts or parts[0] not in ("api", "apis"):
        return info
    if parts[0] == "apis":
        if len(parts) < 4:
            return info
        info.group, info.version, rest = parts[1], parts[2], parts[3:]
    else:
        if len(parts) < 3:
            return info
        info.version, rest = parts[1], parts[2:]
    info.is_resource = True
    info.verb = _VERBS.get(request.method, "")
    forced_watch = rest[0] == "watch" and len(rest) > 1
    if forced_watch:
        rest = rest[1:]
    if rest[0] == "namespaces" and len(rest) > 1:
        info.namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    info.resource = rest[0]
    info.name = rest[1] if len(rest) > 1 else ""
    info.subresource = rest[2] if len(rest) > 2 else ""
    info.rest = "/".join(rest[3:])
    if info.verb == "get" and (not info.name or forced_watch):
        info.verb = "list"
        if not info.name:
            for term in request.param("fieldSelector").split(","):
                key, equals, value = term.partition("=")
                if key == "metadata.name" and equals:
                    info.name = value.removeprefix("=")
    if info.verb == "delete" and not info.name:
        info.verb = "deletecollection"
    if info.verb in ("list", "get") and (forced_watch or query.flag(request, "watch")):
        info.verb = "watch" if info.verb == "list" else info.verb
    return info
