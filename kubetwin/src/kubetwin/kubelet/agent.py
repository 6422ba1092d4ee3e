# SPDX-License-Identifier: Apache-2.0
"""The simulated kubelets of some nodes: runs the pods assigned to them and reports over the API."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

from kubetwin.client import STRATEGIC_PATCH, Api, ApiException, Obj
from kubetwin.events import EventRecorder
from kubetwin.informer import SharedInformers, key_of
from kubetwin.kinds import CONFIGMAPS, PODS, SECRETS, SERVICES
from kubetwin.kubelet.faults import Fault, FaultRules
from kubetwin.kubelet.logs import LogQuery, stream
from kubetwin.kubelet.machine import PodMachine
from kubetwin.kubelet.network import Network
from kubetwin.kubelet.nodes import NodeKeeper, SimulatedNode
from kubetwin.kubelet.objectcache import Key, ObjectCache
from kubetwin.kubelet.objectstore import ObjectStore
from kubetwin.kubelet.references import references_of
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.kubelet.sockets import PodSockets
from kubetwin.kubelet.status import pod_status
from kubetwin.meta import name_of, namespace_index, namespace_of, uid_of
from kubetwin.serving.logs import LogUnavailable
from kubetwin.workqueue import WorkQueue

log = logging.getLogger(__name__)
VERSION = "v1.36.2"
# Changes of the clock that are too small to matter for a state machine in wall time.
_SOON = 0.001


@dataclass(slots=True)
class _Node:
    """A node as its pods see it."""

    agent: Kubelet
    node: SimulatedNode
    recorder: EventRecorder
    cache: ObjectCache = field(init=False)

    def __post_init__(self) -> None:
        self.cache = ObjectCache(self.agent.object)

    @property
    def settings(self) -> KubeletSettings:
        return self.agent.settings

    @property
    def host_ip(self) -> str:
        return self.node.address

    @property
    def host_network_ip(self) -> str:
        return self.node.host_network_ip

    def lookup(self, kind: str, namespace: str, name: str) -> Obj | None:
        return self.cache.get(kind, namespace, name)

    def fault(self, pod: Obj, container: Obj) -> Fault:
        return self.agent.rules.fault(pod, container)

    def dial(self, namespace: str, address: str) -> str:
        return self.agent.network.dial(namespace, address)

    def bucket_error(self, document: Mapping[str, object]) -> str:
        return self.agent.object_store.error(document)

    def has_image(self, image: str) -> bool:
        return image in self.node.images

    def pulled(self, image: str) -> None:
        self.node.images.add(image)

    def allocate_ip(self) -> str:
        return self.node.allocate_ip()

    def reserve_ip(self, ip: str) -> None:
        self.node.reserve_ip(ip)

    def release_ip(self, ip: str) -> None:
        self.node.release_ip(ip)


@dataclass(slots=True)
class _Pod:
    machine: PodMachine
    node: _Node
    refers: frozenset[Key] = frozenset()
    sent: Obj | None = None
    waits: frozenset[str] = frozenset()


class Kubelet:
    """All simulated nodes of one cluster in one object: they share caches, queue and workers."""

    def __init__(
        self,
        api: Api,
        nodes: list[SimulatedNode],
        settings: KubeletSettings | None = None,
        *,
        informers: SharedInformers | None = None,
        events: bool = True,
    ) -> None:
        self.settings = settings or KubeletSettings()
        self.api = api.as_component("kubelet")
        self._own_informers = informers is None
        self.informers = informers or SharedInformers(self.api)
        self.rules = FaultRules()
        self.object_store = ObjectStore()
        self.network = Network(self)
        self.sockets = PodSockets(self.network) if self.settings.pod_sockets else None
        self.queue = WorkQueue()
        self.pods: dict[str, _Pod] = {}
        self._addresses: dict[str, set[str]] = {}
        self._waiting: dict[str, set[str]] = {}
        self.nodes = {
            n.name: _Node(self, n, EventRecorder(self.api, "kubelet", host=n.name, enabled=events)) for n in nodes
        }
        self.keeper = NodeKeeper(self.api, nodes, self.settings, VERSION)
        self.configmaps = self.informers.of(CONFIGMAPS)
        self.configmaps.add_handler(self._configmap_changed)
        self.secrets = self.informers.of(SECRETS)
        self.secrets.add_handler(lambda old, new: self._reference_changed("Secret", old, new))
        self.services = self.informers.of(SERVICES)
        self.pod_cache = self.informers.of(PODS)
        self.pod_cache.add_index("namespace", namespace_index)
        self.pod_cache.add_handler(self._pod_changed)

    # -- what happens ----------------------------------------------------------------------------------------------

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old or {}
        if pod["spec"].get("nodeName") in self.nodes:
            self.queue.add(key_of(pod))

    def _configmap_changed(self, old: Obj | None, new: Obj | None) -> None:
        self._reference_changed("ConfigMap", old, new)
        self.object_store.change(old, new)
        if self.rules.change(old, new):
            now = time.time()
            for key, running in self.pods.items():
                running.machine.refault(now)
                self.queue.add(key)

    def _reference_changed(self, kind: str, old: Obj | None, new: Obj | None) -> None:
        obj = new or old or {}
        now = time.time()
        waiting = self._waiting.get(f"{kind}/{namespace_of(obj)}/{name_of(obj)}")
        for key in list(waiting or ()):
            running = self.pods.get(key)
            if running is not None:
                running.machine.retry(now)
                self.queue.add(key)
        for node in self.nodes.values():
            for key in node.cache.readers((kind, namespace_of(obj), name_of(obj))):
                self.pods[key].machine.source_changed(now)
                self.queue.add(key)

    def object(self, kind: str, namespace: str, name: str) -> Obj | None:
        """A ConfigMap or Secret as the API server holds it."""
        return (self.configmaps if kind == "ConfigMap" else self.secrets).get(name, namespace)

    # -- the network's directory -----------------------------------------------------------------------------------

    def at(self, ip: str) -> Iterator[PodMachine]:
        """The pods at an address: one, or all of a node's host network."""
        for key in tuple(self._addresses.get(ip, ())):
            yield self.pods[key].machine

    def machine(self, namespace: str, name: str) -> PodMachine | None:
        """The pod of that name."""
        running = self.pods.get(f"{namespace}/{name}")
        return running.machine if running is not None else None

    def machines(self, namespace: str) -> Iterator[PodMachine]:
        """All pods of a namespace."""
        for pod in self.pod_cache.by_index("namespace", namespace):
            machine = self.machine(namespace, name_of(pod))
            if machine is not None:
                yield machine

    def service(self, namespace: str, name: str) -> Obj | None:
        """The Service of that name."""
        return self.services.get(name, namespace)

    # -- running ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        if self._own_informers:
            self.informers.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.keeper.run())
                group.create_task(self.object_store.run(self.api))
                for node in self.nodes.values():
                    group.create_task(node.recorder.run())
                await self.informers.wait_synced()
                for _ in range(self.settings.workers):
                    group.create_task(self._work())
        finally:
            self.queue.close()
            if self.sockets is not None:
                await self.sockets.close()
            if self._own_informers:
                await self.informers.stop()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._sync(key)
                self.queue.forget(key)
            except (ApiException, OSError) as error:
                log.debug("pod %s: %s", key, error)
                self.queue.add_rate_limited(key)
            except Exception:
                # One odd pod must not stop its node.
                log.exception("pod %s", key)
                self.queue.add_rate_limited(key)
            finally:
                self.queue.done(key)

    async def _sync(self, key: str) -> None:
        pod = self.pod_cache.by_key(key)
        running = self.pods.get(key)
        if running is not None and (pod is None or uid_of(pod) != uid_of(running.machine.pod)):
            self._forget(key, running)
            if self.sockets is not None:
                await self.sockets.release(key)
            running = None
        if pod is None:
            return
        node = self.nodes.get(pod["spec"].get("nodeName", ""))
        if node is None:
            return
        now = time.time()
        if running is None:
            refers = references_of(pod)
            node.cache.register(key, refers)
            running = self.pods[key] = _Pod(PodMachine(pod, node, now), node, refers)
        machine = running.machine
        machine.update(pod)
        due = machine.step(now)
        if machine.pod_ip and machine.sandbox:
            self._addresses.setdefault(machine.pod_ip, set()).add(key)
        if self.sockets is not None:
            due = min(due, await self.sockets.follow(key, machine, now))
        events, machine.events = machine.events, []
        for kind, reason, message, path in events:
            node.recorder.event(pod, kind, reason, message, field_path=path)
        self._wait_for(key, running)
        await self._report(key, running, now)
        if machine.gone:
            await self._delete(pod)
        elif due != math.inf:
            self.queue.add_after(key, max(_SOON, due - time.time()))

    def _forget(self, key: str, running: _Pod) -> None:
        self._wait_for(key, None)
        machine = running.machine
        running.node.cache.unregister(key, running.refers)
        here = self._addresses.get(machine.pod_ip)
        if here is not None:
            here.discard(key)
            if not here:
                del self._addresses[machine.pod_ip]
        if machine.pod_ip and machine.sandbox and not machine.pod["spec"].get("hostNetwork"):
            running.node.release_ip(machine.pod_ip)
        for container in (*machine.inits, *machine.mains):
            if container.log is not None:
                container.log.end()
        del self.pods[key]

    def _wait_for(self, key: str, running: _Pod | None) -> None:
        known = self.pods.get(key)
        before = known.waits if known is not None else frozenset()
        after: frozenset[str] = frozenset()
        if running is not None:
            namespace = namespace_of(running.machine.pod)
            after = frozenset(f"{m.kind}/{namespace}/{m.name}" for m in running.machine.waits_for())
            running.waits = after
        for reference in before - after:
            keys = self._waiting.get(reference)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._waiting[reference]
        for reference in after:
            self._waiting.setdefault(reference, set()).add(key)

    async def _report(self, key: str, running: _Pod, now: float) -> None:
        status = pod_status(running.machine, now)
        if status == running.sent:
            return
        pod = running.machine.pod
        patch = {"metadata": {"uid": uid_of(pod)}, "status": status}
        try:
            answer = await self.api.patch(
                PODS, name_of(pod), patch, namespace_of(pod), content_type=STRATEGIC_PATCH, subresource="status"
            )
        except ApiException as error:
            if error.not_found or error.conflict:
                return
            raise
        running.sent = status
        self.pod_cache.observe(answer)

    async def _delete(self, pod: Obj) -> None:
        try:
            await self.api.delete(PODS, name_of(pod), namespace_of(pod), uid=uid_of(pod), grace_seconds=0)
        except ApiException as error:
            if not error.not_found and not error.conflict:
                raise

    # -- logs ------------------------------------------------------------------------------------------------------

    def open_log(self, namespace: str, pod: str, container: str, query: LogQuery) -> AsyncIterator[bytes]:
        """The output of a container. Raises LogUnavailable with the kubelet's code and message."""
        running = self.pods.get(f"{namespace}/{pod}")
        if running is None:
            raise LogUnavailable(404, f'pod "{pod}" does not exist')
        found = running.machine.container(container)
        if found is None:
            raise LogUnavailable(404, f'container "{container}" not found in pod "{pod}"')
        between_runs = not found.running and found.ended is None
        if query.previous:
            # While it waits for its next start, the last run is the current and the previous one.
            run = found.log if between_runs else found.previous_log
            if found.last is None or run is None:
                raise LogUnavailable(400, f'previous terminated container "{container}" in pod "{pod}" not found')
            return stream(run, query)
        if found.log is None or (between_runs and found.last is None):
            why = _WAITING.get(found.waiting, found.waiting or "ContainerCreating")
            raise LogUnavailable(400, f'container "{container}" in pod "{pod}" is waiting to start: {why}')
        return stream(found.log, query)


_WAITING = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
