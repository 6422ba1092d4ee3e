# SPDX-License-Identifier: Apache-2.0
"""The rights that releases need are asked for where they have their objects, which may be another namespace."""

from __future__ import annotations

import asyncio
from typing import Any

from helm_fakes import Shelf, record

from backout.cluster.discovery import builtin
from backout.cluster.port import Resource
from backout.mechanisms.helm.held import held_access

MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: kps-coredns, namespace: kube-system}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
"""


class Known(Shelf):
    """With the kinds that every cluster serves."""

    async def resource(self, api_version: str, kind: str) -> Resource:
        return builtin()[api_version, kind]


def test_what_a_release_has_elsewhere_is_asked_for_there() -> None:
    shelf: Any = Known({"secrets": [record("kps", 1, MANIFEST)]})
    found = asyncio.run(held_access(shelf, "ns"))
    assert {(access.resource, access.namespace) for access in found} == {
        ("services", "kube-system"),
        ("configmaps", "ns"),
    }
    assert {access.verb for access in found if access.resource == "services"} == {"get", "create", "patch", "delete"}
