# SPDX-License-Identifier: Apache-2.0
"""Finds and reads the configuration."""

from __future__ import annotations

from pathlib import Path

from backout.app.files import read_bounded
from backout.errors import DOCS, ConfigError, UsageError
from backout.model.message import Message, msg, of_error
from backout.model.selector import parse_selector
from backout.model.settings import Settings, parse_settings


def load_settings(path: str | None) -> Settings:
    """The configuration: the file that was named, else ./backout.yaml, else ~/.config/backout/config.yaml, else none.

    Raises:
        ConfigError: the named file is missing or can't be read, or a file is malformed.
    """
    if path:
        return _read(Path(path))
    for candidate in (Path("backout.yaml"), Path.home() / ".config" / "backout" / "config.yaml"):
        if candidate.is_file():
            return _read(candidate)
    return Settings()


def chosen_clusters(settings: Settings, selector: str) -> tuple[str, ...]:
    """The configured clusters whose labels the selector matches; none when there is no selector.

    Raises:
        UsageError: it is no selector, or no cluster matches it.
    """
    if not selector:
        return ()
    terms = parse_selector(selector)
    found = tuple(name for name, entry in settings.clusters.items() if all(term.holds(entry.labels) for term in terms))
    if not found:
        labels = ", ".join(
            dict.fromkeys(
                f"{key}={value}" for entry in settings.clusters.values() for key, value in entry.labels.items()
            )
        )
        raise UsageError(
            "No cluster of the configuration has the labels {selector}.",
            selector=selector,
            found="labels {labels}" if labels else "no cluster with labels",
            labels=labels,
            hint="Labels are given under clusters in backout.yaml: {docs}/configuration.md",
            docs=DOCS,
        )
    return found


def _read(path: Path) -> Settings:
    try:
        text = read_bounded(path).decode("utf-8")
    except UsageError as error:
        raise _unreadable(path, of_error(error)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, msg("it is not UTF-8 text")) from error
    return parse_settings(text, str(path))


def _unreadable(path: Path, problem: Message) -> ConfigError:
    return ConfigError(
        "The configuration file {file} can't be read: {problem}",
        file=str(path),
        problem=problem,
        hint="Name another with --config, or leave it out.",
    )
