# SPDX-License-Identifier: Apache-2.0
"""Who may do what: tokens, roles, reviews, impersonation, evictions."""

from __future__ import annotations

import asyncio
from typing import Any

from apiserver_client import CORE, Server, config_map, pod

from kubetwin.serving.http import User

ALICE = User("alice", ("dev", "system:authenticated"))
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


async def _role(server: Server, rules: list[dict[str, Any]]) -> None:
    group = "rbac.authorization.k8s.io"
    await server.create(f"{RBAC}/namespaces/default/roles", {"metadata": {"name": "r"}, "rules": rules})
    binding = {
        "metadata": {"name": "b"},
        "subjects": [{"kind": "Group", "name": "dev", "apiGroup": group}],
        "roleRef": {"kind": "Role", "name": "r", "apiGroup": group},
    }
    await server.create(f"{RBAC}/namespaces/default/rolebindings", binding)


def test_what_is_not_granted_is_forbidden_in_the_servers_words() -> None:
    async def main() -> None:
        server = Server()
        status, answer = await server.ask("GET", f"{CORE}/pods", user=ALICE)
        assert (status, answer["reason"]) == (403, "Forbidden")
        assert answer["message"] == (
            'pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "default"'
        )
        status, answer = await server.ask("GET", "/apis/apps/v1/deployments/x", user=ALICE)
        assert answer["message"] == (
            'deployments.apps "x" is forbidden: User "alice" cannot get resource "deployments" in API group "apps" at'
            " the cluster scope"
        )
        status, answer = await server.ask("GET", "/metrics", user=ALICE)
        assert (status, answer["message"]) == (403, 'forbidden: User "alice" cannot get path "/metrics"')

    asyncio.run(main())


def test_rights_begin_and_end_with_their_binding() -> None:
    async def main() -> None:
        server = Server()
        question = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}
        assert (await server.create(ACCESS, question, user=ALICE))["status"] == {"allowed": False}
        await _role(server, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}])
        assert (await server.create(ACCESS, question, user=ALICE))["status"]["allowed"] is True
        assert (await server.ask("GET", f"{CORE}/pods", user=ALICE))[0] == 200
        assert (await server.ask("GET", f"{CORE}/pods/x/log", user=ALICE))[0] == 403
        await server.ask("DELETE", f"{RBAC}/namespaces/default/rolebindings/b")
        assert (await server.ask("GET", f"{CORE}/pods", user=ALICE))[0] == 403

    asyncio.run(main())


def test_nobody_grants_what_they_do_not_have() -> None:
    async def main() -> None:
        server = Server()
        await _role(server, [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}])
        more = {
            "metadata": {"name": "more"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
        }
        status, answer = await server.ask("POST", f"{RBAC}/namespaces/default/roles", more, user=ALICE)
        assert status == 403 and "attempting to grant RBAC permissions not currently held" in answer["message"]

    asyncio.run(main())


def test_tokens_of_service_accounts_live_as_long_as_the_account() -> None:
    async def main() -> None:
        server = Server()
        await server.account()
        made = await server.create(f"{CORE}/serviceaccounts/default/token", {"spec": {"expirationSeconds": 600}})
        bearer = {"authorization": f"Bearer {made['status']['token']}", "user": None}
        who = await server.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, **bearer)
        info = who["status"]["userInfo"]
        assert info["username"] == "system:serviceaccount:default:default"
        assert "system:serviceaccounts:default" in info["groups"]
        forged = made["status"]["token"][:-4] + "AAAA"
        assert (await server.ask("GET", "/version", user=None, authorization=f"Bearer {forged}"))[0] == 401
        await server.ask("DELETE", f"{CORE}/serviceaccounts/default")
        assert (await server.ask("GET", "/version", **bearer))[0] == 401

    asyncio.run(main())


def test_without_a_token_one_is_anonymous() -> None:
    async def main() -> None:
        server = Server()
        assert (await server.ask("GET", "/version", user=None))[0] == 200
        status, answer = await server.ask("GET", f"{CORE}/pods", user=None)
        assert status == 403 and 'User "system:anonymous"' in answer["message"]

    asyncio.run(main())


def test_impersonation() -> None:
    async def main() -> None:
        server = Server()
        admin = {"authorization": f"Bearer {server.api.cluster.settings.admin_token}", "user": None}
        status, answer = await server.ask("GET", f"{CORE}/pods", impersonate_user="bob", **admin)
        assert status == 403 and 'User "bob" cannot list' in answer["message"]
        await _role(server, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])
        as_dev = {"impersonate_user": "bob", "impersonate_group": "ops\ndev", **admin}
        assert (await server.ask("GET", f"{CORE}/pods", **as_dev))[0] == 200

    asyncio.run(main())


def test_an_eviction_spends_the_budget() -> None:
    async def main() -> None:
        server = Server()
        await server.account()
        for name in ("a", "b"):
            body = pod(name, nodeName="n")
            body["metadata"]["labels"] = {"app": "x"}
            await server.create(f"{CORE}/pods", body)
            ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            assert (await server.patch(f"{CORE}/pods/{name}/status", {"status": ready}))[0] == 200
        budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}
        await server.create(budgets, {"metadata": {"name": "pdb"}, "spec": spec})
        counted = {"disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}
        await server.patch(f"{budgets}/pdb/status", {"status": {**counted, "observedGeneration": 1}})
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction"}
        status, _ = await server.ask("POST", f"{CORE}/pods/a/eviction", {**eviction, "metadata": {"name": "a"}})
        assert status == 201
        going = await server.get(f"{CORE}/pods/a")
        assert "deletionTimestamp" in going["metadata"]
        assert going["status"]["conditions"][-1]["type"] == "DisruptionTarget"
        status, no = await server.ask("POST", f"{CORE}/pods/b/eviction", {**eviction, "metadata": {"name": "b"}})
        assert (status, no["reason"]) == (429, "TooManyRequests")
        assert no["details"]["causes"][0]["reason"] == "DisruptionBudget"

    asyncio.run(main())


def test_a_pod_is_bound_once() -> None:
    async def main() -> None:
        server = Server()
        await server.account()
        labels = {"topology.kubernetes.io/zone": "z1"}
        await server.create("/api/v1/nodes", {"metadata": {"name": "n", "labels": labels}})
        await server.create(f"{CORE}/pods", pod("p"))
        binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
        assert (await server.ask("POST", f"{CORE}/pods/p/binding", binding))[0] == 201
        bound = await server.get(f"{CORE}/pods/p")
        assert bound["spec"]["nodeName"] == "n" and bound["metadata"]["labels"] == labels
        status, again = await server.ask("POST", f"{CORE}/pods/p/binding", binding)
        assert status == 409 and 'pod p is already assigned to node "n"' in again["message"]

    asyncio.run(main())


def test_the_default_account_is_waited_for() -> None:
    async def main() -> None:
        server = Server()
        creating = asyncio.ensure_future(server.ask("POST", f"{CORE}/pods", pod("p")))
        await asyncio.sleep(0)
        await server.account()
        status, made = await creating
        assert status == 201
        assert made["spec"]["serviceAccountName"] == "default" and made["spec"]["priority"] == 0
        assert made["spec"]["volumes"][0]["name"].startswith("kube-api-access-")
        status, refused = await server.ask("POST", f"{CORE}/pods", pod("q", serviceAccountName="none"))
        assert status == 403 and 'serviceaccount "none" not found' in refused["message"]
        assert (await server.ask("GET", f"{CORE}/configmaps/{config_map('x')['metadata']['name']}"))[0] == 404

    asyncio.run(main())


def _sized(name: str, cpu: str) -> dict[str, Any]:
    body = pod(name)
    body["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return body


def test_a_quota_is_counted_and_held() -> None:
    async def main() -> None:
        server = Server()
        await server.account()
        quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "5", "requests.cpu": "1"}}}
        await server.create(f"{CORE}/resourcequotas", quota)
        status, answer = await server.ask("POST", f"{CORE}/pods", pod("none"))
        assert answer["message"] == 'pods "none" is forbidden: failed quota: q: must specify requests.cpu for: c'
        await server.create(f"{CORE}/pods", _sized("a", "800m"))
        assert (await server.get(f"{CORE}/resourcequotas/q"))["status"]["used"] == {"pods": "1", "requests.cpu": "800m"}
        status, answer = await server.ask("POST", f"{CORE}/pods", _sized("b", "300m"))
        assert status == 403 and answer["message"].endswith(
            "exceeded quota: q, requested: requests.cpu=300m, used: requests.cpu=800m, limited: requests.cpu=1"
        )
        await server.ask("DELETE", f"{CORE}/pods/a")
        assert (await server.get(f"{CORE}/resourcequotas/q"))["status"]["used"] == {"pods": "0", "requests.cpu": "0"}
        await server.create(f"{CORE}/pods", _sized("b", "300m"))

    asyncio.run(main())


def test_limit_ranges_complete_and_bound_pods() -> None:
    async def main() -> None:
        server = Server()
        await server.account()
        bounds = {
            "type": "Container",
            "default": {"cpu": "200m"},
            "defaultRequest": {"cpu": "100m"},
            "max": {"cpu": "1"},
        }
        await server.create(f"{CORE}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [bounds]}})
        made = await server.create(f"{CORE}/pods", pod("a"))
        assert made["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}
        note = made["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
        assert note == "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
        body = _sized("b", "2")
        body["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "2"}
        status, answer = await server.ask("POST", f"{CORE}/pods", body)
        assert status == 403
        assert "maximum cpu usage per Container is 1, but limit is 2" in answer["message"]

    asyncio.run(main())
