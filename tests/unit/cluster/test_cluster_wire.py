# SPDX-License-Identifier: Apache-2.0
"""Requests against a server that fails in every way that servers do."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from cluster_fakeapi import status
from cluster_helpers import PODS_PATH, fake, run

from backout import errors
from backout.cluster.pacing import AT_ONCE
from backout.cluster.port import DEPLOYMENTS, PODS, SECRETS
from backout.errors import BackoutError


def test_a_read_survives_a_burst_of_503_and_honours_retry_after() -> None:
    async def main() -> None:
        async with fake(errors=[503, 500, 429], retry_after=1) as (api, cluster):
            api.put(PODS_PATH, "web")
            started = time.monotonic()
            assert (await cluster.get(PODS, "web", "shop"))["metadata"]["name"] == "web"
            assert time.monotonic() - started >= 3.0
            assert api.requests["GET", f"{PODS_PATH}/web"] == 4

    run(main())


def test_a_read_gives_up_after_a_bounded_number_of_attempts() -> None:
    async def main() -> None:
        async with fake(errors=[503] * 50) as (api, cluster):
            with pytest.raises(errors.ServerError) as caught:
                await cluster.get(PODS, "web", "shop")
            assert caught.value.retryable
            assert api.requests.total() == 4

    run(main())


def test_a_write_is_repeated_after_429_only() -> None:
    async def main() -> None:
        async with fake(errors=[429, 500]) as (api, cluster):
            api.put(PODS_PATH, "web")
            with pytest.raises(errors.ServerError):
                await cluster.patch(PODS, "web", {}, "shop")
            assert api.requests["PATCH", f"{PODS_PATH}/web"] == 2

    run(main())


def test_a_write_whose_answer_was_lost_is_not_repeated() -> None:
    async def main() -> None:
        async with fake(reset_after_write=1) as (api, cluster):
            obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}}
            with pytest.raises(errors.ClusterUnreachable):
                await cluster.create(obj)
            assert api.requests["POST", PODS_PATH] == 1
            # Looking again decides: it was done.
            assert (await cluster.get(PODS, "web", "shop"))["metadata"]["name"] == "web"

    run(main())


def test_a_read_survives_resets_and_a_body_that_ends_early() -> None:
    async def main() -> None:
        async with fake(reset_before=1, short_body=1) as (api, cluster):
            api.put(PODS_PATH, "web")
            assert (await cluster.get(PODS, "web", "shop"))["metadata"]["name"] == "web"
            assert api.requests.total() == 3

    run(main())


def test_truncated_json_is_an_error_and_never_a_partial_list() -> None:
    async def main() -> None:
        async with fake(truncate=True) as (api, cluster):
            api.put(PODS_PATH, "web")
            with pytest.raises(errors.ServerError, match="cut off"):
                await cluster.list_all(PODS, "shop")
            with pytest.raises(errors.ServerError, match="cut off"):
                await cluster.get(PODS, "web", "shop")

    run(main())


@pytest.mark.parametrize(("faults", "words"), [({"html": True}, "text/html"), ({"html_error": 502}, "502")])
def test_a_page_of_a_proxy_is_an_error_that_does_not_show_the_page(faults: dict[str, Any], words: str) -> None:
    async def main() -> None:
        async with fake(**faults) as (_, cluster):
            with pytest.raises(errors.ServerError, match=words) as caught:
                await cluster.get(PODS, "web", "shop")
            assert "hunter2" not in str(caught.value) + repr(caught.value.arguments)
            assert "proxy" in caught.value.hint

    run(main())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, errors.Invalid),
        (401, errors.TokenExpired),
        (403, errors.AccessDenied),
        (404, errors.ObjectNotFound),
        (409, errors.Conflict),
        (410, errors.Expired),
        (422, errors.Invalid),
        (429, errors.Throttled),
        (500, errors.ServerError),
        (503, errors.ServerError),
        (504, errors.ServerError),
    ],
)
def test_each_status_has_its_error(code: int, kind: type[BackoutError]) -> None:
    async def main() -> None:
        answer = (code, status(code, "Whatever", "x" * 1000))
        path = "/apis/apps/v1/namespaces/shop/deployments/web"
        async with fake(answers={("PATCH", path): answer}) as (_, cluster):
            with pytest.raises(kind) as caught:
                await cluster.patch(DEPLOYMENTS, "web", {}, "shop")
            assert type(caught.value) is kind
            assert len(caught.value.message) < 500

    run(main())


def test_already_exists_is_a_conflict_of_its_own() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            api.put(PODS_PATH, "web")
            obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}}
            with pytest.raises(errors.AlreadyExists):
                await cluster.create(obj)

    run(main())


def test_an_apply_conflict_lists_each_field_and_its_owner() -> None:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl" using apps/v1',
            "field": ".spec.replicas",
        },
        {"reason": "FieldManagerConflict", "message": 'conflict with "hpa"', "field": ".spec.paused"},
    ]
    path = "/apis/apps/v1/namespaces/shop/deployments/web"
    answer = (409, status(409, "Conflict", "Apply failed with 2 conflicts", causes))

    async def main() -> None:
        async with fake(answers={("PATCH", path): answer}) as (_, cluster):
            obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
            with pytest.raises(errors.Conflict) as caught:
                await cluster.apply(obj)
            assert '.spec.replicas ("kubectl" using apps/v1)' in caught.value.message
            assert '.spec.paused ("hpa")' in caught.value.message

    run(main())


def test_an_error_about_a_secret_shows_names_of_fields_only() -> None:
    causes = [{"reason": "FieldValueInvalid", "message": 'Invalid value: "hunter2"', "field": "data[password]"}]
    answer = (422, status(422, "Invalid", 'Secret "db" is invalid: "hunter2"', causes))

    async def main() -> None:
        async with fake(answers={("PATCH", "/api/v1/namespaces/shop/secrets/db"): answer}) as (_, cluster):
            with pytest.raises(errors.Invalid) as caught:
                await cluster.patch(SECRETS, "db", {}, "shop")
            assert "hunter2" not in caught.value.message + repr(caught.value.arguments)
            assert "data[password]" in caught.value.message

    run(main())


def test_writes_carry_their_options() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            path = "/apis/apps/v1/namespaces/shop/deployments"
            api.put(path, "web")
            await cluster.dry_run_patch(DEPLOYMENTS, "web", [{"op": "test"}], "shop", type="json")
            method, where, params, headers, body = api.seen[-1]
            assert (method, where, body) == ("PATCH", f"{path}/web", [{"op": "test"}])
            assert params == {"dryRun": "All", "fieldManager": "backout"}
            assert headers["content-type"] == "application/json-patch+json"
            api.answers["PATCH", f"{path}/web/scale"] = 200, {"kind": "Scale", "metadata": {"name": "web"}}
            scale = await cluster.patch(DEPLOYMENTS, "web", {"spec": {}}, "shop", subresource="scale")
            assert scale == {"kind": "Scale", "metadata": {"name": "web"}}
            assert api.seen[-1][3]["content-type"] == "application/merge-patch+json"
            obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
            obj["x"] = {"unknown": [1, None, 12345678901234567890]}  # type: ignore[assignment]
            await cluster.apply(obj, manager="me", force=True)
            method, where, params, headers, body = api.seen[-1]
            assert params == {"force": "true", "fieldManager": "me"}
            assert headers["content-type"] == "application/apply-patch+yaml"
            assert body == obj
            await cluster.delete(DEPLOYMENTS, "web", "shop", uid="uid-101", propagation="Foreground", grace=0)
            assert api.seen[-1][4]["preconditions"] == {"uid": "uid-101"}
            assert api.seen[-1][4]["propagationPolicy"] == "Foreground"
            assert api.seen[-1][4]["gracePeriodSeconds"] == 0

    run(main())


def test_deleting_what_has_another_uid_is_a_conflict() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            api.put(PODS_PATH, "web")
            with pytest.raises(errors.Conflict):
                await cluster.delete(PODS, "web", "shop", uid="another")
            assert "web" in api.objects[PODS_PATH]

    run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        from backout.cluster.client import KubernetesCluster
        from backout.cluster.kubeconfig import Connection

        async with fake() as (api, _):
            url = api.url
        started = time.monotonic()
        async with KubernetesCluster(Connection(context="gone", server=url)) as cluster:
            with pytest.raises(errors.ClusterUnreachable, match="connection refused") as caught:
                await cluster.get(PODS, "web", "shop")
        assert url in caught.value.message
        assert time.monotonic() - started < 120

    run(main())


def test_a_silent_server_is_unreachable_and_is_asked_twice_only() -> None:
    async def main() -> None:
        async with fake(read_timeout=0.3, watch_half_open=9) as (api, cluster):
            api.objects[PODS_PATH] = {}
            with pytest.raises(errors.ClusterUnreachable, match="no answer in time"):
                await cluster._wire.request("GET", PODS_PATH, params={"watch": "true", "resourceVersion": "1"})
            assert api.requests.total() == 2

    run(main())


def test_the_servers_clock() -> None:
    async def main() -> None:
        async with fake(answers={("GET", "/version"): (200, {"major": "1"})}) as (_, cluster):
            assert (await cluster.server_time()).isoformat() == "2026-11-13T03:04:05+00:00"

    run(main())


def test_many_requests_at_once_share_a_few_connections_and_watches_come_on_top() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            names = [f"web-{number}" for number in range(60)]
            for name in names:
                api.put(PODS_PATH, name)
            watching = [asyncio.Event() for _ in range(AT_ONCE + 2)]

            async def watch(synced: asyncio.Event) -> None:
                async for event in cluster.watch(PODS, "shop"):
                    if event.type == "SYNCED":
                        synced.set()

            watches = [asyncio.create_task(watch(synced)) for synced in watching]
            await asyncio.gather(*(synced.wait() for synced in watching))
            before = api.connections
            answers = await asyncio.gather(*(cluster.get(PODS, name, "shop") for name in names))
            assert [answer["metadata"]["name"] for answer in answers] == names
            assert api.connections - before <= AT_ONCE
            for task in watches:
                task.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    run(main())
