# SPDX-License-Identifier: Apache-2.0
"""An application of Argo CD goes back by a commit: over smart HTTP to a real repository, and on a cluster that serves applications."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cluster_harness import Cluster as Harness

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "unit" / "git"))

import git_servers
import objects_world
from argocd_player import APPLICATIONS, answering, application, serve_applications, synced
from git_repositories import Put, content, put, repository, run, tip
from objects_world import World
from objects_world import run as run_world

from backout.diagnosis.diagnose import diagnose
from backout.errors import BackoutError, NothingToDo, ObjectNotFound, PreconditionFailed, TimedOut
from backout.mechanisms import registry
from backout.model.part import Part
from backout.model.revision import Revision


class Git:
    """The repository and its server."""

    def __init__(self, there: Path, url: str) -> None:
        self.there, self.url = there, url

    def put(self, message: str, files: dict[str, str | None]) -> str:
        return put(self.there, [Put(message, files)])[0]


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Git]:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(
        "[user]\n\tname = Jane\n\temail = jane@example.org\n"
        '[credential]\n\thelper = "!echo username=jane; echo password=hunter@2; true"\n'
    )
    there = repository(
        tmp_path / "git" / "ops.git",
        [
            Put(
                "first",
                {
                    "base/kustomization.yaml": "resources: [q.yaml]\n",
                    "base/q.yaml": "kind: Deployment\nreplicas: 3\n",
                    "overlays/a/kustomization.yaml": "resources: [../../base]\n",
                    "overlays/a/secret.yaml": "kind: Secret\nstringData: {k: hunter2-in-git}\n",
                    "overlays/b/kustomization.yaml": "resources: [../../base]\n",
                },
            )
        ],
    )
    with git_servers.https(there, monkeypatch) as url:
        yield Git(there, url)


async def deploy(world: World, git: Git, name: str = "a") -> None:
    """An application that is there, and synced."""
    await world.port.create(application(name, world.ns, git.url))
    tracked = {"annotations": {"argocd.argoproj.io/tracking-id": f"{name}:/ConfigMap:{world.ns}/of-{name}"}}
    await world.make("ConfigMap", f"of-{name}", data={"k": "v"}, metadata=tracked)
    await synced(world.port, world.ns, name, tip(git.there))


async def history(world: World, name: str = "a") -> tuple[Revision, ...]:
    return (await registry.get("git").read(world.port, world.target(f"app/{name}"))).revisions


async def measured(world: World, part: Part) -> tuple[str, str]:
    check = next(one for one in part.checks if one.code == "git-synced")
    measure = registry.measurement(check.code)
    assert measure is not None
    found = await measure(check, world.port)
    return found.status, found.value.text


def work(harness: Harness, ns: str, tmp_path: Path, body: Callable[[World], Awaitable[None]]) -> None:
    async def main(world: World) -> None:
        await serve_applications(world.port)
        await body(world)

    run_world(harness, ns, tmp_path, main)


def test_the_bad_commit_goes_back_is_synced_and_can_come_again(
    running: Harness, ns: str, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(world: World) -> None:
        await deploy(world, git)
        await world.snapshot()
        good = tip(git.there)
        bad = git.put("Update Receiver replicas to 5", {"base/q.yaml": "kind: Deployment\nreplicas: 5\n"})
        git.put("elsewhere", {"README.md": "x"})
        await synced(world.port, ns, "a", tip(git.there), "Degraded")
        found = await history(world)
        assert [(one.number, one.goodness, one.current, one.names[0]) for one in found] == [
            (1, "good", False, good),
            (2, "bad", True, bad),
        ]
        part = await world.plan("app/a")
        assert part.revision.number == 1 and part.mechanism == "git"
        (change,) = part.changes.objects
        assert [field.path for field in change.fields] == ["base/q.yaml"]
        assert "-replicas: 5" in change.fields[0].lines and "+replicas: 3" in change.fields[0].lines
        assert not [risk for risk in part.risks if risk.needs_approval]
        digest = await world.keep(part)
        async with answering(world.port, ns, git.there, "a"):
            outcomes, context = await world.carry_out(part)
            assert [one.changed for one in outcomes] == [True, True] and context.guards == 2
            assert content(git.there, "base/q.yaml") == "kind: Deployment\nreplicas: 3"
            assert f"This reverts commit {bad}" in run(git.there, "log", "-1", "--format=%B", "main")
            assert await measured(world, part) == ("pass", f"synced to {tip(git.there)[:8]}, healthy")
            commits = run(git.there, "rev-list", "--count", "main")
            again, context = await world.carry_out(part)
            assert not any(one.changed for one in again) and context.guards == 0
            assert run(git.there, "rev-list", "--count", "main") == commits
            assert [one.goodness for one in await history(world)][1:] == ["bad", "unknown"]
            with pytest.raises(NothingToDo):
                await world.plan("app/a", "3")

            # `World.undo` takes the last step back first; the wait is last in an undo.
            turned = msgspec.structs.replace(part, steps=part.steps[::-1])
            await world.undo(turned, digest)
            assert content(git.there, "base/q.yaml") == "kind: Deployment\nreplicas: 5"

    # The run that an undo takes back is the one that was carried out.
    monkeypatch.setattr(objects_world, "RUN", "test")
    work(running, ns, tmp_path, body)


def test_what_a_commit_reaches_is_asked_and_secrets_of_the_repository_are_not_shown(
    running: Harness, ns: str, tmp_path: Path, git: Git
) -> None:
    async def body(world: World) -> None:
        await deploy(world, git, "a")
        await deploy(world, git, "b")
        secret = "kind: Secret\nstringData: {k: changed-hunter2}\n"
        git.put("bad", {"base/q.yaml": "replicas: 9\n", "overlays/a/secret.yaml": secret, "notes.txt": "n"})
        part = await world.plan("app/a", "1")
        asked = {risk.code: risk.message.text for risk in part.risks}
        assert "app/b" in asked["reaches-others"] and "notes.txt" in asked["strays"]
        assert "hunter2" not in str(part)
        hidden = next(field for field in part.changes.objects[0].fields if field.path.endswith("secret.yaml"))
        assert hidden.secret and not hidden.lines

    work(running, ns, tmp_path, body)


def test_several_commits_and_a_conflict_among_them(running: Harness, ns: str, tmp_path: Path, git: Git) -> None:
    async def body(world: World) -> None:
        await deploy(world, git)
        run(git.there, "tag", "v1.0.0", "main")
        git.put("2", {"base/q.yaml": "replicas: 4\n"})
        git.put("3", {"overlays/a/extra.yaml": "x"})
        part = await world.plan("app/a", "v1.0.0")
        assert [field.path for field in part.changes.objects[0].fields] == ["base/q.yaml", "overlays/a/extra.yaml"]
        assert part.revision.number == 1
        by_commit = await world.plan("app/a", part.revision.names[0][:7])
        assert by_commit.revision == part.revision
        # A file that both the bad commit and one that does not touch the application changed
        bad = git.put("4", {"overlays/a/m.yaml": "1\n", "shared.txt": "1\n"})
        git.put("5", {"shared.txt": "2\n"})
        part = await world.plan("app/a", "3")
        assert "restores-paths" in {risk.code for risk in part.risks if risk.needs_approval}
        assert [field.path for field in part.changes.objects[0].fields] == ["overlays/a/m.yaml"]
        async with answering(world.port, ns, git.there, "a"):
            await world.carry_out(part)
        assert bad and content(git.there, "shared.txt") == "2"
        assert "overlays/a/m.yaml" not in run(git.there, "ls-tree", "-r", "--name-only", "main")

    work(running, ns, tmp_path, body)


def test_somebody_else_is_first_or_argocd_does_not_come(running: Harness, ns: str, tmp_path: Path, git: Git) -> None:
    async def body(world: World) -> None:
        await deploy(world, git)
        git.put("bad", {"base/q.yaml": "replicas: 9\n"})
        part = await world.plan("app/a", "1")
        step = part.steps[1]

        hasty = msgspec.structs.replace(step, timeout=0.0)
        with pytest.raises(TimedOut, match="did not sync"):
            await registry.effect(step.action)(Quiet(world.port), hasty)
        assert (await measured(world, part))[0] == "fail"
        elsewhere = [{"op": "replace", "path": "/spec/source/targetRevision", "value": "release"}]
        await world.port.patch(APPLICATIONS, "a", elsewhere, ns, type="json")
        with pytest.raises(PreconditionFailed, match="not made from main"):
            await world.carry_out(part)
        back = [{"op": "replace", "path": "/spec/source/targetRevision", "value": "main"}]
        await world.port.patch(APPLICATIONS, "a", back, ns, type="json")
        git.put("a fix of a colleague", {"base/q.yaml": "replicas: 4\n"})
        with pytest.raises(PreconditionFailed, match="changed what goes back"):
            await world.carry_out(part)

    work(running, ns, tmp_path, body)


class Quiet:
    """A context of a step."""

    def __init__(self, cluster: Any) -> None:
        self.cluster, self.run, self.again = cluster, "quiet", False

    async def guard(self) -> None:
        pass


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"syncPolicy": {}}, "not synced automatically"),
    ({"syncPolicy": {"automated": {"enabled": False}}}, "not synced automatically"),
    ({"source": {"repoURL": "file:///srv/x.git", "path": "a"}}, "is a folder"),
    ({"source": {"repoURL": "ext::sh -c evil", "path": "a"}}, "can't be used"),
    ({"source": {"repoURL": "--upload-pack=x", "path": "a"}}, "can't be used"),
    ({"source": {"repoURL": "https://charts.example", "chart": "x", "targetRevision": "1.0"}}, "0 repositories"),
    ({"sourceHydrator": {"drySource": {"repoURL": "https://x", "path": "a"}}}, "source hydrator"),
    ({"source": {"targetRevision": "v1.0.0"}}, "is no branch"),
    ({"source": {"targetRevision": "-x"}}, "can't be the name of a branch"),
]


def test_where_a_commit_would_not_arrive_it_is_refused_with_the_reason(
    running: Harness, ns: str, tmp_path: Path, git: Git
) -> None:
    async def body(world: World) -> None:
        await deploy(world, git)
        git.put("bad", {"base/q.yaml": "replicas: 9\n"})
        good = application("a", ns, git.url)["spec"]
        for spec, words in REFUSED:
            source = (
                {**good["source"], **spec["source"]} if "repoURL" not in spec.get("source", {"repoURL": 1}) else None
            )
            wanted = {**good, **spec, **({"source": source} if source else {})}
            change = [{"op": "replace", "path": "/spec", "value": wanted}]
            await world.port.patch(APPLICATIONS, "a", change, ns, type="json")
            with pytest.raises(BackoutError, match=words):
                await world.plan("app/a", "1")

    work(running, ns, tmp_path, body)


def test_an_application_that_is_not_well_is_never_called_so(
    running: Harness, ns: str, tmp_path: Path, git: Git
) -> None:
    async def body(world: World) -> None:
        await deploy(world, git)
        for health, words in (
            ("Healthy", ""),
            ("Degraded", "Argo CD calls app/a Degraded: Deployment q exceeded its progress deadline"),
            ("Missing", "Argo CD calls app/a Missing"),
            ("Progressing", ""),
        ):
            await synced(world.port, ns, "a", tip(git.there), health)
            found = await diagnose(world.port, ns, [world.target("app/a")])
            assert [one.target for one in found.problems] == []
            assert bool(found.blind) == bool(words) and words in " ".join(one.text for one in found.blind)
            assert bool(found.under_way) == (health == "Progressing")

    work(running, ns, tmp_path, body)


def test_an_application_that_is_not_there(running: Harness, ns: str, tmp_path: Path, git: Git) -> None:
    async def body(world: World) -> None:
        with pytest.raises(ObjectNotFound):
            await world.plan("app/none", "1")

    work(running, ns, tmp_path, body)
