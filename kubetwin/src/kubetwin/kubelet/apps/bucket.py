# SPDX-License-Identifier: Apache-2.0
"""Object storage as Thanos components use it (facts: thanos-io/objstore objstore.go, thanos cmd/thanos/store.go,
sidecar.go, pkg/shipper/shipper.go, pkg/block/fetcher.go).

The configuration is read once, at the start. A store gateway or compactor lists the bucket before it is ready and gives
up when that fails for 30 s; components that upload only log and count each failed attempt, and go on. The configuration
itself, with its keys, is never printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kubetwin.kubelet.apps.base import Around, Ended, Part, Unparsable, logfmt, parse_yaml
from kubetwin.serving.metrics import Metric, counter

OPERATIONS = ("attributes", "delete", "exists", "get", "get_range", "iter", "upload")
TYPES = frozenset(("S3", "GCS", "AZURE", "SWIFT", "COS", "ALIYUNOSS", "BOS", "OCI", "OBS"))
READERS = frozenset(("store", "compact", "bucket", "tools"))


def parse_bucket(content: bytes) -> Mapping[str, object] | None:
    """An object storage configuration; None when it is something else."""
    if b"type:" not in content and b'"type"' not in content:
        return None
    try:
        document = parse_yaml(content)
    except Unparsable:
        return None
    if not isinstance(document, dict) or str(document.get("type", "")).upper() not in TYPES:
        return None
    return document if isinstance(document.get("config"), dict) else None


def bucket_name(document: Mapping[str, object]) -> str:
    """The bucket, as the metrics' label says it."""
    config = document.get("config")
    found = config.get("bucket") or config.get("container") if isinstance(config, dict) else None
    return str(found or "")


class Bucket(Part):
    """One component's use of its bucket."""

    def __init__(self, around: Around, document: Mapping[str, object]) -> None:
        self._around = around
        self._document = document
        self._lists = around.subcommand in READERS
        self._done = dict.fromkeys(OPERATIONS, 0)
        self._failed = dict.fromkeys(OPERATIONS, 0)
        self._next = 0.0
        self._starting = False

    def begin(self, now: float) -> Ended | None:
        self._next = now + self._around.settings.object_storage_interval
        if not self._lists:
            return None
        error = self._ask("iter")
        if not error:
            self._around.log.write(now, logfmt(now, "info", msg="bucket store ready"))
            return None
        self._starting = True
        command, timeout = self._around.subcommand, self._around.settings.initial_sync_timeout
        self._next = now + timeout / 3
        end = now + timeout
        reason = f"bucket {command} initial sync: sync block: BaseFetcher: iter bucket: {error}"
        stack = "\n".join(
            (
                error,
                "BaseFetcher: iter bucket",
                "sync block",
                f"bucket {command} initial sync",
                f"{command} command failed",
            )
        )
        return Ended(
            (
                logfmt(end, "warn", msg="changing probe status", status="not-ready", reason=reason),
                logfmt(end, "error", err=stack),
            ),
            timeout,
            answers=True,
        )

    def _ask(self, operation: str) -> str:
        self._done[operation] += 1
        error = self._around.bucket_error(self._document)
        if error:
            self._failed[operation] += 1
        return error

    def tick(self, now: float) -> float:
        if now >= self._next:
            error = self._ask("iter" if self._lists else "exists")
            if self._starting:
                # Tries before the first success are not logged.
                self._next = now + self._around.settings.initial_sync_timeout / 3
                return self._next
            self._next = now + self._around.settings.object_storage_interval
            if error and self._lists:
                text = f"BaseFetcher: iter bucket: {error}"
                self._around.log.write(now, logfmt(now, "warn", msg="syncing blocks failed", err=text))
            elif error:
                text = f"check exists: stat s3 object: {error}"
                self._around.log.write(now, logfmt(now, "warn", err=text, uploaded="0"))
        return self._next

    def metrics(self) -> Iterable[Metric]:
        name = bucket_name(self._document)
        yield counter(
            "thanos_objstore_bucket_operations_total",
            "Total number of all attempted operations against a bucket.",
            *(({"bucket": name, "operation": o}, float(n)) for o, n in self._done.items()),
        )
        yield counter(
            "thanos_objstore_bucket_operation_failures_total",
            "Total number of operations against a bucket that failed, but were not expected to fail in certain way "
            "from caller perspective. Those errors have to be investigated.",
            *(({"bucket": name, "operation": o}, float(n)) for o, n in self._failed.items()),
        )
