# SPDX-License-Identifier: Apache-2.0
"""Builds and breaks: one cluster as the scenarios see it. Speaks the Kubernetes API and calls helm, nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubetwin.client import STRATEGIC_PATCH, Api, ApiException, Obj, Resource
from kubetwin.errors import LabFailed, TimedOut, ToolFailed
from kubetwin.informer import Informer
from kubetwin.kinds import DAEMONSETS, DEPLOYMENTS, EVENTS, NAMESPACES, PODS, SECRETS, STATEFULSETS
from kubetwin.lab.behaviour import Images

CHARTS = Path(__file__).parent / "charts"
WORKLOADS = {"deployment": DEPLOYMENTS, "statefulset": STATEFULSETS, "daemonset": DAEMONSETS}


@contextmanager
def lab_errors() -> Iterator[None]:
    """What a cluster answers to the lab, as an error for people.

    Raises:
        LabFailed: the API server refused something, or broke off.
    """
    try:
        yield
    except ApiException as error:
        raise LabFailed(
            "The rehearsal's own cluster work failed: {answer}",
            answer=error.message or str(error),
            expected="a cluster on which the rehearsal's stack can be built",
            found="HTTP {status} {reason}",
            status=error.code,
            reason=error.reason,
            hint="`backout doctor` says which rights are missing.",
        ) from error
    except OSError as error:
        raise LabFailed(
            "The rehearsal's own cluster work failed: no answer from the API server ({reason}).",
            reason=str(error) or type(error).__name__,
            hint="Look whether the cluster is still up, then try again.",
        ) from error


class Lab:
    """A namespace on a cluster, with the helm binary and kubeconfig to reach it."""

    def __init__(
        self,
        api: Api,
        *,
        helm: str,
        kubeconfig: str,
        context: str,
        namespace: str = "monitoring",
        release: str = "thanos",
        chart: str = "thanos-mini",
        images: Images | None = None,
        timeout: float = 180.0,
    ) -> None:
        self.api = api
        self.namespace = namespace
        self.release = release
        self.chart = CHARTS / chart
        self.images = images or Images()
        self.timeout = timeout
        self.snapshot: Callable[[], Awaitable[None]] | None = None
        """Takes a snapshot of the namespace, which is healthy then; set by whoever plays the scenario."""
        self.kept: dict[str, Any] = {}
        """What a scenario remembers of the healthy stack."""
        self._helm = [helm, "--kubeconfig", kubeconfig, "--kube-context", context, "--namespace", namespace]

    async def helm(self, *arguments: str, check: bool = True) -> str:
        """Calls helm; returns what it printed.

        Raises:
            ToolFailed: it failed, and ``check`` is set.
        """
        process = await self.start_helm(*arguments)
        out, _ = await process.communicate()
        if check and process.returncode:
            raise ToolFailed(
                "helm {verb} failed: {output}", verb=arguments[0], output=out.decode(errors="replace").strip()[-600:]
            )
        return out.decode(errors="replace")

    async def start_helm(self, *arguments: str) -> asyncio.subprocess.Process:
        """Starts helm in a process group of its own, so that a scenario can kill it."""
        return await asyncio.create_subprocess_exec(
            *self._helm,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if k == "KUBECACHEDIR" or not k.startswith(("HELM_", "KUBE"))},
        )

    async def install(self, **values: dict[str, Any]) -> None:
        """Installs the stack, and waits until it is healthy."""
        await self.make_namespace()
        await self.helm("install", self.release, str(self.chart), *self._set(values))
        await self.until_healthy()

    async def upgrade(self, *flags: str, check: bool = True, **values: dict[str, Any]) -> str:
        """`helm upgrade --reuse-values`, as people do it."""
        return await self.helm(*self.upgrade_arguments(*flags, **values), check=check)

    def upgrade_arguments(self, *flags: str, **values: dict[str, Any]) -> list[str]:
        """The arguments of `upgrade`, for a helm that is to be killed."""
        return ["upgrade", self.release, str(self.chart), "--reuse-values", *flags, *self._set(values)]

    def _set(self, values: dict[str, dict[str, Any]]) -> list[str]:
        flags = ["--set-json", f"image={json.dumps(self.images.image)}"]
        for component, settings in values.items():
            for key, value in settings.items():
                path = key if component == "top" else f"{component}.{key}"
                flags += ["--set-json", f"{path}={json.dumps(value)}"]
        return flags

    async def make_namespace(self) -> None:
        """Creates the namespace if it is not there."""
        try:
            await self.api.create(
                NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
            )
        except ApiException as error:
            if not error.already_exists:
                raise

    async def remove_namespace(self) -> None:
        """Deletes the namespace, and waits until it is gone."""
        try:
            await self.api.delete(NAMESPACES, self.namespace)
        except ApiException as error:
            if error.not_found:
                return
            raise
        async with self.watching(NAMESPACES) as namespaces:
            await self.until(namespaces, lambda: namespaces.get(self.namespace) is None, "the namespace is gone")

    async def create(self, kind: str, obj: Obj) -> None:
        """Creates a workload that nobody manages."""
        await self.api.create(WORKLOADS[kind], obj, self.namespace)

    async def patch(self, kind: str, name: str, patch: Obj) -> None:
        """A strategic merge patch, as `kubectl set image`, `scale` and `annotate` send it."""
        await self.api.patch(WORKLOADS[kind], name, patch, self.namespace, content_type=STRATEGIC_PATCH)

    async def edit(self, resource: Resource, name: str, patch: Obj, *, manager: str = "kubectl-edit") -> None:
        """What `kubectl edit` (``kubectl-patch``: `patch`, ``kubectl-rollout``: `rollout restart`) sends."""
        await self.api.request(
            "PATCH",
            resource.path(self.namespace, name),
            query=[("fieldManager", manager)],
            body=patch,
            content_type=STRATEGIC_PATCH,
        )

    async def restart(self, kind: str, name: str) -> None:
        """`kubectl rollout restart`."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        note = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": stamp}}}
        await self.edit(WORKLOADS[kind], name, {"spec": {"template": note}}, manager="kubectl-rollout")

    async def scale(self, kind: str, name: str, replicas: int) -> None:
        """`kubectl scale`."""
        await self.edit(WORKLOADS[kind], name, {"spec": {"replicas": replicas}}, manager="kubectl")

    async def take_snapshot(self) -> None:
        """Lets the player of the scenario take a snapshot of the healthy stack."""
        if self.snapshot is not None:
            await self.snapshot()

    async def delete_pod_of(self, prefix: str) -> None:
        """Deletes one pod whose name starts with ``prefix``, as somebody does to see a change take hold."""
        async with self.watching(PODS) as pods:
            # One that is on its way out already may be gone before the request arrives.
            def staying() -> list[str]:
                metas = [pod["metadata"] for pod in self.mine(pods)]
                return [m["name"] for m in metas if m["name"].startswith(prefix) and "deletionTimestamp" not in m]

            await self.until(pods, lambda: bool(staying()), f"there is a pod of {prefix}")
            await self.api.delete(PODS, staying()[0], self.namespace)

    @asynccontextmanager
    async def watching(self, resource: Resource, **selectors: str) -> AsyncIterator[Informer]:
        """A live cache of one resource."""
        informer = Informer(self.api, resource, **selectors)
        task = asyncio.create_task(informer.run())
        try:
            await asyncio.wait_for(informer.synced.wait(), self.timeout)
            yield informer
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, informer: Informer, condition: Callable[[], bool], what: str) -> None:
        """Waits for a condition on a cache.

        Raises:
            TimedOut: it did not come true in time.
        """
        try:
            await asyncio.wait_for(informer.wait_for(condition), self.timeout)
        except TimeoutError:
            raise TimedOut(
                "The lab waited {seconds} s in vain until {what}.",
                seconds=f"{self.timeout:g}",
                what=what,
                hint="Look at the pods and events of namespace {namespace}.",
                namespace=self.namespace,
            ) from None

    def mine(self, informer: Informer) -> list[Obj]:
        """The cache's objects in the lab's namespace."""
        return [obj for obj in informer.all() if obj["metadata"].get("namespace") == self.namespace]

    async def until_healthy(self) -> None:
        """Every workload of the namespace is rolled out and every pod of it ready."""
        for resource in WORKLOADS.values():
            async with self.watching(resource) as workloads:
                await self.until(
                    workloads,
                    lambda cache=workloads: all(map(rolled_out, self.mine(cache))),  # type: ignore[misc]
                    f"all {resource.plural} are rolled out",
                )

    async def until_broken(self, prefix: str, reasons: set[str], *, restarts: int = 0) -> None:
        """A container of a pod whose name starts with ``prefix`` waits for one of ``reasons``, after ``restarts``."""
        async with self.watching(PODS) as pods:
            await self.until(
                pods,
                lambda: any(
                    pod["metadata"]["name"].startswith(prefix) and waits_for(pod, reasons, restarts)
                    for pod in self.mine(pods)
                ),
                f"a pod of {prefix} shows {' or '.join(sorted(reasons))}",
            )

    async def until_unready(self, prefix: str, seconds: float) -> None:
        """A running pod was not ready for that long."""
        async with self.watching(PODS) as pods:
            await self.until(
                pods,
                lambda: any(running_unready(pod, prefix) for pod in self.mine(pods)),
                f"a pod of {prefix} runs without being ready",
            )
        await asyncio.sleep(seconds)

    async def until_log(self, pod: str, container: str, text: str, *, times: int = 1) -> None:
        """A container printed ``text`` that many times.

        Raises:
            TimedOut: it did not in time.
        """
        stream = self.api.transport.stream(
            "GET",
            PODS.path(self.namespace, pod, "log"),
            [("container", container), ("follow", "true")],
            {"user-agent": self.api.user_agent},
        )
        seen = b""
        try:
            async with asyncio.timeout(self.timeout), aclosing(stream) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    seen += chunk
                    if seen.count(text.encode()) >= times:
                        return
        except TimeoutError:
            pass
        raise TimedOut("The lab waited in vain until {pod} printed: {text}", pod=pod, text=text)

    async def until_event(self, name: str, reason: str) -> None:
        """An event with that reason is there for the object of that name."""
        async with self.watching(EVENTS) as events:
            await self.until(
                events,
                lambda: any(
                    event.get("reason") == reason and (event.get("involvedObject") or {}).get("name") == name
                    for event in self.mine(events)
                ),
                f"{name} shows {reason}",
            )

    async def until_release(self, status: str) -> None:
        """The newest record of the release has that status."""
        selector = f"owner=helm,name={self.release}"
        async with self.watching(SECRETS, label_selector=selector) as records:
            await self.until(records, lambda: newest_status(self.mine(records)) == status, f"the release is {status}")

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        """kill -9: no handler runs, the record stays as it is."""
        os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


def rolled_out(obj: Obj) -> bool:
    """True when a workload's controller has seen its spec and every pod is updated and ready."""
    spec, status = obj["spec"], obj.get("status") or {}
    if (status.get("observedGeneration") or 0) < obj["metadata"].get("generation", 0):
        return False
    if "desiredNumberScheduled" in status:
        wanted = status["desiredNumberScheduled"]
        ready, updated = status.get("numberReady", 0), status.get("updatedNumberScheduled", 0)
        return bool(wanted > 0 and ready == wanted == updated)
    wanted = spec.get("replicas", 1)
    counts = (status.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas"))
    return "replicas" in spec and all(count == wanted for count in counts)


def waits_for(pod: Obj, reasons: set[str], restarts: int) -> bool:
    """True when one of the pod's containers waits for one of ``reasons`` after at least ``restarts`` restarts."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return any(
        ((status.get("state") or {}).get("waiting") or {}).get("reason") in reasons
        and status.get("restartCount", 0) >= restarts
        for status in statuses
    )


def running_unready(pod: Obj, prefix: str) -> bool:
    """True when all containers run but the pod is not ready."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    running = bool(statuses) and all("running" in (status.get("state") or {}) for status in statuses)
    return pod["metadata"]["name"].startswith(prefix) and running and not all(s["ready"] for s in statuses)


def newest_status(records: list[Obj]) -> str:
    """The status label of the release record with the highest version."""
    newest = max(records, key=lambda record: int(record["metadata"]["labels"]["version"]), default=None)
    return str(newest["metadata"]["labels"]["status"]) if newest else ""
