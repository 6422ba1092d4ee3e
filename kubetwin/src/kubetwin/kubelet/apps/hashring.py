# SPDX-License-Identifier: Apache-2.0
"""A Thanos receiver's hashring file (facts: thanos-io/thanos pkg/receive/config.go, handler.go, cmd/thanos/receive.go).

The file is watched. A reload that fails counts and logs an error and leaves the hashring that was loaded last in force;
``thanos_receive_config_last_reload_successful`` stays 1 then: the real program never sets it back to 0. A start with a
file that cannot be loaded fails. Requests that cannot be forwarded are counted, and logged at debug level only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from kubetwin.gojson import syntax_error
from kubetwin.kubelet.apps.base import Around, Ended, Part, logfmt
from kubetwin.serving.metrics import Metric, counter, gauge

_NOT_PARSABLE = "configuration file is not parsable"


class BadHashring(Exception):
    """A file that the receiver refuses; the message is the receiver's."""


def config_hash(content: bytes) -> float:
    """The value of ``thanos_receive_config_hash``: the first 48 bits of the content's SHA-256, little-endian."""
    return float(int.from_bytes(hashlib.sha256(content).digest()[:6], "little"))


def parse(content: bytes, path: str) -> list[tuple[str, list[str], int]]:
    """(name, endpoint addresses, tenants) of each hashring.

    Raises:
        BadHashring: the receiver would not load it.
    """
    text = content.decode(errors="replace")
    why = syntax_error(text)
    if why:
        raise BadHashring(_unparsable(why))
    document = json.loads(text)
    if document is not None and not isinstance(document, list):
        kind = {dict: "object", str: "string", bool: "bool"}.get(type(document), "number")
        raise BadHashring(_unparsable(f"json: cannot unmarshal {kind} into Go value of type []receive.HashringConfig"))
    if not document:
        raise BadHashring(f"failed to load configuration file, path: {path}: configuration file is empty")
    return [_ring(item) for item in document]


def _ring(item: object) -> tuple[str, list[str], int]:
    if not isinstance(item, dict):
        raise BadHashring(_unparsable("json: cannot unmarshal value into Go value of type receive.HashringConfig"))
    addresses: list[str] = []
    for endpoint in item.get("endpoints") or ():
        address = endpoint.get("address", "") if isinstance(endpoint, dict) else endpoint
        if not isinstance(address, str) or not address:
            raise BadHashring(_unparsable("endpoint address must be set"))
        addresses.append(address)
    return str(item.get("hashring") or ""), addresses, len(item.get("tenants") or ())


def _unparsable(why: str) -> str:
    return f"failed to parse configuration file: {why}: {_NOT_PARSABLE}"


class Hashring(Part):
    """Watches one file and forwards to its endpoints."""

    def __init__(self, around: Around, path: str) -> None:
        self._around = around
        self._path = path
        self._endpoints: list[str] = []
        self._rings: list[tuple[str, int, int]] = []
        self._content: bytes | None = None
        self._loaded_at = 0.0
        self._refreshes = self._errors = self._changes = 0
        self._forwarded = {"success": 0, "error": 0}
        self._next = 0.0

    def begin(self, now: float) -> Ended | None:
        try:
            self._read()
        except BadHashring as error:
            reason = f"failed to validate hashring configuration file: {error}"
            after = self._around.settings.crash_after
            line = logfmt(now + after, "error", err=f"preparing receive command failed: {reason}")
            return Ended((line,), after)
        self.files_changed(now)
        self._next = now + self._around.settings.traffic_interval
        return None

    def _read(self) -> tuple[bytes, list[tuple[str, list[str], int]]]:
        content = self._around.files().get(self._path)
        if content is None:
            raise BadHashring(f"failed to read configuration file: open {self._path}: no such file or directory")
        return content, parse(content, self._path)

    def files_changed(self, now: float) -> None:
        self._refreshes += 1
        try:
            content, rings = self._read()
        except BadHashring as error:
            self._errors += 1
            self._around.log.write(
                now,
                logfmt(
                    now,
                    "error",
                    component="config-watcher",
                    msg="failed to load configuration file",
                    err=str(error),
                    path=self._path,
                ),
            )
            return
        if content == self._content:
            return
        self._changes += 1
        self._content, self._loaded_at = content, now
        self._endpoints = [address for _, addresses, _ in rings for address in addresses]
        self._rings = [(name, len(addresses), tenants) for name, addresses, tenants in rings]
        message = "Set up hashring for the given hashring config."
        self._around.log.write(now, logfmt(now, "info", component="receive", msg=message))

    def tick(self, now: float) -> float:
        if now >= self._next:
            self._next = now + self._around.settings.traffic_interval
            for endpoint in self._endpoints:
                failed = self._around.dial(self._around.namespace, endpoint)
                self._forwarded["error" if failed else "success"] += 1
        return self._next

    def metrics(self) -> Iterable[Metric]:
        assert self._content is not None
        results = [({"result": result}, float(count)) for result, count in self._forwarded.items()]
        yield gauge(
            "thanos_receive_config_hash",
            "Hash of the currently loaded hashring configuration file.",
            ({}, config_hash(self._content)),
        )
        yield gauge(
            "thanos_receive_config_last_reload_successful",
            "Whether the last hashring configuration file reload attempt was successful.",
            ({}, 1),
        )
        yield gauge(
            "thanos_receive_config_last_reload_success_timestamp_seconds",
            "Timestamp of the last successful hashring configuration file reload.",
            ({}, self._loaded_at),
        )
        yield counter(
            "thanos_receive_hashrings_file_changes_total",
            "The number of times the hashrings configuration file has changed.",
            ({}, self._changes),
        )
        yield counter(
            "thanos_receive_hashrings_file_errors_total",
            "The number of errors watching the hashrings configuration file.",
            ({}, self._errors),
        )
        yield counter(
            "thanos_receive_hashrings_file_refreshes_total",
            "The number of refreshes of the hashrings configuration file.",
            ({}, self._refreshes),
        )
        yield gauge(
            "thanos_receive_hashring_nodes",
            "The number of nodes per hashring.",
            *(({"name": name}, float(nodes)) for name, nodes, _ in self._rings),
        )
        yield gauge(
            "thanos_receive_hashring_tenants",
            "The number of tenants per hashring.",
            *(({"name": name}, float(tenants)) for name, _, tenants in self._rings),
        )
        yield counter("thanos_receive_forward_requests_total", "The number of forward requests.", *results)
        yield counter(
            "thanos_receive_replications_total", "The number of replication operations done by the receiver.", *results
        )
        yield gauge(
            "thanos_receive_replication_factor", "The number of times to replicate incoming write requests.", ({}, 1)
        )
