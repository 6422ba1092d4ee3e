# SPDX-License-Identifier: Apache-2.0
"""Takes commits back, or makes paths as they were, on top of a commit: what would change, and the commit that does it.

All of it happens in the index of a working tree of the mirror that holds no file: nothing of the repository is written to
disk, so no filter, hook, link or submodule of it is ever followed (git-sparse-checkout(1), "INTERNALS"). Nothing is pushed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from backout.errors import BackoutError, MergeConflict, NothingToDo, RefusedError, RevisionNotFound, ToolFailed
from backout.git.mirror import LOOK, WORK, Mirror, words_of
from backout.git.resolve import is_ancestor
from backout.git.tree import LARGEST, SUBMODULE, read_tree
from backout.git.words import OBJECT, below, short, shown
from backout.tools.git import run_git
from backout.tools.run import Completed

OUTPUT = 64 * 1024 * 1024
_LFS = b"version https://git-lfs.github.com/spec/"
_SPARSE = {"GIT_CONFIG_PARAMETERS": "'core.sparsecheckout'='true' 'core.sparsecheckoutcone'='false'"}
"""As ``git -c`` hands it on: nothing is written to the mirror's own configuration."""


class Back(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What goes back: ``commits`` (whole ids) are taken back, merges as seen from parent ``mainline``; or ``paths`` are
    made as ``revision`` has them. One of both."""

    commits: tuple[str, ...] = ()
    mainline: int = 1
    revision: str = ""
    paths: tuple[str, ...] = ()


class Changed(msgspec.Struct, frozen=True):
    """One file that goes back, from one mode and content to another; mode ``000000`` is none."""

    path: str
    old_mode: str
    new_mode: str
    old: str
    new: str

    @property
    def status(self) -> str:
        """``A``, ``D`` or ``M``."""
        if self.old_mode == _NONE:
            return "A"
        return "D" if self.new_mode == _NONE else "M"

    @property
    def submodule(self) -> bool:
        """Whether it is where another repository stands, not a file."""
        return SUBMODULE in (self.old_mode, self.new_mode)


_NONE = "000000"


class Drafted(msgspec.Struct, frozen=True, kw_only=True):
    """What would be there on top of ``onto``. ``digest`` stands for exactly these changes, whatever else the branch holds."""

    onto: str
    tree: str
    changes: tuple[Changed, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that change."""
        return tuple(one.path for one in self.changes)

    @property
    def digest(self) -> str:
        """Of every file: what it is, and what it becomes."""
        return digest_of(self.changes)


def digest_of(changes: Sequence[Changed]) -> str:
    """A name for exactly these changes."""
    lines = sorted("\0".join((one.path, one.old_mode, one.new_mode, one.old, one.new)) for one in changes)
    return hashlib.sha256("\0\0".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


async def draft(mirror: Mirror, onto: str, back: Back) -> Drafted:
    """What going back changes on top of ``onto``, a whole id.

    Raises:
        MergeConflict: later commits changed the same lines; the files are named.
        NothingToDo: it changes nothing.
        RefusedError: it is a merge and the parent is not one of its, or the first commit of all.
        RevisionNotFound: a commit is not in the history of ``onto``.
        LockedError, ToolFailed, TimedOut: git can't work.
    """
    async with mirror.locked():
        return await draft_locked(mirror, onto, back)


async def draft_locked(mirror: Mirror, onto: str, back: Back) -> Drafted:
    """`draft`, for who holds the lock."""
    async with _tree(mirror, onto) as tree:
        return await _apply(mirror, tree, onto, back)


async def commit_locked(mirror: Mirror, onto: str, back: Back, message: str, actor: str) -> tuple[str, Drafted]:
    """Makes the commit on top of ``onto``, signed where the user's git signs, and answers its id. For who holds the lock.

    ``actor`` is its author where the user's git knows no name.

    Raises:
        RefusedError: git does not commit, as when the key to sign with asks for a word.
        BackoutError: see `draft`.
    """
    async with _tree(mirror, onto) as tree:
        drafted = await _apply(mirror, tree, onto, back)
        who = await _identity(mirror, actor)
        file = tree.parent / "message"
        file.write_text(message, encoding="utf-8")
        try:
            await _in(
                mirror,
                tree,
                [
                    "commit",
                    "--quiet",
                    "--no-verify",
                    "--no-edit",
                    "--cleanup=verbatim",
                    "--no-status",
                    f"--file={file}",
                ],
                more=who,
            )
        except ToolFailed as error:
            raise RefusedError(
                "git does not commit: {words}",
                words=str(error.arguments.get("words", "")),
                expected="a commit, signed where your git signs",
                hint="try git commit by hand: the key to sign with must work without a question",
            ) from None
        made = (await _in(mirror, tree, ["rev-parse", "--verify", "HEAD^{commit}"])).stdout.split()[-1]
        # What was committed is what was looked at.
        found = (await mirror.git("rev-parse", "--verify", f"{made}^{{tree}}")).stdout.split()[-1]
        if found != drafted.tree:
            raise RefusedError("git committed something else than was prepared.", expected=drafted.tree, found=found)
        return made, drafted


async def diff_of(mirror: Mirror, drafted: Drafted, *, most: int = 256 * 1024) -> tuple[str, bool]:
    """What goes back as people read it, and whether that is all of it. It may hold secrets: redact what is shown."""
    answer = await mirror.git(
        *("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--submodule=short"),
        *("--ita-invisible-in-index", "--end-of-options", drafted.onto, drafted.tree, "--"),
        timeout=WORK,
        output=most,
    )
    return answer.stdout.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), not answer.cut


async def pointers(mirror: Mirror, drafted: Drafted) -> tuple[str, ...]:
    """The files that go back of which Git holds a pointer alone (LFS): their contents are somewhere else."""
    wanted = {
        oid: one.path
        for one in drafted.changes
        if not one.submodule
        for oid, mode in ((one.old, one.old_mode), (one.new, one.new_mode))
        if mode != _NONE
    }
    if not wanted:
        return ()
    listing = "\n".join(wanted).encode() + b"\n"
    sizes = await mirror.git("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=listing, timeout=WORK)
    # A pointer is a few lines (git-lfs docs/spec.md: under 1024 bytes).
    found = []
    for line in sizes.stdout.splitlines():
        oid, _, size = line.partition(" ")
        if not size.isdigit() or int(size) >= 1024:
            continue
        content = await mirror.git("cat-file", "blob", oid, output=LARGEST)
        if content.stdout.encode("utf-8", "surrogateescape").startswith(_LFS):
            found.append(shown(wanted[oid]))
    return tuple(sorted(set(found)))


@asynccontextmanager
async def _tree(mirror: Mirror, onto: str) -> AsyncIterator[Path]:
    """A working tree at a commit in which no file is."""
    if not OBJECT.fullmatch(onto):
        raise RevisionNotFound("{revision} is no whole id of a commit.", revision=onto)
    place = mirror.work_folder()
    tree = place / "tree"
    await mirror.git("worktree", "prune", "--expire=now")
    await mirror.git(
        *("worktree", "add", "--quiet", "--detach", "--no-checkout", "--end-of-options", str(tree), onto), timeout=WORK
    )
    try:
        private = Path((await _in(mirror, tree, ["rev-parse", "--absolute-git-dir"])).stdout.strip())
        (private / "info").mkdir(exist_ok=True)
        (private / "info" / "sparse-checkout").write_text("/.nothing-of-it\n")
        await _in(mirror, tree, ["read-tree", "-m", "-u", "HEAD"], timeout=WORK)
        yield tree
    finally:
        await mirror.git("worktree", "remove", "--force", "--force", str(tree), check=False)


async def _apply(mirror: Mirror, tree: Path, onto: str, back: Back) -> Drafted:
    if bool(back.commits) == bool(back.revision):
        raise RefusedError("Either commits go back, or paths to a revision.", expected="one of both")
    if back.revision:
        await _restore(mirror, tree, onto, back)
    else:
        await _revert(mirror, tree, onto, back)
    written = (await _in(mirror, tree, ["write-tree"])).stdout.split()[-1]
    changes = await changed(mirror, onto, written)
    if not changes:
        raise NothingToDo(
            "Going back changes nothing: {head} is already as it would be then.",
            head=short(onto),
            hint="somebody took it back before; look for what else is wrong",
        )
    return Drafted(onto=onto, tree=written, changes=changes)


async def _revert(mirror: Mirror, tree: Path, onto: str, back: Back) -> None:
    """All of them, newest first, in one go."""
    for commit in await ordered(mirror, onto, back.commits):
        parents = (await mirror.git("rev-list", "--parents", "--max-count=1", commit)).stdout.split()[1:]
        if not parents:
            raise RefusedError(
                "{commit} is the first commit of the repository: taking it back would delete everything it holds.",
                commit=short(commit),
                hint="go to a revision instead",
            )
        merge = len(parents) > 1
        if merge and not 1 <= back.mainline <= len(parents):
            raise RefusedError(
                "{commit} is a merge of {count} commits and has no parent {number}.",
                commit=short(commit),
                count=len(parents),
                number=back.mainline,
                hint="1 is the branch that it was merged into",
            )
        arguments = ["revert", "--no-commit", *([f"--mainline={back.mainline}"] if merge else []), commit]
        answer = await _in(mirror, tree, arguments, timeout=WORK, check=False)
        if answer.code:
            raise await _conflict(mirror, tree, onto, commit, answer)


async def _conflict(mirror: Mirror, tree: Path, onto: str, commit: str, answer: Completed) -> BackoutError:
    listing = await _in(mirror, tree, ["ls-files", "--unmerged", "-z"], check=False)
    files = sorted({line.partition("\t")[2] for line in listing.stdout.split("\0") if "\t" in line})
    if not files:
        return RefusedError(
            "git does not take {commit} back: {words}", commit=short(commit), words=words_of(answer.stderr)
        )
    since = await mirror.git(
        *(
            "log",
            "--format=%h",
            "--abbrev=8",
            "--max-count=5",
            f"{commit}..{onto}",
            "--",
            *(f":(literal){name}" for name in files[:20]),
        ),
        check=False,
    )
    return MergeConflict(
        "{commit} can't be taken back by itself: {files} changed since. Nothing was pushed.",
        commit=short(commit),
        files=", ".join(shown(name) for name in files[:10])
        + (f" and {len(files) - 10} more" if len(files) > 10 else ""),
        later=", ".join(since.stdout.split()) or "commits that deleted or renamed it",
        expected="files as {commit} left them",
        found="later changes: {later}",
        hint="take the later commits back too, or go to a revision of these paths instead",
    )


async def _restore(mirror: Mirror, tree: Path, onto: str, back: Back) -> None:
    now, then = await read_tree(mirror, onto), await read_tree(mirror, back.revision)
    folders = frozenset(back.paths)
    lines = []
    for path in now.entries.keys() | then.entries.keys():
        entry = then.entries.get(path)
        if below(path, folders) and entry != now.entries.get(path):
            mode, oid = (entry.mode, entry.oid) if entry else ("0", "0" * 40)
            lines.append(f"{mode} {oid}\t{path}")
    # Deletions first: a file may stand where a folder was.
    lines.sort(key=lambda line: not line.startswith("0 "))
    if lines:
        data = "\0".join(lines).encode("utf-8", "surrogateescape") + b"\0"
        await _in(mirror, tree, ["update-index", "-z", "--index-info"], stdin=data)


async def ordered(mirror: Mirror, onto: str, commits: Sequence[str]) -> tuple[str, ...]:
    """The commits, newest first by the history (never by what they claim of their time).

    Raises:
        RevisionNotFound: one of them is not in the history of ``onto``.
    """
    for commit in commits:
        if not OBJECT.fullmatch(commit) or not await is_ancestor(mirror, commit, onto):
            raise RevisionNotFound(
                "{commit} is not in the history of the branch, so there is nothing to take back.", commit=commit[:40]
            )
    wanted = set(commits)
    if len(wanted) < 2:
        return tuple(wanted)
    every = await mirror.git("rev-list", "--topo-order", onto, timeout=WORK, output=OUTPUT)
    return tuple(line for line in every.stdout.split() if line in wanted)


async def changed(mirror: Mirror, earlier: str, later: str) -> tuple[Changed, ...]:
    """What differs between two trees, file by file."""
    answer = await mirror.git(
        *("diff-tree", "-r", "-z", "--no-renames", "--no-ext-diff", "--no-abbrev", "--end-of-options", earlier, later),
        timeout=WORK,
        output=OUTPUT,
    )
    if answer.cut:
        raise RefusedError("Going back changes more files than anybody looks through.")
    tokens = answer.stdout.split("\0")
    found = []
    for at in range(0, len(tokens) - 1, 2):
        old_mode, new_mode, old, new, _ = tokens[at].removeprefix(":").split(" ")
        found.append(Changed(tokens[at + 1], old_mode, new_mode, old, new))
    return tuple(found)


async def _identity(mirror: Mirror, actor: str) -> dict[str, str]:
    """Who commits where the user's git does not know."""
    known = await mirror.git("var", "GIT_COMMITTER_IDENT", check=False)
    if known.code == 0:
        return {}
    name = re.sub(r"[<>\n\0]", "", actor) or "backout"
    return {f"GIT_{role}_{what}": name for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


async def _in(
    mirror: Mirror,
    tree: Path,
    arguments: Sequence[str],
    *,
    timeout: float = LOOK,
    check: bool = True,
    stdin: bytes | None = None,
    more: dict[str, str] | None = None,
) -> Completed:
    return await run_git(
        mirror.remote,
        arguments,
        timeout=timeout,
        check=check,
        stdin=stdin,
        output=OUTPUT,
        more=_SPARSE | (more or {}),
        tree=tree,
    )
