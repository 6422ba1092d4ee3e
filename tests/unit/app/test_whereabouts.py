# SPDX-License-Identifier: Apache-2.0
"""Where one is sent that looks for a target where it is not."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from backout.app.whereabouts import sought
from backout.cluster.port import ClusterReader, Resource
from backout.errors import AccessDenied, NoGoodRevision, NotFoundError, ObjectNotFound, ReleaseNotFound
from backout.kube.projections import Bare, Meta
from backout.model.message import of_error
from backout.model.target import Target

WEB = Target("deployment", "web", "shop", "c")


class Cluster:
    """Knows where things are: resource → namespaces of what has the name; None: it may not be listed."""

    name = "c"

    def __init__(self, **there: list[str] | None) -> None:
        self.there = there

    async def list_as(
        self, type: Any, resource: Resource, namespace: str, *, labels: str, fields: str, **_: Any
    ) -> Any:
        assert fields == "metadata.name=web" or labels == "owner=helm,name=web", "nothing else is asked for"
        found = self.there.get(resource.plural, [])
        if found is None and not namespace:
            raise AccessDenied("no")
        return [Bare(Meta("web", namespace=place)) for place in found or () if namespace in ("", place)]


def told(cluster: Cluster, error: NotFoundError) -> NotFoundError:
    async def look() -> None:
        async with sought(cast(ClusterReader, cluster), WEB):
            raise error

    with pytest.raises(type(error)) as caught:
        asyncio.run(look())
    return caught.value


def hint(cluster: Cluster, error: NotFoundError | None = None) -> str:
    found = told(cluster, error or ObjectNotFound("deployment {name} was not found", name="web"))
    assert str(of_error(found)) == str(of_error(error or ObjectNotFound("deployment web was not found")))
    return str(found.arguments["whereabouts"]["text"])  # type: ignore[index, call-overload]


def test_in_other_namespaces() -> None:
    assert "deployment/web in namespace a, b: say so with -n." in hint(Cluster(deployments=["b", "a"]))


def test_as_another_kind() -> None:
    assert hint(Cluster(statefulsets=["shop"], services=["shop"])) == "There is statefulset/web, service/web here."


def test_nowhere() -> None:
    assert "-n and --context say where to look" in hint(Cluster())


def test_where_one_may_not_look() -> None:
    assert hint(Cluster(deployments=None)).startswith("Other namespaces may not be looked at")


def test_what_was_said_before_is_kept() -> None:
    error = ReleaseNotFound("no {thing}", hint="Ask {whom}.", thing="release", whom="Ann")
    assert hint(Cluster(deployments=["a"]), error).endswith("say so with -n. Ask Ann.")


def test_what_is_there_is_not_looked_for() -> None:
    """Something else was not found then: the error is as it was."""
    error = ObjectNotFound("configmap x was not found")
    assert told(Cluster(deployments=["shop", "a"]), error) is error


def test_other_errors_pass() -> None:
    async def look() -> None:
        async with sought(cast(ClusterReader, Cluster()), WEB):
            raise NoGoodRevision("none is good", hint="x")

    with pytest.raises(NoGoodRevision) as caught:
        asyncio.run(look())
    assert caught.value.hint == "x"
