# SPDX-License-Identifier: Apache-2.0
"""`snapshot create --git-tag`: the commit in the snapshot, the tag in the repository, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from backout_shell import Shell

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "snapshots"))

from git_world import bare, commit, git


@pytest.fixture
def there(backout: Shell, release: str) -> Path:
    """The repository that the configuration names for the namespace."""
    folder = bare(backout.home / "there.git")
    (backout.home / "backout.yaml").write_text(
        f"stacks:\n  tiny:\n    namespace: {release}\n    git: {{url: 'file://{folder}', branch: main}}\n"
    )
    return folder


def test_the_commit_is_noted_and_tagged_on_request(backout: Shell, there: Path) -> None:
    first = git(there, "rev-parse", "main")
    (plain,) = backout("snapshot", "create", "-o", "json").document["items"]
    assert plain["git"] == [{"url": f"file://{there}", "commit": first}]
    assert git(there, "tag") == ""
    tagged = backout("snapshot", "create", "--tag", "v1", "--git-tag", "-o", "json")
    assert tagged.document["items"][0]["git"][0]["tag"] == "v1"
    assert "was not pushed" in tagged.err
    assert git(there, "tag") == ""
    pushed = backout("snapshot", "create", "--git-tag", "v2", "--push")
    assert pushed.code == 0, pushed.err
    assert "v2" in pushed.out
    assert git(there, "cat-file", "-t", "v2") == "tag"
    shown = backout("snapshot", "show", "latest", "-o", "json").document
    assert shown["pointers"]["git"] == [{"url": f"file://{there}", "commit": first, "tag": "v2", "pushed": True}]
    commit(there, "second")
    error = backout.error("snapshot", "create", "--git-tag", "v2", "--push")
    assert (error["code"], "on another commit" in error["message"]) == ("refused", True)
    # nothing was taken for a tag that could not be made
    assert len(backout("snapshot", "list", "-o", "json").document["items"]) == 3


def test_a_repository_that_can_not_be_read_takes_no_snapshot_down(backout: Shell, there: Path) -> None:
    there.rename(there.with_name("away.git"))
    found = backout("snapshot", "create")
    assert found.code == 0
    assert "The Git commit is not in the snapshot" in found.err
    assert backout("snapshot", "create", "-o", "json").document["items"][0]["git"] == []
    assert backout.error("snapshot", "create", "--git-tag", "v1")["code"] == "refused"


def test_what_is_asked_for_wrongly(backout: Shell, release: str) -> None:
    assert backout.error("snapshot", "create", "-n", release, "--push")["code"] == "usage"
    error = backout.error("snapshot", "create", "-n", release, "--git-tag", "v1")
    assert (error["code"], "No Git repository is configured for namespace tiny" in error["message"]) == ("config", True)
