# SPDX-License-Identifier: Apache-2.0
"""Finds and reads the configuration."""

from __future__ import annotations

from pathlib import Path

from backout.app.files import read_bounded
from backout.errors import ConfigError, UsageError
from backout.model.message import Message, msg, of_error
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
