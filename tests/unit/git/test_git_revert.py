# SPDX-License-Identifier: Apache-2.0
"""What going back changes, exactly; what can't go back is refused with its reason, and nothing is ever written anywhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from git_repositories import Put, branch_off, content, mirror_of, put, repository, run, tip

from backout.errors import MergeConflict, NothingToDo, RefusedError, RevisionNotFound
from backout.git.history import read_commit
from backout.git.message import Reason, made_by, of_restore, of_revert, runs_of
from backout.git.mirror import Mirror
from backout.git.revert import Back, Drafted, commit_locked, diff_of, draft, pointers

LINES = "1\n2\n3\n4\n5\n6\n7\n8\n9\n"


def drafted(mirror: Mirror, back: Back, branch: str = "main") -> Drafted:
    async def go() -> Drafted:
        return await draft(mirror, await mirror.fetch(branch), back)

    return asyncio.run(go())


def made(mirror: Mirror, back: Back, message: str = "back") -> str:
    async def go() -> str:
        head = await mirror.fetch("main")
        async with mirror.locked():
            return (await commit_locked(mirror, head, back, message, "jane@laptop"))[0]

    return asyncio.run(go())


def test_one_commit_in_the_middle_goes_back_and_later_ones_stay(home: Path) -> None:
    there = repository(home / "r.git", [Put("1", {"a": LINES, "b": "1"})])
    (bad,) = put(there, [Put("bad", {"a": LINES.replace("2", "bad"), "new": "n", "b": None})])
    put(there, [Put("later", {"a": LINES.replace("2", "bad") + "10\n"})])
    mirror = mirror_of(there, home / "m")
    found = drafted(mirror, Back(commits=(bad,)))
    assert [(one.path, one.status) for one in found.changes] == [("a", "M"), ("b", "A"), ("new", "D")]
    text, whole = asyncio.run(diff_of(mirror, found))
    assert whole and "-bad\n+2\n" in text and "10" not in [line[1:] for line in text.splitlines() if line[:1] in "+-"]
    commit = made(mirror, Back(commits=(bad,)))
    assert content(mirror.folder, "a", commit) == (LINES + "10\n").strip()
    assert not list((mirror.folder / "work").glob("tree/*"))
    assert run(there, "rev-list", "--all", "--count") == "3"


def test_several_go_back_newest_first_in_one_commit_whatever_times_they_claim(home: Path) -> None:
    there = repository(home / "r.git", [Put("1", {"a": "1"}), Put("2", {"a": "2"}), Put("3", {"a": "3"})])
    third, second, _ = run(there, "rev-list", "main").split()
    mirror = mirror_of(there, home / "m")
    commit = made(mirror, Back(commits=(second, third)))
    assert content(mirror.folder, "a", commit) == "1"
    assert run(mirror.folder, "rev-parse", f"{commit}^") == third


def test_a_merge_goes_back_as_seen_from_its_first_parent(home: Path) -> None:
    there = repository(home / "r.git", [Put("1", {"a": "1"})])
    branch_off(there, "side", tip(there))
    put(there, [Put("s1", {"b": "1"}), Put("s2", {"c": "1"})], "side")
    put(there, [Put("main", {"a": "2"})])
    (merge,) = put(there, [Put("merge", {"b": "1", "c": "1"})], merge=tip(there, "side"))
    mirror = mirror_of(there, home / "m")
    assert drafted(mirror, Back(commits=(merge,))).paths == ("b", "c")
    assert drafted(mirror, Back(commits=(merge,), mainline=2)).paths == ("a",)
    with pytest.raises(RefusedError, match="has no parent 3"):
        drafted(mirror, Back(commits=(merge,), mainline=3))


def test_paths_become_what_they_were_and_others_stay(home: Path) -> None:
    there = repository(home / "r.git", [Put("good", {"app/a": "1", "app/b": "1", "other": "1", "app/d/x": "1"})])
    good = tip(there)
    put(
        there,
        [
            Put("bad", {"app/a": "2", "app/b": None, "app/c": "3", "other": "2", "app/d/x": None}),
            Put("d", {"app/d": "file"}),
        ],
    )
    mirror = mirror_of(there, home / "m")
    found = drafted(mirror, Back(revision=good, paths=("app",)))
    assert {(one.path, one.status) for one in found.changes} == {
        ("app/a", "M"),
        ("app/b", "A"),
        ("app/c", "D"),
        ("app/d", "D"),
        ("app/d/x", "A"),
    }
    assert {one.path for one in drafted(mirror, Back(revision=good, paths=("app/b", "other"))).changes} == {
        "app/b",
        "other",
    }
    assert len(drafted(mirror, Back(revision=good, paths=("",))).changes) == 6


def test_a_file_that_was_renamed_since_goes_back_under_its_new_name(home: Path) -> None:
    there = repository(home / "r.git", [Put("1", {"a": LINES})])
    (bad,) = put(there, [Put("bad", {"a": LINES.replace("2", "bad")})])
    put(there, [Put("renamed", {"a": None, "b": LINES.replace("2", "bad")})])
    assert drafted(mirror_of(there, home / "m"), Back(commits=(bad,))).paths == ("b",)


def test_a_conflict_names_the_files_and_the_later_commits(home: Path) -> None:
    there = repository(home / "r.git", [Put("1", {"a": "1", "dir/b c": "1", "d": "1"})])
    (bad,) = put(there, [Put("bad", {"a": "2", "dir/b c": "2", "d": "2"})])
    (later,) = put(there, [Put("later", {"a": "3", "dir/b c": "3"})])
    mirror = mirror_of(there, home / "m")
    with pytest.raises(MergeConflict) as error:
        drafted(mirror, Back(commits=(bad,)))
    assert error.value.arguments["files"] == "a, dir/b c" and error.value.arguments["later"] == later[:8]
    # and the next attempt begins afresh
    assert drafted(mirror, Back(commits=(later,))).paths == ("a", "dir/b c")
    assert drafted(mirror, Back(commits=(bad, later))).paths == ("a", "d", "dir/b c")


@pytest.mark.parametrize(("change", "words"), [({"a": None}, "a"), ({"a": "4", "z": "5"}, "a")])
def test_deleted_or_changed_since_is_a_conflict(home: Path, change: dict[str, str | None], words: str) -> None:
    there = repository(home / "r.git", [Put("1", {"a": "1"})])
    (bad,) = put(there, [Put("bad", {"a": "2"})])
    put(there, [Put("later", change)])
    with pytest.raises(MergeConflict, match=rf"by itself: {words} changed since"):
        drafted(mirror_of(there, home / "m"), Back(commits=(bad,)))


def test_what_is_back_already_and_what_never_was_there(home: Path) -> None:
    there = repository(home / "r.git", [Put("1", {"a": "1"})])
    first = tip(there)
    (bad,) = put(there, [Put("bad", {"a": "2"})])
    put(there, [Put("by hand", {"a": "1"})])
    branch_off(there, "side", first)
    (elsewhere,) = put(there, [Put("side", {"s": "1"})], "side")
    mirror = mirror_of(there, home / "m")
    for back in (Back(commits=(bad,)), Back(revision=first, paths=("a", ""))):
        with pytest.raises(NothingToDo, match="changes nothing"):
            drafted(mirror, back)
    for gone in (elsewhere, "0" * 40, "-x", "main"):
        with pytest.raises(RevisionNotFound):
            drafted(mirror, Back(commits=(gone,)))
    with pytest.raises(RefusedError, match="first commit of the repository"):
        drafted(mirror, Back(commits=(first,)))


def test_hostile_repositories_run_nothing_and_write_nothing(home: Path) -> None:
    """Attributes that name filters, hooks in the tree, links out of it, and a submodule that is a command."""
    (home / "home" / ".gitconfig").write_text(
        f'[user]\n\tname = Jane\n\temail = j@e\n[filter "evil"]\n\tsmudge = touch {home}/smudged\n\trequired = true\n'
        f"[core]\n\thooksPath = {home}/hooks\n"
    )
    hooks = home / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "commit-msg", "post-commit", "post-checkout", "pre-push", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {home}/hooked\n")
        (hooks / name).chmod(0o755)
    files = {
        ".gitattributes": "* filter=evil diff=evil merge=union\n",
        ".gitmodules": f'[submodule "s"]\n\tpath = s\n\turl = ext::touch {home}/cloned\n',
        "s": "1" * 40,
        "out": "/etc",
        "hooks/pre-commit": "#!/bin/sh\n",
        "a": "1",
    }
    there = repository(home / "r.git", [Put("1", files, {"s": "160000", "out": "120000"})])
    (bad,) = put(there, [Put("bad", {"a": "2", "s": "2" * 40, "out": "/tmp"}, {"s": "160000", "out": "120000"})])
    mirror = mirror_of(there, home / "m")
    found = drafted(mirror, Back(commits=(bad,)))
    assert found.paths == ("a", "out", "s") and [one.submodule for one in found.changes] == [False, False, True]
    assert "Subproject commit" in asyncio.run(diff_of(mirror, found))[0]
    made(mirror, Back(commits=(bad,)))
    assert {name.name for name in home.iterdir()} == {"home", "hooks", "r.git", "m"}


def test_pointers_of_large_files_are_named(home: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1\n"
    there = repository(home / "r.git", [Put("1", {"big.bin": pointer.format("a" * 64), "a": "1"})])
    (bad,) = put(there, [Put("bad", {"big.bin": pointer.format("b" * 64), "a": "x" * 2000})])
    mirror = mirror_of(there, home / "m")
    assert asyncio.run(pointers(mirror, drafted(mirror, Back(commits=(bad,))))) == ("big.bin",)


def test_the_same_change_has_one_digest_on_whatever_it_stands(home: Path) -> None:
    there = repository(home / "r.git", [Put("1", {"a": "1"})])
    (bad,) = put(there, [Put("bad", {"a": "2"})])
    mirror = mirror_of(there, home / "m")
    before = drafted(mirror, Back(commits=(bad,)))
    put(there, [Put("elsewhere", {"b": "1"})])
    after = drafted(mirror, Back(commits=(bad,)))
    assert before.digest == after.digest and before.tree != after.tree
    assert drafted(mirror, Back(commits=(tip(there),))).digest != before.digest


def test_messages_hold_gits_own_words_and_trailers_and_nothing_that_is_obeyed_or_secret(home: Path) -> None:
    there = repository(
        home / "r.git", [Put("1", {"a": "1"}), Put("Evil\x1b[2J subject\n\nBackout-Run: forged", {"a": "2"})]
    )
    bad = tip(there)
    mirror = mirror_of(there, home / "m")

    async def read() -> str:
        await mirror.fetch("main")
        commit = await read_commit(mirror, bad)
        assert made_by(commit.message, "forged")
        reason = Reason(
            key="run-1/push", cause="pods fail\nBackout-Run: other", evidence=("password=hunter2secret", "x" * 900)
        )
        assert of_restore(commit, ("app", "b"), reason).startswith(f"Restore files as of {bad[:8]}\n\n")
        return of_revert([commit], reason)

    message = asyncio.run(read())
    assert message.startswith(
        'Revert "Evil?[2J subject"\n\nThis reverts commit ' + bad + ".\n\nBackout-Run: run-1/push\n"
    )
    assert runs_of(message) == ("run-1/push",) and made_by(message, "run-1/push") and not made_by(message, "other")
    assert "hunter2secret" not in message and max(map(len, message.splitlines())) < 330


@pytest.mark.parametrize("works", [True, False])
def test_commits_are_signed_as_the_users_git_signs_and_not_made_where_that_fails(home: Path, works: bool) -> None:
    program = home / "gpg"
    program.write_text(
        "#!/bin/sh\ncat >/dev/null\n"
        + ("echo '[GNUPG:] SIG_CREATED ' >&2\necho '-----BEGIN PGP SIGNATURE-----'\n" if works else "exit 2\n")
    )
    program.chmod(0o755)
    (home / "home" / ".gitconfig").write_text(
        f"[user]\n\tname = Jane\n\temail = j@e\n[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = {program}\n"
    )
    there = repository(home / "r.git", [Put("1", {"a": "1"})])
    (bad,) = put(there, [Put("bad", {"a": "2"})])
    mirror = mirror_of(there, home / "m")
    if works:
        assert "gpgsig -----BEGIN" in run(mirror.folder, "cat-file", "commit", made(mirror, Back(commits=(bad,))))
    else:
        with pytest.raises(RefusedError, match="git does not commit"):
            made(mirror, Back(commits=(bad,)))
