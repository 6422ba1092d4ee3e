# SPDX-License-Identifier: Apache-2.0
"""The smallest part of Argo CD that a way back through Git speaks with: what it is asked, and what its status says.

Facts: argo-cd pkg/apis/application/v1alpha1/types.go (ApplicationStatus), application_annotations.go (refresh is taken away when done).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from git_repositories import tip

from backout.cluster.port import Cluster, Resource
from backout.errors import AlreadyExists
from backout.kube.definitions import CRDS
from backout.mechanisms.git.effects import REFRESH

APPLICATIONS = Resource("argoproj.io/v1alpha1", "Application", "applications")


async def serve_applications(cluster: Cluster) -> None:
    """Until the cluster serves them."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": schema}
    names = {"kind": "Application", "plural": "applications", "listKind": "ApplicationList", "singular": "application"}
    with contextlib.suppress(AlreadyExists):
        await cluster.create(
            {
                "apiVersion": CRDS.api_version,
                "kind": CRDS.kind,
                "metadata": {"name": "applications.argoproj.io"},
                "spec": {"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": [version]},
            }
        )
    async with asyncio.timeout(60):
        while "Application" not in {one.resource.kind for one in (await cluster.catalogue()).kinds}:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def application(name: str, namespace: str, url: str, **spec: Any) -> dict[str, Any]:
    """One with auto-sync, of a folder below ``overlays``."""
    given = {
        "source": {"repoURL": url, "targetRevision": "main", "path": f"overlays/{name}"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
        "syncPolicy": {"automated": {"selfHeal": True}},
        **spec,
    }
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": APPLICATIONS.api_version, "kind": APPLICATIONS.kind, "metadata": meta, "spec": given}


async def synced(cluster: Cluster, namespace: str, name: str, commit: str, health: str = "Healthy") -> None:
    """It says that it has synced a commit, and looked again."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    status = {
        "sync": {"status": "Synced", "revision": commit},
        "operationState": {"phase": "Succeeded", "syncResult": {"revision": commit}, "finishedAt": now},
        "health": {"status": health, "message": "Deployment q exceeded its progress deadline"},
        "reconciledAt": now,
        "history": [{"id": 1, "revision": commit, "deployedAt": now}],
    }
    change = {"status": status, "metadata": {"annotations": {REFRESH: None}}}
    await cluster.patch(APPLICATIONS, name, change, namespace)


@asynccontextmanager
async def answering(cluster: Cluster, namespace: str, there: Path, *names: str) -> AsyncIterator[None]:
    """Syncs the newest commit of ``there`` when it is asked to look."""

    async def work() -> None:
        while True:
            for name in names:
                app = await cluster.get(APPLICATIONS, name, namespace)
                if REFRESH in (app["metadata"].get("annotations") or {}):
                    await synced(cluster, namespace, name, tip(there))
            await asyncio.sleep(0.1)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
