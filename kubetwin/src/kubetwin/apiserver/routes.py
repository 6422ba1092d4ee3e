# SPDX-License-Identifier: Apache-2.0
"""Which handler answers which verb on which (sub)resource."""

from __future__ import annotations

from kubetwin.apiserver import admission
from kubetwin.apiserver.call import Call
from kubetwin.apiserver.rest import accounts, delete, patching, pods, proxy, read, reviews, scale, watch, write
from kubetwin.apiserver.status import bad_request, method_not_allowed, method_not_allowed_on_path, path_not_found
from kubetwin.serving.http import Response

_PLAIN = {
    "get": read.get,
    "list": read.list_objects,
    "watch": watch.watch,
    "create": write.create,
    "update": write.update,
    "patch": patching.patch,
    "delete": delete.delete,
    "deletecollection": delete.delete_collection,
}
# Subresources that change parts of the object itself.
_VIEWS = frozenset(("status", "approval", "ephemeralcontainers", "resize", "finalize"))
_NAMED = frozenset(("create", "update", "patch"))
_STREAMS = frozenset(("exec", "attach", "portforward", "proxy"))


async def dispatch(call: Call) -> Response:
    """Raises ApiError 404 and 405 for what is not served."""
    info, resource_type = call.info, call.type
    if resource_type.deprecation and resource_type.crd_version is not None:
        # Of custom resources that is said whatever becomes of the request.
        call.warnings.append(resource_type.deprecation)
    proxied = info.subresource == "proxy" and resource_type.resource in ("pods", "services")
    if call.request.method == "HEAD" and not proxied:
        raise method_not_allowed_on_path()
    if info.subresource:
        return await _subresource(call)
    if info.namespace and not resource_type.namespaced and resource_type.resource != "namespaces":
        raise path_not_found()
    needs_name = info.verb in ("update", "patch")
    if info.verb not in resource_type.verbs or (bool(info.name) is not needs_name and info.verb in _NAMED):
        raise method_not_allowed_on_path()
    if resource_type.deprecation and resource_type.crd_version is None:
        call.warnings.append(resource_type.deprecation)
    if resource_type.storage_key in reviews.RESOURCES:
        return reviews.create(call)
    if resource_type.storage_key == ("", "bindings"):
        return pods.bind(call)
    if info.verb == "create":
        await admission.wait_for_account(call)
    return _PLAIN[info.verb](call)


async def _subresource(call: Call) -> Response:
    info = call.info
    sub = call.type.subresources.get(info.subresource)
    if sub is None:
        raise path_not_found()
    proxied = info.subresource == "proxy" and call.type.resource in ("pods", "services")
    if info.verb not in sub.verbs and not (proxied and call.request.method == "OPTIONS"):
        raise method_not_allowed_on_path()
    match info.subresource:
        case "scale":
            return scale.handle(call)
        case "log":
            return await pods.logs(call)
        case "binding":
            return pods.bind(call)
        case "eviction":
            return pods.evict(call)
        case "proxy" if proxied:
            return await proxy.proxy(call)
        case "token":
            return accounts.create_token(call)
        case name if name in _VIEWS:
            if info.verb == "get":
                return read.get(call)
            return write.update(call, name) if info.verb == "update" else patching.patch(call, name)
        case name if name in _STREAMS:
            read.find(call)
            raise bad_request("Upgrade request required")
    raise method_not_allowed(call.type.group_resource, info.verb)
