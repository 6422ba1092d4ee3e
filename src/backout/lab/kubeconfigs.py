# SPDX-License-Identifier: Apache-2.0
"""Kubeconfigs of a rehearsal: copies of the user's, in which one context leads elsewhere."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}
FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def merged(kubeconfig: str) -> dict[str, Any]:
    """All files of ``kubeconfig`` as one, as kubectl merges them (the first of a name counts); paths are absolute then."""
    import yaml

    found: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", **{section: [] for section in SECTIONS}}
    for name in filter(None, kubeconfig.split(os.pathsep)):
        file = Path(name)
        known = (yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None) or {}
        for section, inner in SECTIONS.items():
            there = {one["name"] for one in found[section]}
            for one in known.get(section) or ():
                if one["name"] not in there:
                    found[section].append({**one, inner: _absolute(one.get(inner) or {}, file.resolve().parent)})
        if known.get("current-context"):
            found.setdefault("current-context", known["current-context"])
    return found


def entry(known: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    """What the entry of that name holds."""
    found: dict[str, Any] = next(one[SECTIONS[section]] for one in known[section] if one["name"] == name)
    return found


@contextmanager
def written(known: dict[str, Any]) -> Iterator[Path]:
    """A file of it that only its owner can read, for a while."""
    import yaml

    folder = Path(tempfile.mkdtemp(prefix="backout-demo-"))
    file = folder / "kubeconfig"
    try:
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(known), encoding="utf-8")
        yield file
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def redirected(kubeconfig: str, context: str, to: str) -> Iterator[str]:
    """A kubeconfig whose ``context`` leads where ``to`` leads: somebody renamed, or pasted the wrong block."""
    known = merged(kubeconfig)
    entry(known, "contexts", context).update(entry(known, "contexts", to))
    with written(known) as file:
        yield str(file)


def _absolute(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    paths: dict[str, Any] = {key: str(folder / settings[key]) for key in FILES if settings.get(key)}
    program = settings.get("exec") or {}
    command = str(program.get("command") or "")
    if "/" in command:
        paths["exec"] = {**program, "command": str(folder / command)}
    return {**settings, **paths}
