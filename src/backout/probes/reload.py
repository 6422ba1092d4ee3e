# SPDX-License-Identifier: Apache-2.0
"""Has a running program loaded exactly this content? By its metrics, else by its log; else nobody can say.

Facts. A Thanos receiver and Alertmanager publish a hash of the file that is in force: the first 48 bits of its SHA-256
(thanos-io/thanos pkg/receive/config.go; MD5 before 0.41) or MD5 (prometheus/alertmanager config/coordinator.go),
little-endian: equal means loaded. ``thanos_receive_config_last_reload_successful`` is no proof: a reload that fails
does not set it back. Prometheus and Thanos Rule publish only whether the last reload succeeded, and when
(prometheus/prometheus cmd/prometheus/main.go, thanos cmd/thanos/rule.go): a success after the write, whose rules are
those of the files, is taken as the proof.

A file follows its ConfigMap with a delay of up to two minutes, and programs try old content again: a failure that is
told after a write may still be that of the content before it. Whoever waits for "loaded" waits on through "failed".
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from posixpath import normpath
from typing import Any, Literal

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.errors import BackoutError
from backout.model.message import Message, msg
from backout.probes import hashring, rules
from backout.probes.logs import Entry, entries, instant, shown
from backout.probes.metrics import Page, page
from backout.probes.programs import Program, recognise

State = Literal["loaded", "failed", "pending", "unknown"]
LOG_LINES = 400
SECOND = timedelta(seconds=1)
"""Times of writes, and the API server's clock, come in whole seconds: the write itself may be that much later."""


class Reload(msgspec.Struct, frozen=True):
    """What is known of one container.

    ``loaded``: it works with exactly this content. ``failed``: it tried and could not, and works with what it had
    before. ``pending``: it has something else loaded, and may still take this up. ``unknown``: nothing tells.
    """

    state: State
    message: Message
    at: datetime | None = None
    by: Literal["metrics", "log", ""] = ""


async def reload_state(
    cluster: ClusterReader,
    namespace: str,
    pod: Object,
    container: str,
    program: Program | None,
    files: Mapping[str, bytes],
    since: datetime | None,
) -> Reload:
    """Whether the program in ``container`` has loaded ``files`` (path in the container → content). Never raises.

    ``since``: when the content was written, by the API server's clock; without it only hashes prove anything.
    """
    name, spec = str(pod["metadata"]["name"]), pod.get("spec") or {}
    if program is not None and program.kind == "reloader":
        served = recognise(spec, program.serves)
        if served is None:
            return _unknown(msg("it is not known what {container} reloads", container=container))
        program, container = served, served.container
    if program is None:
        return _unknown(
            msg("it is not known how the program in {container} tells what it has loaded", container=container)
        )
    if waiting := _not_running(pod, container):
        return Reload("pending", msg("{container} is not running ({why})", container=container, why=waiting))
    wanted = {normpath(path): content for path, content in files.items()}
    log = _Log(cluster, namespace, name, container)
    # Of a container that started in a later second everything came after the write.
    after = since if since is None or _started_after(pod, container, since) else since + SECOND
    if program.hashring:
        content = wanted.get(program.hashring)
        if content is None:
            return _unknown(msg("none of the files is the hashring {path}", path=program.hashring))
        return await _receiver(cluster, namespace, name, program, content, after, log)
    known = _CONFIGURED.get(program.name)
    if known is None:
        return _unknown(msg("{program} does not tell what it has loaded", program=program.name))
    return await _configured(cluster, namespace, name, program, known, wanted, since, after, log)


# -- a receiver --------------------------------------------------------------------------------------------------------

_HASH = "thanos_receive_config_hash"
_LOADED_AT = "thanos_receive_config_last_reload_success_timestamp_seconds"
_FILE_ERRORS = "thanos_receive_hashrings_file_errors_total"
_RING_SET = ("Set up hashring for the given hashring config.",)
_RING_FAILED = ("failed to load configuration file", "error watching file")


def hash_values(content: bytes, *, algorithms: Collection[str] = ("sha256", "md5")) -> frozenset[float]:
    """What ``…_config_hash`` shows for a file, by release."""
    digests = (hashlib.new(name, content, usedforsecurity=False).digest() for name in algorithms)
    return frozenset(float(int.from_bytes(digest[:6], "little")) for digest in digests)


async def _receiver(
    cluster: ClusterReader,
    namespace: str,
    pod: str,
    program: Program,
    content: bytes,
    since: datetime | None,
    log: _Log,
) -> Reload:
    found = await _metrics(cluster, namespace, pod, program, (_HASH, _LOADED_AT, _FILE_ERRORS))
    value = found.value(_HASH)
    if value is None:
        why = found.refusal or msg("it publishes no {metric}", metric=_HASH)
        return await log.judged(since, _RING_SET, _RING_FAILED, why)
    at = _time(found.value(_LOADED_AT))
    if value in hash_values(content):
        nodes = hashring.endpoints(content)
        return Reload(
            "loaded",
            msg("it has loaded this hashring (endpoints: {count}, hash {hash})", count=len(nodes), hash=f"{value:.0f}"),
            at,
            "metrics",
        )
    problem = hashring.problem(content)
    errors = int(found.value(_FILE_ERRORS) or 0)
    last = await log.last(None, _RING_SET, _RING_FAILED)
    tried = last if last is not None and last.message in _RING_FAILED else None
    if problem is not None and (tried or errors):
        text = msg("it could not load the file, and works with the hashring of {at}: {why}", at=_shown(at), why=problem)
        return Reload("failed", text, tried.at if tried else None, "metrics")
    if tried is not None:
        # This content can be loaded: what failed is what the file held before it.
        text = msg(
            "it works with another hashring, loaded at {at}; it last failed to load one at {failed}: {why}",
            at=_shown(at),
            failed=_shown(tried.at),
            why=shown(tried.error or tried.message),
        )
        return Reload("pending", text, at, "metrics")
    return Reload("pending", msg("it works with another hashring, loaded at {at}", at=_shown(at)), at, "metrics")


# -- programs with a configuration file --------------------------------------------------------------------------------


class _Configured(msgspec.Struct, frozen=True):
    """Metrics and log lines of a program that publishes whether its last reload succeeded."""

    metric: str
    done: tuple[str, ...]
    failed: tuple[str, ...]
    hashed: bool = False


_CONFIGURED = {
    "prometheus": _Configured(
        "prometheus_config", ("Completed loading of configuration file",), ("Error reloading config",)
    ),
    "alertmanager": _Configured(
        "alertmanager_config",
        ("Completed loading of configuration file",),
        ("Loading configuration file failed", "one or more config change subscribers failed to apply new config"),
        hashed=True,
    ),
    "thanos rule": _Configured(
        "thanos_rule_config",
        ("reload rule files",),
        ("reload rules by sighup failed", "reload rules by webhandler failed", "initialize rules failed"),
    ),
}


async def _configured(
    cluster: ClusterReader,
    namespace: str,
    pod: str,
    program: Program,
    known: _Configured,
    files: Mapping[str, bytes],
    since: datetime | None,
    after: datetime | None,
    log: _Log,
) -> Reload:
    good, when, hashed = (
        f"{known.metric}_{end}" for end in ("last_reload_successful", "last_reload_success_timestamp_seconds", "hash")
    )
    found = await _metrics(cluster, namespace, pod, program, (good, when, hashed))
    successful = found.value(good)
    if successful is None:
        why = found.refusal or msg("it publishes no {metric}", metric=good)
        return await log.judged(after, known.done, known.failed, why)
    at = _time(found.value(when))
    if program.watches_itself and not _configures(program, files):
        return _unknown(msg("{program} may read these files at any time, and does not tell when", program=program.name))
    if successful == 0:
        last = await log.last(None, known.done, known.failed)
        if last is None or last.message not in known.failed:
            text = msg("its last reload failed; what it loaded at {at} is still in force", at=_shown(at))
            return Reload("failed", text, None, "metrics")
        text = msg(
            "it could not load the file, and works with what it loaded at {at}: {why}",
            at=_shown(at),
            why=await log.reason(last),
        )
        before = since is not None and last.at is not None and last.at < since
        return Reload("pending" if before else "failed", text, last.at, "metrics")
    config = files.get(program.config)
    value = found.value(hashed)
    if known.hashed and config is not None and value is not None:
        if value in hash_values(config, algorithms=("md5",)):
            return Reload("loaded", msg("it has loaded this file (hash {hash})", hash=f"{value:.0f}"), at, "metrics")
        return Reload("pending", msg("it works with another file, loaded at {at}", at=_shown(at)), at, "metrics")
    if since is None or after is None:
        return _unknown(
            msg("its last reload, at {at}, succeeded; when the content was written is not known", at=_shown(at))
        )
    if at is None or at < since:
        return Reload(
            "pending",
            msg("it has not reloaded since the change; its last reload was at {at}", at=_shown(at)),
            at,
            "metrics",
        )
    compared = await rules.compared(cluster, namespace, pod, program, files)
    if compared.other is not None:
        return Reload("pending", compared.other, at, "metrics")
    if at < after and not compared.same:
        text = msg("it reloaded at {at}, in the same second as the change: before or after it", at=_shown(at))
        return Reload("pending", text, at, "metrics")
    return Reload("loaded", msg("it reloaded without an error at {at}, after the change", at=_shown(at)), at, "metrics")


def _configures(program: Program, files: Mapping[str, bytes]) -> bool:
    """Whether a change of the files makes a reload: those of service discovery or credentials make none."""
    return program.config in files or any(
        rules.groups_of(content) or b"scrape_configs" in content or b"groups" in content for content in files.values()
    )


# -- shared ------------------------------------------------------------------------------------------------------------


class _Log:
    """The log of one container, read when it is needed, and once."""

    def __init__(self, cluster: ClusterReader, namespace: str, pod: str, container: str) -> None:
        self._read = (cluster, namespace, pod, container)
        self._entries: list[Entry] | None = None
        self.refusal: Message | None = None

    async def entries(self) -> list[Entry]:
        if self._entries is None:
            cluster, namespace, pod, container = self._read
            try:
                self._entries = list(entries(await cluster.logs(pod, namespace, container, tail=LOG_LINES)))
            except BackoutError as error:
                self._entries = []
                self.refusal = msg("its log could not be read: {error}", error=error.message)
        return self._entries

    async def last(self, since: datetime | None, done: Collection[str], failed: Collection[str]) -> Entry | None:
        """The last line of either kind, not older than ``since``."""
        for entry in reversed(await self.entries()):
            if entry.message in done or entry.message in failed:
                if since is not None and (entry.at is None or entry.at < since):
                    return None
                return entry
        return None

    async def reason(self, failure: Entry) -> str:
        """Why a reload failed. Which rule it was is told in a line before the failure itself."""
        found = await self.entries()
        before = found[: found.index(failure)]
        for entry in reversed(before):
            if entry.message == "loading groups failed" and entry.error:
                return shown(entry.error)
            if entry.message == "Loading configuration file":
                break
        return shown(failure.error or failure.message)

    async def judged(
        self, since: datetime | None, done: Collection[str], failed: Collection[str], why: Message
    ) -> Reload:
        """By log lines alone, since its metrics could not be read (``why``)."""
        last = await self.last(since, done, failed)
        if last is None:
            if self.refusal is not None:
                why = msg("{first}; {second}", first=why, second=self.refusal)
            return _unknown(msg("nothing in its log tells of a reload, and {why}", why=why))
        if last.message in failed:
            text = msg("it could not load the file: {why}", why=await self.reason(last))
            return Reload("failed", text, last.at, "log")
        if since is None:
            return _unknown(
                msg("its log tells of a reload at {at}, but not of which content ({why})", at=_shown(last.at), why=why)
            )
        text = msg("its log says that it reloaded at {at}, after the change ({why})", at=_shown(last.at), why=why)
        return Reload("loaded", text, last.at, "log")


async def _metrics(cluster: ClusterReader, namespace: str, pod: str, program: Program, names: Collection[str]) -> Page:
    if not program.port:
        return Page(refusal=msg("it listens on loopback only"))
    return await page(cluster, namespace, pod, program.port, names, path=program.metrics_path)


def _not_running(pod: Mapping[str, Any], container: str) -> str:
    status = pod.get("status") or {}
    for field in ("containerStatuses", "initContainerStatuses"):
        for entry in status.get(field) or ():
            if entry.get("name") == container:
                state = entry.get("state") or {}
                if "running" in state:
                    return ""
                other = state.get("waiting") or state.get("terminated") or {}
                return str(other.get("reason") or "not started")
    return str(status.get("phase") or "Pending")


def _started_after(pod: Mapping[str, Any], container: str, since: datetime) -> bool:
    for field in ("containerStatuses", "initContainerStatuses"):
        for entry in (pod.get("status") or {}).get(field) or ():
            if entry.get("name") == container:
                started = instant(str(((entry.get("state") or {}).get("running") or {}).get("startedAt") or ""))
                return started is not None and started > since
    return False


def _unknown(message: Message) -> Reload:
    return Reload("unknown", message)


def _time(value: float | None) -> datetime | None:
    if not value:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _shown(at: datetime | None) -> str:
    return at.strftime("%H:%M:%S UTC") if at else "-"
