# SPDX-License-Identifier: Apache-2.0
"""What all GitOps tools share, as tables: merging, ignored differences, what git is called with, versions of charts."""

from __future__ import annotations

from typing import Any

import pytest

from kubetwin.client import Obj
from kubetwin.gitops.argocd.compare import respecting
from kubetwin.gitops.charts import fulfils, newest
from kubetwin.gitops.durations import seconds
from kubetwin.gitops.git import GitError, checked_revision, checked_url
from kubetwin.gitops.merging import LAST_APPLIED, compared, merge_patch, merged, with_last_applied

# merging


def _workload(*containers: Obj, **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "w"},
        "spec": {"template": {"spec": {"containers": list(containers)}}, **spec},
    }


def test_a_merge_sets_what_is_wanted_removes_what_was_and_leaves_the_rest() -> None:
    first = with_last_applied(
        _workload({"name": "a", "image": "a:1", "args": ["x"]}, {"name": "b", "image": "b:1"}, paused=False)
    )
    live = {**first, "status": {"replicas": 1}}
    live["spec"] = {
        "replicas": 3,
        "paused": False,
        "template": {
            "spec": {
                "containers": [
                    {"name": "a", "image": "hand:1", "args": ["x"], "imagePullPolicy": "Always"},
                    {"name": "b", "image": "b:1"},
                    {"name": "injected", "image": "mesh:1"},
                ]
            }
        },
    }
    target = _workload({"name": "a", "image": "a:2"})
    found = merged(with_last_applied(target), live)
    assert found["spec"] == {
        "replicas": 3,
        "template": {
            "spec": {
                "containers": [
                    {"name": "a", "image": "a:2", "imagePullPolicy": "Always"},
                    {"name": "injected", "image": "mesh:1"},
                ]
            }
        },
    }
    assert found["status"] == {"replicas": 1} and LAST_APPLIED in found["metadata"]["annotations"]
    assert merge_patch(live, live) == {} and merge_patch({"a": 1, "b": 2}, {"b": 3}) == {"a": None, "b": 3}
    assert "status" not in compared(found) and "annotations" not in compared(found)["metadata"]


def test_lists_of_custom_resources_are_replaced_whole() -> None:
    target = {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "t"},
        "spec": {"containers": [{"name": "a"}]},
    }
    live = {**target, "spec": {"containers": [{"name": "a", "extra": 1}, {"name": "b"}]}}
    assert merged(target, live)["spec"] == target["spec"]


def test_ignored_differences_take_what_lives() -> None:
    app = {
        "metadata": {"name": "a"},
        "spec": {
            "ignoreDifferences": [
                {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas", "/metadata/labels/a~1b"]}
            ]
        },
    }
    target = {**_workload(replicas=1), "metadata": {"name": "w"}}
    live = {**_workload(replicas=5), "metadata": {"name": "w", "labels": {"a/b": "x"}}}
    found = respecting(app, target, live)
    assert (
        found["spec"]["replicas"] == 5
        and found["metadata"]["labels"] == {"a/b": "x"}
        and target["spec"]["replicas"] == 1
    )
    assert "replicas" not in respecting(app, target, _workload())["spec"]


# sources


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-u",
        "--upload-pack=x",
        "ext::sh -c id",
        "ftp://x/y",
        "https://-x/y",
        "http://a b/c",
        "ssh://-oProxyCommand=x/y",
        "x\ny",
    ],
)
def test_urls_that_git_is_never_called_with(url: str) -> None:
    with pytest.raises(GitError):
        checked_url(url)


@pytest.mark.parametrize(
    "url", ["https://git.example/r.git", "ssh://git@h:22/r", "git@h:team/r.git", "file:///srv/r.git", "/srv/r.git"]
)
def test_urls_of_repositories(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize("name", ["-x", "--all", "a..b", "a b", "a~1", "x^{}", "a:b", "*"])
def test_revisions_that_git_is_never_called_with(name: str) -> None:
    with pytest.raises(GitError):
        checked_revision(name)
    assert checked_revision("") == "HEAD" and checked_revision("release/v1.0") == "release/v1.0"


@pytest.mark.parametrize(
    ("constraint", "wanted"),
    [
        ("", "2.1.0"), ("*", "2.1.0"), ("1.x", "1.10.2"), ("^1.2", "1.10.2"), ("~1.2.3", "1.2.9"), ("~1.2", "1.2.9"),
        (">=1.2 <2", "1.10.2"), ("1.2.3", "1.2.3"), ("1.2.3 - 1.2.9", "1.2.9"), (">2", "None"), (">=2.0.0", "2.1.0"),
        ("<1", "0.3.1"), ("^0.3.0", "0.3.1"), ("~0.3", "0.3.1"), ("9 || 0.x", "0.3.1"), (">=3.0.0-0", "3.0.0-rc.1"),
        ("v1.2.3", "1.2.3"), ("!=2.1.0", "1.10.2"), ("<=1.2", "1.2.9"), ("nothing", "None"),
    ],
)  # fmt: skip
def test_versions_of_charts(constraint: str, wanted: str) -> None:
    found = ["0.3.1", "1.2.3", "1.2.9", "1.10.2", "2.1.0", "3.0.0-rc.1", "odd"]
    assert str(newest(found, constraint)) == wanted
    assert not fulfils("odd", "*")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1h30m", 5400), ("500ms", 0.5), ("0", 0), ("10", None), ("", None), ("1d", None), ("-5s", None)],
)
def test_durations(text: str, wanted: float | None) -> None:
    assert seconds(text) == wanted
