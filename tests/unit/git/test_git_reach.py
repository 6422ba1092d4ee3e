# SPDX-License-Identifier: Apache-2.0
"""Which applications on which clusters a commit reaches, through everything that they share."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from git_repositories import Put, mirror_of, repository

from backout.git.inputs import Application, Inputs, Reach, Source, named, read_reach
from backout.git.kustomize import of_chart, of_kustomization
from backout.ownership.sources import argocd_sources, flux_revision, of_argocd, of_flux

URL = "https://git.example/ops/thanos.git"


def reach(
    home: Path, files: dict[str, str], applications: list[Application], modes: dict[str, str] | None = None
) -> Reach:
    there = repository(home / "r.git", [Put("all", files, modes or {})])

    async def read() -> Reach:
        mirror = mirror_of(there, home / "mirror")
        head = await mirror.fetch("main")
        return await read_reach(mirror, head, applications, branch="main", default="main")

    return asyncio.run(read())


def app(home: Path, name: str, path: str, cluster: str = "", revision: str = "main", **more: Any) -> Application:
    url = f"file://{home / 'r.git'}"
    return Application(name=name, cluster=cluster, sources=(Source(url=url, revision=revision, path=path, **more),))


TREE = {
    "base/kustomization.yaml": "resources: [ns.yaml, ../common]\npatches: [{path: p.yaml}]\n"
    "configMapGenerator: [{name: c, files: [a.conf=../files/a.conf], envs: [e.env]}]\n",
    "base/ns.yaml": "x",
    "base/README.md": "not deployed",
    "base/p.yaml": "x",
    "base/e.env": "x",
    "common/kustomization.yml": "resources: [c.yaml]\ncomponents: [../parts/tls]\n",
    "common/c.yaml": "x",
    "parts/tls/Kustomization": "replacements: [{path: r.yaml}]\nopenapi: {path: schema.json}\n",
    "parts/tls/r.yaml": "x",
    "parts/tls/schema.json": "{}",
    "files/a.conf": "x",
    "overlays/one/kustomization.yaml": "bases: [../../base]\npatchesStrategicMerge:\n- p.yaml\n- |\n  kind: X\n",
    "overlays/one/p.yaml": "x",
    "overlays/one/notes.txt": "in its own folder",
    "overlays/two/kustomization.yaml": "resources: [../../base]\nhelmCharts: [{name: thanos, version: 1.0.0, repo: "
    "https://charts.example, valuesFile: ../../values/two.yaml, additionalValuesFiles: [more.yaml]}]\n",
    "overlays/two/more.yaml": "x",
    "overlays/two/charts/thanos-1.0.0/thanos/Chart.yaml": "name: thanos\n",
    "values/two.yaml": "x",
    "other/kustomization.yaml": "resources: [o.yaml]\n",
    "other/o.yaml": "x",
    "plain/x.yaml": "x",
    "README.md": "x",
}


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("base/ns.yaml", "one two"),
        ("base/kustomization.yaml", "one two"),
        ("base/p.yaml", "one two"),
        ("base/e.env", "one two"),
        ("files/a.conf", "one two"),
        ("common/c.yaml", "one two"),
        ("common/kustomization.yml", "one two"),
        ("parts/tls/r.yaml", "one two"),
        ("parts/tls/schema.json", "one two"),
        ("base/README.md", ""),
        ("overlays/one/p.yaml", "one"),
        ("overlays/one/notes.txt", "one"),
        ("overlays/two/more.yaml", "two"),
        ("values/two.yaml", "two"),
        ("overlays/two/charts/thanos-1.0.0/thanos/Chart.yaml", "two"),
        ("other/o.yaml", "other"),
        ("plain/new.yaml", "plain"),
        ("README.md", ""),
    ],
)
def test_a_path_reaches_those_that_are_made_of_it(shared: Reach, path: str, reached: str) -> None:
    assert " ".join(one.name for one in shared.of([path])) == reached


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Reach:
    home = tmp_path_factory.mktemp("reach")
    names = [("one", "overlays/one"), ("two", "overlays/two"), ("other", "other"), ("plain", "plain")]
    return reach(home, TREE, [app(home, name, path, "cluster-01") for name, path in names])


def test_what_lies_outside_is_named_and_strays_are_told(shared: Reach) -> None:
    one, two, *_ = shared.every
    assert two.remote == ("https://charts.example",) and one.remote == ()
    assert all(found.missing == () and found.unread == () for found in shared.every)
    assert shared.strays(["README.md", "base/ns.yaml"]) == ("README.md",)
    assert named(shared.of(["other/o.yaml"])) == ("cluster-01: other",)


def single(home: Path, files: dict[str, str], modes: dict[str, str] | None = None, path: str = "app") -> Inputs:
    return reach(home, files, [app(home, "a", path)], modes).every[0]


def test_cycles_end_and_what_leads_nowhere_or_out_is_said(home: Path) -> None:
    found = single(
        home,
        {
            "app/kustomization.yaml": "resources: [../base, gone.yaml, ../../out, /etc/passwd, ../bad, ../alias, "
            "github.com/org/repo//path?ref=v1, https://x.example/y.yaml, git@h:o/r]\n",
            "base/kustomization.yaml": "resources: [../app]\n",
            "bad/kustomization.yaml": "resources: [\n",
            "alias/kustomization.yaml": "resources: 7\n",
        },
    )
    assert "base/kustomization.yaml" in found.files
    assert found.missing == ("app/gone.yaml",)
    assert found.reached_by(["app/gone.yaml", "base/new"]) == ("app/gone.yaml",)
    assert found.remote == ("git@h:o/r", "github.com/org/repo//path?ref=v1", "https://x.example/y.yaml")
    assert [word.partition(":")[0] for word in found.unread] == [
        "app/kustomization.yaml",
        "app/kustomization.yaml",
        "bad/kustomization.yaml",
    ]


def test_links_are_followed_inside_and_submodules_are_named(home: Path) -> None:
    found = single(
        home,
        {
            "app/kustomization.yaml": "resources: [link.yaml, ../sub, outward, ../linked/x.yaml]\n",
            "app/link.yaml": "../real/r.yaml",
            "app/outward": "/etc/passwd",
            "real/r.yaml": "x",
            "linked": "real",
            "sub": "1" * 40,
        },
        {"app/link.yaml": "120000", "app/outward": "120000", "sub": "160000", "linked": "120000"},
    )
    assert found.reached_by(["real/r.yaml", "app/link.yaml"]) == ("real/r.yaml", "app/link.yaml")
    assert found.remote == ("sub (submodule)",)
    assert [word for word in found.unread if "out of the repository" in word]
    assert [word for word in found.unread if "behind the link" in word] and "linked" in found.files


def test_a_chart_counts_whole_with_the_charts_beside_it(home: Path) -> None:
    found = single(
        home,
        {
            "app/Chart.yaml": "dependencies: [{name: c, repository: file://../lib}, {name: d, repository: "
            "https://charts.example}]\n",
            "app/templates/x.yaml": "x",
            "lib/Chart.yaml": "name: lib",
            "lib/templates/y.yaml": "y",
        },
    )
    assert found.reached_by(["app/templates/x.yaml", "lib/templates/y.yaml", "other"]) == (
        "app/templates/x.yaml",
        "lib/templates/y.yaml",
    )
    assert found.remote == ("https://charts.example",)


def test_an_alias_bomb_and_a_large_file_are_unread_and_not_ignored(home: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [" + ",".join([f"*{chr(97 + n)}"] * 9) + "]\n" for n in range(9)
    )
    found = single(
        home,
        {
            "app/kustomization.yaml": "resources: [../bomb, ../large]\n",
            "bomb/kustomization.yaml": bomb,
            "large/kustomization.yaml": "#" * 1_100_000,
        },
    )
    assert len(found.unread) == 2 and "expand" in found.unread[0] and "too large" in found.unread[1]


def test_only_those_count_that_follow_this_branch_of_this_repository(home: Path) -> None:
    files = {"app/x.yaml": "x"}
    found = reach(
        home,
        files,
        [
            app(home, "main", "app"),
            app(home, "head", "app", revision="HEAD"),
            app(home, "empty", "app", revision=""),
            app(home, "full", "app", revision="refs/heads/main"),
            app(home, "other-branch", "app", revision="release"),
            app(home, "pinned", "app", revision="refs/tags/v1"),
            Application(name="elsewhere", sources=(Source(url="https://h/x", revision="main", path="app"),)),
            Application(name="chart", sources=(Source(url=f"file://{home / 'r.git'}", revision="main", chart="c"),)),
        ],
    )
    assert [one.name for one in found.of(["app/x.yaml"])] == ["main", "head", "empty", "full"]


def test_references_of_what_is_no_kustomization() -> None:
    for content in (b"", b"[]", b"\xff\x00", b"a: [", b"{" * 10000):
        assert of_kustomization(content).problem
    assert of_chart(b"a: [").problem and of_chart(b"dependencies: 7") == of_chart(b"[]")


def test_the_sources_of_an_argocd_application() -> None:
    spec = {
        "sources": [
            {
                "repoURL": "https://charts.example",
                "chart": "thanos",
                "targetRevision": "1.2.3",
                "helm": {
                    "valueFiles": ["$values/env/prod.yaml", "https://x.example/v.yaml", "$values/$ARGOCD_APP_NAME/v.yaml"],
                },
            },
            {"repoURL": URL, "targetRevision": "main", "ref": "values"},
            {
                "repoURL": URL,
                "targetRevision": "main",
                "path": "apps/web",
                "helm": {"valueFiles": ["values.yaml", "../shared.yaml", "/root.yaml", "env-*.yaml"], "fileParameters": [
                    {"name": "f", "path": "../f.txt"}]},
                "directory": {"jsonnet": {"libs": ["vendor"]}},
                "kustomize": {"components": ["../tls"]},
            },
        ]
    }  # fmt: skip
    chart, values, web = argocd_sources(spec)
    assert chart.chart == "thanos"
    assert values.files == ("env/prod.yaml",) and not values.whole and values.folders == ("",)
    assert web.files == ("apps/web/values.yaml", "apps/shared.yaml", "root.yaml", "apps/f.txt")
    assert web.folders == ("apps/web", "apps/tls", "vendor") and web.path == "apps/web"


def test_of_a_hydrated_application_the_dry_source_and_annotated_paths_count() -> None:
    found = of_argocd(
        {
            "metadata": {
                "name": "web",
                "annotations": {"argocd.argoproj.io/manifest-generate-paths": ".;/shared;../b"},
            },
            "spec": {
                "sourceHydrator": {
                    "drySource": {"repoURL": URL, "targetRevision": "HEAD", "path": "apps/web"},
                    "syncSource": {"targetBranch": "env/prod", "path": "web"},
                }
            },
        },
        "cluster-01",
    )
    (source,) = found.sources
    assert (found.name, source.url, source.path) == ("app/web", URL, "apps/web")
    assert source.folders == ("apps/web", "shared", "apps/b")


@pytest.mark.parametrize("spec", [{}, {"source": None}, {"sources": ["x"]}, {"source": {"path": "../.."}}])
def test_an_application_without_a_source_has_none(spec: dict[str, Any]) -> None:
    assert argocd_sources(spec) == ()


@pytest.mark.parametrize(
    ("ref", "revision"),
    [
        ({}, "master"),
        ({"branch": "main"}, "main"),
        ({"branch": "main", "tag": "v1"}, "refs/tags/v1"),
        ({"branch": "main", "semver": ">=1"}, ">=1"),
        ({"name": "refs/heads/main"}, "refs/heads/main"),
        ({"branch": "main", "commit": "a" * 40}, "a" * 40),
    ],
)
def test_what_a_git_repository_of_flux_follows(ref: dict[str, str], revision: str) -> None:
    assert flux_revision(ref) == revision


def test_the_sources_of_flux() -> None:
    repository_ = {"spec": {"url": URL, "ref": {"branch": "main"}}}
    made = of_flux({"kind": "Kustomization", "metadata": {"name": "web"}, "spec": {"path": "./apps/web", "components": [
        "../tls"]}}, repository_, "c")  # fmt: skip
    (source,) = made.sources
    assert (made.name, source.path, source.revision, source.folders) == (
        "kustomization/web",
        "apps/web",
        "main",
        ("apps/tls",),
    )
    release = {"kind": "HelmRelease", "metadata": {"name": "t"}, "spec": {"chart": {"spec": {
        "chart": "./charts/t", "valuesFiles": ["./charts/t/prod.yaml"]}}}}  # fmt: skip
    (source,) = of_flux(release, repository_).sources
    assert (source.path, source.files) == ("charts/t", ("charts/t/prod.yaml",))
    assert of_flux({"kind": "Kustomization"}, {}).sources == ()
