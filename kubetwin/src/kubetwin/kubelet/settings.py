# SPDX-License-Identifier: Apache-2.0
"""How the simulated nodes behave. All times are seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class KubeletSettings:
    """The defaults of back-off and probes are a real kubelet's (kubelet 1.36); the others are a quick machine's."""

    start_delay: float = 0.3
    """From the assignment of a pod until its sandbox is up and containers start."""
    pull_time: float = 0.3
    """An image that is not on the node yet."""
    init_duration: float = 0.2
    """How long init containers run."""
    job_duration: float = 1.0
    """How long containers of pods that do not restart always run, unless their command says otherwise."""
    crash_after: float = 0.5
    """How long a crashing program runs."""
    relist: float = 1.0
    """A kubelet looks at its containers this often: a run that is shorter is never seen running, nor ready."""
    exit_shown: float = 0.5
    """How long a terminated container shows as such before it is restarted or backs off."""
    backoff_initial: float = 10.0
    backoff_max: float = 300.0
    """A back-off is forgotten after twice this time without a crash."""
    image_backoff_initial: float = 10.0
    image_backoff_max: float = 300.0
    pull_error_shown: float = 2.0
    """How long ErrImagePull shows before it turns into ImagePullBackOff."""
    sync_retry: float = 10.0
    """How often a container that cannot be created is tried again."""
    mount_retry_initial: float = 0.5
    mount_retry_max: float = 122.0
    stop_time: float = 0.1
    """How long programs need after SIGTERM."""
    termination_grace_scale: float = 0.05
    """Shortens terminationGracePeriodSeconds for programs that ignore SIGTERM."""
    probe_scale: float = 1.0
    """Shortens initialDelaySeconds and periodSeconds of probes."""
    lease_interval: float = 10.0
    """A real node lifecycle controller wants it well under 40; where none runs, it may be much longer."""
    status_interval: float = 300.0
    clear_taints: bool = False
    """Take the taints of conditions that do not hold off the nodes: a node lifecycle controller's work, for control planes
    where none may run."""
    volume_sync: float = 60.0
    """From a change of a ConfigMap or Secret until the files of a pod follow: this and up to half as much again, by pod
    (a kubelet syncs each pod every 60 to 90 s)."""
    traffic_interval: float = 5.0
    """How often a receiver is written to, and forwards."""
    object_storage_interval: float = 180.0
    """How often programs go to object storage."""
    initial_sync_timeout: float = 30.0
    """How long a program tries to list its bucket before it gives up starting."""
    cpu: str = "8"
    memory: str = "32Gi"
    max_pods: int = 110
    pod_sockets: bool = False
    """Listen at podIP:containerPort of this machine, whose loopback interface must have these addresses; for an API
    server in another process."""
    workers: int = 8

    @classmethod
    def quick(cls) -> KubeletSettings:
        """For demonstrations: everything that only takes time is short, all proportions are kept."""
        return cls(
            start_delay=0.15,
            pull_time=0.1,
            job_duration=0.4,
            crash_after=0.2,
            exit_shown=0.2,
            backoff_initial=2.0,
            backoff_max=60.0,
            image_backoff_initial=2.0,
            image_backoff_max=60.0,
            pull_error_shown=0.5,
            sync_retry=2.0,
            probe_scale=0.1,
            volume_sync=1.0,
            traffic_interval=1.0,
            object_storage_interval=1.0,
            initial_sync_timeout=3.0,
            lease_interval=600.0,
            status_interval=3600.0,
        )

    @classmethod
    def instant(cls) -> KubeletSettings:
        """For tests: as fast as events travel."""
        return replace(
            cls.quick(),
            start_delay=0.0,
            pull_time=0.0,
            init_duration=0.0,
            job_duration=0.05,
            crash_after=0.02,
            exit_shown=0.02,
            backoff_initial=0.2,
            backoff_max=2.0,
            image_backoff_initial=0.2,
            image_backoff_max=2.0,
            pull_error_shown=0.05,
            sync_retry=0.2,
            stop_time=0.0,
            termination_grace_scale=0.01,
            probe_scale=0.01,
            volume_sync=0.02,
            traffic_interval=0.05,
            object_storage_interval=0.05,
            initial_sync_timeout=0.05,
        )
