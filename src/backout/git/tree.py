# SPDX-License-Identifier: Apache-2.0
"""The files of one commit, listed once and read in bulk."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import msgspec

from backout.errors import TooLarge
from backout.git.mirror import WORK, Mirror

LARGEST = 1024 * 1024
"""Bytes of a file that is read as text; a larger one is no manifest."""
OUTPUT = 256 * 1024 * 1024

SYMLINK = "120000"
SUBMODULE = "160000"


class Entry(msgspec.Struct, frozen=True):
    """One file: its mode as git writes it, the id of its content, its size where that is known here."""

    mode: str
    oid: str


class Tree(msgspec.Struct, frozen=True, dict=True):
    """All files of a commit by path."""

    commit: str
    entries: dict[str, Entry]

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder that holds something; ``""`` is the root."""
        found = {""}
        for path in self.entries:
            folder = path.rpartition("/")[0]
            while folder not in found:
                found.add(folder)
                folder = folder.rpartition("/")[0]
        return frozenset(found)


async def read_tree(mirror: Mirror, commit: str) -> Tree:
    """The files of a commit (a whole id, or a ref of ours).

    Raises:
        TooLarge: there are more than anybody keeps in one repository.
        ToolFailed: there is no such commit.
    """
    answer = await mirror.git(
        "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit, timeout=WORK, output=OUTPUT
    )
    if answer.cut:
        raise TooLarge("{url} holds too many files to be read.", url=mirror.remote.url)
    entries = {}
    for line in answer.stdout.split("\0"):
        head, tab, path = line.partition("\t")
        if tab:
            mode, _, oid = head.split(" ", 2)
            entries[path] = Entry(mode, oid)
    return Tree(commit, entries)


async def read_files(mirror: Mirror, tree: Tree, paths: Iterable[str]) -> dict[str, bytes]:
    """The contents of files; those that are not there, too large, or no files are left out.

    Raises:
        TooLarge: together they are more than 256 MiB.
        ToolFailed, TimedOut: git fails, such as when the server that has a large file is gone.
    """
    wanted = {path: tree.entries[path].oid for path in paths if path in tree.entries}
    oids = list(dict.fromkeys(oid for path, oid in wanted.items() if tree.entries[path].mode != SUBMODULE))
    if not oids:
        return {}
    listing = "\n".join(oids).encode() + b"\n"
    sizes = await mirror.git(
        "cat-file",
        "--batch-check=%(objectname) %(objecttype) %(objectsize)",
        stdin=listing,
        timeout=WORK,
        output=OUTPUT,
    )
    small = []
    for line in sizes.stdout.splitlines():
        oid, kind, size = line.split(" ") if line.count(" ") == 2 else ("", "", "0")
        if kind == "blob" and int(size) <= LARGEST:
            small.append(oid)
    if not small:
        return {}
    answer = await mirror.git(
        "cat-file", "--batch", stdin="\n".join(small).encode() + b"\n", timeout=WORK, output=OUTPUT
    )
    if answer.cut:
        raise TooLarge("The manifests of {url} are larger than 256 MiB.", url=mirror.remote.url)
    contents = _batch(answer.stdout.encode("utf-8", "surrogateescape"))
    return {path: contents[oid] for path, oid in wanted.items() if oid in contents}


def _batch(data: bytes) -> dict[str, bytes]:
    found = {}
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        words = data[at:end].decode("ascii", "replace").split(" ")
        at = end + 1
        if len(words) == 3 and words[2].isdigit():
            size = int(words[2])
            found[words[0]] = data[at : at + size]
            at += size + 1
    return found
