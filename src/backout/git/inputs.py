# SPDX-License-Identifier: Apache-2.0
"""Which files an application is made of, followed through bases that several share, so that it can be said which
applications on which clusters a commit reaches.

An application is reached by whatever lies in its own folders (whether a kustomization names it or not) and by every file
that those lead to. Rather one too many than one too few: what is reached by mistake is looked at, what is missed is not.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property

import msgspec

from backout.git import kustomize
from backout.git.mirror import Mirror
from backout.git.tree import SUBMODULE, SYMLINK, Tree, read_files, read_tree
from backout.git.words import below, shown
from backout.model.giturl import place_of

DEEPEST = 60
"""Bases of bases that are followed."""


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One place that an application is made from. ``files`` and ``folders`` are named by it beside ``path``, from the
    root of the repository, such as value files; ``chart`` stands for one from a chart repository, which has no path."""

    url: str
    revision: str = ""
    path: str = ""
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    chart: str = ""
    whole: bool = True
    """Whether the folder of ``path`` counts; False for a source that others take single files from."""


class Application(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a GitOps controller deploys: ``name`` as people write it (``app/web``), on which cluster, made from where."""

    name: str
    cluster: str = ""
    sources: tuple[Source, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Cluster and name."""
        return self.cluster, self.name


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What one application is made of in one commit. ``remote``: places outside, which are not followed; ``missing``:
    names that lead to nothing; ``unread``: files whose own references are not known, and why."""

    application: Application
    files: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    remote: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def reached_by(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of the paths that it is made of."""
        return tuple(path for path in paths if path in self.files or below(path, self.folders))


class Reach(msgspec.Struct, frozen=True, dict=True):
    """All applications that a branch of one repository deploys, by what they are made of."""

    commit: str
    every: tuple[Inputs, ...]

    @cached_property
    def _by_file(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, one in enumerate(self.every):
            for path in one.files:
                found.setdefault(path, []).append(number)
        return found

    @cached_property
    def _by_folder(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, one in enumerate(self.every):
            for path in one.folders:
                found.setdefault(path, []).append(number)
        return found

    @cached_property
    def _known(self) -> dict[str, frozenset[int]]:
        return {}

    def of(self, paths: Iterable[str]) -> tuple[Application, ...]:
        """The applications that a change of these paths reaches."""
        found: set[int] = set()
        for path in paths:
            found |= self._of(path)
        return tuple(self.every[number].application for number in sorted(found))

    def strays(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of the paths that no application is made of."""
        return tuple(path for path in paths if not self._of(path))

    def _of(self, path: str) -> frozenset[int]:
        known = self._known.get(path)
        if known is None:
            found = set(self._by_file.get(path, ()))
            folder = path
            while True:
                found.update(self._by_folder.get(folder, ()))
                if not folder:
                    break
                folder = folder.rpartition("/")[0]
            known = self._known[path] = frozenset(found)
        return known


async def read_reach(
    mirror: Mirror,
    commit: str,
    applications: Sequence[Application],
    *,
    branch: str,
    default: str = "",
    tree: Tree | None = None,
) -> Reach:
    """What the applications are made of that follow this repository's ``branch``, in one commit of it. ``default`` is
    the repository's own branch, which an empty revision and ``HEAD`` mean.

    Raises:
        TooLarge, ToolFailed, TimedOut: the commit can't be read.
    """
    mine = place_of(mirror.remote.url)
    chosen = [
        (application, sources)
        for application in applications
        if (sources := [one for one in application.sources if _follows(one, mine, branch, default)])
    ]
    tree = tree or await read_tree(mirror, commit)
    graph = await _follow(mirror, tree, [source for _, sources in chosen for source in sources])
    return Reach(commit, tuple(_inputs(application, sources, graph) for application, sources in chosen))


def _follows(source: Source, place: str, branch: str, default: str) -> bool:
    revision = source.revision.removeprefix("refs/heads/")
    follows = revision == branch or (revision in ("", "HEAD") and branch == (default or branch))
    return not source.chart and follows and place_of(source.url) == place


class _Node(msgspec.Struct):
    """One file or folder that somebody names, and where it leads."""

    files: set[str] = msgspec.field(default_factory=set)
    next: list[str] = msgspec.field(default_factory=list)
    folders: set[str] = msgspec.field(default_factory=set)
    remote: list[str] = msgspec.field(default_factory=list)
    missing: list[str] = msgspec.field(default_factory=list)
    unread: list[str] = msgspec.field(default_factory=list)


async def _follow(mirror: Mirror, tree: Tree, sources: Sequence[Source]) -> dict[str, _Node]:
    """Every path that is named, level by level: one reading a level, however many applications share it."""
    graph: dict[str, _Node] = {}
    front = list(dict.fromkeys(path for source in sources for path in _roots(source)))
    for _ in range(DEEPEST):
        front = [path for path in dict.fromkeys(front) if path not in graph]
        if not front:
            break
        reading: dict[str, str] = {}
        level = {path: _Node() for path in front}
        graph |= level
        for path, node in level.items():
            reading |= dict.fromkeys(_to_read(tree, path, node), path)
        contents = await read_files(mirror, tree, reading)
        for file, path in reading.items():
            _read(tree, file, contents.get(file), level[path])
        front = [name for node in level.values() for name in node.next]
    else:
        for path in dict.fromkeys(front):
            if path not in graph:
                graph[path] = _Node(unread=[f"{shown(path)}: it is over {DEEPEST} bases deep"])
    return graph


def _roots(source: Source) -> tuple[str, ...]:
    return (*((source.path,) if source.whole else ()), *source.files, *source.folders)


def _to_read(tree: Tree, path: str, node: _Node) -> list[str]:
    """The files that say what a path leads to; notes what it is itself."""
    if path in tree.entries:
        node.files.add(path)
        mode = tree.entries[path].mode
        if mode == SUBMODULE:
            node.remote.append(f"{shown(path)} (submodule)")
            return []
        return [path] if mode == SYMLINK else []
    if path not in tree.folders:
        above = path
        while above and above not in tree.entries:
            above = above.rpartition("/")[0]
        if above and tree.entries[above].mode == SYMLINK:
            node.next.append(above)
            node.unread.append(f"{shown(path)}: behind the link {shown(above)}")
        else:
            # That it is gone is how it reaches the application: a commit that puts it back matters.
            node.files.add(path)
            node.missing.append(shown(path))
        return []
    prefix = f"{path}/" if path else ""
    named = [prefix + name for name in kustomize.FILES if prefix + name in tree.entries][:1]
    if prefix + kustomize.CHART in tree.entries:
        # A chart is its whole folder.
        node.folders.add(path)
        named.append(prefix + kustomize.CHART)
    if not named:
        node.folders.add(path)
    return named


def _read(tree: Tree, file: str, content: bytes | None, node: _Node) -> None:
    node.files.add(file)
    if content is None:
        node.unread.append(f"{shown(file)}: it can't be read, or is too large")
        return
    folder = file.rpartition("/")[0]
    if tree.entries[file].mode == SYMLINK:
        wanted = content.decode("utf-8", "surrogateescape")
        found = kustomize.References(local=(wanted,))
        if wanted.startswith("/"):
            node.unread.append(f"{shown(file)}: it is a link out of the repository")
            return
    else:
        chart = file.rpartition("/")[2] == kustomize.CHART
        found = kustomize.of_chart(content) if chart else kustomize.of_kustomization(content)
    if found.problem:
        node.unread.append(f"{shown(file)}: {found.problem}")
    node.remote += found.remote
    optional = set(found.folders)
    for name in (*found.local, *found.folders):
        path = _joined(folder, name)
        if path is None:
            node.unread.append(f"{shown(file)}: {shown(name)} leads out of the repository")
        elif name in optional and path not in tree.folders:
            # Pulled when it is rendered; if somebody puts it there, it counts.
            node.folders.add(path)
        else:
            node.next.append(path)
            if name in optional:
                node.folders.add(path)


def _joined(folder: str, name: str) -> str | None:
    """A name in a file of ``folder`` as a path from the root; None where it leads out."""
    path = posixpath.normpath(posixpath.join("/" + folder, name)) if not name.startswith("/") else ""
    if not path:
        return None
    # normpath stops at the root where the name goes on up; count the steps instead.
    depth = len([part for part in folder.split("/") if part])
    for part in name.split("/"):
        if part == "..":
            depth -= 1
            if depth < 0:
                return None
        elif part not in ("", "."):
            depth += 1
    return path.strip("/")


def _inputs(application: Application, sources: Sequence[Source], graph: dict[str, _Node]) -> Inputs:
    roots = [path for source in sources for path in _roots(source)]
    files: set[str] = set()
    folders = {source.path for source in sources if source.whole}
    folders |= {folder for source in sources for folder in source.folders}
    remote: list[str] = []
    missing: list[str] = []
    unread: list[str] = []
    seen: set[str] = set()
    while roots:
        path = roots.pop()
        if path in seen or path not in graph:
            continue
        seen.add(path)
        node = graph[path]
        files |= node.files
        folders |= node.folders
        remote += node.remote
        missing += node.missing
        unread += node.unread
        roots += node.next
    return Inputs(
        application=application,
        files=frozenset(files),
        folders=frozenset(folders),
        remote=tuple(sorted(set(remote))),
        missing=tuple(sorted(set(missing))),
        unread=tuple(sorted(set(unread))),
    )


def named(applications: Collection[Application]) -> tuple[str, ...]:
    """The applications as people read them: ``app/web`` of ``cluster-01``."""
    return tuple(f"{one.cluster}: {one.name}" if one.cluster else one.name for one in applications)
