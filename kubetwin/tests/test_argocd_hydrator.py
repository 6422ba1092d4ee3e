# SPDX-License-Identifier: Apache-2.0
"""Dry sources are rendered into a branch, and that branch is what is synced: history holds hydrated commits."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gitops_twin import ARGO, Repository, Twin, application, config_map, gitops, history, needs_git, synced

from kubetwin.client import Obj
from kubetwin.gitops.argocd.application import APPLICATIONS
from kubetwin.kinds import CONFIGMAPS

pytestmark = needs_git


def test_a_dry_commit_is_hydrated_synced_and_taken_back_by_its_revert(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    dry = repo.commit({"dry/all.json": config_map("config", colour="green")})

    def hydrated(app: Obj, commit: str) -> bool:
        told = app.get("status", {}).get("sourceHydrator", {}).get("lastSuccessfulOperation") or {}
        return bool(told.get("drySHA") == commit and synced(app, told["hydratedSHA"]))

    async def main() -> None:
        async with gitops() as twin:
            await story(twin)

    async def story(twin: Twin) -> None:
        source = {"repoURL": repo.url, "path": "dry", "targetRevision": "main"}
        hydrator = {"drySource": source, "syncSource": {"targetBranch": "env/prod", "path": "shop"}}
        await twin.api.create(APPLICATIONS, application(repo.url, policy="auto", source=None, sourceHydrator=hydrator))
        app = await twin.app(lambda app: hydrated(app, dry))
        first = app["status"]["sourceHydrator"]["lastSuccessfulOperation"]["hydratedSHA"]
        assert first != dry and history(app) == [(0, first)]
        assert (twin.get(CONFIGMAPS, "config") or {})["data"]["colour"] == "green"
        repo.git("fetch", "-q", "origin")
        assert "colour: green" in repo.git("show", "origin/env/prod:shop/manifest.yaml")
        assert f"Dry-SHA: {dry}" in repo.git("log", "-1", "--format=%B", first)
        bad = repo.commit({"dry/all.json": config_map("config", colour="red")})
        app = await twin.app(lambda app: hydrated(app, bad))
        assert (twin.get(CONFIGMAPS, "config") or {})["data"]["colour"] == "red"
        good = repo.revert()
        asked = {"metadata": {"annotations": {"argocd.argoproj.io/hydrate": "normal"}}}
        await twin.api.patch(APPLICATIONS, "shop", asked, ARGO)
        app = await twin.app(lambda app: hydrated(app, good))
        assert (twin.get(CONFIGMAPS, "config") or {})["data"]["colour"] == "green"
        assert len(history(app)) == 3 and "argocd.argoproj.io/hydrate" not in (app["metadata"].get("annotations") or {})
        repo.commit({"dry/all.json": "{"})
        app = await twin.app(lambda app: app["status"]["sourceHydrator"]["currentOperation"]["phase"] == "Failed")
        assert "failed to get manifests" in app["status"]["sourceHydrator"]["currentOperation"]["message"]
        assert app["status"]["sourceHydrator"]["lastSuccessfulOperation"]["drySHA"] == good and synced(app)

    asyncio.run(main())
