# SPDX-License-Identifier: Apache-2.0
"""What the parts of a recognised program have in common."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import yaml

from kubetwin.kubelet.logs import RunLog
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.serving.metrics import Metric, gauge


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that cannot go on: it ends ``after`` seconds with code 1, printing ``lines``.

    Until then it is not ready; ``answers``: its HTTP server is up already, or never comes up.
    """

    lines: tuple[str, ...]
    after: float
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Around:
    """What a program sees of the world. ``files`` are those of now; environment and arguments those of its start."""

    settings: KubeletSettings
    namespace: str
    container: str
    log: RunLog
    environment: Mapping[str, str]
    arguments: tuple[str, ...]
    files: Callable[[], Mapping[str, bytes]]
    places: tuple[str, ...]
    """Directories that ConfigMaps and Secrets are mounted at."""
    dial: Callable[[str, str], str]
    """(namespace, ``host:port``) → why it cannot be connected to; empty when it can."""
    bucket_error: Callable[[Mapping[str, object]], str]
    """Object storage configuration → the storage's answer to any request with it; empty when it is good."""

    def flag(self, *names: str) -> str | None:
        """The value of a flag, written ``--name=value`` or ``--name value``."""
        for index, word in enumerate(self.arguments):
            for name in names:
                if word.startswith(f"--{name}="):
                    return word.partition("=")[2]
                if word == f"--{name}":
                    following = self.arguments[index + 1 : index + 2]
                    return following[0] if following and not following[0].startswith("-") else ""
        return None

    @property
    def subcommand(self) -> str:
        """The first argument that is no flag and no path: ``store``, ``receive``, …"""
        return next((w for w in self.arguments if w and not w.startswith("-") and "/" not in w and w.isalpha()), "")


class Part:
    """One thing that a program does. Times are seconds since the epoch."""

    def begin(self, now: float) -> Ended | None:
        """Start; not None when the program must end."""
        return None

    def files_changed(self, now: float) -> None:
        """A mounted file changed."""

    def tick(self, now: float) -> float:
        """Do what is due; returns when something is due next."""
        return math.inf

    def metrics(self) -> Iterable[Metric]:
        """What it counts."""
        return ()


class App:
    """A recognised program in one run of a container."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._parts = parts

    def begin(self, now: float) -> Ended | None:
        """Start all parts; the first that cannot start ends the program."""
        for part in self._parts:
            ended = part.begin(now)
            if ended is not None:
                return ended
        return None

    def files_changed(self, now: float) -> None:
        """A mounted file changed."""
        for part in self._parts:
            part.files_changed(now)

    def tick(self, now: float) -> float:
        """Do what is due; returns when something is due next."""
        return min((part.tick(now) for part in self._parts), default=math.inf)

    def metrics(self) -> list[Metric]:
        """What all parts count."""
        return [metric for part in self._parts for metric in part.metrics()]


def process_metrics(started: float) -> list[Metric]:
    """What every program counts."""
    text = "Start time of the process since unix epoch in seconds."
    return [gauge("process_start_time_seconds", text, ({}, started))]


def logfmt(now: float, level: str, **fields: str) -> str:
    """A line as go-kit's logger writes it: ts=… level=… key=value, quoted where needed."""
    moment = dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    pairs = " ".join(f"{key}={quoted(value)}" for key, value in fields.items())
    return f"ts={moment}Z level={level} {pairs}"


def slog(now: float, level: str, message: str, **fields: str) -> str:
    """A line as Prometheus 3 writes it: time=… level=… msg=…"""
    moment = dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    pairs = "".join(f" {key}={quoted(value)}" for key, value in fields.items())
    return f"time={moment}Z level={level} msg={quoted(message)}{pairs}"


def quoted(text: str) -> str:
    """Quoted when it is not one plain word."""
    plain = bool(text) and all(char > " " and char not in '="' for char in text)
    return text if plain else json.dumps(text, ensure_ascii=False)


class Unparsable(Exception):
    """A configuration file that Go's parsers refuse; the message is theirs."""


def parse_yaml(data: bytes) -> object:
    """One YAML (or JSON) document.

    Raises:
        Unparsable: it is none.
    """
    try:
        return yaml.safe_load(data.decode())
    except UnicodeDecodeError:
        raise Unparsable("yaml: invalid leading UTF-8 octet") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise Unparsable(f"yaml: line {line}: {error.problem or 'did not find expected node content'}") from None
    except yaml.YAMLError:
        raise Unparsable("yaml: control characters are not allowed") from None
