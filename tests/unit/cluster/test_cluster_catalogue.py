# SPDX-License-Identifier: Apache-2.0
"""Every kind of a cluster, in two requests where the server knows how, and otherwise in the old way."""

from __future__ import annotations

from typing import Any

import pytest
from cluster_fakeapi import status
from cluster_helpers import fake, run

from backout.cluster.port import Resource, Served
from backout.errors import AccessDenied

Obj = dict[str, Any]


def found(name: str, kind: str, scope: str = "Namespaced", *verbs: str) -> Obj:
    kinds = {"responseKind": {"group": "", "version": "", "kind": kind}} if kind else {}
    return {"resource": name, "scope": scope, "verbs": list(verbs or ("list",)), "singularResource": "", **kinds}


def listed(name: str, kind: str, *, namespaced: bool = True, verbs: tuple[str, ...] = ("list",)) -> Obj:
    return {"name": name, "kind": kind, "namespaced": namespaced, "verbs": list(verbs)}


def aggregated(*groups: tuple[str, list[Obj]]) -> tuple[int, Obj]:
    items = [{"metadata": {"name": name} if name else {}, "versions": versions} for name, versions in groups]
    return 200, {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}


def version(name: str, *resources: Obj, freshness: str = "Current") -> Obj:
    return {"version": name, "freshness": freshness, "resources": list(resources)}


CORE = ("", [version("v1", found("pods", "Pod", "Namespaced", "list", "get"), found("nodes", "Node", "Cluster"))])
OLD_CORE = {
    ("GET", "/api"): (200, {"kind": "APIVersions", "versions": ["v1"]}),
    ("GET", "/api/v1"): (
        200,
        {
            "kind": "APIResourceList",
            "resources": [
                listed("pods", "Pod", verbs=("list", "get")),
                listed("pods/log", "Pod"),
                listed("nodes", "Node", namespaced=False),
            ],
        },
    ),
}
POD = Served(Resource("v1", "Pod", "pods", True), frozenset({"list", "get"}))
NODE = Served(Resource("v1", "Node", "nodes", False), frozenset({"list"}))


def served(api: str, kind: str, plural: str) -> Served:
    return Served(Resource(api, kind, plural, True), frozenset({"list"}))


def test_two_requests_tell_everything_and_the_preferred_version_comes_first() -> None:
    groups = aggregated(
        (
            "shop.io",
            [
                version("v2", found("carts", "Cart"), found("only-parts", "")),
                version("v1", found("carts", "Cart"), found("coupons", "Coupon")),
            ],
        ),
        ("empty.io", [version("v1")]),
    )

    async def main() -> None:
        async with fake(answers={("GET", "/api"): aggregated(CORE), ("GET", "/apis"): groups}) as (api, cluster):
            seen = await cluster.catalogue()
            carts, coupons = served("shop.io/v2", "Cart", "carts"), served("shop.io/v1", "Coupon", "coupons")
            assert (seen.kinds, seen.broken) == ((POD, NODE, carts, coupons), ())
            assert api.requests.total() == 2

    run(main())


def test_what_the_aggregator_has_no_fresh_answer_of_is_asked_for_itself() -> None:
    stale = [version("v1", found("gone", "Gone"), freshness="Stale")]
    answers = {
        ("GET", "/api"): aggregated(CORE),
        ("GET", "/apis"): aggregated(("metrics.io", stale), ("back.io", stale)),
        ("GET", "/apis/metrics.io/v1"): (503, status(503, "ServiceUnavailable", "no endpoints")),
        ("GET", "/apis/back.io/v1"): (200, {"kind": "APIResourceList", "resources": [listed("things", "Thing")]}),
    }

    async def main() -> None:
        async with fake(answers=answers) as (_, cluster):
            seen = await cluster.catalogue()
            assert seen.kinds == (POD, NODE, served("back.io/v1", "Thing", "things"))
            assert seen.broken == ("metrics.io/v1",)

    run(main())


def test_an_older_server_is_asked_group_by_group() -> None:
    groups = [
        {
            "name": "shop.io",
            "versions": [{"groupVersion": "shop.io/v1"}, {"groupVersion": "shop.io/v2"}],
            "preferredVersion": {"groupVersion": "shop.io/v2"},
        },
        {"name": "gone.io", "versions": [{"groupVersion": "gone.io/v1"}]},
    ]
    answers = {
        **OLD_CORE,
        ("GET", "/apis"): (200, {"kind": "APIGroupList", "groups": groups}),
        ("GET", "/apis/shop.io/v1"): (200, {"resources": [listed("carts", "Cart"), listed("coupons", "Coupon")]}),
        ("GET", "/apis/shop.io/v2"): (200, {"resources": [listed("carts", "Cart")]}),
        ("GET", "/apis/gone.io/v1"): (404, status(404, "NotFound", "gone")),
    }

    async def main() -> None:
        async with fake(answers=answers) as (_, cluster):
            seen = await cluster.catalogue()
            carts, coupons = served("shop.io/v2", "Cart", "carts"), served("shop.io/v1", "Coupon", "coupons")
            assert (seen.kinds, seen.broken) == ((POD, NODE, carts, coupons), ("gone.io/v1",))

    run(main())


@pytest.mark.parametrize("path", ["/api", "/api/v1"])
def test_without_the_servers_own_kinds_there_is_no_answer(path: str) -> None:
    answers = {**OLD_CORE, ("GET", "/apis"): (200, {"kind": "APIGroupList", "groups": []})}
    answers["GET", path] = (403, status(403, "Forbidden", "no"))

    async def main() -> None:
        async with fake(answers=answers) as (_, cluster):
            with pytest.raises(AccessDenied):
                await cluster.catalogue()

    run(main())
