# SPDX-License-Identifier: Apache-2.0
"""Flux follows real repositories, and makes releases with the real helm that `helm history` reads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gitops_twin import Repository, Twin, config_map, deployment, gitops, needs_git, needs_helm, programs
from twin_cluster import NS

from kubetwin.client import Obj
from kubetwin.gitops.flux.resources import (
    GIT_REPOSITORIES,
    HELM_RELEASES,
    HELM_REPOSITORIES,
    IMAGE_POLICIES,
    IMAGE_UPDATES,
    KUSTOMIZATIONS,
    found_condition,
)
from kubetwin.gitops.programs import run
from kubetwin.kinds import CONFIGMAPS, SECRETS
from kubetwin.meta import labels_of

pytestmark = needs_git


def play(story: Callable[[Twin], Awaitable[None]]) -> None:
    async def main() -> None:
        async with gitops(tools=("flux",)) as twin:
            await twin.server.start(0)
            await story(twin)

    asyncio.run(main())


def made(resource: Any, name: str, **spec: Any) -> Obj:
    meta = {"name": name, "namespace": NS}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, "spec": spec}


def git_source(repo: Repository, name: str = "repo", interval: str = "300ms") -> Obj:
    return made(GIT_REPOSITORIES, name, url=repo.url, ref={"branch": "main"}, interval=interval)


def kustomization(name: str = "app", interval: str = "500ms", **spec: Any) -> Obj:
    ref = {"kind": "GitRepository", "name": "repo"}
    return made(KUSTOMIZATIONS, name, sourceRef=ref, path="./app", prune=True, interval=interval, **spec)


def applied(obj: Obj, commit: str) -> bool:
    status = obj.get("status") or {}
    return status.get("lastAppliedRevision") == f"main@sha1:{commit}" and ready(obj)


def ready(obj: Obj, status: str = "True") -> bool:
    return bool(found_condition(obj, "Ready").get("status") == status)


def data(twin: Twin, name: str = "config") -> Obj:
    return (twin.get(CONFIGMAPS, name) or {}).get("data") or {}


def test_a_kustomization_follows_commits_prunes_heals_and_rests_while_suspended(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    first = repo.commit(
        {"app/all.json": config_map("config", NS, colour="green"), "app/old.json": config_map("old", NS)}
    )

    async def story(twin: Twin) -> None:
        await twin.api.create(GIT_REPOSITORIES, git_source(repo))
        await twin.api.create(KUSTOMIZATIONS, kustomization())
        found = await twin.object(KUSTOMIZATIONS, "app", lambda obj: applied(obj, first))
        marks = labels_of(twin.get(CONFIGMAPS, "config") or {"metadata": {}})
        assert marks == {"kustomize.toolkit.fluxcd.io/name": "app", "kustomize.toolkit.fluxcd.io/namespace": NS}
        assert [each["id"] for each in found["status"]["inventory"]["entries"]] == [
            f"{NS}_config__ConfigMap",
            f"{NS}_old__ConfigMap",
        ]
        assert (
            found["status"]["observedGeneration"] == 1
            and found["status"]["lastAttemptedRevision"] == f"main@sha1:{first}"
        )
        await twin.api.patch(CONFIGMAPS, "config", {"data": {"colour": "blue", "extra": "1"}}, NS)
        await twin.until(
            CONFIGMAPS, lambda: data(twin) == {"colour": "green", "extra": "1"}, "set back, the other key left"
        )
        bad = repo.commit({"app/all.json": config_map("config", NS, colour="red"), "app/old.json": None})
        await twin.object(KUSTOMIZATIONS, "app", lambda obj: applied(obj, bad))
        assert data(twin)["colour"] == "red"
        await twin.until(CONFIGMAPS, lambda: twin.get(CONFIGMAPS, "old") is None, "pruned")
        await twin.api.patch(KUSTOMIZATIONS, "app", {"spec": {"suspend": True}}, NS)
        await twin.api.patch(CONFIGMAPS, "config", {"data": {"colour": "green"}}, NS)
        good = repo.revert()
        await twin.object(GIT_REPOSITORIES, "repo", lambda obj: good in str(obj["status"]["artifact"]["revision"]))
        asked = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}
        await twin.api.patch(KUSTOMIZATIONS, "app", asked, NS)
        assert twin.get(CONFIGMAPS, "old") is None
        await twin.api.patch(KUSTOMIZATIONS, "app", {"spec": {"suspend": None}}, NS)
        found = await twin.object(KUSTOMIZATIONS, "app", lambda obj: applied(obj, good))
        assert found["status"]["lastHandledReconcileAt"] == "now" and twin.get(CONFIGMAPS, "old") is not None
        repo.away()
        source = await twin.object(GIT_REPOSITORIES, "repo", lambda obj: ready(obj, "False"))
        assert (
            found_condition(source, "Ready")["reason"] == "GitOperationFailed"
            and good in source["status"]["artifact"]["revision"]
        )
        await twin.api.patch(CONFIGMAPS, "config", {"data": {"colour": "blue"}}, NS)
        await twin.until(CONFIGMAPS, lambda: data(twin)["colour"] == "green", "from the stored artifact")
        await twin.api.delete(KUSTOMIZATIONS, "app", NS)
        await twin.until(CONFIGMAPS, lambda: twin.get(CONFIGMAPS, "config") is None)

    play(story)


def test_health_dependencies_and_what_is_wrong(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    later = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${who}\n  namespace: default\n"
    repo.commit({"app/web.json": deployment("web", namespace=NS), "next/x.yaml": later})

    async def story(twin: Twin) -> None:
        await twin.api.create(GIT_REPOSITORIES, git_source(repo))
        after = kustomization("after", dependsOn=[{"name": "app"}], postBuild={"substitute": {"who": "later"}})
        after["spec"]["path"] = "next"
        await twin.api.create(KUSTOMIZATIONS, after)
        await twin.object(
            KUSTOMIZATIONS, "after", lambda obj: "not found" in found_condition(obj, "Ready").get("message", "")
        )
        await twin.api.create(KUSTOMIZATIONS, kustomization(wait=True, timeout="30s"))
        await twin.object(KUSTOMIZATIONS, "app", ready)
        await twin.object(KUSTOMIZATIONS, "after", ready)
        assert twin.get(CONFIGMAPS, "later")
        bad = repo.commit({"app/web.json": deployment("web", "registry.example/app:2.0.0-missing", namespace=NS)})
        await twin.object(KUSTOMIZATIONS, "app", lambda obj: bad in obj["status"]["lastAttemptedRevision"])
        # A revert does not wait until the health of the bad commit has timed out.
        good = repo.revert()
        found = await twin.object(KUSTOMIZATIONS, "app", lambda obj: applied(obj, good))
        assert found_condition(found, "Healthy")["status"] == "True"
        repo.commit({"app/web.json": deployment("web")})
        found = await twin.object(KUSTOMIZATIONS, "app", lambda obj: ready(obj, "False"))
        assert "namespace not specified" in found_condition(found, "Ready")["message"]
        repo.commit({"app/web.json": "{"})
        await twin.object(
            KUSTOMIZATIONS, "app", lambda obj: found_condition(obj, "Ready").get("reason") == "BuildFailed"
        )

    play(story)


TEMPLATE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-config}\ndata: {colour: {{ .Values.colour }}}\n"


def chart(version: str = "1.0.0", template: str = TEMPLATE) -> dict[str, Any]:
    return {
        "chart/Chart.yaml": f"apiVersion: v2\nname: shop\nversion: {version}\n",
        "chart/values.yaml": "colour: green\n",
        "chart/templates/config.yaml": template,
    }


def release(**spec: Any) -> Obj:
    source = {"kind": "GitRepository", "name": "repo"}
    template = {"chart": "chart", "sourceRef": source, "interval": "300ms"}
    return made(HELM_RELEASES, "shop", interval="1s", chart={"spec": template}, **spec)


def latest(obj: Obj) -> Obj:
    return ((obj.get("status") or {}).get("history") or [{}])[0]


def records(twin: Twin) -> list[tuple[str, str]]:
    found = [
        labels_of(each) for each in twin.plane.informers.of(SECRETS).all() if labels_of(each).get("owner") == "helm"
    ]
    return sorted((each["version"], each["status"]) for each in found)


async def helm(twin: Twin, tmp_path: Path, *arguments: str) -> str:
    from kubetwin.kubeconfig import kubeconfig

    config = tmp_path / "kubeconfig"
    config.write_text(kubeconfig([twin.server.access]))
    env = {"KUBECONFIG": str(config), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    return (await run([programs().helm, *arguments, "-n", NS], env=env)).decode()


@needs_helm
def test_a_helm_release_is_the_real_helms_and_an_unmanaged_one_is_upgraded_again(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    repo.commit(chart())

    async def story(twin: Twin) -> None:
        await twin.api.create(GIT_REPOSITORIES, git_source(repo))
        await twin.api.create(HELM_RELEASES, release(driftDetection={"mode": "enabled"}))
        found = await twin.object(HELM_RELEASES, "shop", ready)
        assert (latest(found)["version"], latest(found)["status"], latest(found)["action"]) == (
            1,
            "deployed",
            "install",
        )
        marks = labels_of(twin.get(CONFIGMAPS, "shop-config") or {"metadata": {}})
        assert marks["helm.toolkit.fluxcd.io/name"] == "shop" and marks["app.kubernetes.io/managed-by"] == "Helm"
        assert "Install complete" in await helm(twin, tmp_path, "history", "shop")
        repo.commit(chart("2.0.0", TEMPLATE.replace("{{ .Values.colour }}", "red")))
        found = await twin.object(HELM_RELEASES, "shop", lambda obj: ready(obj) and latest(obj).get("version") == 2)
        assert data(twin, "shop-config")["colour"] == "red" and latest(found)["chartVersion"] == "2.0.0"
        # A rollback behind its back holds for an interval.
        await helm(twin, tmp_path, "rollback", "shop", "1")
        found = await twin.object(HELM_RELEASES, "shop", lambda obj: ready(obj) and latest(obj).get("version") == 4)
        assert data(twin, "shop-config")["colour"] == "red" and latest(found)["chartVersion"] == "2.0.0"
        await twin.api.patch(HELM_RELEASES, "shop", {"spec": {"suspend": True}}, NS)
        await helm(twin, tmp_path, "rollback", "shop", "1")
        asked = {
            "metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "1", "reconcile.fluxcd.io/forceAt": "1"}}
        }
        await twin.api.patch(HELM_RELEASES, "shop", asked, NS)
        good = repo.commit(chart("2.0.1"))
        await twin.object(GIT_REPOSITORIES, "repo", lambda obj: good in obj["status"]["artifact"]["revision"])
        assert data(twin, "shop-config")["colour"] == "green" and len(records(twin)) == 5
        await twin.api.patch(HELM_RELEASES, "shop", {"spec": {"suspend": None}}, NS)
        found = await twin.object(
            HELM_RELEASES, "shop", lambda obj: ready(obj) and latest(obj).get("chartVersion") == "2.0.1"
        )
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
        await twin.api.patch(CONFIGMAPS, "shop-config", {"data": {"colour": "hand"}}, NS)
        await twin.until(CONFIGMAPS, lambda: data(twin, "shop-config")["colour"] == "green", "drift is corrected")
        await twin.api.delete(HELM_RELEASES, "shop", NS)
        await twin.until(HELM_RELEASES, lambda: not twin.get(HELM_RELEASES, "shop"))
        assert twin.get(CONFIGMAPS, "shop-config") is None and records(twin) == []

    play(story)


@needs_helm
def test_failed_upgrades_are_remediated_counted_and_given_up(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    repo.commit(chart())

    async def story(twin: Twin) -> None:
        await twin.api.create(GIT_REPOSITORIES, git_source(repo))
        upgrade = {"remediation": {"retries": 1, "remediateLastFailure": True}}
        await twin.api.create(HELM_RELEASES, release(upgrade=upgrade, values={"colour": "green"}))
        await twin.object(HELM_RELEASES, "shop", ready)
        broken = (
            TEMPLATE + "---\napiVersion: v1\nkind: Service\nmetadata: {name: Bad_Name}\nspec: {ports: [{port: 1}]}\n"
        )
        repo.commit(chart("2.0.0", broken))
        found = await twin.object(
            HELM_RELEASES, "shop", lambda obj: found_condition(obj, "Stalled").get("status") == "True"
        )
        assert (
            found_condition(found, "Stalled")["reason"] == "RetriesExceeded" and found["status"]["upgradeFailures"] == 2
        )
        assert found_condition(found, "Remediated")["reason"] == "RollbackSucceeded" and ready(found, "False")
        assert latest(found)["status"] == "deployed" and latest(found)["chartVersion"] == "1.0.0"
        before = len(records(twin))
        asked = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "1"}}}
        await twin.api.patch(HELM_RELEASES, "shop", asked, NS)
        await twin.object(HELM_RELEASES, "shop", lambda obj: obj["status"].get("lastHandledReconcileAt") == "1")
        assert len(records(twin)) == before
        repo.commit(chart("2.0.1"))
        found = await twin.object(
            HELM_RELEASES, "shop", lambda obj: ready(obj) and latest(obj).get("chartVersion") == "2.0.1"
        )
        assert "upgradeFailures" not in found["status"] and not found_condition(found, "Stalled")

    play(story)


@needs_helm
def test_a_version_of_an_index_is_pinned_and_values_come_from_elsewhere(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    index = tmp_path / "charts"
    index.mkdir()
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    for version in ("1.0.0", "1.1.0"):
        repo.commit(chart(version))
        asyncio.run(run([programs().helm, "package", str(repo.work / "chart"), "-d", str(index)], env=home))
    asyncio.run(run([programs().helm, "repo", "index", str(index)], env=home))

    async def story(twin: Twin) -> None:
        await twin.api.create(HELM_REPOSITORIES, made(HELM_REPOSITORIES, "charts", url=index.as_uri(), interval="1s"))
        await twin.api.create(CONFIGMAPS, config_map("values", NS, **{"values.yaml": "colour: yellow\n"}))
        source = {"kind": "HelmRepository", "name": "charts"}
        obj = release(valuesFrom=[{"kind": "ConfigMap", "name": "values"}])
        obj["spec"]["chart"]["spec"] |= {"chart": "shop", "sourceRef": source, "version": ">=1.0.0"}
        await twin.api.create(HELM_RELEASES, obj)
        found = await twin.object(HELM_RELEASES, "shop", ready)
        assert latest(found)["chartVersion"] == "1.1.0" and data(twin, "shop-config")["colour"] == "yellow"
        await twin.api.patch(HELM_RELEASES, "shop", {"spec": {"chart": {"spec": {"version": "1.0.0"}}}}, NS)
        found = await twin.object(
            HELM_RELEASES, "shop", lambda obj: ready(obj) and latest(obj).get("chartVersion") == "1.0.0"
        )
        assert latest(found)["version"] == 2 and latest(found)["action"] == "upgrade"
        assert found["status"]["lastAttemptedRevision"] == "1.0.0"

    play(story)


def test_image_automation_promotes_what_a_policy_says_until_it_is_suspended(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    line = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config, namespace: default}\ndata:\n"
    line += '  image: registry.example/app:1.0.0 # {"$imagepolicy": "default:app"}\n'
    repo.commit({"app/x.yaml": line})

    async def latest_is(twin: Twin, tag: str) -> None:
        status = {"status": {"latestRef": {"name": "registry.example/app", "tag": tag}}}
        await twin.api.patch(IMAGE_POLICIES, "app", status, NS, subresource="status")

    async def story(twin: Twin) -> None:
        await twin.api.create(GIT_REPOSITORIES, git_source(repo))
        await twin.api.create(KUSTOMIZATIONS, kustomization())
        await twin.api.create(IMAGE_POLICIES, made(IMAGE_POLICIES, "app", imageRepositoryRef={"name": "app"}))
        source = {"kind": "GitRepository", "name": "repo"}
        await twin.api.create(
            IMAGE_UPDATES, made(IMAGE_UPDATES, "all", sourceRef=source, interval="1m", update={"path": "./app"})
        )
        await latest_is(twin, "2.0.0")
        await twin.until(CONFIGMAPS, lambda: data(twin).get("image") == "registry.example/app:2.0.0")
        repo.git("pull", "-q", "origin", "main")
        assert repo.git("log", "-1", "--format=%an %s") == "fluxcdbot Update from image update automation"
        await twin.api.patch(IMAGE_UPDATES, "all", {"spec": {"suspend": True}}, NS)
        await latest_is(twin, "3.0.0")
        good = repo.revert()
        await twin.object(KUSTOMIZATIONS, "app", lambda obj: applied(obj, good))
        assert data(twin)["image"] == "registry.example/app:1.0.0"

    play(story)
