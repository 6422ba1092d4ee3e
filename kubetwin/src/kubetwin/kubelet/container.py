# SPDX-License-Identifier: Apache-2.0
"""One container of a simulated pod: a state machine over time, without any input or output.

The facts are those of pkg/kubelet/kuberuntime (start order, back-off), pkg/kubelet/images (pulling) and
pkg/kubelet/prober (probes) of Kubernetes 1.36.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import Protocol

from kubetwin.client import Obj
from kubetwin.kubelet import images
from kubetwin.kubelet.apps.base import App, Ended
from kubetwin.kubelet.commands import exit_code
from kubetwin.kubelet.faults import Fault
from kubetwin.kubelet.logs import RunLog
from kubetwin.kubelet.programs import Program, program_for
from kubetwin.kubelet.settings import KubeletSettings


class Host(Protocol):
    """What a container asks of its pod and node."""

    settings: KubeletSettings
    restart_policy: str
    pod_id: str
    """name_namespace(uid), as in back-off messages."""
    pod_ip: str
    grace: float

    def fault(self, spec: Obj) -> Fault: ...

    def config_error(self, spec: Obj, fault: Fault) -> str | None: ...

    def app(self, spec: Obj, log: RunLog) -> App | None:
        """The program's own behaviour, when it starts now; None for a plain one."""
        ...

    def has_image(self, image: str) -> bool: ...

    def pulled(self, image: str) -> None: ...

    def emit(self, kind: str, reason: str, message: str, field_path: str = "") -> None: ...


@dataclass(slots=True)
class Terminated:
    exit_code: int
    reason: str
    started: float
    finished: float
    container_id: str
    message: str = ""


@dataclass(slots=True)
class _Prober:
    """One probe of a running container; times are absolute."""

    kind: str
    spec: Obj
    next_at: float
    failures: int = 0
    successes: int = 0


@dataclass(slots=True)
class Container:
    host: Host
    spec: Obj
    init: bool = False
    waiting: str = "ContainerCreating"
    message: str = ""
    running: bool = False
    started_at: float = 0.0
    container_id: str = ""
    ended: Terminated | None = None
    """The end that shows now; moved to ``last`` when the container waits or runs again."""
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False
    ready: bool = False
    log: RunLog | None = None
    previous_log: RunLog | None = None
    program: Program = field(default_factory=Program)
    fault: Fault = field(default_factory=Fault)
    app: App | None = None
    """What a recognised program does while it runs."""
    _runs: int = 0
    _exit_at: float = math.inf
    _kill_at: float = math.inf
    _kill_message: str = ""
    _backoff: float = 0.0
    _backoff_set: float = -math.inf
    _retry_at: float = 0.0
    _pull_done: float = 0.0
    _pull_started: float = 0.0
    _image_backoff: float = 0.0
    _image_retry: float = 0.0
    _probers: list[_Prober] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)
    """Kinds of probes of which was said that their command is not run."""

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def sidecar(self) -> bool:
        return self.init and self.spec.get("restartPolicy") == "Always"

    @property
    def path(self) -> str:
        return f"spec.{'initContainers' if self.init else 'containers'}{{{self.name}}}"

    @property
    def policy(self) -> str:
        if self.sidecar:
            return "Always"
        if self.init:
            return "OnFailure" if self.host.restart_policy == "Always" else self.host.restart_policy
        return self.host.restart_policy

    @property
    def done(self) -> bool:
        """It ended and will not be started again."""
        return self.ended is not None and not self.restartable(self.ended.exit_code)

    @property
    def seen_running(self) -> bool:
        lifetime = self.program.lifetime
        return self.running and (lifetime is None or lifetime >= self.host.settings.relist)

    @property
    def ever_started(self) -> bool:
        return self.running or self.ended is not None or self.last is not None

    def restartable(self, exit_code: int) -> bool:
        return self.policy == "Always" or (self.policy == "OnFailure" and exit_code != 0)

    def emit(self, kind: str, reason: str, message: str) -> None:
        self.host.emit(kind, reason, message, self.path)

    # -- time ------------------------------------------------------------------------------------------------------

    def step(self, now: float) -> float:
        """Do all that is due at ``now``; returns when something is due next (infinity: nothing)."""
        while True:
            if self.running:
                due = self._step_running(now)
            elif self.done:
                return math.inf
            else:
                due = self._step_waiting(now)
            if due > now:
                return due

    def run_out(self, now: float) -> float:
        """As `step`, of a container whose pod ends: it is not started again, however late its end is noticed."""
        while self.running:
            due = self._step_running(now)
            if due > now:
                return due
        return math.inf

    def _step_waiting(self, now: float) -> float:
        settings = self.host.settings
        if self.ended is not None:
            shown_until = self.ended.finished + settings.exit_shown
            if now < shown_until:
                return shown_until
            if not self._leave_ended(now):
                return self._retry_at
        if now < self._retry_at:
            return self._retry_at
        if self.waiting == "CrashLoopBackOff":
            self._set_backoff(now)
            self.waiting, self.message = "ContainerCreating", ""
        reason = images.invalid_reason(self.spec.get("image", ""))
        if reason is not None:
            self.emit("Warning", "InspectFailed", reason)
            self.emit("Warning", "Failed", "Error: InvalidImageName")
            return self._wait("InvalidImageName", reason, now + settings.sync_retry)
        self.fault = self.host.fault(self.spec)
        due = self._pull(now)
        if due > now:
            return due
        error = self.host.config_error(self.spec, self.fault)
        if error is not None:
            self.emit("Warning", "Failed", f"Error: {error}")
            return self._wait("CreateContainerConfigError", error, now + settings.sync_retry)
        self._start(now)
        return now

    def retry(self, now: float) -> None:
        """Something that was missing may be there: do not wait for the next try."""
        if self.waiting in ("CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull"):
            self._retry_at = now

    def _wait(self, reason: str, message: str, until: float) -> float:
        self.waiting, self.message, self._retry_at = reason, message, until
        return until

    def _leave_ended(self, now: float) -> bool:
        """After an exit: True when it may start at once, False while it backs off."""
        assert self.ended is not None
        settings = self.host.settings
        finished = self.ended.finished
        expired = finished - self._backoff_set > 2 * settings.backoff_max
        if self._backoff and not expired and now - finished < self._backoff:
            until = finished + self._backoff
            self.emit(
                "Warning", "BackOff", f"Back-off restarting failed container {self.name} in pod {self.host.pod_id}"
            )
            text = f"back-off {_duration(self._backoff)} restarting failed container={self.name} pod={self.host.pod_id}"
            self._wait("CrashLoopBackOff", text, until)
            self.last, self.ended = self.ended, None
            return False
        self._set_backoff(now, reset=expired)
        self.last, self.ended = self.ended, None
        self._wait("ContainerCreating", "", now)
        return True

    def _set_backoff(self, now: float, *, reset: bool = False) -> None:
        settings = self.host.settings
        grown = self._backoff * 2 if self._backoff and not reset else settings.backoff_initial
        self._backoff = min(settings.backoff_max, grown)
        self._backoff_set = now

    # -- images ----------------------------------------------------------------------------------------------------

    def _pull(self, now: float) -> float:
        """Returns ``now`` when the image is there, else when to look again."""
        image = self.spec["image"]
        policy = self.spec.get("imagePullPolicy") or "IfNotPresent"
        settings = self.host.settings
        if not self._pull_started:
            present = self.host.has_image(image)
            if policy == "Never" and not present:
                text = f'Container image "{image}" is not present with pull policy of Never'
                self.emit("Warning", "ErrImageNeverPull", text)
                self.emit("Warning", "Failed", "Error: ErrImageNeverPull")
                return self._wait("ErrImageNeverPull", text, now + settings.sync_retry)
            if present and policy != "Always" and not self.fault.pull:
                text = f'Container image "{image}" already present on machine and can be accessed by the pod'
                self.emit("Normal", "Pulled", text)
                return now
            if now < self._image_retry:
                text = f'Back-off pulling image "{image}"'
                self.emit("Normal", "BackOff", text)
                self.emit("Warning", "Failed", "Error: ImagePullBackOff")
                error = images.pull_error(image, self.fault.pull or "missing")
                return self._wait("ImagePullBackOff", f"{text}: ErrImagePull: {error}", self._image_retry)
            self.emit("Normal", "Pulling", f'Pulling image "{image}"')
            self._pull_started = now
            self._pull_done = now + (0.0 if present else settings.pull_time)
        if now < self._pull_done:
            return self._pull_done
        took = max(0.001, now - self._pull_started)
        self._pull_started = 0.0
        if self.fault.pull:
            error = images.pull_error(image, self.fault.pull)
            self.emit("Warning", "Failed", f'Failed to pull image "{image}": {error}')
            self.emit("Warning", "Failed", "Error: ErrImagePull")
            grown = self._image_backoff * 2 or settings.image_backoff_initial
            self._image_backoff = min(settings.image_backoff_max, grown)
            self._image_retry = now + self._image_backoff
            shown = min(settings.pull_error_shown, self._image_backoff / 2)
            return self._wait("ErrImagePull", error, now + shown)
        self._image_backoff = self._image_retry = 0.0
        self.host.pulled(image)
        size = int(hashlib.sha256(image.encode()).hexdigest()[:6], 16) * 8 + 10_000_000
        text = f"{_duration(took)} ({_duration(took)} including waiting)"
        self.emit("Normal", "Pulled", f'Successfully pulled image "{image}" in {text}. Image size: {size} bytes.')
        return now

    # -- running ---------------------------------------------------------------------------------------------------

    def _start(self, now: float) -> None:
        self._runs += 1
        if self.last is not None:
            self.restarts += 1
        seed = f"{self.host.pod_id}/{self.name}/{self._runs}/{now}"
        self.container_id = "containerd://" + hashlib.sha256(seed.encode()).hexdigest()
        self.program = program_for(self.spec, self.policy, self.fault, self.host.settings, init=self.init)
        self.emit("Normal", "Created", "Container created")
        self.previous_log, self.log = self.log, RunLog()
        self.started_at = now
        if self.program.reason == "StartError":
            self.emit("Warning", "Failed", f"Error: {self.program.message}")
            self.running = True
            self._exit(now)
            return
        self.emit("Normal", "Started", "Container started")
        self.running, self.waiting, self.message = True, "ContainerCreating", ""
        self.log.write(now, *self.program.first_lines)
        ended = self._begin_app(now, self.log)
        if ended is not None:
            self.program = replace(
                self.program,
                lifetime=ended.after,
                exit_code=1,
                reason="Error",
                ready=False,
                last_lines=ended.lines,
                up_after=0.0 if ended.answers else math.inf,
            )
            self.app = self.app if ended.answers else None
        else:
            self.log.write(now, *self.program.up_lines)
        self._exit_at = math.inf if self.program.lifetime is None else now + self.program.lifetime
        self._kill_at = math.inf
        self._begin_probes(now)

    def resize(self, resources: Obj | None) -> None:
        """Other requests and limits, taken over at once and without a restart."""
        if resources is not None and resources != self.spec.get("resources"):
            self.spec = {**self.spec, "resources": resources}

    def _begin_app(self, now: float, log: RunLog) -> Ended | None:
        """Only a program that would run for ever has a mind of its own; a fault is stronger."""
        self.app = self.host.app(self.spec, log) if self.program.lifetime is None else None
        return self.app.begin(now) if self.app is not None else None

    def resume(self, now: float) -> None:
        """Go on with a container that ran before this process: it is probed anew, its earlier output is gone."""
        self.fault = self.host.fault(self.spec)
        self.program = program_for(self.spec, self.policy, self.fault, self.host.settings, init=self.init)
        self.log = RunLog()
        self.log.write(now, *self.program.first_lines)
        if self._begin_app(now, self.log) is not None:
            # It runs on with what it read at its real start, which is not known any more.
            self.app = None
        self.log.write(now, *self.program.up_lines)
        self._exit_at = math.inf if self.program.lifetime is None else now + self.program.lifetime
        was_ready = self.ready
        self._begin_probes(self.started_at)
        if was_ready and self.program.ready and self.program.up_after == 0:
            self.started = self.ready = True
            self._probers = []

    def refault(self, now: float) -> None:
        """The fault rules changed: a running program starts or stops to misbehave."""
        fault = self.host.fault(self.spec)
        if fault == self.fault:
            return
        self.fault = fault
        if not self.running:
            if self.waiting in ("ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"):
                self._image_retry = self._retry_at = now
            return
        before, seen = self.program, self.seen_running
        self.program = program_for(self.spec, self.policy, fault, self.host.settings, init=self.init)
        self._exit_at = math.inf if self.program.lifetime is None else now + self.program.lifetime
        if self.log is not None and self.program.last_lines != before.last_lines and fault.log:
            self.log.write(now, *fault.log)
        if self.seen_running and not seen:
            # It was to end before anybody would have looked at it, so that no probe was begun.
            self._begin_probes(now)
        kinds = {p.kind for p in self._probers}
        for kind in ("liveness", "readiness"):
            if (
                kind not in kinds
                and self.spec.get(f"{kind}Probe")
                and (not self.program.live or not self.program.ready)
            ):
                self._probers.append(_Prober(kind, self.spec[f"{kind}Probe"], now))

    def _begin_probes(self, now: float) -> None:
        self._probers = []
        if not self.seen_running:
            self.started = self.ready = False
            return
        self.started = not self.spec.get("startupProbe")
        self.ready = self.started and not self.spec.get("readinessProbe")
        if not self.started:
            probe = self.spec["startupProbe"]
            self._probers = [_Prober("startup", probe, now + self._delay(probe))]
        else:
            self._begin_other_probes(now, now)

    def _begin_other_probes(self, started: float, now: float) -> None:
        for kind in ("liveness", "readiness"):
            probe = self.spec.get(f"{kind}Probe")
            lives = kind == "liveness" and self.program.live and self.program.up_after == 0
            if probe and not (lives and not probe.get("exec")):
                self._probers.append(_Prober(kind, probe, max(now, started + self._delay(probe))))

    def _delay(self, probe: Obj) -> float:
        return float(probe.get("initialDelaySeconds") or 0) * self.host.settings.probe_scale

    def _step_running(self, now: float) -> float:
        if now >= self._kill_at or now >= self._exit_at:
            self._exit(min(now, self._kill_at, self._exit_at), killed=self._kill_at <= self._exit_at)
            return now
        for prober in list(self._probers):
            if self.running and prober in self._probers and now >= prober.next_at and self._kill_at == math.inf:
                self._probe(prober, now)
        due = min(self._kill_at, self._exit_at)
        if self.app is not None:
            due = min(due, self.app.tick(now))
        if self._kill_at == math.inf:
            due = min(due, min((p.next_at for p in self._probers), default=math.inf))
        return due

    def _probe(self, prober: _Prober, now: float) -> None:
        up = now - self.started_at >= self.program.up_after
        good = up and (self.program.ready if prober.kind == "readiness" else self.program.live)
        good = good and self._command_succeeds(prober)
        period = float(prober.spec.get("periodSeconds") or 10) * self.host.settings.probe_scale
        prober.next_at = now + max(period, 0.005)
        if (port := self._unknown_port(prober.spec)) is not None:
            # It can't be made, and what came of it is thrown away (pkg/kubelet/prober/worker.go: doProbe): all stays as it is.
            why = f'{prober.kind.capitalize()} probe errored and resulted in unknown state: strconv.Atoi: parsing "{port}": '
            self.emit("Warning", "Unhealthy", f"{why}invalid syntax")
            return
        if good:
            prober.successes, prober.failures = prober.successes + 1, 0
            if prober.successes >= int(prober.spec.get("successThreshold") or 1):
                self._succeeded(prober, now)
            return
        prober.failures, prober.successes = prober.failures + 1, 0
        self.emit(
            "Warning", "Unhealthy", f"{prober.kind.capitalize()} probe failed: {self._probe_output(prober.spec, up)}"
        )
        if prober.failures < int(prober.spec.get("failureThreshold") or 3):
            return
        if prober.kind == "readiness":
            self.ready = False
            return
        text = f"Container {self.name} failed {prober.kind} probe"
        if self.init:
            text = f"Init container {self.name} failed {prober.kind} probe"
        if self.policy != "Never":
            text += ", will be restarted"
        self.stop(now, text)

    def _command_succeeds(self, prober: _Prober) -> bool:
        """Whether an exec probe's command succeeds. Of an unknown one that is assumed, and never in silence."""
        command = (prober.spec.get("exec") or {}).get("command")
        if command is None:
            return True
        code = exit_code(command)
        if code is None and prober.kind not in self._told:
            self._told.add(prober.kind)
            text = (
                f"{prober.kind.capitalize()} probe: nothing runs in a simulated pod, its command is taken as successful"
            )
            self.emit("Normal", "ProbeNotRun", text)
        return not code

    def _succeeded(self, prober: _Prober, now: float) -> None:
        if prober.kind == "startup":
            self.started = True
            self._probers.remove(prober)
            self._begin_other_probes(self.started_at, now)
            self.ready = not self.spec.get("readinessProbe")
            return
        if prober.kind == "readiness":
            self.ready = True
        # Nothing changes any more by itself: further probes would only cost time.
        if self.program.ready and self.program.live and prober in self._probers:
            self._probers.remove(prober)

    def _probe_output(self, probe: Obj, up: bool) -> str:
        host = self.host.pod_ip or "127.0.0.1"
        for kind in ("httpGet", "tcpSocket", "grpc"):
            if kind not in probe or probe[kind] is None:
                continue
            action = probe[kind]
            port = self._port(action.get("port"))
            address = f"{action.get('host') or host}:{port}"
            if kind == "httpGet":
                if up:
                    return "HTTP probe failed with statuscode: 503"
                scheme = str(action.get("scheme") or "HTTP").lower()
                path = action.get("path") or "/"
                return f'Get "{scheme}://{address}{path}": dial tcp {address}: connect: connection refused'
            if kind == "tcpSocket":
                return f"dial tcp {address}: connect: connection refused"
            return (
                'service unhealthy (responded with "NOT_SERVING")'
                if up
                else (f'timeout: failed to connect service "{address}" within 1s: context deadline exceeded')
            )
        return "command exited with a non-zero status" if up else ""

    def _unknown_port(self, probe: Obj) -> str | None:
        """The name of the port that a probe asks for, where the container has none of that name."""
        for kind in ("httpGet", "tcpSocket"):
            port = (probe.get(kind) or {}).get("port")
            if isinstance(port, str) and not port.isdecimal() and self._port(port) == port:
                return port
        return None

    def _port(self, port: int | str | None) -> int | str | None:
        if isinstance(port, int):
            return port
        for declared in self.spec.get("ports") or ():
            if declared.get("name") == port:
                return int(declared["containerPort"])
        return port

    # -- ending ----------------------------------------------------------------------------------------------------

    def stop(self, now: float, message: str, *, grace: float | None = None) -> None:
        """SIGTERM, and SIGKILL after the grace period."""
        if not self.running or self._kill_at != math.inf:
            return
        self.emit("Normal", "Killing", message)
        limit = (self.host.grace if grace is None else grace) * self.host.settings.termination_grace_scale
        needed = limit if self.program.ignores_term else min(limit, self.host.settings.stop_time)
        self._kill_at = now + needed
        self._kill_message = message

    def _exit(self, now: float, *, killed: bool = False) -> None:
        program = self.program
        code, reason = program.exit_code, program.reason
        if killed:
            code, reason = (137, "Error") if program.ignores_term else (0, "Completed")
        if self.log is not None:
            lines = ('level=info msg="Received SIGTERM, exiting gracefully"',) if killed and code == 0 else ()
            self.log.write(now, *(lines if killed else program.last_lines))
            self.log.end()
        self.running = self.started = self.ready = False
        self.app = None
        message = "" if killed else program.message
        self.ended = Terminated(code, reason, self.started_at, now, self.container_id, message)
        if reason == "Completed" and self.init and not self.sidecar:
            self.ready = True
        self.waiting = self.message = ""
        self._probers = []
        self._exit_at = self._kill_at = math.inf


def _duration(seconds: float) -> str:
    """As Go prints a duration: 10s, 1m20s, 5m0s, 350ms."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    whole = round(seconds, 3)
    minutes, rest = divmod(whole, 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(minutes)}m{text}" if minutes else text
