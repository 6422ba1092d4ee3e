# SPDX-License-Identifier: Apache-2.0
"""What a program counts: its page of metrics, in the Prometheus text format 0.0.4 or OpenMetrics.

Only the series that are asked for are decoded: a page may hold tens of thousands. Facts about the format:
prometheus/docs content/docs/instrumenting/exposition_formats.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

import msgspec

from backout.cluster.port import ClusterReader, ProxyAnswer
from backout.errors import AccessDenied, BackoutError
from backout.model.message import Message, msg

LIMIT = 16 * 1024 * 1024
TIMEOUT = 5.0
_LINE = re.compile(
    r"(?P<name>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<labels>(?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*)\})?\s+(?P<value>\S+)"
)
_LABEL = re.compile(r'([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_SPOKE_TLS = b"HTTP request to an HTTPS server"


class Sample(msgspec.Struct, frozen=True):
    """One series and its value."""

    labels: dict[str, str]
    value: float


class Page(msgspec.Struct, frozen=True):
    """What was read. ``refusal`` says why nothing was; then there are no samples."""

    samples: dict[str, tuple[Sample, ...]] = {}
    refusal: Message | None = None

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of all series of that name that carry these labels; None when there is none."""
        found = [
            sample.value
            for sample in self.samples.get(name, ())
            if all(sample.labels.get(key) == value for key, value in labels.items())
        ]
        return sum(found) if found else None


async def page(
    cluster: ClusterReader,
    namespace: str,
    pod: str,
    port: int,
    names: Collection[str],
    *,
    path: str = "/metrics",
    timeout: float = TIMEOUT,
) -> Page:
    """Reads the series called ``names`` from a pod, over HTTPS when it asks for that. Never raises."""
    try:
        answer = await _ask(cluster, namespace, pod, port, path, timeout, "http")
        if answer.status == 400 and _SPOKE_TLS in answer.body[:200]:
            answer = await _ask(cluster, namespace, pod, port, path, timeout, "https")
    except AccessDenied:
        return Page(refusal=msg("you may not use pods/proxy in namespace {namespace}", namespace=namespace))
    except BackoutError as error:
        return Page(refusal=msg("its metrics could not be read: {error}", error=error.message))
    if answer.refusal:
        return Page(refusal=msg("the API server does not reach its port {port}: {why}", port=port, why=answer.refusal))
    if answer.status in (401, 403):
        return Page(refusal=msg("its port {port} asks for credentials ({status})", port=port, status=answer.status))
    if answer.status != 200:
        return Page(
            refusal=msg("its port {port} answers {status} to {path}", port=port, status=answer.status, path=path)
        )
    samples = parse(answer.body, names)
    if samples is None:
        return Page(refusal=msg("what its port {port} answers to {path} is no page of metrics", port=port, path=path))
    return Page(samples)


async def _ask(
    cluster: ClusterReader,
    namespace: str,
    pod: str,
    port: int,
    path: str,
    timeout: float,
    scheme: Literal["http", "https"],
) -> ProxyAnswer:
    return await cluster.proxied("pods", pod, namespace, port, path, scheme=scheme, limit=LIMIT, timeout=timeout)


def parse(body: bytes, names: Collection[str]) -> dict[str, tuple[Sample, ...]] | None:
    """The series called ``names``; None when ``body`` is no such page. A last line that was cut off does no harm."""
    wanted = set(names)
    found: dict[str, list[Sample]] = {}
    good = 0
    for raw in body.split(b"\n"):
        if not raw or raw.startswith(b"#"):
            good += raw.startswith((b"# HELP ", b"# TYPE ", b"# EOF"))
            continue
        name = _name(raw)
        if name not in wanted:
            continue
        line = _LINE.match(raw.decode("utf-8", "replace").strip())
        if line is None:
            continue
        try:
            value = float(line["value"])
        except ValueError:
            continue
        good += 1
        labels = {key: _unescaped(text) for key, text in _LABEL.findall(line["labels"] or "")}
        found.setdefault(name, []).append(Sample(labels, value))
    if not good:
        return None
    return {name: tuple(samples) for name, samples in found.items()}


def _name(line: bytes) -> str:
    end = len(line)
    for mark in (b"{", b" ", b"\t"):
        at = line.find(mark)
        if at >= 0:
            end = min(end, at)
    return line[:end].decode("ascii", "replace")


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text) if "\\" in text else text
