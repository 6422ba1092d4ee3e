# SPDX-License-Identifier: Apache-2.0
"""Subresources of pods: binding, eviction, logs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from kubetwin.apiserver import clock, encode, selectors
from kubetwin.apiserver.call import Call, check_dry_run
from kubetwin.apiserver.rest import delete, pipeline
from kubetwin.apiserver.rest.read import find
from kubetwin.apiserver.schema import times
from kubetwin.apiserver.status import (
    ApiError,
    Cause,
    bad_request,
    conflict,
    internal_error,
    invalid,
    not_found,
    too_many_requests,
)
from kubetwin.apiserver.store import Entry, Object
from kubetwin.serving import query
from kubetwin.serving.http import Response
from kubetwin.serving.logs import LogOptions, LogUnavailable

SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
_PDBS = ("policy", "poddisruptionbudgets")


def bind(call: Call) -> Response:
    """Assign a pod to a node (``pods/NAME/binding``, or ``bindings`` with the pod's name in the body)."""
    media = call.accept()
    binding, _ = pipeline.parse_body(call)
    meta, target = binding.get("metadata") or {}, binding.get("target") or {}
    call.info.name = call.info.name or meta.get("name", "")
    if target.get("kind", "Node") not in ("", "Node"):
        text = 'supported values: "Node", "<empty>"'
        cause = Cause.of("FieldValueNotSupported", "target.kind", target["kind"], text)
        raise invalid("Binding", call.name, [cause])
    if not target.get("name"):
        raise invalid("Binding", call.name, [Cause.required("target.name")])
    collection = call.cluster.store.collection(("", "pods"))
    entry = collection.get(call.namespace, call.name)
    if entry is None:
        raise not_found("pods", call.name)
    _check_bindable(call, entry, meta)
    pod = entry.copy()
    pod["spec"]["nodeName"] = target["name"]
    _copy_topology(call, pod, target["name"])
    if meta.get("annotations"):
        pod["metadata"]["annotations"] = {**(pod["metadata"].get("annotations") or {}), **meta["annotations"]}
    _set_condition(pod, {"type": "PodScheduled", "status": "True", "lastProbeTime": None}, clock.now())
    if not call.dry_run:
        collection.put(entry.key, pod)
    return encode.render(msgspec.json.encode(SUCCESS), media, 201)


def _copy_topology(call: Call, pod: Object, node_name: str) -> None:
    """PodTopologyLabels: a pod carries the zone and region of the node it is bound to."""
    node = call.cluster.store.collection(("", "nodes")).get("", node_name)
    labels = (node.obj["metadata"].get("labels") or {}) if node is not None else {}
    found = {key: labels[key] for key in _TOPOLOGY if key in labels}
    if found:
        pod["metadata"]["labels"] = {**(pod["metadata"].get("labels") or {}), **found}


def _check_bindable(call: Call, entry: Entry, meta: dict[str, Any]) -> None:
    pod = entry.obj
    if meta.get("uid") and meta["uid"] != pod["metadata"]["uid"]:
        text = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {pod['metadata']['uid']}"
        raise conflict("pods/binding", call.name, text)
    if pod["metadata"].get("deletionTimestamp"):
        raise conflict("pods/binding", call.name, f"pod {call.name} is being deleted, cannot be assigned to a host")
    if pod["spec"].get("nodeName"):
        text = f'pod {call.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        raise conflict("pods/binding", call.name, text)
    if pod["spec"].get("schedulingGates"):
        text = f"pod {call.name} has non-empty .spec.schedulingGates"
        raise conflict("pods/binding", call.name, text)


def _set_condition(pod: Object, condition: dict[str, Any], now: str) -> None:
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    for index, known in enumerate(conditions):
        if known["type"] == condition["type"]:
            moment = known.get("lastTransitionTime") if known["status"] == condition["status"] else now
            conditions[index] = {**condition, "lastTransitionTime": moment}
            return
    conditions.append({**condition, "lastTransitionTime": now})


def evict(call: Call) -> Response:
    """Delete a pod if its disruption budget allows; raises ApiError 429 when not."""
    media = call.accept()
    body, _ = pipeline.parse_body(call)
    if (body.get("metadata") or {}).get("name", "") != call.name:
        raise bad_request("name in URL does not match name in Eviction object")
    entry = find(call)
    raw = body.get("deleteOptions") or {}
    preconditions = raw.get("preconditions") or {}
    options = delete.DeleteOptions(
        grace=raw.get("gracePeriodSeconds"),
        policy=raw.get("propagationPolicy") or "",
        uid=preconditions.get("uid"),
        version=preconditions.get("resourceVersion"),
        dry_run=call.dry_run or check_dry_run(raw.get("dryRun") or [], "DeleteOptions"),
    )
    if not _needs_no_budget(entry.obj):
        _spend_budget(call, entry.obj, options.dry_run)
    delete.check_preconditions(call, entry, options)
    if not options.dry_run:
        pod = entry.copy()
        condition = {"type": "DisruptionTarget", "status": "True", "lastProbeTime": None}
        condition |= {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
        _set_condition(pod, condition, clock.now())
        entry = call.collection.put(entry.key, pod)
        options.version = None
    delete.delete_object(call, entry, options)
    return encode.render(msgspec.json.encode(SUCCESS), media, 201)


def _needs_no_budget(pod: Object) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _spend_budget(call: Call, pod: Object, dry_run: bool) -> None:
    collection = call.cluster.store.collection(_PDBS)
    labels = pod["metadata"].get("labels") or {}
    found = [
        entry
        for entry in collection.scan(call.namespace)
        if selectors.matches_label_selector((entry.obj.get("spec") or {}).get("selector"), labels)
    ]
    if not found:
        return
    if len(found) > 1:
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise ApiError(500, "", text)
    budget = found[0].copy()
    status = budget.setdefault("status", {})
    if not _ready(pod):
        if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
            return
        if status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0:
            return
    name = budget["metadata"]["name"]
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _refused(f"The disruption budget {name} is still being processed by the server.", 10)
    if status.get("disruptionsAllowed", 0) <= 0:
        raise _refused(
            f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods and has"
            f" {status.get('currentHealthy', 0)} currently",
            0,
        )
    status["disruptionsAllowed"] -= 1
    status.setdefault("disruptedPods", {})[pod["metadata"]["name"]] = clock.now()
    if not dry_run:
        collection.put(found[0].key, budget)


def _refused(why: str, retry_after: int) -> ApiError:
    error = too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", retry_after)
    error.details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_after:
        error.details["retryAfterSeconds"] = retry_after
    return error


async def logs(call: Call) -> Response:
    pod = find(call).obj
    options = _log_options(call)
    container = _container(call, pod, call.request.param("container"))
    if not (pod.get("spec") or {}).get("nodeName"):
        # A pod without a node has no log yet: no content, instead of an error.
        return Response(204, {}, b"")
    source = call.cluster.log_source
    if source is None:
        node = pod["spec"]["nodeName"]
        raise internal_error(f"no kubelet of node {node} is connected")
    try:
        stream = await source(pod, container, options)
    except LogUnavailable as error:
        if error.code == 400:
            raise bad_request(error.message) from None
        raise ApiError(error.code, "NotFound", error.message) from None
    return Response(200, {"Content-Type": "text/plain"}, stream=_limited(stream, options.limit_bytes))


async def _limited(stream: AsyncIterator[bytes], limit: int | None) -> AsyncIterator[bytes]:
    async for chunk in stream:
        if limit is None:
            yield chunk
            continue
        yield chunk[:limit]
        limit -= len(chunk)
        if limit <= 0:
            return


def _container(call: Call, pod: Object, wanted: str) -> str:
    spec = pod.get("spec") or {}
    regular = [c["name"] for c in spec.get("containers") or ()]
    initial = [c["name"] for c in spec.get("initContainers") or ()]
    ephemeral = [c["name"] for c in spec.get("ephemeralContainers") or ()]
    if wanted:
        if wanted not in (*regular, *initial, *ephemeral):
            raise bad_request(f"container {wanted} is not valid for pod {call.name}")
        return wanted
    if len(regular) == 1:
        return str(regular[0])
    names = " ".join([*initial, *regular, *ephemeral])
    raise bad_request(f"a container name must be specified for pod {call.name}, choose one of: [{names}]")


def _log_options(call: Call) -> LogOptions:
    request = call.request
    try:
        since = times.canonical(text, micro=False) if (text := request.param("sinceTime")) else ""
    except ValueError as error:
        raise bad_request(str(error)) from None
    options = LogOptions(
        follow=query.flag(request, "follow"),
        previous=query.flag(request, "previous"),
        since_seconds=query.integer(request, "sinceSeconds"),
        since_time=since,
        timestamps=query.flag(request, "timestamps"),
        tail_lines=query.integer(request, "tailLines"),
        limit_bytes=query.integer(request, "limitBytes"),
        stream=request.param("stream", "All"),
    )
    causes = []
    if options.tail_lines is not None and options.tail_lines < 0:
        causes.append(Cause.invalid("tailLines", options.tail_lines, "must be greater than or equal to 0"))
    if options.limit_bytes is not None and options.limit_bytes < 1:
        causes.append(Cause.invalid("limitBytes", options.limit_bytes, "must be greater than or equal to 1"))
    if options.since_seconds is not None and options.since_time:
        causes.append(Cause.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    if options.since_seconds is not None and options.since_seconds < 1:
        causes.append(Cause.invalid("sinceSeconds", options.since_seconds, "must be greater than or equal to 1"))
    if causes:
        raise invalid("PodLogOptions", call.name, causes)
    return options
