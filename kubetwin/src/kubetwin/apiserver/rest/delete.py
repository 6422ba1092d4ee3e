# SPDX-License-Identifier: Apache-2.0
"""delete and deletecollection: preconditions, graceful deletion, finalizers, propagation policies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from kubetwin.apiserver import clock, encode, lifecycle
from kubetwin.apiserver.builtin import RETURNS_DELETED
from kubetwin.apiserver.call import Call, check_dry_run
from kubetwin.apiserver.rest import pipeline
from kubetwin.apiserver.rest.read import find, select
from kubetwin.apiserver.status import ApiError, Cause, bad_request, conflict, invalid
from kubetwin.apiserver.store import Entry, Object
from kubetwin.serving import query
from kubetwin.serving.http import Response

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


@dataclass(slots=True)
class DeleteOptions:
    grace: int | None = None
    policy: str = ""
    orphan: bool | None = None
    uid: str | None = None
    version: str | None = None
    dry_run: bool = False


def read_options(call: Call) -> DeleteOptions:
    """The DeleteOptions of the body, or of the query when there is no body; raises ApiError 400 or 422."""
    raw: dict[str, Any] = {}
    if call.request.body.strip():
        raw, _ = pipeline.parse_body(call)
        if raw.get("kind", "DeleteOptions") != "DeleteOptions":
            raise bad_request("decoded object cannot be converted to DeleteOptions")
    else:
        request = call.request
        raw["gracePeriodSeconds"] = query.integer(request, "gracePeriodSeconds")
        raw["orphanDependents"] = query.boolean(request, "orphanDependents")
        raw["propagationPolicy"] = request.param("propagationPolicy")
        raw["dryRun"] = [v for v in request.query.get("dryRun", ()) if v]
    preconditions = raw.get("preconditions") or {}
    wanted = raw.get("gracePeriodSeconds")
    try:
        seconds = None if wanted is None else int(wanted)
    except (TypeError, ValueError):
        raise bad_request(f'strconv.ParseInt: parsing "{wanted}": invalid syntax') from None
    options = DeleteOptions(
        grace=seconds,
        policy=raw.get("propagationPolicy") or "",
        orphan=raw.get("orphanDependents"),
        uid=preconditions.get("uid"),
        version=preconditions.get("resourceVersion"),
        dry_run=check_dry_run(raw.get("dryRun") or [], "DeleteOptions"),
    )
    causes = []
    if options.policy and options.orphan is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(Cause.invalid("propagationPolicy", options.policy, text))
    if options.policy not in ("", "Foreground", "Background", "Orphan"):
        text = 'supported values: "Foreground", "Background", "Orphan", "nil"'
        causes.append(Cause.of("FieldValueNotSupported", "propagationPolicy", options.policy, text))
    if causes:
        raise invalid("DeleteOptions.meta.k8s.io", "", causes)
    return options


def delete(call: Call) -> Response:
    media = call.accept()
    options = read_options(call)
    entry = find(call)
    result, removed = delete_object(call, entry, options)
    status = 202 if not removed and options.orphan is False else 200
    if call.type.storage_key in RETURNS_DELETED or not removed:
        return encode.object_response(result, call.type, media, status)
    return encode.render(msgspec.json.encode(deleted_status(call, result.obj)), media, status)


def deleted_status(call: Call, obj: Object) -> dict[str, Any]:
    details = {"name": obj["metadata"]["name"], "kind": call.type.resource, "uid": obj["metadata"]["uid"]}
    if call.type.group:
        details["group"] = call.type.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def check_preconditions(call: Call, entry: Entry, options: DeleteOptions) -> None:
    meta = entry.obj["metadata"]
    kind = call.type.group_kind
    if options.uid is not None and options.uid != meta["uid"]:
        raise conflict(
            kind,
            meta["name"],
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). The object"
            " might have been deleted and then recreated",
        )
    if options.version is not None and options.version != meta["resourceVersion"]:
        raise conflict(
            kind,
            meta["name"],
            f"the ResourceVersion in the precondition ({options.version}) does not match the ResourceVersion in record"
            f" ({meta['resourceVersion']}). The object might have been modified",
        )


def delete_object(call: Call, entry: Entry, options: DeleteOptions) -> tuple[Entry, bool]:
    """Delete, or begin to delete, an object. Returns its last state and whether it is gone."""
    check_preconditions(call, entry, options)
    lifecycle.check_delete(call.type, entry.obj)
    obj = entry.copy()
    meta = obj["metadata"]
    before = msgspec.json.encode(obj)
    lifecycle.begin(call.type, obj)
    graceful = lifecycle.grace_period(call.type, obj, options.grace)
    if graceful is not None:
        if "deletionTimestamp" in meta:
            current = int(meta.get("deletionGracePeriodSeconds") or 0)
            if current > 0:
                if options.grace is None or max(options.grace, 0) >= current:
                    return entry, False
                _shorten(meta, current, 1 if options.grace < 0 else options.grace)
        else:
            moment = datetime.now(UTC) + timedelta(seconds=graceful)
            _mark(meta, clock.rfc3339(moment), graceful)
    finalizers = _finalizers(call, meta, options)
    if finalizers != list(meta.get("finalizers") or ()):
        if finalizers:
            meta["finalizers"] = finalizers
        else:
            meta.pop("finalizers", None)
    pending = bool(finalizers) or lifecycle.held(call.type, obj)
    if pending and (graceful is None or not meta.get("deletionGracePeriodSeconds")):
        if "deletionTimestamp" not in meta:
            _mark(meta, clock.now(), 0, call.type.kind == "CustomResourceDefinition")
        elif meta.get("deletionGracePeriodSeconds") != 0:
            meta["deletionGracePeriodSeconds"] = 0
    lifecycle.mark(call.type, obj)
    waiting = pending or bool(meta.get("deletionGracePeriodSeconds"))
    if options.dry_run:
        return Entry(entry.key, obj, 0), not waiting
    if waiting:
        if msgspec.json.encode(obj) == before:
            return entry, False
        return call.collection.put(entry.key, obj), False
    return call.collection.remove(entry.key, obj), True


def _mark(meta: dict[str, Any], moment: str, grace: int, whole: bool = False) -> None:
    """``whole``: the kind's own deletion leaves the generation alone."""
    meta["deletionTimestamp"] = moment
    meta["deletionGracePeriodSeconds"] = grace
    if meta.get("generation") and not whole:
        meta["generation"] += 1


def _shorten(meta: dict[str, Any], current: int, wanted: int) -> None:
    now = datetime.now(UTC)
    moment = clock.parse(meta["deletionTimestamp"]) + timedelta(seconds=wanted - current)
    if moment < now:
        moment = now
        wanted = 1 if wanted else 0
    meta["deletionTimestamp"] = clock.rfc3339(moment)
    meta["deletionGracePeriodSeconds"] = wanted


def _finalizers(call: Call, meta: dict[str, Any], options: DeleteOptions) -> list[str]:
    existing = list(meta.get("finalizers") or ())
    if options.policy:
        orphan, foreground = options.policy == "Orphan", options.policy == "Foreground"
    elif options.orphan is not None:
        orphan, foreground = options.orphan, False
    else:
        orphan, foreground = ORPHAN in existing, FOREGROUND in existing
    kept = [f for f in existing if f not in (ORPHAN, FOREGROUND)]
    if call.type.storage_key == ("", "events"):
        return kept
    if orphan:
        kept.append(ORPHAN)
    if foreground:
        kept.append(FOREGROUND)
    return kept


def delete_collection(call: Call) -> Response:
    media = call.accept(("Table", "PartialObjectMetadataList"))
    options = read_options(call)
    entries, meta = select(call)
    for entry in entries:
        try:
            current = call.collection.entries.get(entry.key)
            if current is not None:
                delete_object(call, current, options)
        except ApiError as error:
            if error.code != 404:
                raise
    return encode.list_response(entries, call.type, media, meta)
