# SPDX-License-Identifier: Apache-2.0
"""What proves that a running program has loaded a file, and what does not."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_cluster import SmallCluster

from backout.cluster.port import ProxyAnswer
from backout.errors import AccessDenied
from backout.probes import hashring
from backout.probes.programs import recognise
from backout.probes.reload import Reload, reload_state
from backout.probes.rules import groups_of

PAGES = Path(__file__).parent / "pages"
RING = json.dumps(
    [{"hashring": "default", "endpoints": ["r-0.r:10901", {"address": "r-1.r:10901", "az": "a"}]}]
).encode()
OTHER = RING.replace(b"r-1", b"r-3")
CUT = RING[:40]
LOADED = datetime(2026, 11, 22, 23, 39, 34, tzinfo=UTC)
"""A second before the receiver's last success and line."""
PROXY = ProxyAnswer(503, refusal="error trying to reach service: no route")


def pod(*containers: dict[str, Any], running: bool = True) -> dict[str, Any]:
    state = {"running": {}} if running else {"waiting": {"reason": "CrashLoopBackOff"}}
    return {
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"containers": list(containers)},
        "status": {"phase": "Running", "containerStatuses": [{"name": c["name"], "state": state} for c in containers]},
    }


RECEIVER = pod({"name": "r", "image": "thanosio/thanos", "args": ["receive", "--receive.hashrings-file=/h/ring.json"]})


def page(content: bytes, errors: int = 0, algorithm: str = "sha256") -> ProxyAnswer:
    value = float(int.from_bytes(hashlib.new(algorithm, content).digest()[:6], "little"))
    text = (PAGES / "thanos-receive.txt").read_text().replace("HASH", repr(value)).replace("ERRORS", str(errors))
    return ProxyAnswer(200, "text/plain; version=0.0.4", text.encode())


def asked(
    pod: dict[str, Any],
    answers: dict[str, Any],
    files: dict[str, bytes],
    since: datetime | None,
    *,
    log: str = "",
    denied: Any = None,
    container: str = "r",
) -> Reload:
    async def main() -> Reload:
        cluster = SmallCluster(answers=answers, denied=denied)
        cluster.logged["p", container] = log
        program = recognise(pod["spec"], container)
        return await reload_state(cluster, "n", pod, container, program, files, since)  # type: ignore[arg-type]

    return asyncio.run(main())


def ring(answer: Any, content: bytes = RING, since: datetime | None = LOADED, **more: Any) -> Reload:
    return asked(RECEIVER, {"pods/n/p:10902/metrics": answer}, {"/h/ring.json": content}, since, **more)


def test_the_hash_proves_a_hashring() -> None:
    for algorithm in ("sha256", "md5"):
        found = ring(page(RING, algorithm=algorithm))
        assert (found.state, found.by) == ("loaded", "metrics")
        assert found.message.text.startswith("it has loaded this hashring (endpoints: 2, hash ")
        assert found.at == datetime(2026, 11, 22, 23, 39, 35, 344934, UTC)
    assert ring(page(RING), since=None).state == "loaded"


def test_another_hash_is_not_loaded_whatever_the_last_reload_was() -> None:
    log = (PAGES / "thanos-receive.log").read_text()
    found = ring(page(OTHER, errors=1))
    assert found.state == "pending" and "another hashring, loaded at 23:39:35 UTC" in found.message.text
    # What failed can't have been this content, which parses.
    found = ring(page(OTHER, errors=1), log=log)
    assert found.state == "pending" and "unexpected end of JSON input" in found.message.text
    found = ring(page(OTHER, errors=1), CUT, None, log=log)
    assert found.state == "failed" and found.at is not None and "not valid JSON" in found.message.text
    assert ring(page(OTHER, errors=1), CUT, None).state == "failed"
    assert ring(page(OTHER), CUT, None).state == "pending", "it has not seen the file yet"


def test_a_log_has_to_do_where_metrics_cannot_be_read() -> None:
    good, bad = (PAGES / "thanos-receive.log").read_text().splitlines()
    before = datetime(2026, 11, 22, 23, 39, 10, tzinfo=UTC)
    found = ring(PROXY, since=before, log=good)
    assert (found.state, found.by) == ("loaded", "log") and "no route" in found.message.text
    assert ring(PROXY, since=before, log=f"{good}\n{bad}").state == "failed"
    assert ring(PROXY, since=before + timedelta(minutes=5), log=good).state == "unknown", "that was before"
    assert ring(PROXY, since=None, log=good).state == "unknown"
    assert ring(PROXY, since=None, log=bad).state == "failed"
    nothing = ring(PROXY, since=before)
    assert nothing.state == "unknown" and "nothing in its log" in nothing.message.text
    denied = ring(PROXY, since=before, denied={"logs": AccessDenied("You may not read logs.")})
    assert denied.state == "unknown" and "You may not read logs." in denied.message.text
    forbidden = ring(AccessDenied("You may not get pods/proxy."), since=before)
    assert forbidden.state == "unknown" and "you may not use pods/proxy" in forbidden.message.text


def test_what_cannot_be_known() -> None:
    assert asked(RECEIVER, {}, {"/elsewhere": RING}, LOADED).state == "unknown"
    stranger = pod({"name": "r", "image": "nginx"})
    assert asked(stranger, {}, {"/x": b""}, LOADED).state == "unknown"
    query = pod({"name": "r", "image": "thanosio/thanos", "args": ["query"]})
    assert "thanos query does not tell" in asked(query, {}, {"/x": b""}, LOADED).message.text
    stopped = asked(pod(*RECEIVER["spec"]["containers"], running=False), {}, {"/h/ring.json": RING}, LOADED)
    assert stopped.state == "pending" and "CrashLoopBackOff" in stopped.message.text


PROMETHEUS = pod({"name": "r", "image": "prom/prometheus", "args": ["--config.file=/p/prometheus.yml"]})
GOOD = ProxyAnswer(200, "text/plain", (PAGES / "prometheus-2.42.txt").read_bytes())
FAILED = ProxyAnswer(200, "text/plain", (PAGES / "prometheus-2.42-failed.txt").read_bytes())
STARTED = datetime(2026, 11, 22, 23, 39, 12, tzinfo=UTC)
"""A second before that of its first load."""
RULES = b"groups: [{name: a, rules: [{record: x, expr: up}, {alert: y, expr: up}]}]"
METRICS, API = "pods/n/p:9090/metrics", "pods/n/p:9090/api/v1/rules"


def loaded_rules(*groups: tuple[str, str, list[str]]) -> ProxyAnswer:
    data = [{"file": file, "name": name, "rules": [{"name": rule} for rule in rules]} for file, name, rules in groups]
    return ProxyAnswer(200, "application/json", json.dumps({"status": "success", "data": {"groups": data}}).encode())


def prometheus(answers: dict[str, Any], since: datetime | None, **more: Any) -> Reload:
    return asked(PROMETHEUS, answers, {"/rules/a.yml": RULES, "/rules/README": b"groups"}, since, **more)


def test_a_success_after_the_write_proves_prometheus() -> None:
    found = prometheus({METRICS: GOOD}, STARTED)
    assert (found.state, found.by) == (
        "loaded",
        "metrics",
    ) and "at 23:39:13 UTC, after the change" in found.message.text
    assert prometheus({METRICS: GOOD}, STARTED + timedelta(minutes=1)).state == "pending"
    assert prometheus({METRICS: GOOD}, None).state == "unknown"


def test_the_second_of_the_write_proves_nothing_by_itself() -> None:
    same = STARTED + timedelta(seconds=1)
    assert prometheus({METRICS: GOOD}, same).state == "pending"
    all_ = {METRICS: GOOD, API: loaded_rules(("/rules/a.yml", "a", ["x", "y"]))}
    assert prometheus(all_, same).state == "loaded", "the rules themselves tell"
    younger = json.loads(json.dumps(PROMETHEUS))
    younger["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": "2026-11-22T23:39:13Z"}}
    assert asked(younger, {METRICS: GOOD}, {}, STARTED + timedelta(seconds=0.5)).state == "loaded"


def test_the_rules_that_are_loaded_must_be_those_of_the_files() -> None:
    def state(*groups: tuple[str, str, list[str]]) -> str:
        return prometheus({METRICS: GOOD, API: loaded_rules(*groups)}, STARTED).state

    assert state(("/rules/a.yml", "a", ["x", "y"])) == "loaded"
    assert state(("/rules/a.yml", "a", ["x", "y"]), ("/others/b.yml", "b", [])) == "loaded"
    assert state(("/rules/a.yml", "a", ["x"])) == "pending"
    assert state(("/rules/a.yml", "a", ["x", "y"]), ("/rules/added.yml", "b", ["z"])) == "pending"
    for odd in (ProxyAnswer(404), ProxyAnswer(200, "text/html", b"<html>"), ProxyAnswer(200, "", b'{"data": 1}')):
        assert prometheus({METRICS: GOOD, API: odd}, STARTED).state == "loaded", "agents have no such page"


def test_a_reload_of_prometheus_that_failed() -> None:
    log = (PAGES / "prometheus-2.42.log").read_text()
    first, _, _ = log.partition("ts=2026-11-22T23:39:29.906Z")
    found = prometheus({METRICS: FAILED}, STARTED, log=first)
    assert found.state == "failed" and "unclosed left parenthesis" in found.message.text
    assert "works with what it loaded at 23:39:13 UTC" in found.message.text
    found = prometheus({METRICS: FAILED}, STARTED, log=log)
    assert "parsing YAML file" in found.message.text, "the last failure counts"
    assert prometheus({METRICS: FAILED}, STARTED + timedelta(minutes=5), log=first).state == "pending"
    assert prometheus({METRICS: FAILED}, STARTED).state == "failed"
    assert prometheus({METRICS: PROXY}, STARTED + timedelta(seconds=5), log=first).state == "failed"
    loaded, _, _ = log.partition("ts=2026-11-22T23:39:29.872Z")
    assert prometheus({METRICS: PROXY}, STARTED, log=loaded).by == "log"


def test_files_that_make_no_reload() -> None:
    server = json.loads(json.dumps(PROMETHEUS))
    server["spec"]["containers"][0]["args"].append("--config.auto-reload")
    targets = {"/sd/targets.json": b'[{"targets": ["a:1"]}]'}
    assert asked(server, {METRICS: GOOD}, targets, STARTED).state == "unknown"
    assert asked(server, {METRICS: GOOD}, {"/rules/a.yml": RULES}, STARTED).state == "loaded"


def test_a_reloader_answers_for_whom_it_serves() -> None:
    reloader = {"name": "reloader", "image": "x/prometheus-config-reloader", "args": ["--config-file=/in/p.yaml.gz"]}
    both = pod(*PROMETHEUS["spec"]["containers"], reloader)
    files = {"/in/p.yaml.gz": b"\x1f\x8b"}
    assert asked(both, {METRICS: GOOD}, files, STARTED, container="reloader").state == "loaded"


def test_the_hash_proves_alertmanager() -> None:
    server = pod({"name": "r", "image": "prom/alertmanager", "args": ["--config.file=/am/am.yml"]})
    answers = {"pods/n/p:9093/metrics": ProxyAnswer(200, "", (PAGES / "alertmanager-0.25.txt").read_bytes())}
    content = (PAGES / "alertmanager.yml").read_bytes()
    assert asked(server, answers, {"/am/am.yml": content}, None).state == "loaded"
    assert asked(server, answers, {"/am/am.yml": content + b"\n"}, STARTED).state == "pending"


def test_hashrings() -> None:
    assert hashring.problem(RING) is None
    assert hashring.endpoints(RING) == ("r-0.r:10901", "r-1.r:10901")
    for bad in (
        b"",
        CUT,
        b"{}",
        b"[]",
        b"null",
        b"7",
        b"[7]",
        b'[{"endpoints": [{}]}]',
        b'[{"endpoints": {}}]',
        b'["\xff"]',
        b"[" * 100_000,
    ):
        assert hashring.problem(bad) is not None and hashring.endpoints(bad) == ()


@pytest.mark.parametrize("content", [b"groups: [", b"groups: 7", b"- groups", b"groups: [7]", b"\xffgroups", b"a: 1"])
def test_files_that_hold_no_rules(content: bytes) -> None:
    assert groups_of(content) == {}
