# SPDX-License-Identifier: Apache-2.0
"""YAML, written so that nobody is steered by it, and read so that a few lines can't stand for billions of values.

A safe loader makes no objects, but it expands: an alias of aliases of aliases, or a merge key over such
(https://yaml.org/type/merge.html), takes memory without end. So aliases are counted as if expanded before anything is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

MAX_NODES = 2_000_000
"""Values in one text after aliases are expanded."""
MAX_DEPTH = 100


class Unbounded(ValueError):
    """The text stands for more than anybody writes: its aliases expand without end, or it is nested too deeply."""


def load(text: str | bytes, loader: Any = None) -> Any:
    """The only document of a text; None of an empty one.

    Raises:
        Unbounded: it expands to over two million values, or is nested over a hundred levels deep.
        yaml.YAMLError: it is no YAML.
    """
    import yaml

    chosen = loader or yaml.CSafeLoader
    _count(text, chosen)
    found = yaml.load(text, Loader=chosen)  # noqa: S506 - every loader given here is a safe one
    _hold_depth(found)
    return found


def load_all(text: str | bytes) -> list[Any]:
    """Every document of a text.

    Raises:
        Unbounded, yaml.YAMLError: as `load`.
    """
    import yaml

    _count(text, yaml.CSafeLoader)
    found = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    _hold_depth(found)
    return found


def to_yaml(plain: Any) -> str:
    """Readable YAML: keys in their order, long texts not folded, and what is obeyed as an escape."""
    return _dump([plain], explicit_start=False)


def to_yaml_all(documents: Iterable[Any]) -> str:
    """One document after the other, as `to_yaml` writes each."""
    every = list(documents)
    return _dump(every, explicit_start=len(every) > 1)


def _dump(documents: list[Any], *, explicit_start: bool) -> str:
    import yaml

    from backout.model.plaintext import OBEYED, escaped

    class Dumper(yaml.CSafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            # What is written is read by people and by other programs: each value stands where it belongs.
            return True

    def text(dumper: Any, value: str) -> yaml.ScalarNode:
        # Escapes are read in double quotes alone. Breaks and tabs do not need them.
        quoted = OBEYED.search(value.replace("\n", "").replace("\t", "")) is not None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)  # type: ignore[no-any-return]

    Dumper.add_representer(str, text)
    written = yaml.dump_all(
        documents, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000, explicit_start=explicit_start
    )
    return escaped(written)


def _count(text: str | bytes, loader: Any) -> None:
    import yaml

    if (b"*" not in text) if isinstance(text, bytes) else ("*" not in text):
        return
    sizes: dict[str, int] = {}
    open_: list[list[Any]] = [["", 0]]
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append([event.anchor, 0])
                continue
            if isinstance(event, yaml.AliasEvent):
                # An alias of what is still open holds itself; an unknown one is an error of the loader's.
                size = (
                    MAX_NODES + 1 if any(event.anchor == name for name, _ in open_) else sizes.get(str(event.anchor), 1)
                )
            else:
                size = 1
                if event.anchor:
                    sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, inner = open_.pop()
            size = inner + 1
            if anchor:
                sizes[anchor] = size
        else:
            continue
        open_[-1][1] += size
        if open_[-1][1] > MAX_NODES:
            raise Unbounded(f"its aliases expand to over {MAX_NODES} values")


def _hold_depth(value: Any) -> None:
    seen: set[int] = set()
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 2):
        level = [inner for outer in level for inner in _inner(outer) if _fresh(inner, seen)]
        if not level:
            return
    raise Unbounded(f"it is nested over {MAX_DEPTH} levels deep")


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _fresh(value: Any, seen: set[int]) -> bool:
    """Whether it is something to look into that was not looked into: aliases share what they stand for."""
    if not isinstance(value, dict | list) or id(value) in seen:
        return False
    seen.add(id(value))
    return True
