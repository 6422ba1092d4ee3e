# SPDX-License-Identifier: Apache-2.0
"""Reads a small YAML file, and says at which line something in it is wrong."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from backout.errors import ConfigError
from backout.model.yamltext import Unbounded, load

LIMIT = 4 * 1024 * 1024
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@lru_cache(maxsize=8)
def _parsed(text: bytes) -> Any:
    """The same bytes are parsed once: a kubeconfig of 400 contexts takes a tenth of a second of processor time, and is read for each
    connection. Nobody changes what comes out."""
    return load(text, _Loader)


class YamlFile:
    """One parsed file. ``value(path, kind)`` reads a key or raises a ConfigError with file, line and key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as stream:
                self._text = stream.read(LIMIT + 1)
        except OSError as error:
            raise ConfigError(
                "{file} can't be read: {reason}.", file=str(path), reason=(error.strerror or "error").lower()
            ) from None
        if len(self._text) > LIMIT:
            raise ConfigError("{file} is larger than {limit} bytes.", file=str(path), limit=LIMIT)
        try:
            self.data: Any = _parsed(self._text)
        except Unbounded as error:
            raise ConfigError("{file} can't be read: {problem}.", file=str(path), problem=str(error)) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            raise ConfigError(
                "{file} is not valid YAML: {problem} (line {line}, column {column}).",
                file=str(path),
                problem=error.problem or "syntax error",
                line=mark.line + 1 if mark else 0,
                column=mark.column + 1 if mark else 0,
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
            raise ConfigError("{file} is not valid YAML.", file=str(path)) from None

    def value(self, path: tuple[str | int, ...], kind: type, default: Any = None, *, required: bool = False) -> Any:
        """What stands at ``path``, or ``default`` when nothing does.

        Raises:
            ConfigError: it is of another type than ``kind``, or ``required`` and absent.
        """
        found = self.data
        for depth, key in enumerate(path):
            if found is None:
                break
            if isinstance(key, str) and not isinstance(found, dict):
                self.fail(path[:depth], f"a mapping was expected, found {_type_name(found)}")
            found = found.get(key) if isinstance(key, str) else found[key]
        if found is None:
            if required:
                self.fail(path, "missing")
            return default
        if not isinstance(found, kind) or (kind is not bool and isinstance(found, bool)):
            self.fail(path, f"{_KINDS.get(kind, kind.__name__)} was expected, found {_type_name(found)}")
        return found

    def fail(self, path: tuple[str | int, ...], problem: str) -> None:
        """Raises a ConfigError that names this file, the line and the key."""
        raise ConfigError(
            "{file}, line {line}: {key}: {problem}.",
            file=str(self.path),
            line=self._line(path),
            key=_dotted(path) or "the document",
            problem=problem,
        )

    def _line(self, path: tuple[str | int, ...]) -> int:
        """The line of the deepest part of ``path`` that exists. Parsed again, since it is needed for an error only."""
        node = yaml.compose(self._text, Loader=_Loader)
        line = 1
        for key in path:
            line = node.start_mark.line + 1 if node is not None else line
            if isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == key), None)
                if pair is None:
                    return line
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
                line = node.start_mark.line + 1
            else:
                return line
        return line


_KINDS = {str: "a text", dict: "a mapping", list: "a list", bool: "true or false", int: "a number"}


def _type_name(value: Any) -> str:
    return _KINDS.get(type(value), "nothing" if value is None else type(value).__name__)


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text
