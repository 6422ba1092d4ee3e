# SPDX-License-Identifier: Apache-2.0
"""A Prometheus server's configuration and rule files (facts: prometheus/prometheus cmd/prometheus/main.go, rules).

Read at the start; afterwards only with ``--config.auto-reload`` (or its feature flag), or when a container beside it
reloads configurations. A reload that fails sets ``prometheus_config_last_reload_successful`` to 0, and the earlier
configuration stays in force.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from kubetwin.kubelet.apps.base import Around, Ended, Part, Unparsable, parse_yaml, slog
from kubetwin.serving.metrics import Metric, gauge


class _Refused(Exception):
    """Why a configuration is not taken, after the lines that say more."""

    def __init__(self, message: str, *details: tuple[str, str]) -> None:
        super().__init__(message)
        self.details = details


class Prometheus(Part):
    """Configuration and rules of one server."""

    def __init__(self, around: Around, path: str, *, reloads: bool) -> None:
        self._around = around
        self._path = path
        self._reloads = reloads
        self._successful = True
        self._loaded_at = 0.0

    def begin(self, now: float) -> Ended | None:
        try:
            self._load(now)
        except _Refused as refused:
            end = now + self._around.settings.crash_after
            lines = [slog(end, "ERROR", message, err=err) for message, err in refused.details]
            lines.append(slog(end, "ERROR", f"Error loading config (--config.file={self._path})", err=str(refused)))
            return Ended(tuple(lines), self._around.settings.crash_after)
        return None

    def files_changed(self, now: float) -> None:
        if not self._reloads:
            return
        try:
            self._load(now)
        except _Refused as refused:
            self._successful = False
            lines = [slog(now, "ERROR", message, err=err) for message, err in refused.details]
            self._around.log.write(now, *lines, slog(now, "ERROR", "Error reloading config", err=str(refused)))

    def _load(self, now: float) -> None:
        self._around.log.write(now, slog(now, "INFO", "Loading configuration file", filename=self._path))
        files = self._around.files()
        config = self._config(files)
        for pattern in config.get("rule_files") or ():
            where = posixpath.join(posixpath.dirname(self._path), str(pattern))
            for path in sorted(path for path in files if fnmatch.fnmatchcase(path, where)):
                problem = rules_problem(files[path])
                if problem:
                    raise _Refused(
                        "one or more errors occurred while applying the new configuration "
                        f'(--config.file="{self._path}")',
                        ("loading groups failed", f"{path}: {problem}"),
                        ("Failed to apply configuration", "error loading rules, previous rule set restored"),
                    )
        self._successful, self._loaded_at = True, now
        message = "Completed loading of configuration file"
        self._around.log.write(now, slog(now, "INFO", message, filename=self._path))

    def _config(self, files: Mapping[str, bytes]) -> Mapping[str, Any]:
        about = f'couldn\'t load configuration (--config.file="{self._path}")'
        content = files.get(self._path)
        if content is None:
            raise _Refused(f"{about}: open {self._path}: no such file or directory")
        try:
            document = parse_yaml(content)
        except Unparsable as error:
            raise _Refused(f"{about}: parsing YAML file {self._path}: {error}") from None
        if document is not None and not isinstance(document, dict):
            text = "yaml: unmarshal errors:\n  line 1: cannot unmarshal value into config.plain"
            raise _Refused(f"{about}: parsing YAML file {self._path}: {text}")
        return document or {}

    def metrics(self) -> Iterable[Metric]:
        yield gauge(
            "prometheus_config_last_reload_successful",
            "Whether the last configuration reload attempt was successful.",
            ({}, float(self._successful)),
        )
        yield gauge(
            "prometheus_config_last_reload_success_timestamp_seconds",
            "Timestamp of the last successful configuration reload.",
            ({}, self._loaded_at),
        )


def rules_problem(content: bytes) -> str:
    """Why a rule file is refused; empty when it is good. Of PromQL only the brackets are looked at."""
    try:
        document = parse_yaml(content)
    except Unparsable as error:
        return str(error)
    if document is None:
        return ""
    if not isinstance(document, dict):
        return "yaml: unmarshal errors: cannot unmarshal value into rulefmt.RuleGroups"
    for group in document.get("groups") or ():
        if not isinstance(group, dict) or not group.get("name"):
            return "Groupname must not be empty"
        for number, rule in enumerate(group.get("rules") or (), 1):
            problem = _rule_problem(rule)
            if problem:
                return f'group "{group["name"]}", rule {number}, {problem}'
    return ""


def _rule_problem(rule: object) -> str:
    if not isinstance(rule, dict) or bool(rule.get("record")) == bool(rule.get("alert")):
        return "one of 'record' or 'alert' must be set"
    name, expression = str(rule.get("record") or rule.get("alert")), str(rule.get("expr") or "")
    if not expression:
        return f"\"{name}\": field 'expr' must be set in rule"
    closing = {"(": ")", "[": "]", "{": "}"}
    words = {"(": "parenthesis", "[": "bracket", "{": "brace"}
    names = {value: words[key] for key, value in closing.items()}
    stack: list[str] = []
    for position, char in enumerate(expression, 1):
        if char in closing:
            stack.append(char)
        elif char in names and (not stack or closing[stack.pop()] != char):
            return _syntax(name, position, f"unexpected right {names[char]}")
    return _syntax(name, len(expression) + 1, f"unclosed left {words[stack[-1]]}") if stack else ""


def _syntax(name: str, position: int, problem: str) -> str:
    return f'"{name}": could not parse expression: 1:{position}: parse error: {problem}'
