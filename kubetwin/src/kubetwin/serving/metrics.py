# SPDX-License-Identifier: Apache-2.0
"""Samples in the Prometheus text format, version 0.0.4 (facts: prometheus/common expfmt/text_create.go)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """A counter or gauge; ``samples`` are (labels, value)."""

    name: str
    kind: str
    help: str
    samples: tuple[tuple[tuple[tuple[str, str], ...], float], ...]


def counter(name: str, help: str, *samples: tuple[dict[str, str], float]) -> Metric:
    """A value that only grows."""
    return _metric(name, "counter", help, samples)


def gauge(name: str, help: str, *samples: tuple[dict[str, str], float]) -> Metric:
    """A value of the moment."""
    return _metric(name, "gauge", help, samples)


def _metric(name: str, kind: str, help: str, samples: Iterable[tuple[dict[str, str], float]]) -> Metric:
    return Metric(name, kind, help, tuple((tuple(sorted(labels.items())), value) for labels, value in samples))


def exposition(metrics: Iterable[Metric]) -> bytes:
    """The whole page, sorted by name; a metric without samples is left out."""
    lines: list[str] = []
    for metric in sorted(metrics, key=lambda m: m.name):
        if not metric.samples:
            continue
        lines.append(f"# HELP {metric.name} {_escaped(metric.help)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        for labels, value in sorted(metric.samples):
            shown = ",".join(f'{key}="{_escaped(text, quotes=True)}"' for key, text in labels)
            lines.append(f"{metric.name}{{{shown}}} {number(value)}" if shown else f"{metric.name} {number(value)}")
    return ("\n".join(lines) + "\n").encode() if lines else b""


def _escaped(text: str, *, quotes: bool = False) -> str:
    out = text.replace("\\", "\\\\").replace("\n", "\\n")
    return out.replace('"', '\\"') if quotes else out


def number(value: float) -> str:
    """As Go's strconv.FormatFloat(value, 'g', -1, 64): the shortest digits, an exponent below -4 and from 6 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    _, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    assert isinstance(exponent, int)
    text, power = "".join(map(str, digits)), len(digits) + exponent - 1
    sign = "-" if value < 0 else ""
    if power < -4 or power >= 6:
        rest = f".{text[1:]}" if len(text) > 1 else ""
        return f"{sign}{text[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{text}"
    if len(text) <= power + 1:
        return f"{sign}{text}{'0' * (power + 1 - len(text))}"
    return f"{sign}{text[: power + 1]}.{text[power + 1 :]}"
