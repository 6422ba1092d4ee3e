# SPDX-License-Identifier: Apache-2.0
"""argocd-server answers as the real one: who may, what is refused and in which shape, and the same objects behind it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gitops_twin import (
    ARGO,
    QUICK,
    Repository,
    Twin,
    application,
    config_map,
    deployment,
    gitops,
    history,
    needs_git,
    phase,
    synced,
)
from twin_cluster import NS

from kubetwin.client import Obj
from kubetwin.gitops.argocd import tokens
from kubetwin.gitops.argocd.application import APPLICATIONS, PROJECTS
from kubetwin.gitops.argocd.projects import IN_CLUSTER
from kubetwin.kinds import CONFIGMAPS, SECRETS

pytestmark = needs_git


class Client:
    def __init__(self, twin: Twin, token: str) -> None:
        assert twin.plane.gitops is not None and twin.plane.gitops.argocd_server is not None
        self.server = twin.plane.gitops.argocd_server
        self.token = token or self.server.token()

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token != "none" else {}
        async with httpx2.AsyncClient(trust_env=False, timeout=120) as http:
            answer = await http.request(method, f"{self.server.url}{path}", json=body, params=query, headers=headers)
        return answer.status_code, answer.json()

    async def app(self, method: str, path: str = "", body: Any = None, **query: str) -> Obj:
        status, found = await self.call(method, f"/api/v1/applications/shop{path}", body, **query)
        assert status == 200, found
        return dict(found)


def play(story: Callable[[Twin, Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with gitops(argocd=replace(QUICK, server=True)) as twin:
            await story(twin, Client(twin, ""))

    asyncio.run(main())


def test_rollback_is_refused_under_automated_sync_and_works_without(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    good = repo.commit({"app/all.json": config_map("config", colour="green"), "app/web.json": deployment("web")})

    async def story(twin: Twin, client: Client) -> None:
        await twin.api.create(APPLICATIONS, application(repo.url, policy="auto"))
        await twin.settled(good)
        bad = repo.commit({"app/all.json": config_map("config", colour="red")})
        app = await client.app("GET", refresh="normal")
        app = await twin.settled(bad)
        status, refused = await client.call("POST", "/api/v1/applications/shop/rollback", {"id": 0})
        text = "rollback cannot be initiated when auto-sync is enabled"
        assert (status, refused) == (400, {"error": text, "code": 9, "message": text})
        status, refused = await client.call("POST", "/api/v1/applications/shop/sync", {"revision": good})
        assert status == 400 and "auto-sync currently set to main" in refused["message"]
        manifests = [json.dumps(config_map("config", colour="local"))]
        status, refused = await client.call("POST", "/api/v1/applications/shop/sync", {"manifests": manifests})
        assert status == 400 and "local sync" in refused["message"]
        patch = {"patchType": "merge", "patch": json.dumps({"spec": {"syncPolicy": {"automated": {"enabled": False}}}})}
        assert (await client.app("PATCH", "", patch))["spec"]["syncPolicy"]["automated"]["prune"] is True
        for body, part in (({"id": 7}, "does not have deployment with id 7"), ({"id": "0"}, "type int64")):
            status, refused = await client.call("POST", "/api/v1/applications/shop/rollback", body)
            assert (status, refused["code"]) == (400, 3) and part in refused["error"]
        answer = await client.app("POST", "/rollback", {"name": "shop", "id": 0, "prune": True})
        assert answer["operation"]["initiatedBy"] == {"username": "admin"} and "operationState" not in answer["status"]
        app = await twin.app(lambda app: phase(app) == "Succeeded" and history(app)[-1] == (2, good))
        assert app["status"]["operationState"]["operation"]["sync"]["syncStrategy"] == {"apply": {}}
        app = await client.app("GET", refresh="hard")
        assert app["status"]["sync"]["status"] == "OutOfSync" and app["status"]["sync"]["revision"] == bad
        assert (twin.get(CONFIGMAPS, "config") or {})["data"]["colour"] == "green"
        await client.app("POST", "/sync", {"revision": good, "manifests": manifests})
        await twin.app(lambda app: phase(app) == "Succeeded" and history(app)[-1] == (3, good))
        assert (twin.get(CONFIGMAPS, "config") or {})["data"]["colour"] == "local"
        rendered = await client.app("GET", "/manifests", revision=good)
        assert rendered["revision"] == good and rendered["sourceType"] == "Directory"
        first = json.loads(rendered["manifests"][0])
        assert first["data"] == {"colour": "green"} and "tracking-id" in json.dumps(first["metadata"])
        kinds = {node["kind"] for node in (await client.app("GET", "/resource-tree"))["nodes"]}
        assert {"ConfigMap", "Deployment", "ReplicaSet", "Pod"} <= kinds
        told = await client.app("GET", f"/revisions/{bad}/metadata")
        assert told["author"] == "Kim <kim@example.org>" and told["message"] == "change"

    play(story)


def test_windows_running_operations_and_their_end(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "wait", "annotations": {"argocd.argoproj.io/hook": "PreSync"}},
    }
    job["spec"] = {
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "r.example/never:1.0.0-missing"}]}
        }
    }
    repo.commit({"app/all.json": config_map("config"), "app/job.json": job})

    async def story(twin: Twin, client: Client) -> None:
        await twin.api.create(APPLICATIONS, application(repo.url))
        await twin.app(lambda app: app.get("status"))
        status, refused = await client.call("DELETE", "/api/v1/applications/shop/operation")
        assert (status, refused["code"]) == (400, 3) and "No operation is in progress" in refused["message"]
        deny = {"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]}
        await twin.api.patch(PROJECTS, "default", {"spec": {"syncWindows": [deny]}}, ARGO)
        await twin.until(PROJECTS, lambda: "syncWindows" in twin.get(PROJECTS, "default", ARGO)["spec"])  # type: ignore[index]
        status, refused = await client.call("POST", "/api/v1/applications/shop/sync", {})
        assert (status, refused["message"]) == (403, "cannot sync: blocked by sync window")
        shown = await client.app("GET", "/syncwindows")
        assert shown["canSync"] is False and len(shown["activeWindows"]) == 1
        await twin.api.patch(PROJECTS, "default", {"spec": {"syncWindows": None}}, ARGO)
        await twin.until(PROJECTS, lambda: "syncWindows" not in twin.get(PROJECTS, "default", ARGO)["spec"])  # type: ignore[index]
        await client.app("POST", "/sync", {})
        await twin.app(lambda app: "waiting for completion of hook" in str(app["status"].get("operationState")))
        status, refused = await client.call("POST", "/api/v1/applications/shop/rollback", {"id": 0})
        assert status == 400
        status, refused = await client.call("POST", "/api/v1/applications/shop/sync", {})
        assert (status, refused["code"]) == (400, 9) and "another operation is already in progress" in refused["error"]
        await client.app("DELETE", "/operation")
        app = await twin.app(lambda app: phase(app) == "Failed")
        assert app["status"]["operationState"]["message"] == "Operation terminated"
        assert twin.get(CONFIGMAPS, "config") is None

    play(story)


def test_tokens_accounts_and_roles(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pw"}, "stringData": {"password": "hunter2"}}
    commit = repo.commit({"app/all.json": secret})

    async def story(twin: Twin, client: Client) -> None:
        await twin.api.create(APPLICATIONS, application(repo.url, policy="auto"))
        await twin.settled(commit)
        status, refused = await Client(twin, "none").call("GET", "/api/v1/applications")
        assert (status, refused) == (
            401,
            {"error": "no session information", "code": 16, "message": "no session information"},
        )
        assert (await Client(twin, "none").call("GET", "/api/version"))[1]["Version"].startswith("v3.")
        settings = (await Client(twin, "none").call("GET", "/api/v1/settings"))[1]
        assert settings["trackingMethod"] == "annotation" and settings["controllerNamespace"] == ARGO
        for bad, text in (
            (client.server.token(lifetime=-5), "token is expired"),
            ("a.b.c", "signature is invalid"),
            ("x", "malformed"),
            (client.server.token("nobody"), "account 'nobody' does not exist"),
        ):
            status, refused = await Client(twin, bad).call("GET", "/api/v1/session/userinfo")
            assert status == 401 and text in refused["message"] and bad not in refused["message"]
        password = base64.b64decode(
            (await twin.api.get(SECRETS, "argocd-initial-admin-secret", ARGO))["data"]["password"]
        ).decode()
        login = {"username": "admin", "password": password}
        await twin.until(SECRETS, lambda: twin.get(SECRETS, "argocd-initial-admin-secret", ARGO))
        status, answer = await Client(twin, "none").call("POST", "/api/v1/session", login)
        assert status == 200
        assert (await Client(twin, answer["token"]).call("GET", "/api/v1/session/userinfo"))[1]["username"] == "admin"
        status, refused = await Client(twin, "none").call("POST", "/api/v1/session", {**login, "password": "no"})
        assert (status, refused["message"]) == (401, "Invalid username or password")
        await twin.api.patch(
            CONFIGMAPS, "argocd-cm", {"data": {"accounts.bot": "apiKey", "accounts.eve": "apiKey"}}, ARGO
        )
        rules = "p, bot, applications, get, default/*, allow\np, bot, applications, sync, default/other, allow\n"
        await twin.api.patch(CONFIGMAPS, "argocd-rbac-cm", {"data": {"policy.csv": rules}}, ARGO)
        await twin.until(CONFIGMAPS, lambda: (twin.get(CONFIGMAPS, "argocd-rbac-cm", ARGO) or {}).get("data"))
        await twin.until(CONFIGMAPS, lambda: "accounts.eve" in str(twin.get(CONFIGMAPS, "argocd-cm", ARGO)))
        bot = Client(twin, (await client.call("POST", "/api/v1/account/bot/token", {}))[1]["token"])
        eve = Client(twin, (await client.call("POST", "/api/v1/account/eve/token", {"expiresIn": 60}))[1]["token"])
        assert synced(await bot.app("GET"), commit)
        assert (await bot.call("GET", "/api/v1/account/can-i/applications/sync/default/shop"))[1] == {"value": "no"}
        assert (await bot.call("GET", "/api/v1/account/can-i/applications/get/default/shop"))[1] == {"value": "yes"}
        status, refused = await bot.call("POST", "/api/v1/applications/shop/sync", {})
        assert (status, refused["code"]) == (403, 7) and "applications, sync, default/shop, sub: bot" in refused[
            "error"
        ]
        status, refused = await bot.call("POST", "/api/v1/applications/shop/rollback", {"id": 0})
        assert (status, refused["message"]) == (403, "permission denied")
        # Who may not see applications is not told whether there are any.
        for name in ("shop", "gone"):
            status, refused = await eve.call("GET", f"/api/v1/applications/{name}")
            assert (status, refused["message"]) == (403, "permission denied")
        status, refused = await bot.call("GET", "/api/v1/applications/gone", project="default")
        assert (status, refused["code"]) == (404, 5)
        assert (await eve.call("GET", "/api/v1/applications"))[1]["items"] == []
        role = {"name": "ci", "policies": ["p, proj:default:ci, applications, *, default/shop, allow"]}
        await twin.api.patch(PROJECTS, "default", {"spec": {"roles": [role]}}, ARGO)
        await twin.until(PROJECTS, lambda: "roles" in twin.get(PROJECTS, "default", ARGO)["spec"])  # type: ignore[index]
        ci = Client(twin, (await client.call("POST", "/api/v1/projects/default/roles/ci/token", {}))[1]["token"])
        assert (await ci.app("POST", "/sync", {}))["operation"]["initiatedBy"] == {"username": "proj:default:ci"}
        shown = json.dumps([await ci.app("GET", "/manifests"), await ci.app("GET", "/managed-resources")])
        assert "hunter2" not in shown and "aHVudGVyMg" not in shown and "++++++++" in shown

    play(story)


def test_applications_go_to_other_clusters_by_their_secrets(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    commit = repo.commit({"app/all.json": config_map("config", colour="green")})

    async def main() -> None:
        async with gitops(tools=()) as far, gitops() as twin:
            await far.server.start(0)
            access = far.server.access
            config = {"bearerToken": access.token, "tlsClientConfig": {"caData": base64.b64encode(access.ca).decode()}}
            meta = {"name": "far", "namespace": ARGO, "labels": {"argocd.argoproj.io/secret-type": "cluster"}}
            data = {"name": "far", "server": access.server, "config": json.dumps(config)}
            await twin.api.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data})
            where = {"name": "far", "namespace": NS}
            await twin.api.create(APPLICATIONS, application(repo.url, policy="auto", destination=where))
            await twin.settled(commit)
            await far.until(CONFIGMAPS, lambda: far.get(CONFIGMAPS, "config"))
            assert twin.get(CONFIGMAPS, "config") is None and access.server != IN_CLUSTER
            await far.api.patch(CONFIGMAPS, "config", {"data": {"colour": "blue"}}, NS)
            await far.until(CONFIGMAPS, lambda: far.get(CONFIGMAPS, "config")["data"]["colour"] == "green")  # type: ignore[index]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("rules", "subject", "action", "name", "wanted"),
    [
        ("", "admin", "sync", "default/shop", True),
        ("", "kim", "get", "default/shop", False),
        ("g, kim, role:readonly", "kim", "get", "default/shop", True),
        ("g, kim, role:readonly", "kim", "sync", "default/shop", False),
        ("g, kim, role:ops\np, role:ops, applications, sync, team-*/*, allow", "kim", "sync", "team-a/shop", True),
        ("g, kim, role:ops\np, role:ops, applications, sync, team-*/*, allow", "kim", "sync", "default/shop", False),
        ("g, kim, role:admin\np, kim, applications, sync, default/shop, deny", "kim", "sync", "default/shop", False),
        ("p, kim, applications, *, */*, allow", "kim", "rollback", "default/shop", True),
        ("# a remark\np, kim, applications", "kim", "get", "default/shop", False),
    ],
)
def test_rules(rules: str, subject: str, action: str, name: str, wanted: bool) -> None:
    policy = tokens.Policy({"policy.csv": rules})
    assert policy.permits([subject], "applications", action, name) is wanted
    assert tokens.Policy({"policy.default": "role:readonly"}).permits(["anyone"], "applications", "get", name)
