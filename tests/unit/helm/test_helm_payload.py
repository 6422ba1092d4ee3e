# SPDX-License-Identifier: Apache-2.0
"""Release records within limits: good ones of every kind are read, bombs and broken ones are refused."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.errors import BackoutError, Invalid, TooLarge
from backout.helm import payload

RECORD = {
    "name": "thanos",
    "namespace": "monitoring",
    "version": 3,
    "manifest": "---\nkind: ConfigMap\n",
    "info": {
        "first_deployed": "2026-11-22T10:00:00.123456789+09:00",
        "last_deployed": "2026-11-22T11:00:00Z",
        "description": "Upgrade complete",
        "status": "deployed",
        "notes": "hello",
    },
    "chart": {"metadata": {"name": "kube-prometheus-stack", "version": "58.0.0", "appVersion": 0.73}, "templates": []},
    "config": {"password": "hunter2"},
    "hooks": [{"name": "job", "kind": "Job", "events": ["pre-rollback"], "last_run": {"phase": "Succeeded"}}],
    "apply_method": "ssa",
}


def encoded(data: bytes, *, wrapped: bool, compressed: bool = True) -> str:
    inner = base64.b64encode(gzip.compress(data, mtime=0) if compressed else data)
    return (base64.b64encode(inner) if wrapped else inner).decode()


@pytest.mark.parametrize("wrapped", [True, False], ids=["secret", "configmap"])
@pytest.mark.parametrize("compressed", [True, False], ids=["gzip", "plain"])
def test_reads_what_helm_writes(wrapped: bool, compressed: bool) -> None:
    text = encoded(json.dumps(RECORD).encode(), wrapped=wrapped, compressed=compressed)
    release = payload.decode(text, "r", wrapped=wrapped)
    assert (release.name, release.version, release.info.status) == ("thanos", 3, "deployed")
    assert release.chart_label == "kube-prometheus-stack-58.0.0"
    assert release.app_version == "0.73"
    assert release.server_side
    assert release.deployed_at is not None and release.deployed_at.hour == 11
    assert (release.hooks or ())[0].last_run.phase == "Succeeded"


def test_a_record_of_an_old_helm_has_no_times_hooks_or_apply_method() -> None:
    release = payload.parse(b'{"name":"x","hooks":null,"info":{"last_deployed":"0001-01-01T00:00:00Z"}}', "r")
    assert release.deployed_at is None
    assert not release.server_side
    assert not release.hooks


def test_a_bomb_is_refused_before_it_fills_the_memory() -> None:
    bomb = encoded(b"0" * (300 * 1024 * 1024), wrapped=True)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            payload.decode(bomb, "r", wrapped=True)
        assert tracemalloc.get_traced_memory()[1] < 80 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_the_absolute_limit_holds_where_the_ratio_does_not() -> None:
    with pytest.raises(TooLarge):
        payload.inflate(zlib.compress(b"x" * (payload.MAX_BYTES + 1), wbits=31) + b"\0" * 1024 * 1024, "r")


def test_the_ratio_limit_has_a_floor_for_small_records() -> None:
    many_equal_lines = b"a: 1\n" * 400_000
    assert len(many_equal_lines) / len(gzip.compress(many_equal_lines, mtime=0)) > payload.MAX_RATIO
    assert payload.inflate(gzip.compress(many_equal_lines, mtime=0), "r") == many_equal_lines


@pytest.mark.parametrize(
    "text", ["%%%", "äöü", base64.b64encode(b"%%%").decode(), encoded(b"[]", wrapped=True), encoded(b"{", wrapped=True)]
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        payload.decode(text, "r", wrapped=True)


def test_a_cut_off_record_is_never_half_a_record() -> None:
    whole = gzip.compress(json.dumps(RECORD).encode())
    for end in (4, 12, len(whole) // 2, len(whole) - 9):
        with pytest.raises(Invalid):
            payload.inflate(whole[:end], "r")


def test_a_flipped_bit_is_noticed() -> None:
    whole = bytearray(gzip.compress(json.dumps(RECORD).encode()))
    whole[len(whole) // 2] ^= 0x10
    with pytest.raises(BackoutError):
        payload.parse(payload.inflate(bytes(whole), "r"), "r")


def test_the_words_of_an_error_hold_nothing_of_the_record() -> None:
    with pytest.raises(Invalid) as caught:
        payload.parse(b'{"name": "hunter2-token", "version": "hunter2"}', "r")
    assert "hunter2" not in caught.value.message


@given(st.binary(max_size=400))
def test_no_bytes_break_more_than_their_own_record(data: bytes) -> None:
    with contextlib.suppress(BackoutError):
        payload.parse(payload.inflate(data, "r"), "r")
