# SPDX-License-Identifier: Apache-2.0
"""Programs that run and are ready, and that could not load what somebody wrote; and those that only look like it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from a_namespace import NS, Scene, codes, reading, writer

from backout.cluster.port import ProxyAnswer
from backout.diagnosis.detectors import configuration
from backout.errors import AccessDenied

RING = json.dumps([{"hashring": "default", "endpoints": ["receive-0.receive:10901", "receive-1.receive:10901"]}])
STRANGE = RING.replace("receive-1.", "receive-7.")
CUT = RING[:40]
EDIT = writer("kubectl-edit", 90, "data/hashring.json")
RULES = writer("kubectl-patch", 90, "data/more.yml")
UNREACHABLE = ProxyAnswer(503, refusal="error trying to reach service: dial tcp 10.1.0.1:10902: i/o timeout")
LOADED = (
    'ts=2026-11-22T10:00:00Z level=info component=config-watcher msg="Set up hashring for the given hashring config."'
)
FAILED = (
    'ts=2026-11-22T10:05:00Z level=error component=config-watcher msg="failed to load configuration file" '
    'err="failed to parse configuration file: unexpected end of JSON input: configuration file is not parsable"'
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "AGAIN", 0.0)


def page(*lines: str) -> ProxyAnswer:
    return ProxyAnswer(200, "text/plain; version=0.0.4", ("# HELP x x\n" + "\n".join(lines) + "\n").encode())


def receiver(content: str, *, errors: int = 0) -> ProxyAnswer:
    value = int.from_bytes(hashlib.sha256(content.encode()).digest()[:6], "little")
    return page(
        f"thanos_receive_config_hash {float(value)!r}",
        "thanos_receive_config_last_reload_successful 1",
        "thanos_receive_config_last_reload_success_timestamp_seconds 1.7e9",
        f"thanos_receive_hashrings_file_errors_total {errors}",
    )


def forwarding(*failed: int) -> Callable[[], ProxyAnswer]:
    """One look after the other sees these numbers of failed requests."""
    left = list(failed)
    return lambda: page(
        'thanos_receive_forward_requests_total{result="success"} 50',
        f'thanos_receive_forward_requests_total{{result="error"}} {left.pop(0) if len(left) > 1 else left[0]}',
    )


def both(first: ProxyAnswer, then: Callable[[], ProxyAnswer]) -> list[Any]:
    """A receiver is asked what it has loaded, then (twice) what it could not forward."""
    return [first, then, then]


def receive(tmp_path: Path, pages: Any, live: str, *writers: Any, snapshot: bool = True, logs: str = "") -> Scene:
    """Two receivers whose hashring was right, and is ``live`` now."""
    answers = {f"pods/{NS}/receive-{n}:10902/metrics": pages(n) if callable(pages) else pages for n in (0, 1)}
    scene = Scene(tmp_path, answers=answers)
    scene.config("ring", data={"hashring.json": RING})
    if snapshot:
        scene.snapshot()
    scene.config("ring", *(writers or (EDIT,)), data={"hashring.json": live})
    spec = {
        "volumes": [{"name": "ring", "configMap": {"name": "ring"}}],
        "containers": [
            {
                "name": "receive",
                "image": "thanosio/thanos:v0.36.0",
                "args": ["receive", "--receive.hashrings-file=/etc/thanos/hashring.json"],
                "volumeMounts": [{"name": "ring", "mountPath": "/etc/thanos"}],
            }
        ],
    }
    scene.workload("receive", spec, kind="StatefulSet", replicas=2, logs=logs)
    return scene


def test_a_hashring_that_cannot_be_loaded(tmp_path: Path) -> None:
    (problem,) = receive(tmp_path, receiver(RING, errors=3), CUT).problems().values()
    assert (str(problem.target), problem.mechanism, codes(problem)) == (
        "configmap/ring",
        "objects",
        {"ConfigReloadFailed"},
    )
    assert problem.confidence == "certain" and problem.symptoms[0].pods == ("receive-0", "receive-1")
    assert (problem.serving, problem.desired) == (2, 2)
    assert problem.cause.text == "ConfigReloadFailed since kubectl-edit changed hashring.json"


def test_where_no_pod_can_be_reached_the_log_tells(tmp_path: Path) -> None:
    scene = receive(tmp_path, UNREACHABLE, CUT, logs=f"{LOADED}\n{FAILED}")
    (problem,) = scene.problems().values()
    assert str(problem.target) == "configmap/ring" and codes(problem) == {"ConfigReloadFailed"}
    assert {evidence.source for evidence in problem.symptoms[0].evidence} == {"log"}


def test_a_log_whose_last_word_is_a_success_tells_of_nothing(tmp_path: Path) -> None:
    assert receive(tmp_path, UNREACHABLE, RING, logs=f"{FAILED}\n{LOADED}").problems() == {}


def test_no_right_to_ask_and_no_log_tell_of_nothing(tmp_path: Path) -> None:
    assert receive(tmp_path, AccessDenied("No."), RING).problems() == {}


def test_old_errors_of_a_receiver_that_is_well_again(tmp_path: Path) -> None:
    assert receive(tmp_path, receiver(RING, errors=9), RING).problems() == {}


def test_a_file_that_has_not_arrived_yet_is_no_failure(tmp_path: Path) -> None:
    assert receive(tmp_path, both(receiver(RING), forwarding(0)), RING + "\n").problems() == {}


def test_requests_to_receivers_that_do_not_exist(tmp_path: Path) -> None:
    scene = receive(tmp_path, lambda _: both(receiver(STRANGE), forwarding(4, 9)), STRANGE)
    (problem,) = scene.problems().values()
    assert str(problem.target) == "configmap/ring" and codes(problem) == {"ForwardRequestFailures"}
    assert problem.confidence == "certain"
    told = [evidence.message.text for evidence in problem.symptoms[0].evidence]
    assert any("receive-7.receive:10901" in text for text in told)
    assert "receive-0: 5 requests to other receivers failed within 0.0 s" in told


def test_receivers_that_do_not_exist_count_where_nothing_can_be_measured(tmp_path: Path) -> None:
    (problem,) = receive(tmp_path, UNREACHABLE, STRANGE).problems().values()
    assert codes(problem) == {"ForwardRequestFailures"}
    assert "can't be seen" in problem.symptoms[0].message.text


def test_errors_that_do_not_grow_are_over(tmp_path: Path) -> None:
    live = RING.replace("default", "main")
    scene = receive(tmp_path, lambda _: both(receiver(live), forwarding(9, 9)), live)
    assert scene.problems() == {}


def test_errors_between_receivers_whose_hashring_nobody_changed(tmp_path: Path) -> None:
    made = writer("kubectl-create", 7200, "data/hashring.json")
    scene = receive(tmp_path, lambda _: both(receiver(RING), forwarding(4, 9)), RING, made)
    assert scene.problems() == {}
    assert all(key.endswith("/metrics") for key in scene.cluster.asked) and len(scene.cluster.asked) == 2


def test_an_edit_that_is_as_it_should_be_is_not_blamed_for_failing_requests(tmp_path: Path) -> None:
    scene = receive(tmp_path, lambda _: both(receiver(RING), forwarding(4, 9)), RING)
    assert scene.problems() == {}


# -- prometheus --------------------------------------------------------------------------------------------------------


def prometheus(tmp_path: Path, *, successful: int, logs: str = "", reachable: bool = True) -> Scene:
    answer = (
        page(
            f"prometheus_config_last_reload_successful {successful}",
            "prometheus_config_last_reload_success_timestamp_seconds 1.7e9",
        )
        if reachable
        else UNREACHABLE
    )
    scene = Scene(tmp_path, answers={f"pods/{NS}/prom-0:9090/metrics": answer})
    scene.config("main", data={"prometheus.yml": "rule_files: [/etc/rules/*.yml]\n"})
    scene.config("rules", data={"a.yml": "groups: []\n"})
    scene.snapshot()
    scene.config("rules", RULES, data={"a.yml": "groups: []\n", "more.yml": "groups: ["})
    volumes = [{"name": name, "configMap": {"name": name}} for name in ("main", "rules")]
    mounts = [{"name": "main", "mountPath": "/etc/prometheus"}, {"name": "rules", "mountPath": "/etc/rules"}]
    scene.workload(
        "prom",
        {
            "volumes": volumes,
            "containers": [
                {
                    "name": "prometheus",
                    "image": "prom/prometheus:v3.0.0",
                    "volumeMounts": mounts,
                    "args": ["--config.file=/etc/prometheus/prometheus.yml", "--config.auto-reload"],
                }
            ],
        },
        kind="StatefulSet",
        logs=logs,
    )
    return scene


BAD_RULES = (
    'time=2026-11-22T10:00:00Z level=ERROR msg="loading groups failed" file=/etc/rules/more.yml '
    'err="/etc/rules/more.yml: yaml: line 1: did not find expected node content"\n'
    'time=2026-11-22T10:00:00Z level=ERROR msg="Error reloading config" err="one or more errors occurred"'
)


def test_rules_that_cannot_be_loaded_are_told_from_the_configuration(tmp_path: Path) -> None:
    (problem,) = prometheus(tmp_path, successful=0, logs=BAD_RULES).problems().values()
    assert (str(problem.target), codes(problem)) == ("configmap/rules", {"ConfigReloadFailed"})
    assert problem.cause.text == "ConfigReloadFailed since kubectl-patch changed more.yml"


def test_without_a_log_the_one_that_was_written_by_hand_is_meant(tmp_path: Path) -> None:
    assert set(prometheus(tmp_path, successful=0).problems()) == {"configmap/rules"}


def test_rules_that_cannot_be_loaded_by_the_log_alone(tmp_path: Path) -> None:
    (problem,) = prometheus(tmp_path, successful=1, logs=BAD_RULES, reachable=False).problems().values()
    assert str(problem.target) == "configmap/rules"


def test_a_prometheus_that_reloaded_is_well(tmp_path: Path) -> None:
    assert prometheus(tmp_path, successful=1).problems() == {}


# -- object storage ----------------------------------------------------------------------------------------------------

SIGNATURE = (
    'ts=2026-11-22T10:00:00Z level=warn msg="syncing blocks failed" err="BaseFetcher: iter bucket: The request '
    'signature we calculated does not match the signature you provided."'
)


def sidecar(
    tmp_path: Path, done: int, failed: int, *writers: Any, snapshot: bool = True, changed: bool = True
) -> Scene:
    answer = page(
        f'thanos_objstore_bucket_operations_total{{bucket="b",operation="upload"}} {done}',
        f'thanos_objstore_bucket_operation_failures_total{{bucket="b",operation="upload"}} {failed}',
    )
    scene = Scene(tmp_path, answers={f"pods/{NS}/prom-0:10902/metrics": answer})
    scene.config("bucket", kind="Secret", data={"objstore.yml": "secret_key: canary-one"})
    if snapshot:
        scene.snapshot()
    content = "secret_key: canary-two" if changed else "secret_key: canary-one"
    scene.config("bucket", *writers, kind="Secret", data={"objstore.yml": content})
    scene.workload(
        "prom",
        {
            "volumes": [{"name": "o", "secret": {"secretName": "bucket"}}],
            "containers": [
                {
                    "name": "side",
                    "image": "thanosio/thanos:v0.36.0",
                    "args": ["sidecar", "--tsdb.path=/p", "--objstore.config-file=/etc/o/objstore.yml"],
                    "volumeMounts": [{"name": "o", "mountPath": "/etc/o"}],
                }
            ],
        },
        kind="StatefulSet",
        logs=SIGNATURE,
    )
    return scene


HAND = writer("kubectl-edit", 90, "data/objstore.yml")


def test_failing_requests_with_credentials_that_were_changed(tmp_path: Path) -> None:
    found = sidecar(tmp_path, 7, 7, HAND).problems()
    problem = found["secret/bucket"]
    assert codes(problem) == {"ObjectStorageErrors"} and problem.confidence == "certain"
    assert "The request signature" in problem.symptoms[0].message.text
    assert problem.suspect is not None and problem.suspect.fields[0].secret
    assert "canary" not in repr(problem)


def test_an_object_storage_that_is_down_is_not_the_secrets_fault(tmp_path: Path) -> None:
    assert sidecar(tmp_path, 7, 7, HAND, changed=False).problems() == {}


def test_without_a_snapshot_a_secret_that_was_never_changed_is_not_blamed(tmp_path: Path) -> None:
    assert sidecar(tmp_path, 7, 0, snapshot=False, changed=False).problems() == {}


def test_requests_that_succeed(tmp_path: Path) -> None:
    scene = sidecar(tmp_path, 7, 0, HAND)
    scene.cluster.logged.clear()
    assert scene.problems() == {}


# -- others ------------------------------------------------------------------------------------------------------------


def test_a_program_that_nobody_knows_is_not_asked(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.config("settings", writer("kubectl-edit", 90, "data/a"))
    scene.workload("web", reading("volume", "settings", args=["--config=/etc/app/a"]))
    assert scene.problems() == {}
    assert scene.cluster.asked == []
