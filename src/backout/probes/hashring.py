# SPDX-License-Identifier: Apache-2.0
"""A Thanos hashring file: whether a receiver takes it, and which endpoints it names. Pure.

Facts: thanos-io/thanos pkg/receive/config.go: a JSON list of ``{hashring, tenants, endpoints, algorithm, …}``; an
endpoint is a string or ``{address, capnproto_address, az}``; an empty list is refused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from backout.model.decoding import UNREADABLE
from backout.model.message import Message, msg


def problem(content: bytes) -> Message | None:
    """Why a receiver would not load it; None when it would."""
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        where = str(error).partition(": ")[2] or str(error)
        return msg("it is not valid JSON: {why}", why=where[:80])
    except UNREADABLE:
        return msg("it is not valid JSON")
    if found is not None and not isinstance(found, list):
        return msg("it is not a list of hashrings")
    if not found:
        return msg("it names no hashring")
    for ring in found:
        if not isinstance(ring, dict) or not isinstance(ring.get("endpoints"), list | None):
            return msg("a hashring in it is not an object with endpoints")
        if not all(_address(endpoint) for endpoint in ring.get("endpoints") or ()):
            return msg("an endpoint in it has no address")
    return None


def endpoints(content: bytes) -> tuple[str, ...]:
    """The addresses that it names, each once, in order; none when it can't be loaded."""
    if problem(content) is not None:
        return ()
    rings: list[dict[str, Any]] = msgspec.json.decode(content)
    return tuple(dict.fromkeys(_address(endpoint) for ring in rings for endpoint in ring.get("endpoints") or ()))


def pod_of(endpoint: str, namespace: str) -> str:
    """The pod of ``POD.SERVICE[.NAMESPACE[.svc[.…]]]:PORT`` in this namespace; empty for anything else.

    ``NAME.NAMESPACE`` is more likely a Service.
    """
    host = endpoint.rpartition(":")[0] or endpoint
    labels = host.split(".")
    here = (len(labels) == 2 and labels[1] != namespace) or (
        len(labels) > 2 and labels[2] == namespace and labels[3:4] in ([], ["svc"])
    )
    return labels[0] if here and all(labels) and not host.replace(".", "").isdigit() else ""


def _address(endpoint: Any) -> str:
    found = endpoint.get("address") if isinstance(endpoint, dict) else endpoint
    return found if isinstance(found, str) else ""
