# SPDX-License-Identifier: Apache-2.0
"""A simulated pod on a node, from sandbox to deletion. Pure: time comes in, events go out."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Protocol

from kubetwin.client import Obj
from kubetwin.kubelet.apps.base import App, Around
from kubetwin.kubelet.apps.recognise import app_for, may_be_recognised
from kubetwin.kubelet.container import Container, Terminated
from kubetwin.kubelet.environment import arguments, environment
from kubetwin.kubelet.faults import Fault
from kubetwin.kubelet.logs import RunLog
from kubetwin.kubelet.references import Missing, a_referenced_key, missing_for_container, missing_for_volumes
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.kubelet.volumes import PodVolumes
from kubetwin.meta import deleting, name_of, namespace_of, parse_time, status_of, uid_of


class NodePort(Protocol):
    """What a pod asks of its node."""

    @property
    def settings(self) -> KubeletSettings: ...

    @property
    def host_ip(self) -> str: ...

    @property
    def host_network_ip(self) -> str: ...

    def lookup(self, kind: str, namespace: str, name: str, /) -> Obj | None: ...

    def fault(self, pod: Obj, container: Obj) -> Fault: ...

    def dial(self, namespace: str, address: str, /) -> str: ...

    def bucket_error(self, document: Mapping[str, object], /) -> str: ...

    def has_image(self, image: str) -> bool: ...

    def pulled(self, image: str) -> None: ...

    def allocate_ip(self) -> str: ...

    def reserve_ip(self, ip: str) -> None: ...

    def release_ip(self, ip: str) -> None: ...


class PodMachine:
    """Call :meth:`step` whenever something may be due; then read :attr:`events`, :attr:`gone` and the status."""

    def __init__(self, pod: Obj, node: NodePort, now: float) -> None:
        self.pod = pod
        self.node = node
        self.settings = node.settings
        spec = pod["spec"]
        self.restart_policy = str(spec.get("restartPolicy") or "Always")
        self.pod_id = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
        self.grace = float(spec.get("terminationGracePeriodSeconds") or 30)
        self.pod_ip = ""
        self.started_at = now
        self.sandbox = False
        self.events: list[tuple[str, str, str, str]] = []
        self.terminal: tuple[str, str, str] | None = None
        """(phase, reason, message) when the pod itself ended, as by its deadline."""
        self.gone = False
        self._mounted_at = math.inf
        self._mount_retry = now
        self._volumes = PodVolumes()
        self._volumes_due = math.inf
        self._volumes_delay = self.settings.mount_retry_initial
        self._mount_delay = self.settings.mount_retry_initial
        self.inits = [Container(self, c, init=True) for c in spec.get("initContainers") or ()]
        self.mains = [Container(self, c) for c in spec.get("containers") or ()]
        if self.inits:
            for container in (*self.inits, *self.mains):
                container.waiting = "PodInitializing"
        if status_of(pod).get("startTime"):
            self._restore(now)

    # -- the Host of the containers --------------------------------------------------------------------------------

    def fault(self, spec: Obj) -> Fault:
        return self.node.fault(self.pod, spec)

    def config_error(self, spec: Obj, fault: Fault) -> str | None:
        if fault.no_key:
            name, key = a_referenced_key(self.pod, spec)
            return f"couldn't find key {key} in ConfigMap {namespace_of(self.pod)}/{name}"
        missing = missing_for_container(self.pod, spec, self.node.lookup)
        if missing is None:
            return None
        return missing.message

    def app(self, spec: Obj, log: RunLog) -> App | None:
        if not may_be_recognised(spec):
            return None
        variables = environment(self.pod, spec, self.node.lookup, self.pod_ip)
        fixed = self._volumes.sub_paths(self.pod, spec)
        around = Around(
            settings=self.settings,
            namespace=namespace_of(self.pod),
            container=spec["name"],
            log=log,
            environment=variables,
            arguments=tuple(arguments(spec, variables)),
            files=lambda: {**self._volumes.files(self.pod, spec), **fixed},
            places=self._volumes.places(spec),
            dial=self.node.dial,
            bucket_error=self.node.bucket_error,
        )
        return app_for(self.pod, spec, around)

    def has_image(self, image: str) -> bool:
        return self.node.has_image(image)

    def pulled(self, image: str) -> None:
        self.node.pulled(image)

    def emit(self, kind: str, reason: str, message: str, field_path: str = "") -> None:
        self.events.append((kind, reason, message, field_path))

    # -- inputs ----------------------------------------------------------------------------------------------------

    def update(self, pod: Obj) -> None:
        self.pod = pod
        specs = {c["name"]: c for part in ("initContainers", "containers") for c in pod["spec"].get(part) or ()}
        for container in (*self.inits, *self.mains):
            container.resize(specs.get(container.name, container.spec).get("resources"))
        grace = pod["metadata"].get("deletionGracePeriodSeconds")
        if grace is not None:
            self.grace = float(grace)

    def retry(self, now: float) -> None:
        """A ConfigMap or Secret this pod waits for changed."""
        self._mount_retry = now
        for container in (*self.inits, *self.mains):
            container.retry(now)

    def source_changed(self, now: float) -> None:
        """A ConfigMap or Secret that this pod refers to changed: its files follow at the pod's next sync."""
        if self.sandbox and self._volumes_due == math.inf:
            self._volumes_delay = self.settings.mount_retry_initial
            own = zlib.crc32(uid_of(self.pod).encode()) % 1000 / 2000
            self._volumes_due = now + self.settings.volume_sync * (1 + own)

    def waits_for(self) -> list[Missing]:
        """ConfigMaps and Secrets whose appearance lets this pod go on."""
        if not self.sandbox:
            return [item for _, item in missing_for_volumes(self.pod, self.node.lookup)]
        blocked = [c for c in (*self.inits, *self.mains) if c.waiting == "CreateContainerConfigError"]
        found = (missing_for_container(self.pod, c.spec, self.node.lookup) for c in blocked)
        return [item for item in found if item is not None]

    def refault(self, now: float) -> None:
        for container in (*self.inits, *self.mains):
            if not container.done:
                container.refault(now)

    def container(self, name: str) -> Container | None:
        return next((c for c in (*self.mains, *self.inits) if c.name == name), None)

    # -- time ------------------------------------------------------------------------------------------------------

    def step(self, now: float) -> float:
        """Do what is due; returns when something is due next (infinity: nothing)."""
        if deleting(self.pod):
            return self._terminate(now)
        if self.terminal is not None or self.finished:
            return self._end_sidecars(now)
        deadline = self.pod["spec"].get("activeDeadlineSeconds")
        if deadline is not None and now >= self.started_at + float(deadline):
            return self._past_deadline(now)
        due = math.inf if deadline is None else self.started_at + float(deadline)
        if not self.sandbox:
            mounted = self._mount(now)
            if not self.sandbox:
                return min(due, mounted)
        due = min(due, self._follow_sources(now), self._run(now))
        if self.finished:
            return self._end_sidecars(now)
        return due

    def _follow_sources(self, now: float) -> float:
        if now < self._volumes_due:
            return self._volumes_due
        self._volumes_due = math.inf
        if self._volumes.update(self.pod, self.node.lookup):
            for container in (*self.inits, *self.mains):
                if container.app is not None:
                    container.app.files_changed(now)
        if self._tell_missing():
            self._volumes_due = now + self._volumes_delay
            self._volumes_delay = min(self.settings.mount_retry_max, self._volumes_delay * 2)
        return self._volumes_due

    def _tell_missing(self) -> bool:
        missing = missing_for_volumes(self.pod, self.node.lookup)
        for volume, item in missing:
            self.emit("Warning", "FailedMount", f'MountVolume.SetUp failed for volume "{volume}" : {item.message}')
        return bool(missing)

    def _mount(self, now: float) -> float:
        if self._mounted_at == math.inf:
            if now < self._mount_retry:
                return self._mount_retry
            if self._tell_missing():
                self._mount_retry = now + self._mount_delay
                self._mount_delay = min(self.settings.mount_retry_max, self._mount_delay * 2)
                return self._mount_retry
            self._volumes.update(self.pod, self.node.lookup)
            self._mounted_at = now + self.settings.start_delay
        if now < self._mounted_at:
            return self._mounted_at
        self.pod_ip = self.node.host_network_ip if self.pod["spec"].get("hostNetwork") else self.node.allocate_ip()
        self.sandbox = True
        return now

    def _run(self, now: float) -> float:
        due = math.inf
        for container in self.inits:
            due = min(due, container.step(now))
            if container.sidecar:
                if not container.started:
                    return due
            elif not (container.ended is not None and container.ended.exit_code == 0):
                return due
        for container in self.mains:
            if container.waiting == "PodInitializing":
                container.waiting = "ContainerCreating"
            due = min(due, container.step(now))
        return due

    @property
    def initialized(self) -> bool:
        return all(
            c.started if c.sidecar else c.ended is not None and c.ended.exit_code == 0 for c in self.inits
        ) or any(c.ever_started for c in self.mains)

    @property
    def init_failed(self) -> bool:
        return self.restart_policy == "Never" and any(
            c.ended is not None and c.ended.exit_code != 0 for c in self.inits if not c.sidecar
        )

    @property
    def finished(self) -> bool:
        """No container will run again."""
        return self.init_failed or (bool(self.mains) and all(c.done for c in self.mains))

    def _past_deadline(self, now: float) -> float:
        text = "Pod was active on the node longer than the specified deadline"
        if self.terminal is None:
            self.terminal = ("Failed", "DeadlineExceeded", text)
            self.emit("Normal", "DeadlineExceeded", text)
        return self._stop_all(now)

    def _end_sidecars(self, now: float) -> float:
        return self._stop_all(now)

    def _stop_all(self, now: float) -> float:
        due = math.inf
        for container in (*self.mains, *self.inits):
            if container.running:
                container.stop(now, f"Stopping container {container.name}")
                due = min(due, container.run_out(now))
        if any(c.running for c in (*self.mains, *self.inits)):
            return due
        return math.inf

    def _terminate(self, now: float) -> float:
        due = self._stop_all(now)
        if any(c.running for c in (*self.mains, *self.inits)):
            return due
        self.gone = True
        # Once: until the API server has deleted the pod, further changes of it come here again.
        if self.sandbox and self.pod_ip and not self.pod["spec"].get("hostNetwork"):
            self.node.release_ip(self.pod_ip)
            self.sandbox = False
        return math.inf

    # -- a pod that ran before this process ------------------------------------------------------------------------

    def _restore(self, now: float) -> None:
        status = status_of(self.pod)
        began = parse_time(status.get("startTime"))
        self.started_at = began.timestamp() if began else now
        if status.get("phase") in ("Succeeded", "Failed") and status.get("reason"):
            self.terminal = (status["phase"], status["reason"], status.get("message", ""))
        if not status.get("podIP"):
            return
        self.sandbox = True
        self.pod_ip = str(status["podIP"])
        if not self.pod["spec"].get("hostNetwork") and ":" not in self.pod_ip:
            self.node.reserve_ip(self.pod_ip)
        self._volumes.update(self.pod, self.node.lookup)
        for containers, key in ((self.inits, "initContainerStatuses"), (self.mains, "containerStatuses")):
            by_name = {s["name"]: s for s in status.get(key) or ()}
            for container in containers:
                if container.name in by_name:
                    _restore_container(container, by_name[container.name], now)


def _restore_container(container: Container, status: Obj, now: float) -> None:
    container.restarts = int(status.get("restartCount") or 0)
    container.last = _terminated((status.get("lastState") or {}).get("terminated"))
    state = status.get("state") or {}
    if state.get("running"):
        when = parse_time(state["running"].get("startedAt"))
        container.started_at = when.timestamp() if when else now
        container.container_id = status.get("containerID", "")
        container.running = True
        container.ready = bool(status.get("ready"))
        container.waiting = ""
        container.resume(now)
    elif state.get("terminated"):
        container.ended = _terminated(state["terminated"])
        container.waiting = ""
        container.ready = bool(status.get("ready"))
    elif container.last is not None:
        # It waited for its next start: start it now, the length of the wait is not in the API.
        container.waiting = "ContainerCreating"


def _terminated(state: Obj | None) -> Terminated | None:
    if not state:
        return None
    began, ended = parse_time(state.get("startedAt")), parse_time(state.get("finishedAt"))
    return Terminated(
        int(state.get("exitCode") or 0),
        str(state.get("reason") or ""),
        began.timestamp() if began else 0.0,
        ended.timestamp() if ended else 0.0,
        str(state.get("containerID") or ""),
        str(state.get("message") or ""),
    )
