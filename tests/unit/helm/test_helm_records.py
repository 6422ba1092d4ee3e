# SPDX-License-Identifier: Apache-2.0
"""Release records as objects: listed once, decoded when asked for, told apart when they can't be read."""

from __future__ import annotations

import asyncio

import pytest
from helm_fakes import Shelf, record

from backout.cluster.port import CONFIGMAPS, SECRETS
from backout.errors import AccessDenied, Invalid, RefusedError, ReleaseNotFound, RevisionNotFound
from backout.helm.records import Records, driver

MANIFEST = "kind: ConfigMap\nmetadata: {name: a}\n"


def records(shelf: Shelf) -> Records:
    return Records(shelf, "ns", SECRETS)  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "resource"), [("", SECRETS), ("Secret", SECRETS), ("configmaps", CONFIGMAPS)])
def test_the_driver_is_what_helm_takes_it_for(value: str, resource: object) -> None:
    assert driver({"HELM_DRIVER": value}) is resource
    assert driver({}) is SECRETS


@pytest.mark.parametrize("value", ["sql", "memory"])
def test_records_outside_of_the_cluster_are_refused(value: str) -> None:
    with pytest.raises(RefusedError) as caught:
        driver({"HELM_DRIVER": value})
    assert value in caught.value.message and caught.value.hint


def test_one_list_brings_a_history_and_nothing_is_fetched_twice() -> None:
    shelf = Shelf({"secrets": [record("web", 10, MANIFEST), record("web", 9, MANIFEST), record("other", 1, MANIFEST)]})

    async def main() -> None:
        found = records(shelf)
        history = await found.history("web")
        assert [entry.revision for entry in history] == [9, 10], "by number, not by name"
        for _ in range(2):
            loaded = await found.load_all(history)
            assert set(loaded) == {9, 10}
        assert shelf.gets == []
        newest = await found.releases()
        assert {key: entry.revision for key, entry in newest.items()} == {("ns", "web"): 10, ("ns", "other"): 1}
        assert history[0].modified is not None and history[0].modified.year == 2026

    asyncio.run(main())


def test_a_missing_release_names_those_that_exist() -> None:
    with pytest.raises(ReleaseNotFound) as caught:
        asyncio.run(records(Shelf({"secrets": [record("web", 1, MANIFEST)]})).history("wob"))
    assert "web" in str(caught.value.arguments)


def test_a_pruned_revision_is_said_so() -> None:
    shelf = Shelf({"secrets": [record("web", 1, MANIFEST)]})

    async def main() -> None:
        history = await records(shelf).history("web")
        shelf.objects["secrets"] = []
        with pytest.raises(RevisionNotFound):
            await records(shelf).load(history[0])

    asyncio.run(main())


def test_one_broken_record_does_not_hide_the_others() -> None:
    shelf = Shelf({"secrets": [record("web", 1, MANIFEST, body="!"), record("web", 2, MANIFEST)]})

    async def main() -> None:
        found = records(shelf)
        loaded = await found.load_all(await found.history("web"))
        assert isinstance(loaded[1], Invalid) and not isinstance(loaded[2], Exception)

    asyncio.run(main())


def test_objects_with_helm_s_label_that_are_no_records_are_left_out() -> None:
    odd = record("web", 3, MANIFEST)
    odd["metadata"]["labels"]["version"] = "three"
    shelf = Shelf({"secrets": [record("web", 1, MANIFEST), odd]})
    assert [entry.revision for entry in asyncio.run(records(shelf).history("web"))] == [1]


def test_no_permission_says_which_right_is_missing() -> None:
    with pytest.raises(AccessDenied) as caught:
        asyncio.run(records(Shelf({}, frozenset({"secrets"}))).history("web"))
    assert "secrets" in caught.value.message and "ns" in caught.value.message
