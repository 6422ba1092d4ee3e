# SPDX-License-Identifier: Apache-2.0
"""The rules that a server works with, against those of its files (prometheus/prometheus web/api/v1, ``/rules``)."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import dirname
from typing import Any, NamedTuple

import msgspec
import yaml

from backout.cluster.port import ClusterReader
from backout.errors import BackoutError
from backout.model.decoding import UNREADABLE
from backout.model.message import Message, msg
from backout.model.yamltext import load
from backout.probes.programs import Program

LIMIT = 16 * 1024 * 1024
LARGEST_FILE = 1024 * 1024
Groups = dict[str, dict[str, list[str]]]
"""File → group → the names of its rules."""


class _Rule(msgspec.Struct):
    name: str = ""


class _Group(msgspec.Struct):
    name: str = ""
    file: str = ""
    rules: list[_Rule] = []


class _Data(msgspec.Struct):
    groups: list[_Group] = []


class _Answer(msgspec.Struct):
    status: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


class Compared(NamedTuple):
    """``other``: what differs. ``same``: all rules of the files are loaded, and no others. Neither: nobody can say."""

    same: bool = False
    other: Message | None = None


async def compared(
    cluster: ClusterReader, namespace: str, pod: str, program: Program, files: Mapping[str, bytes]
) -> Compared:
    """The rules that the server has loaded against those of these files."""
    wanted = {path: groups for path, content in files.items() if (groups := groups_of(content))}
    if not wanted or not program.port:
        return Compared()
    try:
        answer = await cluster.proxied(
            "pods", pod, namespace, program.port, f"{program.prefix}/api/v1/rules", limit=LIMIT
        )
        if answer.refusal or answer.status != 200 or answer.truncated:
            return Compared()
        loaded = msgspec.json.decode(answer.body, type=_Answer)
    except (BackoutError, *UNREADABLE):
        return Compared()
    if loaded.status != "success":
        return Compared()
    return compare(wanted, loaded.data.groups)


def compare(wanted: Groups, loaded: list[_Group]) -> Compared:
    """Files of the same folders only; a file that matches no pattern of the configuration is never loaded."""
    found: Groups = {}
    for group in loaded:
        found.setdefault(group.file, {})[group.name] = [rule.name for rule in group.rules]
    folders = {dirname(path) for path in wanted}
    for path, groups in sorted(found.items()):
        if dirname(path) not in folders:
            continue
        if path not in wanted:
            other = msg("it still works with the rules of {path}, which is not there any more", path=path)
            return Compared(other=other)
        if groups != wanted[path]:
            return Compared(other=msg("it still works with other rules of {path}", path=path))
    return Compared(same=wanted.keys() <= found.keys())


def groups_of(content: bytes) -> dict[str, list[str]]:
    """The groups of a rule file; none when it is something else. Anything large is not looked at."""
    if len(content) > LARGEST_FILE or b"groups" not in content:
        return {}
    try:
        found: Any = load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        return {}
    groups = found.get("groups") if isinstance(found, dict) else None
    if not isinstance(groups, list):
        return {}
    result: dict[str, list[str]] = {}
    for group in groups:
        if not isinstance(group, dict) or not isinstance(group.get("rules") or [], list):
            return {}
        rules = [rule for rule in group.get("rules") or () if isinstance(rule, dict)]
        result[str(group.get("name"))] = [str(rule.get("record") or rule.get("alert")) for rule in rules]
    return result
