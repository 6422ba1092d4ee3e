# SPDX-License-Identifier: Apache-2.0
"""Everything that brings a cluster to life: caches, controllers, scheduler, kubelets."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubetwin.apiserver.server import ApiServer
from kubetwin.client import Api, ApiException, retry_delay
from kubetwin.controllers.base import Context, Controller, ControllerSettings
from kubetwin.controllers.cronjob import CronJobController
from kubetwin.controllers.daemonset import DaemonSetController
from kubetwin.controllers.deployment import DeploymentController
from kubetwin.controllers.disruption import DisruptionController
from kubetwin.controllers.endpoints import EndpointsController, EndpointSliceController
from kubetwin.controllers.garbage_collector import GarbageCollector
from kubetwin.controllers.ingress import IngressController
from kubetwin.controllers.job import JobController
from kubetwin.controllers.loadbalancer import LoadBalancerController
from kubetwin.controllers.monitoring_operator import MonitoringOperator
from kubetwin.controllers.namespace import NamespaceController
from kubetwin.controllers.node_lifecycle import NodeLifecycleController
from kubetwin.controllers.replicaset import ReplicaSetController
from kubetwin.controllers.rollouts import RolloutController
from kubetwin.controllers.scheduler import SchedulerController
from kubetwin.controllers.serviceaccount import ServiceAccountController
from kubetwin.controllers.statefulset import StatefulSetController
from kubetwin.controllers.taint_eviction import TaintEvictionController
from kubetwin.controllers.volumes import VolumeController, ensure_storage_classes
from kubetwin.gitops.runner import GitOps, GitOpsSettings
from kubetwin.informer import SharedInformers
from kubetwin.kubeconfig import kubeconfig
from kubetwin.kubelet.agent import Kubelet
from kubetwin.kubelet.nodes import SimulatedNode
from kubetwin.kubelet.server import log_source
from kubetwin.kubelet.settings import KubeletSettings

log = logging.getLogger(__name__)

CONTROLLERS: tuple[type[Controller], ...] = (
    DeploymentController,
    ReplicaSetController,
    StatefulSetController,
    DaemonSetController,
    JobController,
    CronJobController,
    EndpointsController,
    EndpointSliceController,
    VolumeController,
    ServiceAccountController,
    DisruptionController,
    LoadBalancerController,
    MonitoringOperator,
    RolloutController,
    NamespaceController,
    SchedulerController,
    NodeLifecycleController,
    TaintEvictionController,
    GarbageCollector,
)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What runs in a cluster."""

    nodes: int = 2
    controllers: ControllerSettings = field(default_factory=ControllerSettings)
    kubelet: KubeletSettings = field(default_factory=KubeletSettings.quick)
    storage_classes: bool = True
    loops: tuple[type[Controller], ...] = CONTROLLERS
    """The controllers; fewer make a control plane that lacks something."""
    ingress: bool = False
    """Serve Ingresses on a loopback port."""
    gitops: GitOpsSettings | None = None
    """Argo CD and Flux; None: neither."""


class ControlPlane:
    """The moving parts of one cluster. :attr:`ready` is set once all caches are filled and all nodes registered."""

    def __init__(self, api: Api, settings: RunSettings | None = None, *, server: ApiServer | None = None) -> None:
        self.settings = settings or RunSettings()
        if server is not None:
            self.settings = _embedded(self.settings, server)
        self.api = api
        self.informers = SharedInformers(api)
        self.ctx = Context(api, self.informers, self.settings.controllers)
        self.controllers = [loop(self.ctx) for loop in self.settings.loops]
        nodes = [
            SimulatedNode(f"node-{i + 1}", i, f"172.18.{i // 250}.{i % 250 + 2}") for i in range(self.settings.nodes)
        ]
        self.kubelet = Kubelet(
            api, nodes, self.settings.kubelet, informers=self.informers, events=self.settings.controllers.events
        )
        self.ingress = IngressController(self.ctx, self.kubelet.network.request) if self.settings.ingress else None
        if self.ingress is not None:
            self.controllers.append(self.ingress)
        self.gitops = GitOps(self.ctx, self.settings.gitops, _access(server)) if self.settings.gitops else None
        self.ready = asyncio.Event()
        if server is not None:
            server.cluster.log_source = log_source(self.kubelet)
            server.cluster.dialer = self.kubelet.network.request

    async def run(self) -> None:
        """Until cancelled; errors of the API are retried, never raised."""
        self.informers.start()
        try:
            async with asyncio.TaskGroup() as group:
                if self.settings.storage_classes:
                    group.create_task(self._storage_classes())
                for controller in self.controllers:
                    group.create_task(controller.run(), name=controller.name)
                for recorder in self.ctx.recorders:
                    group.create_task(recorder.run())
                group.create_task(self.kubelet.run(), name="kubelet")
                if self.gitops is not None:
                    group.create_task(self.gitops.run(), name="gitops")
                await self.informers.wait_synced()
                await self.kubelet.keeper.registered.wait()
                if self.gitops is not None:
                    await self.gitops.ready.wait()
                self.ready.set()
        finally:
            await self.informers.stop()

    async def _storage_classes(self) -> None:
        attempt = 0
        while True:
            try:
                await ensure_storage_classes(self.api)
                return
            except (ApiException, OSError) as error:
                log.debug("storage classes: %s", error)
                await asyncio.sleep(retry_delay(attempt))
                attempt += 1


def _access(server: ApiServer | None) -> Callable[[], str]:
    """A kubeconfig of the cluster for programs; one that is attached has to bring its own in ``KUBECONFIG``."""

    def text() -> str:
        return kubeconfig([server.access]) if server is not None else Path(os.environ["KUBECONFIG"]).read_text()

    return text


def _embedded(settings: RunSettings, server: ApiServer) -> RunSettings:
    """Nobody watches heartbeats in an embedded cluster: they would only cost time."""
    controllers = settings.controllers
    if not controllers.ca_certificate:
        controllers = replace(controllers, ca_certificate=server.cluster.identity.ca.decode())
    kubelet = replace(
        settings.kubelet,
        lease_interval=max(600.0, settings.kubelet.lease_interval),
        status_interval=max(3600.0, settings.kubelet.status_interval),
    )
    return replace(settings, controllers=controllers, kubelet=kubelet)
