# SPDX-License-Identifier: Apache-2.0
"""A hashring is held against the receivers that are there before it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backout.mechanisms.objects.hashring import Around, Growth, examine


def receivers(name: str = "receive", service: str = "receive", replicas: int | None = 3) -> dict[str, Any]:
    spec: dict[str, Any] = {"serviceName": service}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"metadata": {"name": name}, "spec": spec}


AROUND = Around("monitoring", frozenset({"receive", "receive-lb"}), (receivers(),))


def ring(*endpoints: Any) -> str:
    return json.dumps([{"hashring": "default", "endpoints": list(endpoints)}])


@pytest.mark.parametrize(
    "endpoint",
    [
        "receive-0.receive:10901",
        "receive-2.receive.monitoring:10901",
        "receive-1.receive.monitoring.svc:10901",
        "receive-1.receive.monitoring.svc.cluster.local:10901",
        "receive-1.receive.monitoring.svc.cluster.local.:10901",
        {"address": "receive-0.receive:10901", "az": "a"},
        "receive-lb:10901",
        "receive-lb.monitoring.svc.cluster.local:10901",
        "receive",
    ],
)
def test_what_exists_is_fit(endpoint: Any) -> None:
    found = examine(ring(endpoint), AROUND)
    assert not found.wrong
    assert not found.growth


@pytest.mark.parametrize(
    "endpoint",
    [
        "recieve-0.receive:10901",
        "receive-x.receive:10901",
        "receiver:10901",
        "receiver.monitoring.svc:10901",
        "receive-0.receive-lb:10901",
        "other-0.other.monitoring:10901",
    ],
)
def test_what_does_not_exist_is_named(endpoint: str) -> None:
    found = examine(ring("receive-0.receive:10901", endpoint), AROUND)
    assert endpoint.partition(":")[0] in found.wrong[0].text
    assert "receive-0.receive," not in found.wrong[0].text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[{"endpoints": ["a:1",', "not JSON"),
        ("[]", "at least one"),
        ("{}", "list"),
        ("[1]", "no endpoints"),
        ('[{"endpoints": []}]', "no endpoints"),
        ('[{"endpoints": [{}]}]', "no address"),
        ("null", "list"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_what_is_no_hashring_is_refused(text: str, word: str) -> None:
    assert word in examine(text, AROUND).wrong[0].text


def test_receivers_that_the_ring_names_come_first() -> None:
    found = examine(ring("receive-0.receive:10901", "receive-4.receive:10901"), AROUND)
    assert not found.wrong
    assert found.growth == (Growth("receive", 3, 5),)
    one = Around("monitoring", frozenset({"receive"}), (receivers(replicas=None),))
    assert examine(ring("receive-1.receive:10901"), one).growth == (Growth("receive", 1, 2),)


def test_receivers_that_it_does_not_name_stay_with_a_word() -> None:
    found = examine(ring("receive-0.receive:10901", "receive-1.receive:10901"), AROUND)
    assert not found.growth
    assert "3 pods, of which this ring names 2" in found.notes[0].text


@pytest.mark.parametrize(
    "endpoint",
    [
        "10.0.0.7:10901",
        "[fd00::7]:10901",
        "receive.example.com:10901",
        "receive-0.receive.other.svc:10901",
        "receive-0.receive.other.svc.cluster.local:10901",
    ],
)
def test_what_is_elsewhere_is_not_judged(endpoint: str) -> None:
    found = examine(ring(endpoint), AROUND)
    assert not found.wrong
    assert "not checked" in found.notes[0].text
