# SPDX-License-Identifier: Apache-2.0
"""Sets of applications: what they generate stays as generated, and RollingSync goes step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from gitops_twin import ARGO, Repository, Twin, config_map, deployment, gitops, needs_git, phase, revision, synced
from twin_cluster import NS

from kubetwin.client import Obj
from kubetwin.gitops.argocd import rolling
from kubetwin.gitops.argocd.application import API_VERSION, APPLICATIONS, SETS, automated
from kubetwin.gitops.argocd.projects import IN_CLUSTER
from kubetwin.kinds import CONFIGMAPS, DEPLOYMENTS
from kubetwin.meta import status_of

pytestmark = needs_git


def play(story: Callable[[Twin], Awaitable[None]]) -> None:
    async def main() -> None:
        async with gitops() as twin:
            await story(twin)

    asyncio.run(main())


def a_set(repo: str, elements: list[dict[str, str]], **spec: Any) -> Obj:
    template = {
        "metadata": {"name": "{{name}}-app", "labels": {"tier": "{{tier}}"}},
        "spec": {
            "project": "default",
            "source": {"repoURL": repo, "path": "{{name}}", "targetRevision": "main"},
            "destination": {"server": IN_CLUSTER, "namespace": NS},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
    }
    body = {"generators": [{"list": {"elements": elements}}], "template": template, **spec}
    meta = {"name": "fleet", "namespace": ARGO}
    return {"apiVersion": API_VERSION, "kind": "ApplicationSet", "metadata": meta, "spec": body}


ONE = [{"name": "one", "tier": "canary"}]
THREE = [*ONE, {"name": "two", "tier": "rest"}, {"name": "three", "tier": "rest"}]


def test_generated_applications_are_written_back_but_for_what_is_ignored(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    commit = repo.commit({f"{each['name']}/all.json": config_map(each["name"]) for each in THREE})

    async def story(twin: Twin) -> None:
        await twin.api.create(SETS, a_set(repo.url, THREE))
        for each in THREE:
            await twin.settled(commit, f"{each['name']}-app")
        await twin.spec({"syncPolicy": {"automated": {"enabled": False}}}, "one-app")
        app = await twin.app(lambda app: automated(app) is not None, "one-app", "written back")
        assert app["metadata"]["ownerReferences"][0]["kind"] == "ApplicationSet"
        rule = [{"jsonPointers": ["/spec/syncPolicy"]}]
        await twin.api.patch(SETS, "fleet", {"spec": {"ignoreApplicationDifferences": rule}}, ARGO)
        await twin.until(SETS, lambda: "ignoreApplicationDifferences" in twin.get(SETS, "fleet", ARGO)["spec"])  # type: ignore[index]
        await twin.spec(
            {"syncPolicy": {"automated": {"enabled": False}}, "source": {"targetRevision": "HEAD"}}, "one-app"
        )
        app = await twin.app(
            lambda app: app["spec"]["source"]["targetRevision"] == "main", "one-app", "the rest is written back"
        )
        assert automated(app) is None
        # What was asked for by hand is left alone.
        app = await twin.operate({"sync": {"revision": commit}}, "one-app")
        assert phase(app) == "Succeeded"
        fewer = [{"list": {"elements": ONE}}]
        await twin.api.patch(SETS, "fleet", {"spec": {"generators": fewer}}, ARGO)
        await twin.until(APPLICATIONS, lambda: len(twin.plane.informers.of(APPLICATIONS).all()) == 1)
        await twin.until(CONFIGMAPS, lambda: twin.get(CONFIGMAPS, "two") is None and twin.get(CONFIGMAPS, "one"))
        bad = [{"list": {"elements": [*ONE, *ONE]}}]
        await twin.api.patch(SETS, "fleet", {"spec": {"generators": bad}}, ARGO)
        found = await twin.object(SETS, "fleet", lambda obj: "duplicate name" in str(status_of(obj)), ARGO)
        assert {c["type"]: c["status"] for c in found["status"]["conditions"]}["ErrorOccurred"] == "True"
        assert twin.get(APPLICATIONS, "one-app", ARGO)

    play(story)


def test_rolling_sync_starts_the_syncs_itself_step_by_step_and_comes_back_by_a_revert(tmp_path: Path) -> None:
    repo = Repository(tmp_path)

    def release(tag: str) -> str:
        image = f"registry.example/app:{tag}"
        return repo.commit({f"{each['name']}/web.json": deployment(each["name"], image) for each in THREE}, tag)

    def image(twin: Twin, name: str) -> str:
        found = twin.get(DEPLOYMENTS, name) or {"spec": {"template": {"spec": {"containers": [{"image": ""}]}}}}
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]

    def steps(owner: Obj) -> dict[str, str]:
        return {each["application"]: each["status"] for each in status_of(owner).get("applicationStatus") or ()}

    first = release("1.0.0")

    async def story(twin: Twin) -> None:
        tiers = [[("canary")], ["rest"]]
        rule = [{"matchExpressions": [{"key": "tier", "operator": "In", "values": values}]} for values in tiers]
        rule[1]["maxUpdate"] = 1  # type: ignore[assignment]
        strategy = {"type": "RollingSync", "rollingSync": {"steps": rule}}
        await twin.api.create(SETS, a_set(repo.url, THREE, strategy=strategy))
        done = {f"{each['name']}-app": rolling.HEALTHY for each in THREE}
        await twin.object(SETS, "fleet", lambda obj: steps(obj) == done, ARGO, "rolled out")
        for each in THREE:
            app = await twin.settled(first, f"{each['name']}-app")
            assert app["spec"]["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True, "enabled": False}
            assert app["status"]["operationState"]["operation"]["initiatedBy"]["username"] == rolling.USER
        bad = release("2.0.0-missing")
        owner = await twin.object(SETS, "fleet", lambda obj: steps(obj).get("one-app") == rolling.PROGRESSING, ARGO)
        await twin.app(lambda app: revision(app) == bad, "two-app")
        await twin.until(DEPLOYMENTS, lambda: image(twin, "one") == "2.0.0-missing")
        # Whether the others wait depends on who notices a commit first, as in a real one: the tables below say the rule.
        found = {c["type"]: c["message"] for c in owner["status"]["conditions"]}
        assert found["RolloutProgressing"] == "ApplicationSet is performing rollout of step 1"
        good = repo.revert()
        await twin.object(SETS, "fleet", lambda obj: steps(obj) == done, ARGO, "back")
        for each in THREE:
            await twin.app(lambda app: synced(app, good), f"{each['name']}-app")
        assert image(twin, "one") == "1.0.0"
        newer = release("3.0.0")
        await twin.object(
            SETS,
            "fleet",
            lambda obj: (
                steps(obj) == done and all(e["targetRevisions"] == [newer] for e in obj["status"]["applicationStatus"])
            ),
            ARGO,
        )
        assert {image(twin, each["name"]) for each in THREE} == {"3.0.0"}

    play(story)


# applicationset/progressivesync/progressive_sync_test.go


def _live(name: str, sync: str = "OutOfSync", health: str = "Healthy", rev: str = "new", **status: Any) -> Obj:
    found = {"sync": {"status": sync, "revision": rev}, "health": {"status": health}, **status}
    return {"metadata": {"name": name, "labels": {"tier": name[0]}}, "spec": {}, "status": found}


def _owner(known: list[Obj], **limits: Any) -> Obj:
    steps = [{"matchExpressions": [{"key": "tier", "operator": "In", "values": [tier]}]} for tier in ("a", "b")]
    for place, limit in limits.items():
        steps[int(place[1:])]["maxUpdate"] = limit
    strategy = {"type": "RollingSync", "rollingSync": {"steps": steps}}
    return {"metadata": {"name": "s"}, "spec": {"strategy": strategy}, "status": {"applicationStatus": known}}


def _known(name: str, status: str, rev: str = "new", since: str = "2026-01-01T00:00:00Z") -> Obj:
    return {
        "application": name,
        "status": status,
        "targetRevisions": [rev],
        "lastTransitionTime": since,
        "step": "1",
        "message": "",
    }


_SYNCED = {
    "reconciledAt": "2026-01-01T00:00:05Z",
    "operationState": {"startedAt": "2026-01-01T00:00:03Z", "phase": "Succeeded"},
}


@pytest.mark.parametrize(
    ("live", "known", "wanted"),
    [
        ([_live("a1")], [], "Pending"),
        ([_live("a1", "Synced")], [], "Healthy"),
        ([_live("a1", "Synced", "Progressing")], [], "Progressing"),
        ([_live("a1")], [_known("a1", "Healthy", "old")], "Pending"),
        ([_live("a1")], [_known("a1", "Pending")], "Pending"),
        ([_live("a1", **_SYNCED)], [_known("a1", "Pending")], "Progressing"),
        ([_live("a1", **{**_SYNCED, "reconciledAt": "2025-01-01T00:00:00Z"})], [_known("a1", "Pending")], "Pending"),
        ([_live("a1", conditions=[{"type": "InvalidSpecError"}])], [_known("a1", "Pending")], "Progressing"),
        ([_live("a1", "Synced")], [_known("a1", "Progressing")], "Healthy"),
        ([_live("a1", "OutOfSync")], [_known("a1", "Progressing")], "Progressing"),
        ([_live("a1", "Synced", "Degraded")], [_known("a1", "Progressing")], "Progressing"),
        ([_live("a1", "Synced", "Degraded")], [_known("a1", "Healthy")], "Healthy"),
        ([_live("b1"), _live("a1", "Synced", "Degraded")], [_known("a1", "Progressing")], "Waiting"),
        ([_live("b1"), _live("a1", "Synced")], [_known("a1", "Progressing")], "Pending"),
    ],
)
def test_one_transition_at_a_time(live: list[Obj], known: list[Obj], wanted: str) -> None:
    found, _ = rolling.progress(_owner(known), live, live, lambda app, desired: False)
    assert found[0]["status"] == wanted


@pytest.mark.parametrize(
    ("limit", "wanted"), [(None, 3), (1, 1), (2, 2), (0, 0), ("50%", 1), ("10%", 1), ("0%", 0), ("100%", 3)]
)
def test_no_more_at_a_time_than_a_step_allows(limit: Any, wanted: int) -> None:
    live = [_live(f"a{number}") for number in range(3)]
    found, _ = rolling.progress(_owner([], s0=limit), live, live, lambda app, desired: False)
    assert [each["status"] for each in found].count("Pending") == wanted
