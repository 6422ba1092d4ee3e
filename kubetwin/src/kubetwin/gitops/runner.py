# SPDX-License-Identifier: Apache-2.0
"""Brings the GitOps controllers of a cluster to life: definitions first, then the loops; ends them and leaves nothing behind."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kubetwin.client import Api, ApiException, Obj, Resource
from kubetwin.controllers.base import Context, Controller
from kubetwin.controllers.discovery import of_crd
from kubetwin.gitops.argocd.application import PROJECTS
from kubetwin.gitops.argocd.controller import ApplicationController
from kubetwin.gitops.argocd.definitions import configuration, definitions
from kubetwin.gitops.argocd.hydrator import HydratorController
from kubetwin.gitops.argocd.projects import default_project
from kubetwin.gitops.argocd.repo_server import RepoServer
from kubetwin.gitops.argocd.server import ArgoServer
from kubetwin.gitops.argocd.sets import ApplicationSetController
from kubetwin.gitops.argocd.settings import ArgoSettings
from kubetwin.gitops.flux import definitions as flux_definitions
from kubetwin.gitops.flux.artifacts import Artifacts
from kubetwin.gitops.flux.helm import Helm
from kubetwin.gitops.flux.helmrelease import HelmReleaseController
from kubetwin.gitops.flux.image import ImageUpdateController
from kubetwin.gitops.flux.kustomization import KustomizationController
from kubetwin.gitops.flux.resources import FluxSettings
from kubetwin.gitops.flux.sources import (
    GitRepositoryController,
    HelmChartController,
    HelmRepositoryController,
    OciRepositoryController,
)
from kubetwin.gitops.programs import Programs
from kubetwin.kinds import CONFIGMAPS, CRDS, NAMESPACES

TOOLS = ("argocd", "flux")
_CORE = {"Namespace": NAMESPACES, "ConfigMap": CONFIGMAPS}


@dataclass(frozen=True, slots=True)
class GitOpsSettings:
    """Which tools run, with which programs, and where they keep their mirrors (``None``: a directory for their lifetime)."""

    tools: tuple[str, ...] = TOOLS
    programs: Programs = field(default_factory=Programs)
    directory: Path | None = None
    argocd: ArgoSettings = field(default_factory=ArgoSettings)
    flux: FluxSettings = field(default_factory=FluxSettings)


class GitOps:
    """The tools of one cluster. :attr:`ready` is set when their definitions are served and their loops run."""

    def __init__(self, ctx: Context, settings: GitOpsSettings, kubeconfig: Callable[[], str]) -> None:
        """``kubeconfig`` gives the text of one for the cluster: helm needs it."""
        unknown = sorted(set(settings.tools) - set(TOOLS))
        if unknown:
            raise ValueError(f"there is no {unknown[0]}; the GitOps tools are {', '.join(TOOLS)}")
        self.ctx = ctx
        self.settings = settings
        self._kubeconfig = kubeconfig
        self.ready = asyncio.Event()
        self.controllers: list[Controller] = []
        self.repo_server: RepoServer | None = None
        """Argo CD's: ``restart()`` makes it forget what it has fetched."""
        self.argocd_server: ArgoServer | None = None

    async def run(self) -> None:
        """Until cancelled."""
        given = self.settings.directory
        directory = given or Path(tempfile.mkdtemp(prefix="kubetwin-gitops-"))
        try:
            await self._argocd(directory / "argocd")
            await self._flux(directory / "flux")
            if self.argocd_server is not None:
                await self.argocd_server.start()
            async with asyncio.TaskGroup() as group:
                for controller in self.controllers:
                    group.create_task(controller.run(), name=controller.name)
                for controller in self.controllers:
                    group.create_task(controller.recorder.run())
                self.ready.set()
        finally:
            if self.argocd_server is not None:
                await self.argocd_server.close()
            if given is None:
                await asyncio.to_thread(shutil.rmtree, directory, True)

    async def _argocd(self, directory: Path) -> None:
        if "argocd" not in self.settings.tools:
            return
        settings = self.settings.argocd
        await install(self.ctx.api, definitions())
        objects = [(_CORE[each["kind"]], each) for each in configuration(settings)]
        for resource, obj in [*objects, (PROJECTS, default_project(settings.namespace))]:
            await ensured(self.ctx.api, resource, obj)
        server = RepoServer(
            directory, self.settings.programs, lambda: controller.own_secrets(), lambda: controller.known_hosts()
        )
        controller = ApplicationController(self.ctx, server, settings)
        self.repo_server = server
        sets, hydrator = ApplicationSetController(self.ctx, controller), HydratorController(self.ctx, controller)
        self.controllers += [controller, sets, hydrator]
        if settings.server:
            self.argocd_server = ArgoServer(controller)

    async def _flux(self, directory: Path) -> None:
        if "flux" not in self.settings.tools:
            return
        settings, programs = self.settings.flux, self.settings.programs
        await install(self.ctx.api, flux_definitions.definitions())
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": settings.namespace}}
        await ensured(self.ctx.api, NAMESPACES, namespace)
        helm_home = directory / "helm"
        for each in (directory, helm_home):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
        artifacts = Artifacts(directory, programs)
        common = (self.ctx, artifacts, settings)
        git = GitRepositoryController(*common)
        self.controllers += [
            git,
            HelmRepositoryController(*common),
            OciRepositoryController(*common),
            HelmChartController(*common),
            KustomizationController(*common),
            HelmReleaseController(*common, Helm(helm_home, programs, self._kubeconfig)),
            ImageUpdateController(*common, git),
        ]


async def install(api: Api, crds: list[Obj]) -> None:
    """Creates definitions that are not there, and waits until the server serves them."""
    for crd in crds:
        await ensured(api, CRDS, crd)
    for crd in crds:
        while True:
            resource = of_crd(await api.get(CRDS, crd["metadata"]["name"]))
            if resource is not None and await _served(api, resource):
                break
            await asyncio.sleep(0.02)


async def _served(api: Api, resource: Resource) -> bool:
    try:
        await api.request("GET", resource.path(), query=[("limit", "1")])
    except ApiException as error:
        if not error.not_found:
            raise
        return False
    return True


async def ensured(api: Api, resource: Resource, obj: Obj) -> None:
    """Creates an object that is not there; one that is there stays as it is (a cluster that was kept)."""
    while True:
        try:
            await api.create(resource, obj)
        except ApiException as error:
            if not error.already_exists:
                raise
        except OSError:
            await asyncio.sleep(0.2)
            continue
        return
