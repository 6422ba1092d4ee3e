# SPDX-License-Identifier: Apache-2.0
"""Node objects and their leases."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from kubetwin.client import STRATEGIC_PATCH, Api, ApiException, Obj, retry_delay
from kubetwin.controllers.node_lifecycle import TAINTS_OF_CONDITIONS
from kubetwin.kinds import LEASES, NODES
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.meta import condition, micro_stamp, name_of, stamp

log = logging.getLogger(__name__)
_LEASE_NAMESPACE = "kube-node-lease"


@dataclass(slots=True)
class SimulatedNode:
    """One node: its identity, its images and its addresses."""

    name: str
    index: int
    address: str
    port: int = 10250
    """Where the kubelet's HTTPS endpoint listens."""
    zone: str = ""
    pod_range: IPv4Network | None = None
    """Where its pods' addresses are taken from; default: 10.244.0.0/16 and on, by index."""
    images: set[str] = field(default_factory=set)
    _next_ip: int = 2
    _free_ips: list[str] = field(default_factory=list)

    def allocate_ip(self) -> str:
        """Raises OSError when every address is taken."""
        if self._free_ips:
            return self._free_ips.pop()
        pods = self.pods
        if self._next_ip >= pods.num_addresses - 1:
            raise OSError(f"node {self.name} has no free pod address in {pods}")
        self._next_ip += 1
        return str(pods[self._next_ip - 1])

    def reserve_ip(self, ip: str) -> None:
        """An address that a pod had before this process began."""
        address = IPv4Address(ip)
        if address in self.pods:
            self._next_ip = max(self._next_ip, int(address) - int(self.pods.network_address) + 1)

    def release_ip(self, ip: str) -> None:
        self._free_ips.insert(0, ip)

    @property
    def host_network_ip(self) -> str:
        """What pods of the host's network report: the node's own address.

        API servers take no loopback address for an endpoint; there it is the first of the pods' range, which pods
        never get and a real node gives to its own bridge.
        """
        return str(self.pods[1]) if IPv4Address(self.address).is_loopback else self.address

    @property
    def pods(self) -> IPv4Network:
        """The addresses of its pods."""
        if self.pod_range is None:
            second = 244 + self.index if self.index < 11 else 100 + self.index % 100
            self.pod_range = IPv4Network(f"10.{second}.0.0/16")
        return self.pod_range


def node_object(node: SimulatedNode, settings: KubeletSettings, version: str) -> Obj:
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
    }
    if node.zone:
        labels["topology.kubernetes.io/zone"] = node.zone
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        "spec": {"podCIDR": str(node.pods), "podCIDRs": [str(node.pods)]},
        "status": node_status(node, settings, version, None),
    }


def node_status(node: SimulatedNode, settings: KubeletSettings, version: str, before: Obj | None) -> Obj:
    capacity = {
        "cpu": settings.cpu,
        "memory": settings.memory,
        "pods": str(settings.max_pods),
        "ephemeral-storage": "100Gi",
    }
    identity = hashlib.sha256(node.name.encode()).hexdigest()
    return {
        "capacity": capacity,
        "allocatable": dict(capacity),
        "conditions": _conditions(before),
        "addresses": _addresses(node),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": node.port}},
        "nodeInfo": {
            "machineID": identity[:32],
            "systemUUID": f"{identity[:8]}-{identity[8:12]}-{identity[12:16]}-{identity[16:20]}-{identity[20:32]}",
            "bootID": f"{identity[32:40]}-{identity[40:44]}-{identity[44:48]}-{identity[48:52]}-{identity[52:64]}",
            "kernelVersion": "6.12.0",
            "osImage": "Simulated Linux",
            "containerRuntimeVersion": "containerd://2.1.4",
            "kubeletVersion": version,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }


def _addresses(node: SimulatedNode) -> list[Obj]:
    found = [{"type": "InternalIP", "address": node.address}]
    if not node.address.startswith("127."):
        found.append({"type": "Hostname", "address": node.name})
    # API servers prefer the host name, which nothing resolves where the kubelet listens on loopback.
    return found


def _conditions(before: Obj | None) -> list[Obj]:
    out: list[Obj] = []
    moment = stamp()
    for kind, status, reason, message in (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ):
        old = condition(before, kind) if before else None
        kept = old["lastTransitionTime"] if old is not None and old["status"] == status else moment
        out.append(
            {
                "type": kind,
                "status": status,
                "lastHeartbeatTime": moment,
                "lastTransitionTime": kept,
                "reason": reason,
                "message": message,
            }
        )
    return out


class NodeKeeper:
    """Registers nodes and keeps their leases and status fresh."""

    def __init__(self, api: Api, nodes: list[SimulatedNode], settings: KubeletSettings, version: str) -> None:
        self.api = api
        self.nodes = nodes
        self.settings = settings
        self.version = version
        self.registered = asyncio.Event()
        self._leases: dict[str, Obj] = {}

    async def run(self) -> None:
        for node in self.nodes:
            await self._retrying(node)
        self.registered.set()
        loop = asyncio.get_running_loop()
        status_due = loop.time() + self.settings.status_interval
        while True:
            await asyncio.sleep(self.settings.lease_interval)
            refresh = loop.time() >= status_due
            if refresh:
                status_due = loop.time() + self.settings.status_interval
            for node in self.nodes:
                try:
                    await self._renew(node)
                    if refresh:
                        await self._register(node)
                except (ApiException, OSError) as error:
                    log.warning("node %s: %s", node.name, error)

    async def _retrying(self, node: SimulatedNode) -> None:
        attempt = 0
        while True:
            try:
                await self._register(node)
                await self._renew(node)
                return
            except (ApiException, OSError) as error:
                log.warning("registration of node %s: %s", node.name, error)
                await asyncio.sleep(retry_delay(attempt))
                attempt += 1

    async def _register(self, node: SimulatedNode) -> None:
        try:
            live = await self.api.get(NODES, node.name)
        except ApiException as error:
            if not error.not_found:
                raise
            live = await self.api.create(NODES, node_object(node, self.settings, self.version))
        status = node_status(node, self.settings, self.version, live)
        patch = {"status": status}
        live = await self.api.patch(NODES, node.name, patch, content_type=STRATEGIC_PATCH, subresource="status")
        if self.settings.clear_taints:
            await self._clear_taints(live)

    async def _clear_taints(self, live: Obj) -> None:
        """What the API server gives a new node (plugin/pkg/admission/nodetaint), and a controller one that did not report.

        Where a controller does run, it may be quicker.
        """
        while True:
            taints = live["spec"].get("taints") or []
            kept = [taint for taint in taints if taint["key"] not in TAINTS_OF_CONDITIONS]
            if kept == taints:
                return
            try:
                await self.api.replace(NODES, {**live, "spec": {**live["spec"], "taints": kept}})
            except ApiException as error:
                if not error.conflict:
                    raise
                live = await self.api.get(NODES, name_of(live))

    async def _renew(self, node: SimulatedNode) -> None:
        lease = self._leases.get(node.name)
        try:
            if lease is None:
                lease = await self._lease(node)
            renewed = {**lease, "spec": {**lease["spec"], "renewTime": micro_stamp()}}
            self._leases[node.name] = await self.api.replace(LEASES, renewed)
        except (ApiException, OSError):
            # Read it again the next time: somebody may have changed or deleted it.
            self._leases.pop(node.name, None)
            raise

    async def _lease(self, node: SimulatedNode) -> Obj:
        try:
            return await self.api.get(LEASES, node.name, _LEASE_NAMESPACE)
        except ApiException as error:
            if not error.not_found:
                raise
        owner = await self.api.get(NODES, node.name)
        reference = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": owner["metadata"]["uid"]}
        lease: Obj = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": node.name, "namespace": _LEASE_NAMESPACE, "ownerReferences": [reference]},
            "spec": {"holderIdentity": node.name, "leaseDurationSeconds": 40, "renewTime": micro_stamp()},
        }
        return await self.api.create(LEASES, lease)
