# SPDX-License-Identifier: Apache-2.0
"""Releases as helm-controller sees them: Helm's own records, and what it remembers of those that it made. Pure.

Facts: helm pkg/storage/driver/util.go (records), helm-controller internal/release/observation.go and digest.go (an observation is the whole
record, its digest tells whether anybody changed it), internal/action/verify.go, api/v2/snapshot_types.go (``Truncate``, ``Previous``).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from typing import Any

from kubetwin.client import Obj
from kubetwin.meta import labels_of

PENDING = ("pending-install", "pending-upgrade", "pending-rollback")
PAYLOAD_LIMIT = 32 * 1024 * 1024
_KEPT = 5


def decoded(secret: Obj) -> Obj | None:
    """The payload of a record; None when it can't be read."""
    try:
        data = base64.b64decode(base64.b64decode((secret.get("data") or {})["release"]))
        if data[:3] == b"\x1f\x8b\x08":
            unpack = zlib.decompressobj(31)
            data = unpack.decompress(data, PAYLOAD_LIMIT)
        found = json.loads(data)
    except (KeyError, ValueError, zlib.error):
        return None
    return found if isinstance(found, dict) else None


def encoded(release: Obj) -> str:
    """A payload as the data of a record."""
    packed = gzip.compress(json.dumps(release, separators=(",", ":")).encode())
    return base64.b64encode(base64.b64encode(packed)).decode()


def records(secrets: list[Obj], namespace: str, name: str) -> list[Obj]:
    """The payloads of a release, oldest first."""
    found = []
    for secret in secrets:
        labels = labels_of(secret)
        if (
            secret["metadata"].get("namespace") != namespace
            or labels.get("owner") != "helm"
            or labels.get("name") != name
        ):
            continue
        release = decoded(secret)
        if release is not None:
            found.append(release)
    return sorted(found, key=lambda each: int(each.get("version") or 0))


def status_of(release: Obj) -> str:
    return str((release.get("info") or {}).get("status") or "unknown")


def chart_of(release: Obj) -> tuple[str, str]:
    """Name and version of its chart."""
    meta = (release.get("chart") or {}).get("metadata") or {}
    return str(meta.get("name") or ""), str(meta.get("version") or "")


def digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def release_digest(release: Obj) -> str:
    """Of what is observed: everything but templates and files of the chart."""
    chart = {"metadata": (release.get("chart") or {}).get("metadata")}
    return digest({**{k: v for k, v in release.items() if k != "labels"}, "chart": chart})


def snapshot(release: Obj, action: str = "") -> Obj:
    """What is remembered of a release in ``status.history``."""
    info = release.get("info") or {}
    chart, version = chart_of(release)
    app = str(((release.get("chart") or {}).get("metadata") or {}).get("appVersion") or "")
    found = {
        "name": str(release.get("name")),
        "namespace": str(release.get("namespace")),
        "version": int(release.get("version") or 0),
        "status": status_of(release),
        "chartName": chart,
        "chartVersion": version,
        "configDigest": digest(release.get("config") or {}),
        "digest": release_digest(release),
        "firstDeployed": _seconds(info.get("first_deployed")),
        "lastDeployed": _seconds(info.get("last_deployed")),
    }
    return found | ({"appVersion": app} if app else {}) | ({"action": action} if action else {})


def _seconds(text: Any) -> str:
    """A time of Go with nanoseconds as one with seconds."""
    whole = str(text or "")
    head, dot, rest = whole.partition(".")
    zone = rest.lstrip("0123456789") if dot else ""
    return f"{head}{zone}" if dot else whole


def observed(history: list[Obj], releases: list[Obj], action: str = "") -> list[Obj]:
    """The history after an action of our own: what is remembered is read anew, the newest release is added."""
    by_version = {int(each.get("version") or 0): each for each in releases}
    known = {each["version"]: each for each in history}
    if releases:
        newest = int(releases[-1]["version"])
        known.setdefault(newest, {"version": newest, "action": action})
        if action:
            known[newest] = {**known[newest], "action": action}
    found = [
        snapshot(by_version[version], str(old.get("action") or "")) if version in by_version else old
        for version, old in known.items()
    ]
    return sorted(found, key=lambda each: -int(each["version"]))


def truncated(history: list[Obj]) -> list[Obj]:
    """The latest one, and all down to the previous one that was good; without such a one the newest five."""
    previous = previous_good(history)
    if previous is None:
        return history[:_KEPT]
    return history[: history.index(previous) + 1]


def previous_good(history: list[Obj]) -> Obj | None:
    """The newest one before the latest that was deployed well."""
    return next((each for each in history[1:] if each.get("status") in ("deployed", "superseded")), None)


def unlocked(release: Obj) -> Obj:
    """A pending release as a failed one (internal/reconcile/unlock.go)."""
    state = status_of(release)
    text = f"Release unlocked from stale '{state}' state"
    return {**release, "info": {**(release.get("info") or {}), "status": "failed", "description": text}}


def state_of(history: list[Obj], last: Obj | None, chart: tuple[str, str], values: Obj) -> tuple[str, str]:
    """State and reason of a release against what is wanted (internal/reconcile/state.go, without drift and tests)."""
    if last is None:
        return "Absent", "no release in storage for object"
    if status_of(last) in PENDING:
        return "Locked", f"release with status '{status_of(last)}'"
    if not history:
        if status_of(last) == "uninstalled":
            return "Absent", "found uninstalled release in storage"
        return "Unmanaged", "found existing release in storage"
    latest = history[0]
    if latest.get("digest") != release_digest(last):
        other = latest.get("version") != int(last.get("version") or 0)
        return (
            "Unmanaged",
            "release not observed to be made for object" if other else "release digest verification error",
        )
    if status_of(last) == "failed":
        return "Failed", ""
    if status_of(last) == "uninstalled":
        return "Absent", "found uninstalled release in storage"
    if status_of(last) != "deployed":
        return "Unknown", f"unable to determine state for release with status '{status_of(last)}'"
    if chart_of(last) != chart:
        return "OutOfSync", "release chart changed"
    if digest(last.get("config") or {}) != digest(values):
        return "OutOfSync", "release config values changed"
    return "InSync", ""
