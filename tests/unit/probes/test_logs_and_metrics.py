# SPDX-License-Identifier: Apache-2.0
"""Lines and pages as the real programs write them."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_cluster import SmallCluster

from backout.cluster.port import ProxyAnswer
from backout.errors import AccessDenied
from backout.probes import metrics
from backout.probes.logs import entries, instant, shown

PAGES = Path(__file__).parent / "pages"
PAGE = "prometheus_config_last_reload_successful"


def text(name: str) -> str:
    return (PAGES / name).read_text()


def test_lines_of_go_kit() -> None:
    found = list(entries(text("prometheus-2.42.log")))
    failed = [entry for entry in found if entry.message == "Error reloading config"]
    assert [entry.level for entry in failed] == ["error", "error"]
    assert failed[0].at == datetime(2026, 11, 22, 23, 39, 29, 872000, UTC)
    assert failed[0].error.endswith('(--config.file="etc2/prometheus.yml")')
    groups = next(entry for entry in found if entry.message == "loading groups failed")
    assert groups.error.endswith(
        'rule 1, "Slow": could not parse expression: 1:34: parse error: unclosed left parenthesis'
    )


def test_lines_of_slog_and_json_and_others() -> None:
    new, old, banner, json_, broken = entries(
        'time=2026-11-22T23:39:29.872Z level=ERROR source=main.go:1427 msg="Error reloading config" err="a=b \\"c\\""\n'
        "level=warn ts=2026-11-22T23:39:29.872123456Z caller=x err=plain\n"
        "level=info msg=one\n"
        '{"ts":"2026-11-22T23:39:29Z","level":"error","msg":"x","err":"y","n":0}\n'
        'level=error msg="never closed\n'
        'Traceback: nothing\n{"cut\n\n[1,2]\n'
    )
    assert (new.level, new.error) == ("error", 'a=b "c"')
    assert old.at == datetime(2026, 11, 22, 23, 39, 29, 872123, UTC) and old.error == "plain"
    assert banner.at is None
    assert (json_.message, json_.error, json_.fields["n"]) == ("x", "y", "0")
    assert broken.level == "error"


def test_what_is_shown_of_an_error() -> None:
    store = [entry for entry in entries(text("thanos-store.log")) if entry.error][-1]
    assert shown(store.error) == (
        "store command failed: bucket store initial sync: sync block: BaseFetcher: iter bucket: The request signature "
        "we calculated does not match the signature you provided. Check your key and signing method."
    )
    assert shown("yaml: unmarshal errors:\n  line 3: x\n  line 4: y") == "yaml: unmarshal errors: line 3: x: line 4: y"
    assert len(shown("x" * 1000)) == 300


@pytest.mark.parametrize(
    "line",
    [
        "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `hunter2` into int",
        'Get "https://bob:hunter2@bucket.example/x": EOF',
        'Get "https://bucket.example/x?X-Amz-Signature=hunter2&a=b": 403',
        "secret_key: hunter2",
        "Authorization: Bearer hunter2hunter2",
        '{"password": "hunter2"}',
    ],
)
def test_nothing_secret_is_shown(line: str) -> None:
    assert "hunter2" not in shown(line)


def test_nothing_is_done_to_a_terminal() -> None:
    assert shown("a\x1b[31mred\x1b]0;title\x07 b\u202e") == "a [31mred ]0;title b"


def test_instants() -> None:
    assert instant("1795390775.5") == datetime(2026, 11, 22, 23, 39, 35, 500000, UTC)
    assert instant("2026-11-22T23:39:29+01:00") == datetime(2026, 11, 22, 22, 39, 29, tzinfo=UTC)
    for odd in ("", "yesterday", "99999999999999", "2026-13-40T00:00:00Z"):
        assert instant(odd) is None


def test_pages_of_real_programs() -> None:
    names = {PAGE, "prometheus_tsdb_head_series", "net_conntrack_dialer_conn_failed_total"}
    found = metrics.parse(text("prometheus-2.42.txt").encode(), names)
    assert found is not None
    page = metrics.Page(found)
    assert page.value(PAGE) == 1 and page.value("prometheus_tsdb_head_series") == 0
    assert page.value("net_conntrack_dialer_conn_failed_total", dialer_name="default", reason="refused") == 0
    assert len(found["net_conntrack_dialer_conn_failed_total"]) > 3
    assert page.value("prometheus_no_such_thing") is None
    failed = metrics.parse(text("prometheus-2.42-failed.txt").encode(), names)
    assert failed and metrics.Page(failed).value(PAGE) == 0


def test_labels_and_numbers() -> None:
    found = metrics.parse(
        b'# TYPE a gauge\na{x="1 } \\"q\\" \\\\ \\n,y=",z = "2",} 1e3 1795390775000\na +Inf\na{x="n"} NaN\na{broken 1\n'
        b"a nonsense\naa 5\n# EOF\n",
        {"a"},
    )
    assert found is not None
    first, second, third = found["a"]
    assert first.labels == {"x": '1 } "q" \\ \n,y=', "z": "2"} and first.value == 1000
    assert second.value == math.inf and math.isnan(third.value) and len(found) == 1
    assert metrics.parse(b"<html>login</html>", {"a"}) is None
    assert metrics.parse(b"", {"a"}) is None
    assert metrics.parse(b"# TYPE b gauge\nb 1\n", {"a"}) == {}


@given(st.binary(max_size=400))
def test_no_page_and_no_line_is_too_odd(data: bytes) -> None:
    metrics.parse(data, {"a"})
    metrics.parse(b"# TYPE a gauge\na{" + data, {"a"})
    list(entries(data.decode("utf-8", "replace")))
    shown(data.decode("latin-1"))


def test_why_a_page_was_not_read() -> None:
    async def main() -> None:
        url = "pods/n/p:80/metrics"
        good = text("prometheus-2.42.txt").encode()
        tls = ProxyAnswer(400, "text/plain", b"Client sent an HTTP request to an HTTPS server.\n")
        for answer, words in (
            (ProxyAnswer(503, refusal="no way"), "the API server does not reach its port 80: no way"),
            (ProxyAnswer(404), "its port 80 answers 404 to /metrics"),
            (ProxyAnswer(401), "its port 80 asks for credentials (401)"),
            (ProxyAnswer(200, "text/html", b"<html>"), "is no page of metrics"),
            (AccessDenied("You may not get pods/proxy p."), "you may not use pods/proxy in namespace n"),
        ):
            found = await metrics.page(SmallCluster(answers={url: answer}), "n", "p", 80, {PAGE})  # type: ignore[arg-type]
            assert found.refusal is not None and words in found.refusal.text and not found.samples
        cluster = SmallCluster(answers={url: [tls, ProxyAnswer(200, "text/plain", good)]})
        found = await metrics.page(cluster, "n", "p", 80, {PAGE})  # type: ignore[arg-type]
        assert found.refusal is None and found.value(PAGE) == 1

    asyncio.run(main())
