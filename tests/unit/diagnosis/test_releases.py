# SPDX-License-Identifier: Apache-2.0
"""Releases of many namespaces at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from backout.changes.inventory import targets_in
from backout.cluster.port import Cluster
from backout.diagnosis.detectors.releases import read_releases

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Secrets:
    """Answers lists of Secrets with the records it was given; of other kinds it has none."""

    name = "cluster-01"

    def __init__(self, *records: tuple[str, str, int, str]) -> None:
        self.items = [
            {
                "metadata": {
                    "name": f"sh.helm.release.v1.{name}.v{revision}",
                    "namespace": namespace,
                    "uid": f"{namespace}-{revision}",
                    "resourceVersion": "1",
                    "labels": {"owner": "helm", "name": name, "status": status, "version": str(revision)},
                }
            }
            for namespace, name, revision, status in records
        ]

    async def list_as(self, shape: Any, resource: Any, namespace: str = "", **_: Any) -> list[Any]:
        return msgspec.convert(self.items if resource.plural == "secrets" else [], list[shape])


ONE_NAME_TWICE = Secrets(("shop", "web", 9, "deployed"), ("bank", "web", 1, "deployed"), ("bank", "web", 2, "failed"))


def test_one_name_in_two_namespaces_is_two_releases() -> None:
    found = asyncio.run(read_releases(cast(Cluster, ONE_NAME_TWICE), "", NOW, []))
    assert sorted(str(release.target) for release in found if not release.symptoms) == ["helm/web"]
    (failed,) = [release for release in found if release.symptoms]
    assert (failed.target.namespace, failed.record.revision) == ("bank", 2)
    assert failed.symptoms[0].ref.namespace == "bank"


def test_what_could_be_taken_back_names_each_namespace() -> None:
    found = asyncio.run(targets_in(cast(Cluster, ONE_NAME_TWICE), ""))
    assert [(target.namespace, target.name) for target in found] == [("bank", "web"), ("shop", "web")]
