# SPDX-License-Identifier: Apache-2.0
"""What is measured of an object: its content, those who read it, and what is reached through it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from posixpath import basename
from typing import Any

import msgspec

from backout.cluster.port import Object
from backout.kube.consumers import Consumer
from backout.mechanisms.common.steps import params_of
from backout.mechanisms.objects.content import Origin
from backout.mechanisms.objects.history import ContentRevision, ObjectHistory
from backout.mechanisms.objects.needs import Need
from backout.mechanisms.objects.planning import Planned
from backout.mechanisms.objects.steps import acting
from backout.model.message import msg
from backout.model.part import Check
from backout.model.target import Target
from backout.probes.programs import recognise


def after(planned: Planned, target: Target) -> list[Check]:
    """When the content is back."""
    content = planned.content
    if content.origin is None:
        restored = Check(
            code="object-absent",
            target=target,
            params=params_of(planned.seen.ref),
            title=msg("{ref} is gone", ref=str(target)),
        )
    else:
        restored = _restored(
            planned.seen,
            planned.past,
            content.origin,
            target,
            other_ports=content.keep_node_ports or content.new_addresses,
        )
    readers = _readers(planned.seen, acting(planned.needs), target)
    return [restored, *readers, *_reached(planned.past.content, target)]


def present(seen: ObjectHistory, needs: Sequence[Need], target: Target) -> list[Check]:
    """Of the object as it is now, whatever was put back when."""
    content = seen.current.content
    exists = Check(
        code="object-present", target=target, params=params_of(seen.ref), title=msg("{ref} exists", ref=str(target))
    )
    if content is None:
        return [exists]
    origin = seen.current.origin(seen.repository)
    first = exists if origin is None else _restored(seen, seen.current, origin, target)
    return [first, *_readers(seen, [need for need in needs if need.what != "none"], target), *_reached(content, target)]


def _restored(
    seen: ObjectHistory, past: ContentRevision, origin: Origin, target: Target, *, other_ports: bool = False
) -> Check:
    return Check(
        code="object-restored",
        target=target,
        params={
            **params_of(seen.ref),
            "origin": msgspec.to_builtins(origin),
            **({"other_ports": True} if other_ports else {}),
        },
        title=msg("{ref} holds the content of revision {number}", ref=str(target), number=past.number),
    )


def _readers(seen: ObjectHistory, needs: Sequence[Need], target: Target) -> list[Check]:
    base, found = params_of(seen.ref), []
    hot = [
        {"workload": str(need.ref), "container": container}
        for need in needs
        if need.what == "reload"
        for container in need.containers
    ]
    if hot:
        found.append(
            Check(
                code="config-reloaded",
                target=target,
                params={**base, "readers": hot},
                title=msg("Loaded by {readers}", readers=_names(hot)),
            )
        )
    rings = [
        {"workload": str(need.ref), "container": container}
        for need in needs
        if need.what == "reload"
        for container in need.containers
        if _receives(need, container)
    ]
    if rings:
        found.append(
            Check(
                code="requests-forwarded",
                target=target,
                params={**base, "readers": rings},
                title=msg("The hashring of {readers} leads to receivers that are there", readers=_names(rings)),
            )
        )
    stored = [
        {"workload": str(reader.workload), "container": reader.container}
        for need in needs
        for reader in need.workload.readers
        if _stores(need, reader)
    ]
    if stored:
        found.append(
            Check(
                code="object-storage",
                target=target,
                params={**base, "readers": stored},
                title=msg("Requests to the object storage succeed"),
            )
        )
    for need in needs:
        name, params = str(need.ref), params_of(need.ref)
        found.append(Check(code="workload-ready", target=target, params=params, title=msg("{ref} is ready", ref=name)))
        found.append(
            Check(
                code="no-new-restarts",
                target=target,
                params=params,
                title=msg("Pods of {ref} do not restart", ref=name),
            )
        )
    return found


def _names(readers: Iterable[dict[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(entry["workload"] for entry in readers))


def _receives(need: Need, container: str) -> bool:
    program = recognise(need.workload.spec, container)
    return program is not None and bool(program.hashring)


def _stores(need: Need, reader: Consumer) -> bool:
    """Whether that is where a program has its object storage configuration from."""
    program = recognise(need.workload.spec, reader.container)
    if program is None or program.storage is None:
        return False
    where = program.storage.where
    if program.storage.how == "file":
        return any(reader.file(key) == where for key in (reader.keys or (basename(where),)))
    return reader.how == "env"


def _reached(content: Object | None, target: Target) -> list[Check]:
    """What a Service or an Ingress is for."""
    if content is None:
        return []
    spec = content.get("spec") or {}
    if content["kind"] == "Service" and spec.get("selector"):
        services = [target.name]
        return [
            Check(
                code="endpoints",
                target=target,
                params={"services": services},
                title=msg("{ref} has ready endpoints", ref=str(target)),
            ),
            Check(
                code="service-answers",
                target=target,
                params={"services": services},
                title=msg("Connections to {ref} are accepted", ref=str(target)),
            ),
        ]
    if content["kind"] == "Ingress":
        return [
            Check(
                code="ingress-answers",
                target=target,
                params={"ingress": target.name},
                title=msg("{ref} answers HTTP requests", ref=str(target)),
            )
        ]
    return []
