# SPDX-License-Identifier: Apache-2.0
"""Argo CD keeps a cluster as a real repository says, and fights or leaves changes as the real one does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from gitops_twin import (
    ARGO,
    Repository,
    Twin,
    application,
    config_map,
    deployment,
    gitops,
    history,
    needs_git,
    needs_helm,
    phase,
    revision,
    said,
    status,
    synced,
)
from twin_cluster import NS

from kubetwin.client import Obj
from kubetwin.gitops.argocd.application import APPLICATIONS, PROJECTS
from kubetwin.kinds import CONFIGMAPS, DEPLOYMENTS, JOBS
from kubetwin.meta import annotations_of

pytestmark = needs_git


def play(story: Callable[[Twin], Awaitable[None]]) -> None:
    async def main() -> None:
        async with gitops() as twin:
            await story(twin)

    asyncio.run(main())


def data(twin: Twin, name: str = "config") -> Obj:
    return (twin.get(CONFIGMAPS, name) or {}).get("data") or {}


def test_a_commit_arrives_its_revert_heals_and_the_history_tells_both(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    first = repo.commit({"app/all.json": config_map("config", colour="green"), "app/web.json": deployment("web")})

    async def story(twin: Twin) -> None:
        await twin.api.create(APPLICATIONS, application(repo.url, policy="auto"))
        app = await twin.app(lambda app: synced(app, first) and app["status"]["health"]["status"] == "Healthy")
        assert annotations_of(twin.get(CONFIGMAPS, "config"))["argocd.argoproj.io/tracking-id"] == (  # type: ignore[arg-type]
            f"shop:/ConfigMap:{NS}/config"
        )
        bad = repo.commit({"app/all.json": config_map("config", colour="red"), "app/extra.json": config_map("extra")})
        app = await twin.settled(bad)
        assert data(twin)["colour"] == "red" and twin.get(CONFIGMAPS, "extra")
        good = repo.revert()
        app = await twin.settled(good)
        assert data(twin)["colour"] == "green"
        await twin.until(CONFIGMAPS, lambda: twin.get(CONFIGMAPS, "extra") is None, "pruned")
        assert history(app) == [(0, first), (1, bad), (2, good)]
        assert all(each["initiatedBy"]["automated"] for each in app["status"]["history"])
        assert app["status"]["operationState"]["syncResult"]["revision"] == good

    play(story)


def test_a_hand_edit_is_undone_by_self_heal_only_and_a_held_application_leaves_it(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    first = repo.commit({"app/all.json": config_map("config", colour="green")})

    async def edited(twin: Twin) -> None:
        await twin.api.patch(CONFIGMAPS, "config", {"data": {"colour": "blue"}}, NS)

    async def story(twin: Twin) -> None:
        await twin.api.create(APPLICATIONS, application(repo.url, policy="auto"))
        await twin.settled(first)
        for _ in range(2):
            await edited(twin)
            await twin.until(CONFIGMAPS, lambda: data(twin)["colour"] == "green", "healed")
        app = await twin.app(lambda app: synced(app, first) and phase(app) == "Succeeded")
        state = app["status"]["operationState"]
        assert state["operation"]["sync"]["selfHealAttemptsCount"] >= 1
        assert state["operation"]["sync"]["resources"] == [{"kind": "ConfigMap", "name": "config"}]
        # Partial syncs are no history.
        assert history(app) == [(0, first)]
        await twin.spec({"syncPolicy": {"automated": {"enabled": False}}})
        await edited(twin)
        await twin.app(lambda app: status(app) == "OutOfSync")
        newer = repo.commit({"app/all.json": config_map("config", colour="red")})
        app = await twin.app(lambda app: revision(app) == newer)
        assert data(twin)["colour"] == "blue" and history(app) == [(0, first)]
        await twin.spec({"syncPolicy": {"automated": {"enabled": None}}})
        app = await twin.settled(newer)
        assert data(twin)["colour"] == "red" and history(app) == [(0, first), (1, newer)]

    play(story)


def test_what_failed_is_not_tried_again_until_something_else_is_wanted(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    first = repo.commit({"app/all.json": config_map("config", colour="green")})

    async def story(twin: Twin) -> None:
        policy = {
            "automated": {"prune": True, "selfHeal": True},
            "retry": {"limit": 1, "backoff": {"duration": "10ms"}},
        }
        await twin.api.create(APPLICATIONS, application(repo.url, policy=policy))
        await twin.settled(first)
        broken = repo.commit({"app/bad.json": {**config_map("other"), "data": "no map"}})
        app = await twin.app(lambda app: phase(app) == "Failed" and said(app, "SyncError"))
        assert said(app, "SyncError").startswith(f"Failed last sync attempt to [{broken}]: one or more")
        assert app["status"]["operationState"]["retryCount"] == 1
        assert "(retried 1 times)." in app["status"]["operationState"]["message"]
        finished = app["status"]["operationState"]["finishedAt"]
        before = app["status"]["reconciledAt"]
        app = await twin.app(lambda app: app["status"]["reconciledAt"] > before)
        assert app["status"]["operationState"]["finishedAt"] == finished and history(app) == [(0, first)]
        good = repo.revert()
        app = await twin.app(lambda app: synced(app, good) and not said(app, "SyncError"))
        # What lives is as it says already: there was nothing to sync.
        assert history(app) == [(0, first)]

    play(story)


def test_git_down_is_said_and_an_operation_with_manifests_or_a_known_commit_works(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    good = repo.commit({"app/all.json": config_map("config", colour="green")})

    async def story(twin: Twin) -> None:
        await twin.api.create(APPLICATIONS, application(repo.url, policy="auto"))
        await twin.settled(good)
        bad = repo.commit({"app/all.json": config_map("config", colour="red")})
        await twin.settled(bad)
        repo.away()
        app = await twin.app(lambda app: said(app, "ComparisonError"))
        assert status(app) == "Unknown" and "Failed to load target state" in said(app, "ComparisonError")
        await twin.spec({"syncPolicy": {"automated": {"enabled": False}}})
        # The mirror still has the commit.
        app = await twin.operate({"sync": {"revision": good, "prune": True, "syncStrategy": {"apply": {}}}})
        assert phase(app) == "Succeeded" and data(twin)["colour"] == "green"
        assert history(app)[-1] == (2, good)
        assert twin.plane.gitops is not None and twin.plane.gitops.repo_server is not None
        twin.plane.gitops.repo_server.restart()
        app = await twin.operate({"sync": {"revision": bad}})
        assert phase(app) == "Error" and "Failed to load target state" in app["status"]["operationState"]["message"]
        manifest = json.dumps(config_map("config", colour="stored"))
        app = await twin.operate({"sync": {"revision": good, "manifests": [manifest]}})
        assert phase(app) == "Succeeded" and data(twin)["colour"] == "stored"
        # It is compared with those manifests from now on, so it looks in sync while Git is away.
        app = await twin.app(lambda app: synced(app) and not said(app, "ComparisonError"))
        assert history(app)[-1] == (3, good)
        repo.back()
        await twin.spec({"syncPolicy": {"automated": {"enabled": None}}})
        before = app["status"]["reconciledAt"]
        app = await twin.app(lambda app: app["status"]["reconciledAt"] > before)
        assert synced(app) and data(twin)["colour"] == "stored"
        app = await twin.operate({"sync": {"revision": bad}})
        assert data(twin)["colour"] == "red"

    play(story)


def test_windows_hold_automated_syncs_and_keep_manual_ones_waiting(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    first = repo.commit({"app/all.json": config_map("config", colour="green")})

    async def windows(twin: Twin, *found: Obj) -> None:
        await twin.api.patch(PROJECTS, "default", {"spec": {"syncWindows": list(found) or None}}, ARGO)

    async def story(twin: Twin) -> None:
        deny = {"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["sh*"]}
        await twin.api.create(APPLICATIONS, application(repo.url, policy="auto"))
        await twin.settled(first)
        await windows(twin, deny)
        newer = repo.commit({"app/all.json": config_map("config", colour="red")})
        await twin.app(lambda app: revision(app) == newer)
        assert data(twin)["colour"] == "green"
        await twin.api.patch(APPLICATIONS, "shop", {"operation": {"sync": {"revision": newer}}}, ARGO)
        app = await twin.app(
            lambda app: (
                (app["status"].get("operationState") or {}).get("message") == "Sync operation blocked by sync window"
            )
        )
        assert phase(app) == "" and data(twin)["colour"] == "green"
        await windows(twin, {**deny, "manualSync": True})
        await twin.app(lambda app: synced(app, newer) and phase(app) == "Succeeded")
        await windows(twin)
        newest = repo.commit({"app/all.json": config_map("config", colour="blue")})
        await twin.settled(newest)

    play(story)


def test_hooks_and_waves_run_in_order_and_an_apply_only_sync_skips_hooks(tmp_path: Path) -> None:
    repo = Repository(tmp_path)

    def job(name: str, hook: str, image: str = "registry.example/job:1.0.0-exit0") -> Obj:
        pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}}
        notes = {"argocd.argoproj.io/hook": hook, "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation"}
        meta = {"name": name, "annotations": notes}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"backoffLimit": 0, "template": pod}}

    second = {"argocd.argoproj.io/sync-wave": "1"}
    first = repo.commit(
        {
            "app/pre.json": job("before", "PreSync"),
            "app/web.json": deployment("web"),
            "app/late.json": {**config_map("late"), "metadata": {"name": "late", "annotations": second}},
            "app/post.json": job("after", "PostSync"),
        }
    )

    async def story(twin: Twin) -> None:
        await twin.api.create(APPLICATIONS, application(repo.url))
        await twin.app(lambda app: status(app) == "OutOfSync")
        app = await twin.operate({"sync": {"revision": first}})
        assert phase(app) == "Succeeded", app["status"]["operationState"]
        made = [
            twin.get(resource, name)["metadata"]["resourceVersion"]  # type: ignore[index]
            for resource, name in ((JOBS, "before"), (DEPLOYMENTS, "web"), (CONFIGMAPS, "late"), (JOBS, "after"))
        ]
        told = {(r["kind"], r["name"]): r for r in app["status"]["operationState"]["syncResult"]["resources"]}
        assert told["Job", "before"]["hookPhase"] == told["Job", "after"]["hookPhase"] == "Succeeded"
        assert told["ConfigMap", "late"]["syncPhase"] == "Sync" and all(made)
        first_of = {name: twin.get(JOBS, name)["metadata"]["uid"] for name in ("before", "after")}  # type: ignore[index]
        created = [o["metadata"]["creationTimestamp"] for o in (twin.get(JOBS, "before"), twin.get(JOBS, "after")) if o]
        assert created == sorted(created)
        broken = repo.commit({"app/pre.json": job("before", "PreSync", "registry.example/job:1.0.0-exit3")})
        app = await twin.operate({"sync": {"revision": broken}})
        assert phase(app) == "Failed" and twin.get(JOBS, "before")["metadata"]["uid"] != first_of["before"]  # type: ignore[index]
        assert "completed unsuccessfully" in app["status"]["operationState"]["message"]
        app = await twin.operate({"sync": {"revision": broken, "syncStrategy": {"apply": {}}}})
        assert phase(app) == "Succeeded"
        assert twin.get(JOBS, "after")["metadata"]["uid"] == first_of["after"]  # type: ignore[index]

    play(story)


def test_an_application_takes_its_objects_along_only_when_it_was_told_to(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    commit = repo.commit({"app/all.json": config_map("config"), "other/all.json": config_map("kept")})

    async def story(twin: Twin) -> None:
        app = application(repo.url, policy="auto")
        app["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
        await twin.api.create(APPLICATIONS, app)
        await twin.api.create(APPLICATIONS, application(repo.url, "other", "other", policy="auto"))
        await twin.settled(commit)
        await twin.settled(commit, "other")
        for name in ("shop", "other"):
            await twin.api.delete(APPLICATIONS, name, ARGO)
        await twin.until(APPLICATIONS, lambda: not twin.plane.informers.of(APPLICATIONS).all())
        await twin.until(CONFIGMAPS, lambda: twin.get(CONFIGMAPS, "config") is None)
        assert twin.get(CONFIGMAPS, "kept") is not None

    play(story)


def test_what_is_wrong_with_an_application_is_said_and_nothing_is_touched(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    repo.commit({"app/all.json": config_map("config")})
    cases: dict[str, tuple[Obj, str, str]] = {
        "gone": (
            {"source": {"repoURL": repo.url, "path": "no", "targetRevision": "main"}},
            "ComparisonError",
            "does not exist",
        ),
        "branch": (
            {"source": {"repoURL": repo.url, "path": "app", "targetRevision": "x"}},
            "ComparisonError",
            "commit SHA",
        ),
        "option": ({"source": {"repoURL": "--upload-pack=x", "path": "app"}}, "ComparisonError", "no URL"),
        "helper": ({"source": {"repoURL": "ext::sh -c x", "path": "app"}}, "ComparisonError", "no URL"),
        "ref": (
            {"source": {"repoURL": repo.url, "path": "app", "targetRevision": "--all"}},
            "ComparisonError",
            "no revision",
        ),
        "out": (
            {"source": {"repoURL": repo.url, "path": "../x", "targetRevision": "main"}},
            "ComparisonError",
            "leads out",
        ),
        "project": ({"project": "none"}, "InvalidSpecError", "which does not exist"),
        "where": ({"destination": {"name": "elsewhere"}}, "InvalidSpecError", "no clusters with this name"),
    }

    async def story(twin: Twin) -> None:
        for name, (spec, _, _) in cases.items():
            await twin.api.create(APPLICATIONS, application(repo.url, name=name, policy="auto", **spec))
        for name, (_, kind, text) in cases.items():
            app = await twin.app(lambda app, kind=kind: said(app, kind), name)  # type: ignore[misc]
            assert text in said(app, kind), (name, said(app, kind))
            assert status(app) == "Unknown" and "operationState" not in app["status"]
        assert twin.get(CONFIGMAPS, "config") is None

    play(story)


@needs_helm
def test_several_sources_have_revisions_of_their_own_and_go_back_together(tmp_path: Path) -> None:
    charts, values = Repository(tmp_path, "charts"), Repository(tmp_path, "values")
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {colour: {{ .Values.colour }}}\n"
    chart = charts.commit(
        {"shop/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "shop/templates/x.yaml": template}
    )
    good = values.commit({"prod.yaml": "colour: green\n"})

    async def story(twin: Twin) -> None:
        first = {
            "repoURL": charts.url,
            "path": "shop",
            "targetRevision": "main",
            "helm": {"valueFiles": ["$values/prod.yaml"]},
        }
        second = {"repoURL": values.url, "ref": "values", "targetRevision": "main"}
        app = application(charts.url, source=None, sources=[first, second], policy="auto")
        await twin.api.create(APPLICATIONS, app)
        await twin.app(lambda app: synced(app) and app["status"]["sync"]["revisions"] == [chart, good])
        assert data(twin)["colour"] == "green"
        bad = values.commit({"prod.yaml": "colour: red\n"})
        app = await twin.app(lambda app: synced(app) and app["status"]["sync"]["revisions"] == [chart, bad])
        assert [each["revisions"] for each in app["status"]["history"]] == [[chart, good], [chart, bad]]
        assert app["status"]["sourceTypes"] == ["Helm", ""] and data(twin)["colour"] == "red"
        await twin.spec({"syncPolicy": {"automated": {"enabled": False}}})
        entry = app["status"]["history"][0]
        back = {"revisions": entry["revisions"], "sources": entry["sources"], "syncStrategy": {"apply": {}}}
        app = await twin.operate({"sync": back})
        assert phase(app) == "Succeeded" and data(twin)["colour"] == "green"
        app = await twin.app(lambda app: status(app) == "OutOfSync")
        assert app["status"]["history"][-1]["revisions"] == [chart, good] and app["status"]["history"][-1]["id"] == 2

    play(story)
