# SPDX-License-Identifier: Apache-2.0
"""Finds programs: the one a variable names, else the user's own in PATH, else a pinned one in Backout's tool folder."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import msgspec

from backout.errors import ToolMissing
from backout.tools.pins import pin_of
from backout.tools.run import environment, run_tool

VERSION_TIMEOUT = 30.0
_ASK = {
    "helm": ("version", "--template", "{{.Version}}"),
    "kubectl": ("version", "--client", "-o", "json"),
    "git": ("--version",),
}
_NUMBER = re.compile(r"v?(\d+\.\d+(?:\.\d+)?[-+.\w]*)")
_versions: dict[tuple[str, int], str] = {}


class Tool(msgspec.Struct, frozen=True):
    """One program. ``source`` is ``variable``, ``PATH`` or ``tool folder``; as text it is its path."""

    name: str
    path: str
    version: str
    source: str

    def __str__(self) -> str:
        return self.path

    @property
    def major(self) -> int:
        """The first number of its version."""
        return int(self.version.partition(".")[0])


def tool_folder() -> Path:
    """Where pinned programs are put: ``BACKOUT_TOOLS_DIR``, else below ``XDG_DATA_HOME`` (``~/.local/share``)."""
    if given := os.environ.get("BACKOUT_TOOLS_DIR"):
        return Path(given).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "backout" / "tools"


async def locate(name: str, major: int = 0) -> Tool | None:
    """The program, or None. With ``major`` the first of that major version.

    Raises:
        ToolMissing: a variable names something that is no program.
    """
    variable = f"BACKOUT_{name.upper()}"
    if given := os.environ.get(variable):
        path = shutil.which(given)
        if path is None:
            raise ToolMissing(
                "{variable} names {path}, which is no program.",
                variable=variable,
                path=given,
                hint="Correct it, or remove it to use the one in PATH.",
            )
        # A variable is the user's word: the version is not questioned.
        return await describe_path(name, path, "variable")
    if (path := shutil.which(name)) is not None:
        try:
            tool = await describe_path(name, path, "PATH")
        except ToolMissing:
            tool = None  # such as a wrapper that only says how to install it
        if tool is not None and major in (0, tool.major):
            return tool
    pin = pin_of(name, major)
    if pin is not None and os.access(found := tool_folder() / pin.file_name, os.X_OK):
        return Tool(name, str(found), pin.version, "tool folder")
    return None


async def describe_path(name: str, path: str, source: str) -> Tool:
    """A program with its version, asked once as long as the file does not change.

    Raises:
        ToolMissing: it does not tell its version.
    """
    key = (path, Path(path).stat().st_mtime_ns)
    if key not in _versions:
        answer = await run_tool([path, *_ASK[name]], env=environment(), timeout=VERSION_TIMEOUT, check=False)
        text = answer.stdout
        if name == "kubectl":
            text = text.partition('"gitVersion"')[2]
        found = _NUMBER.search(text)
        if answer.code != 0 or found is None:
            raise ToolMissing("{path} does not tell its version.", path=path, hint="Is it really {name}?", name=name)
        _versions[key] = found.group(1)
    return Tool(name, path, _versions[key], source)
