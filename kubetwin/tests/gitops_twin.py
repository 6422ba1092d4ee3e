# SPDX-License-Identifier: Apache-2.0
"""Real repositories, and an embedded cluster whose GitOps controllers follow them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twin_cluster import NS, Cluster, control_plane

from kubetwin.client import Obj, Resource
from kubetwin.controlplane import RunSettings
from kubetwin.gitops.argocd.application import API_VERSION, APPLICATIONS
from kubetwin.gitops.argocd.projects import IN_CLUSTER
from kubetwin.gitops.argocd.settings import ArgoSettings
from kubetwin.gitops.programs import Programs
from kubetwin.gitops.runner import GitOpsSettings
from kubetwin.kubelet.settings import KubeletSettings

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
ARGO = "argocd"


def programs() -> Programs:
    """The pinned tools where there are some, else those of the path."""
    return Programs(kubectl=_program("kubectl"), helm=_program("helm"))


def _program(name: str) -> str:
    """``$HELM``, the newest of the folder into which the Makefile puts the pinned ones, or the name."""
    folder = Path(os.environ.get("BACKOUT_TOOLS_DIR", "nowhere"))
    pinned = sorted(folder.glob(f"{name}-*"), key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
    return os.environ.get(name.upper()) or (str(pinned[-1]) if pinned else name)


needs_helm = pytest.mark.skipif(
    shutil.which(programs().helm) is None and not Path(programs().helm).exists(), reason="helm is not installed"
)


class Repository:
    """A bare repository and a clone in which people work."""

    def __init__(self, root: Path, name: str = "stack") -> None:
        self.bare = root / f"{name}.git"
        self.work = root / name
        self._home = root
        self._run("git", "init", "-q", "--bare", "-b", "main", str(self.bare), cwd=root)
        self._run("git", "clone", "-q", str(self.bare), str(self.work), cwd=root)
        self.git("checkout", "-q", "-B", "main")

    @property
    def url(self) -> str:
        return self.bare.as_uri()

    def _run(self, *argv: str, cwd: Path) -> str:
        person = {"GIT_AUTHOR_NAME": "Kim", "GIT_AUTHOR_EMAIL": "kim@example.org"}
        person |= {"GIT_COMMITTER_NAME": "Kim", "GIT_COMMITTER_EMAIL": "kim@example.org"}
        env = {"PATH": os.environ["PATH"], "HOME": str(self._home), "GIT_CONFIG_NOSYSTEM": "1", **person}
        done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (argv, done.stderr)
        return done.stdout.strip()

    def git(self, *arguments: str) -> str:
        return self._run("git", *arguments, cwd=self.work)

    def commit(self, files: dict[str, Any], message: str = "change") -> str:
        """Writes files (None removes one; what is no text is written as JSON), commits and pushes; the new commit."""
        for name, content in files.items():
            path = self.work / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.push()

    def revert(self, commit: str = "HEAD") -> str:
        self.git("revert", "--no-edit", commit)
        return self.push()

    def push(self) -> str:
        self.git("push", "-q", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def away(self) -> None:
        """The server is gone."""
        self.bare.rename(self.bare.with_suffix(".away"))

    def back(self) -> None:
        self.bare.with_suffix(".away").rename(self.bare)


def config_map(name: str, namespace: str = "", **data: str) -> Obj:
    meta = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def deployment(name: str, image: str = "registry.example/app:1.0.0", replicas: int = 1, **meta: Any) -> Obj:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, **meta}, "spec": spec}


def application(
    repo: str, path: str = "app", name: str = "shop", *, revision: str = "main", policy: Any = None, **spec: Any
) -> Obj:
    """``policy``: spec.syncPolicy; ``auto`` is automated with prune and self-heal."""
    if policy == "auto":
        policy = {"automated": {"prune": True, "selfHeal": True}}
    body: Obj = {
        "project": "default",
        "source": {"repoURL": repo, "path": path, "targetRevision": revision},
        "destination": {"server": IN_CLUSTER, "namespace": NS},
        **({"syncPolicy": policy} if policy else {}),
        **spec,
    }
    body = {k: v for k, v in body.items() if v is not None}
    meta = {"name": name, "namespace": ARGO}
    return {"apiVersion": API_VERSION, "kind": "Application", "metadata": meta, "spec": body}


class Twin(Cluster):
    """An embedded cluster with GitOps controllers."""

    async def app(self, condition: Callable[[Obj], Any], name: str = "shop", what: str = "") -> Obj:
        """The application, once the condition holds for it."""
        return await self.object(APPLICATIONS, name, condition, ARGO, what)

    async def object(
        self, resource: Resource, name: str, condition: Callable[[Obj], Any], namespace: str = NS, what: str = ""
    ) -> Obj:
        found: list[Obj] = []

        def holds() -> bool:
            obj = self.plane.informers.of(resource).get(name, namespace)
            found[:] = [obj] if obj is not None and condition(obj) else []
            return bool(found)

        await self.until(resource, holds, what)
        return found[0]

    async def settled(self, commit: str, name: str = "shop") -> Obj:
        """The application, once it is in sync with a commit."""
        return await self.app(lambda app: synced(app, commit), name, f"synced to {commit}")

    async def operate(self, operation: Obj, name: str = "shop") -> Obj:
        """Starts an operation as `argocd app sync --core` does, and waits for its end."""
        patch = {"operation": operation, "status": {"operationState": None}}
        await self.api.patch(APPLICATIONS, name, patch, ARGO)
        return await self.app(lambda app: phase(app) in ("Succeeded", "Failed", "Error"), name, "the operation's end")

    async def spec(self, patch: Obj, name: str = "shop") -> None:
        await self.api.patch(APPLICATIONS, name, {"spec": patch}, ARGO)


def status(app: Obj) -> str:
    return str(((app.get("status") or {}).get("sync") or {}).get("status") or "")


def revision(app: Obj) -> str:
    return str(((app.get("status") or {}).get("sync") or {}).get("revision") or "")


def synced(app: Obj, commit: str = "") -> bool:
    return status(app) == "Synced" and (not commit or revision(app) == commit)


def phase(app: Obj) -> str:
    """That of the last operation; empty while one is asked for."""
    state = (app.get("status") or {}).get("operationState") or {}
    return "" if app.get("operation") else str(state.get("phase") or "")


def history(app: Obj) -> list[tuple[int, str]]:
    return [(each["id"], each.get("revision", "")) for each in (app.get("status") or {}).get("history") or ()]


def said(app: Obj, kind: str) -> str:
    """The message of a condition; empty when there is none."""
    found = [each["message"] for each in (app.get("status") or {}).get("conditions") or () if each["type"] == kind]
    return found[0] if found else ""


QUICK = ArgoSettings(reconciliation=0.5, self_heal_timeout=0.2, repo_error_grace=0.1, wave_delay=0.01)


@asynccontextmanager
async def gitops(
    *, tools: tuple[str, ...] = ("argocd",), argocd: ArgoSettings = QUICK, **changes: Any
) -> AsyncIterator[Twin]:
    """``changes`` are fields of GitOpsSettings."""
    settings = GitOpsSettings(tools=tools, programs=programs(), argocd=argocd, **changes)
    async with control_plane(RunSettings(nodes=1, kubelet=KubeletSettings.instant(), gitops=settings)) as parts:
        try:
            yield Twin(*parts)
        finally:
            await parts[0].stop()
