# SPDX-License-Identifier: Apache-2.0
"""Create, update, patch, apply, delete: versions, preconditions, finalizers, dry runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from apiserver_client import APPLY, CORE, JSON_PATCH, MERGE, STRATEGIC, Server, config_map, deployment, pod

from kubetwin.apiserver.server import ApiServer
from kubetwin.apiserver.store import Change

MAPS = f"{CORE}/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
# What kubectl 1.37 sends for ``create configmap a --from-literal=x=y``.
PROTOBUF = bytes.fromhex(
    "6b3873000a0f0a0276311209436f6e6669674d6170121b0a110a01611200"
    "1a0022002a003200380042001206 0a0178120179 1a002200".replace(" ", "")
)


def test_versions_rise_and_stale_writes_conflict() -> None:
    async def main() -> None:
        server = Server()
        first = await server.create(MAPS, config_map("a", x="1"))
        second = {**first, "data": {"x": "2"}}
        status, answer = await server.ask("PUT", f"{MAPS}/a", second)
        assert status == 200
        assert int(answer["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
        status, conflict = await server.ask("PUT", f"{MAPS}/a", second)
        assert (status, conflict["reason"]) == (409, "Conflict")
        assert conflict["message"].endswith("please apply your changes to the latest version and try again")
        status, _ = await server.patch(f"{MAPS}/a", {"metadata": {"resourceVersion": "1"}, "data": {"x": "3"}})
        assert status == 409

    asyncio.run(main())


def test_a_write_that_changes_nothing_is_none() -> None:
    async def main() -> None:
        server = Server()
        first = await server.create(MAPS, config_map("a", x="1"))
        _, again = await server.ask("PUT", f"{MAPS}/a", first)
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        assert server.api.cluster.store.version == int(first["metadata"]["resourceVersion"])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "path", "body", "kind"),
    [
        ("POST", MAPS, config_map("b", x="1"), "application/json"),
        ("PUT", f"{MAPS}/a", config_map("a", x="2"), "application/json"),
        ("PATCH", f"{MAPS}/a", {"data": {"x": "2"}}, MERGE),
        ("DELETE", f"{MAPS}/a", None, "application/json"),
        ("DELETE", MAPS, None, "application/json"),
    ],
)
def test_a_dry_run_changes_nothing(method: str, path: str, body: Any, kind: str) -> None:
    async def main() -> None:
        server = Server()
        await server.create(MAPS, config_map("a", x="1"))
        version = server.api.cluster.store.version
        status, _ = await server.ask(method, f"{path}?dryRun=All", body, content_type=kind)
        assert status in (200, 201)
        assert server.api.cluster.store.version == version
        status, answer = await server.ask(method, f"{path}?dryRun=Some", body, content_type=kind)
        assert (status, answer["reason"]) == (422, "Invalid")

    asyncio.run(main())


def test_protobuf_bodies_of_go_clients() -> None:
    async def main() -> None:
        server = Server()
        kind = "application/vnd.kubernetes.protobuf"
        made = await server.create(MAPS, PROTOBUF, content_type=kind)
        assert (made["metadata"]["name"], made["data"]) == ("a", {"x": "y"})
        for broken in (b"{}", PROTOBUF[:-6], b"k8s\x00\xff"):
            status, answer = await server.ask("POST", MAPS, broken, content_type=kind)
            assert (status, answer["reason"]) == (400, "BadRequest")
        status, answer = await server.ask("POST", MAPS, b"\xa0", content_type="application/cbor")
        assert (status, answer["reason"]) == (415, "UnsupportedMediaType")

    asyncio.run(main())


def test_field_validation() -> None:
    async def main() -> None:
        server = Server()
        body = {**deployment("d"), "spec": {**deployment("d")["spec"], "nosuch": 1}}
        status, refused = await server.ask("POST", f"{DEPLOYMENTS}?fieldValidation=Strict", body)
        assert status == 400 and 'strict decoding error: unknown field "spec.nosuch"' in refused["message"]
        warned = await server.raw("POST", f"{DEPLOYMENTS}?fieldValidation=Warn", body)
        assert (warned.status, warned.warnings) == (201, ['unknown field "spec.nosuch"'])
        silent = await server.raw("PATCH", f"{DEPLOYMENTS}/d?fieldValidation=Ignore", {"nosuch": 1}, content_type=MERGE)
        assert (silent.status, silent.warnings) == (200, [])
        status, _ = await server.ask("POST", f"{DEPLOYMENTS}?fieldValidation=Some", body)
        assert status == 422

    asyncio.run(main())


def test_generated_names_and_system_fields() -> None:
    async def main() -> None:
        server = Server()
        body = {"metadata": {"generateName": "g-", "uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z"}}
        made = (await server.create(MAPS, body))["metadata"]
        assert made["name"].startswith("g-") and len(made["name"]) == 7
        assert made["uid"] != "mine" and made["creationTimestamp"] > "2020"
        status, answer = await server.ask("POST", MAPS, {"metadata": {"name": "x", "resourceVersion": "7"}})
        assert (status, answer["message"]) == (500, "resourceVersion should not be set on objects to be created")
        status, _ = await server.ask("POST", MAPS, config_map(made["name"]))
        assert status == 409

    asyncio.run(main())


def test_delete_obeys_preconditions() -> None:
    async def main() -> None:
        server = Server()
        made = (await server.create(MAPS, config_map("a")))["metadata"]
        for wrong in ({"uid": "other"}, {"resourceVersion": "1"}):
            status, answer = await server.ask("DELETE", f"{MAPS}/a", {"preconditions": wrong})
            assert (status, answer["reason"]) == (409, "Conflict")
        right = {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}
        status, answer = await server.ask("DELETE", f"{MAPS}/a", {"preconditions": right})
        assert (status, answer["status"], answer["details"]["uid"]) == (200, "Success", made["uid"])

    asyncio.run(main())


def test_finalizers_hold_an_object_until_they_are_gone() -> None:
    async def main() -> None:
        server = Server()
        body = config_map("a")
        body["metadata"]["finalizers"] = ["example.com/hold"]
        await server.create(MAPS, body)
        status, held = await server.ask("DELETE", f"{MAPS}/a?propagationPolicy=Foreground")
        assert status == 200 and held["metadata"]["finalizers"] == ["example.com/hold", "foregroundDeletion"]
        assert held["metadata"]["deletionGracePeriodSeconds"] == 0
        status, _ = await server.patch(f"{MAPS}/a", {"metadata": {"finalizers": None}})
        assert status == 200
        assert (await server.ask("GET", f"{MAPS}/a"))[0] == 404

    asyncio.run(main())


def test_pods_on_a_node_get_their_grace_and_only_shorter_ones_later() -> None:
    async def main() -> None:
        server = Server()
        await server.account()
        await server.create(f"{CORE}/pods", pod("placed", nodeName="n"))
        await server.create(f"{CORE}/pods", pod("waiting"))
        _, going = await server.ask("DELETE", f"{CORE}/pods/placed")
        assert going["metadata"]["deletionGracePeriodSeconds"] == 30 and going["metadata"]["generation"] == 2
        _, same = await server.ask("DELETE", f"{CORE}/pods/placed?gracePeriodSeconds=60")
        assert same["metadata"]["resourceVersion"] == going["metadata"]["resourceVersion"]
        _, shorter = await server.ask("DELETE", f"{CORE}/pods/placed?gracePeriodSeconds=5")
        assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
        await server.ask("DELETE", f"{CORE}/pods/placed?gracePeriodSeconds=0")
        assert (await server.ask("GET", f"{CORE}/pods/placed"))[0] == 404
        await server.ask("DELETE", f"{CORE}/pods/waiting")
        assert (await server.ask("GET", f"{CORE}/pods/waiting"))[0] == 404

    asyncio.run(main())


def test_a_namespace_ends_by_finalize() -> None:
    async def main() -> None:
        server = Server()
        path = "/api/v1/namespaces/n"
        await server.create("/api/v1/namespaces", {"metadata": {"name": "n"}})
        status, ending = await server.ask("DELETE", path)
        assert (status, ending["status"]["phase"]) == (200, "Terminating")
        status, refused = await server.ask("POST", f"{path}/configmaps", config_map("late"))
        assert status == 403 and refused["details"]["causes"][0]["reason"] == "NamespaceTerminating"
        status, missing = await server.ask("POST", "/api/v1/namespaces/none/configmaps", config_map("x"))
        assert (status, missing["message"]) == (404, 'namespaces "none" not found')
        status, _ = await server.ask("PUT", f"{path}/finalize", {**ending, "spec": {"finalizers": []}})
        assert status == 200
        assert (await server.ask("GET", path))[0] == 404
        assert (await server.ask("DELETE", "/api/v1/namespaces/default"))[0] == 403

    asyncio.run(main())


def test_spec_and_status_are_written_apart_and_generations_count_specs() -> None:
    async def main() -> None:
        server = Server()
        made = await server.create(DEPLOYMENTS, {**deployment("d"), "status": {"replicas": 7}})
        assert made["metadata"]["generation"] == 1 and "replicas" not in made["status"]
        change = {"spec": {"replicas": 5}, "status": {"replicas": 5}}
        _, spec = await server.patch(f"{DEPLOYMENTS}/d", change, STRATEGIC)
        assert (spec["spec"]["replicas"], spec["status"], spec["metadata"]["generation"]) == (5, {}, 2)
        change = {"spec": {"replicas": 1}, "status": {"replicas": 3}}
        _, status = await server.patch(f"{DEPLOYMENTS}/d/status", change)
        assert (status["spec"]["replicas"], status["status"]["replicas"]) == (5, 3)
        assert status["metadata"]["generation"] == 2

    asyncio.run(main())


def test_scale_by_all_means() -> None:
    async def main() -> None:
        server = Server()
        await server.create(DEPLOYMENTS, deployment("d", 2))
        scale = await server.get(f"{DEPLOYMENTS}/d/scale")
        assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 2}, "app=d")
        _, scale = await server.ask("PUT", f"{DEPLOYMENTS}/d/scale", {**scale, "spec": {"replicas": 3}})
        assert scale["spec"] == {"replicas": 3}
        operations = [{"op": "replace", "path": "/spec/replicas", "value": 4}]
        _, scale = await server.patch(f"{DEPLOYMENTS}/d/scale", operations, JSON_PATCH)
        assert scale["spec"] == {"replicas": 4}
        entries = (await server.get(f"{DEPLOYMENTS}/d"))["metadata"]["managedFields"]
        assert {"f:spec": {"f:replicas": {}}} in [e["fieldsV1"] for e in entries if e.get("subresource") == "scale"]
        stale = {**scale, "metadata": {**scale["metadata"], "resourceVersion": "1"}}
        assert (await server.ask("PUT", f"{DEPLOYMENTS}/d/scale", stale))[0] == 409

    asyncio.run(main())


def test_apply_creates_owns_and_names_the_other_owner() -> None:
    async def main() -> None:
        server = Server()
        status, _ = await server.patch(f"{MAPS}/a", config_map("a", x="1"), APPLY)
        assert status == 422  # no field manager
        status, made = await server.patch(f"{MAPS}/a?fieldManager=one", config_map("a", x="1"), APPLY)
        assert status == 201 and made["metadata"]["managedFields"][0]["operation"] == "Apply"
        status, conflict = await server.patch(f"{MAPS}/a?fieldManager=two", config_map("a", x="2"), APPLY)
        assert (status, conflict["reason"]) == (409, "Conflict")
        assert conflict["details"]["causes"][0]["message"] == 'conflict with "one"'
        status, forced = await server.patch(f"{MAPS}/a?fieldManager=two&force=true", config_map("a", x="2"), APPLY)
        assert (status, forced["data"]) == (200, {"x": "2"})
        status, gone = await server.patch(f"{MAPS}/a?fieldManager=two", config_map("a"), APPLY)
        assert status == 200 and "data" not in gone

    asyncio.run(main())


def test_services_get_addresses_and_keep_them() -> None:
    async def main() -> None:
        server = Server()
        body = {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
        made = await server.create(f"{CORE}/services", body)
        address, port = made["spec"]["clusterIP"], made["spec"]["ports"][0]["nodePort"]
        assert address.startswith("10.96.") and 30000 <= port < 32768
        bare = {"metadata": {"name": "s", "resourceVersion": made["metadata"]["resourceVersion"]}, "spec": body["spec"]}
        _, kept = await server.ask("PUT", f"{CORE}/services/s", bare)
        assert (kept["spec"]["clusterIP"], kept["spec"]["ports"][0]["nodePort"]) == (address, port)
        taken = {"metadata": {"name": "t"}, "spec": {"clusterIP": address, "ports": [{"port": 80}]}}
        status, refused = await server.ask("POST", f"{CORE}/services", taken)
        assert status == 422 and "provided IP is already allocated" in refused["message"]

    asyncio.run(main())


def test_watchers_that_write_do_not_disturb_the_order() -> None:
    async def main() -> None:
        server = Server()
        maps = server.api.cluster.store.collection(("", "configmaps"))
        seen: list[int] = []

        def writes(change: Change) -> None:
            if change.entry.key == "default/a" and change.kind == "ADDED":
                maps.put("default/b", {**change.entry.copy(), "metadata": {"name": "b", "namespace": "default"}})

        maps.watchers.add(writes)
        maps.watchers.add(lambda change: seen.append(change.version))
        await server.create(MAPS, config_map("a"))
        assert len(seen) == 2 and seen == sorted(seen)

    asyncio.run(main())


def test_a_saved_state_comes_back_whole(tmp_path: Path) -> None:
    async def main() -> None:
        server = Server()
        made = await server.create(MAPS, config_map("a", x="1"))
        uid = (await server.get("/api/v1/namespaces/kube-system"))["metadata"]["uid"]
        path = tmp_path / "state"
        server.api.cluster.save(path)
        assert path.stat().st_mode & 0o777 == 0o600
        other = Server(ApiServer())
        other.api.cluster.load(path)
        assert await other.get(f"{MAPS}/a") == made
        assert (await other.get("/api/v1/namespaces/kube-system"))["metadata"]["uid"] == uid
        events = await other.watch(f"{MAPS}?watch=1&resourceVersion=1")
        assert (await events.next())[1]["code"] == 410
        path.write_bytes(b"nonsense")
        with pytest.raises(ValueError, match="not a saved cluster state"):
            other.api.cluster.load(path)

    asyncio.run(main())
