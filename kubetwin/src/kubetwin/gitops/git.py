# SPDX-License-Identifier: Apache-2.0
"""Git repositories as a GitOps controller sees them: bare mirrors fetched with the git binary, and trees of revisions.

A revision is a branch, a tag, ``HEAD``, or a commit. A whole commit id is never asked for at the server, and one that the mirror
has is served while the server is away; everything else needs the server (argo-cd util/git/client.go ``lsRemote``,
reposerver/repository/repository.go ``checkoutRevision``). :meth:`Repositories.forget` is the restart of a repo-server, which loses
its mirrors.

Nothing of the user's own git configuration is read, no hook and no filter runs (so files of Git LFS stay pointers), submodules are
not fetched, and only the transports of :data:`PROTOCOLS` are allowed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import shlex
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kubetwin.gitops.programs import ProgramFailed, Programs, environment, run

PROTOCOLS = ("file", "http", "https", "ssh")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT = re.compile(r"[0-9a-f]{7,39}")
_SCP = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:(?!/?:)\S+")
_KEPT_TREES = 16


class GitError(Exception):
    """The repository can't be reached, or does not have what was asked for."""


class RevisionNotFound(GitError):
    """The repository was reached, and has no such revision."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a repository asks for; ``known_hosts`` is in OpenSSH's form, and without it only ``insecure`` lets SSH through."""

    username: str = ""
    password: str = ""
    ssh_key: str = ""
    known_hosts: str = ""
    insecure: bool = False


def checked_url(url: str) -> str:
    """The URL, if it is one that git may be called with.

    Raises:
        GitError: it looks like an option, names a helper (``ext::``), or has a transport that is not allowed.
    """
    if not url or url.startswith("-") or any(ord(c) < 33 or ord(c) == 127 for c in url) or "::" in url:
        raise GitError(f"{url!r} is no URL of a repository")
    if url.startswith("/") or (_SCP.fullmatch(url) and "://" not in url):
        return url
    parts = urlsplit(url)
    if (
        parts.scheme not in PROTOCOLS
        or (parts.hostname or "").startswith("-")
        or (parts.username or "").startswith("-")
    ):
        raise GitError(f"{url!r}: the transports allowed are {', '.join(PROTOCOLS)}")
    return url


def checked_revision(revision: str) -> str:
    """The revision, if git may be called with it; the empty one is HEAD.

    Raises:
        GitError: it looks like an option, or has characters that no ref has.
    """
    name = revision or "HEAD"
    if name.startswith("-") or ".." in name or re.search(r"[\x00-\x20\x7f~^:?*\[\\]", name):
        raise GitError(f"{revision!r} is no revision")
    return name


class Repositories:
    """The mirrors of one controller in one directory. Use by one event loop."""

    def __init__(self, directory: Path, programs: Programs) -> None:
        self.directory = directory
        self.programs = programs
        self._locks: dict[str, asyncio.Lock] = {}
        self._trees: OrderedDict[tuple[str, str], Path] = OrderedDict()

    async def resolve(self, url: str, revision: str, credentials: Credentials | None = None) -> str:
        """The commit that a revision names now.

        Raises:
            RevisionNotFound: the repository has no such ref.
            GitError: the repository can't be reached.
        """
        name = checked_revision(revision)
        if _COMMIT.fullmatch(name):
            return name
        refs = await self._refs(url, credentials)
        for ref in (name, f"refs/heads/{name}", f"refs/tags/{name}"):
            if found := refs.get(f"{ref}^{{}}") or refs.get(ref):
                return found
        if _SHORT.fullmatch(name):
            await self._fetch(url, credentials)
            try:
                said = await self._git(url, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
            except GitError:
                pass
            else:
                return said.decode().split()[-1]
        raise RevisionNotFound(f"unable to resolve '{revision or 'HEAD'}' to a commit SHA")

    async def tags(self, url: str, credentials: Credentials | None = None) -> dict[str, str]:
        """Every tag and its commit. Raises GitError when the repository can't be reached."""
        refs = await self._refs(url, credentials)
        names = [ref.removeprefix("refs/tags/") for ref in refs if ref.startswith("refs/tags/") and "^" not in ref]
        return {name: refs.get(f"refs/tags/{name}^{{}}") or refs[f"refs/tags/{name}"] for name in names}

    async def tree(self, url: str, commit: str, credentials: Credentials | None = None) -> Path:
        """A directory with the files of a commit; it is shared and must not be written to.

        Raises:
            GitError: the mirror has not got the commit, and the repository can't be reached or has not got it either.
        """
        async with self._lock(url):
            known = self._trees.get((url, commit))
            if known is not None and known.is_dir():
                self._trees.move_to_end((url, commit))
                return known
            if not await self._has(url, commit):
                await self._fetch(url, credentials, commit)
            path = await self._check_out(url, commit)
            self._trees[(url, commit)] = path
            while len(self._trees) > _KEPT_TREES:
                _, old = self._trees.popitem(last=False)
                await asyncio.to_thread(shutil.rmtree, old, True)
            return path

    async def changed(self, url: str, older: str, newer: str, paths: Sequence[str]) -> bool:
        """Whether any of the paths differs between two commits of the mirror; True where that can't be said."""
        try:
            await self._git(url, "diff", "--quiet", "--no-ext-diff", older, newer, "--", *paths)
        except GitError:
            return True
        return False

    async def log(self, url: str, commit: str) -> tuple[str, str, str]:
        """Author, ISO date and message of a commit of the mirror."""
        said = await self._git(url, "show", "-s", "--format=%an <%ae>%x00%aI%x00%B", "--end-of-options", commit)
        author, date, message = said.decode(errors="replace").split("\0", 2)
        return author, date, message.strip()

    async def commit(self, url: str, parent: str, tree: Path, message: str, name: str, email: str) -> str:
        """A commit of the mirror with the files of a directory, on top of ``parent`` (empty: the first of a branch)."""
        await self._mirrored(url)
        with tempfile.TemporaryDirectory(dir=self._mirror(url), prefix="index-") as made:
            place = {"GIT_INDEX_FILE": str(Path(made) / "index"), "GIT_WORK_TREE": str(tree)}
            await self._git(url, "read-tree", parent or "--empty", env=place)
            await self._git(url, "add", "--all", "--force", ".", env=place)
            written = (await self._git(url, "write-tree", env=place)).decode().strip()
        person = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", email))
        }
        said = await self._git(
            url, "commit-tree", written, *(["-p", parent] if parent else []), "-m", message, env=person
        )
        return said.decode().strip()

    async def push(self, url: str, commit: str, branch: str, credentials: Credentials | None = None) -> None:
        """Pushes a commit of the mirror to a branch, never by force. Raises GitError when it is refused."""
        target = f"{commit}:refs/heads/{checked_revision(branch)}"
        await self._remote(
            url, credentials, "push", "--quiet", "--no-verify", "--end-of-options", checked_url(url), target
        )

    def forget(self) -> None:
        """Loses every mirror, as a repo-server that is restarted does."""
        self._trees.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    # the mirror of one repository

    def _mirror(self, url: str) -> Path:
        return self.directory / hashlib.sha256(url.encode()).hexdigest()[:24]

    def _lock(self, url: str) -> asyncio.Lock:
        return self._locks.setdefault(url, asyncio.Lock())

    async def _refs(self, url: str, credentials: Credentials | None) -> dict[str, str]:
        said = await self._remote(url, credentials, "ls-remote", "--end-of-options", checked_url(url))
        pairs = (line.split("\t", 1) for line in said.decode(errors="replace").splitlines() if "\t" in line)
        return {ref: commit for commit, ref in pairs}

    async def _fetch(self, url: str, credentials: Credentials | None, commit: str = "") -> None:
        await self._mirrored(url)
        every = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        options = ("fetch", "--quiet", "--force", "--prune", "--no-recurse-submodules", "--no-auto-gc")
        await self._remote(url, credentials, *options, "--end-of-options", checked_url(url), *every)
        if commit and not await self._has(url, commit):
            # One that no branch leads to any more is given out by servers that allow it.
            await self._remote(url, credentials, *options[:3], "--end-of-options", checked_url(url), commit)

    async def _mirrored(self, url: str) -> None:
        mirror = self._mirror(url)
        if not (mirror / "HEAD").exists():
            mirror.mkdir(parents=True, exist_ok=True, mode=0o700)
            await self._git(url, "init", "--quiet", "--bare", ".")

    async def _has(self, url: str, commit: str) -> bool:
        if not (self._mirror(url) / "HEAD").exists():
            return False
        try:
            await self._git(url, "cat-file", "-e", f"{checked_revision(commit)}^{{commit}}")
        except GitError:
            return False
        return True

    async def _check_out(self, url: str, commit: str) -> Path:
        mirror = self._mirror(url)
        path = mirror / "trees" / commit
        if path.is_dir():
            return path
        path.parent.mkdir(exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="new-") as made:
            files = Path(made) / "files"
            files.mkdir()
            place = {"GIT_INDEX_FILE": str(Path(made) / "index"), "GIT_WORK_TREE": str(files)}
            await self._git(url, "read-tree", commit, env=place)
            await self._git(url, "checkout-index", "--all", "--force", env=place)
            files.rename(path)
        return path

    async def _git(self, url: str, *arguments: str, env: dict[str, str] | None = None) -> bytes:
        mirror = self._mirror(url)
        settings = {"core.hooksPath": "/dev/null", "core.symlinks": "false", "gc.auto": "0"}
        whole = environment(mirror, {**_QUIET, **_configured(settings), **(env or {})})
        argv = [self.programs.git, f"--git-dir={mirror}", *arguments]
        try:
            return await run(argv, env=whole, cwd=Path(whole.get("GIT_WORK_TREE", mirror)))
        except ProgramFailed as error:
            raise GitError(str(error)) from error

    async def _remote(self, url: str, credentials: Credentials | None, *arguments: str) -> bytes:
        mirror = self._mirror(url)
        mirror.mkdir(parents=True, exist_ok=True, mode=0o700)
        given = credentials or Credentials()
        with tempfile.TemporaryDirectory(dir=mirror, prefix="key-") as private:
            extra = _access(url, given, Path(private))
            argv = [self.programs.git, *([f"--git-dir={mirror}"] if (mirror / "HEAD").exists() else []), *arguments]
            try:
                return await run(argv, env=environment(mirror, extra), cwd=mirror)
            except ProgramFailed as error:
                raise GitError(f"failed to list refs: {error}" if "ls-remote" in arguments else str(error)) from error


_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS": "/bin/false",
    "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
    "GIT_OPTIONAL_LOCKS": "0",
}


def _configured(settings: dict[str, str]) -> dict[str, str]:
    """Settings by the environment: in argument vectors everybody on the machine could read them."""
    pairs = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        pairs |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return pairs


def _access(url: str, given: Credentials, private: Path) -> dict[str, str]:
    """The environment in which git reaches the repository with these credentials."""
    settings = {"core.hooksPath": "/dev/null", "safe.directory": "*", "credential.helper": ""}
    settings |= {"http.followRedirects": "initial", "http.lowSpeedLimit": "1", "http.lowSpeedTime": "60"}
    if given.password or given.username:
        told = base64.b64encode(f"{given.username or 'git'}:{given.password}".encode()).decode()
        settings[f"http.{url}.extraHeader"] = f"Authorization: Basic {told}"
    if given.insecure:
        settings["http.sslVerify"] = "false"
    extra = {**_QUIET, **_configured(settings)}
    options = ["ssh", "-F", os.devnull, "-oBatchMode=yes", "-oConnectTimeout=15", "-oIdentitiesOnly=yes"]
    hosts = private / "known_hosts"
    hosts.write_text(given.known_hosts, encoding="utf-8")
    options += [f"-oUserKnownHostsFile={hosts}", "-oGlobalKnownHostsFile=/dev/null"]
    options += [f"-oStrictHostKeyChecking={'no' if given.insecure else 'yes'}"]
    if given.ssh_key:
        key = private / "key"
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(given.ssh_key.rstrip("\n") + "\n")
        options += ["-i", str(key)]
    return {**extra, "GIT_SSH_COMMAND": shlex.join(options), "GIT_SSH_VARIANT": "ssh"}
