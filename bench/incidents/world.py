# SPDX-License-Identifier: Apache-2.0
"""One namespace of the embedded cluster in which a situation is played."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.incidents.objects import APPLIED, CUSTOM, RESOURCES, WORKLOADS, applied, name, ref, resource
from bench.incidents.situation import HELM
from kubetwin import kinds
from kubetwin.client import Api, ApiException, Obj
from kubetwin.kubelet.faults import RULE_LABEL
from kubetwin.lab.builder import rolled_out

CHART = Path(__file__).parent / "chart"
APPLY = "kubectl-client-side-apply"
PATIENCE = 60.0
"""Seconds until a cluster must have done what it always does."""


class SetUp(Exception):
    """A situation could not be brought about: nothing can be said of Backout."""


def _well(obj: Obj) -> bool:
    """Whether the operator of a custom resource says that it is as it should be, of its newest spec."""
    status, generation = obj.get("status") or {}, obj["metadata"].get("generation")
    if obj["kind"] == "Rollout":
        return status.get("phase") == "Healthy" and status.get("observedGeneration") == str(generation)
    told = {one["type"]: one for one in status.get("conditions") or ()}
    return all(
        (one := told.get(kind)) is not None and one["status"] == "True" and one.get("observedGeneration") == generation
        for kind in ("Available", "Reconciled")
    )


@dataclass(slots=True)
class Rule:
    """What the simulated kubelet is told; it ends when the object ``until`` is again as it was ("" for never)."""

    name: str
    until: str


@dataclass(slots=True)
class World:
    """The namespace, and whom to call."""

    api: Api
    namespace: str
    helm: str
    kubeconfig: str
    context: str
    stacks: dict[str, list[Obj]] = field(default_factory=dict)
    """Release → the objects that it has now."""
    rules: list[Rule] = field(default_factory=list)
    nodes: list[tuple[str, Callable[[Obj], None]]] = field(default_factory=list)
    """Nodes that were changed, and what gives them back."""

    # what is there

    async def get(self, of: str) -> Obj | None:
        """An object; None when there is none."""
        try:
            return await self.api.get(resource(of), name(of), self.namespace)
        except ApiException as error:
            if error.not_found:
                return None
            raise

    async def list(self, kind: str) -> list[Obj]:
        """All of a kind."""
        of = RESOURCES[kind]
        found: list[Obj] = (await self.api.list(of, self.namespace))["items"]
        return [{**obj, "apiVersion": of.api_version, "kind": of.kind} for obj in found]

    async def pods(self, app: str = "") -> list[Obj]:
        """The pods, or those of one program."""
        selector = f"app={app}" if app else ""
        found: list[Obj] = (await self.api.list(kinds.PODS, self.namespace, label_selector=selector))["items"]
        return found

    async def unready(self) -> list[str]:
        """Workloads that are not as they are wanted."""
        found = []
        for kind in WORKLOADS:
            for obj in await self.list(kind):
                if obj["spec"].get("replicas") == 0 or obj["spec"].get("paused"):
                    continue
                if not rolled_out(obj):
                    found.append(f"{kind}/{obj['metadata']['name']}")
        for kind in CUSTOM:
            found += [f"{kind}/{obj['metadata']['name']}" for obj in await self.list(kind) if not _well(obj)]
        return found

    async def settle(self, seconds: float = PATIENCE, but: tuple[str, ...] = ()) -> list[str]:
        """Waits until all workloads are ready; returns those that are not."""
        return await self.until(self.unready, lambda found: not set(found) - set(but), seconds)

    async def until(self, look: Callable[[], Any], good: Callable[[Any], bool], seconds: float) -> Any:
        """Looks until what is seen is good or the time is up; returns what was seen last."""
        end = time.monotonic() + seconds
        while True:
            seen = await look()
            if good(seen) or time.monotonic() > end:
                return seen
            await asyncio.sleep(0.7)

    # what people do

    async def create(self, obj: Obj, actor: str = APPLY) -> None:
        """Somebody creates an object."""
        body = applied(obj) if actor == APPLY else obj
        path = RESOURCES[obj["kind"].lower()].path(self.namespace)
        await self.api.request("POST", path, query=[("fieldManager", actor)], body=body)

    async def change(self, of: str, edit: Callable[[Obj], None], actor: str) -> None:
        """Somebody changes an object; as `kubectl apply` does, with its note, if that is how it was made."""
        path = resource(of).path(self.namespace, name(of))
        for _ in range(8):
            obj = await self.get(of)
            if obj is None:
                raise SetUp(f"{of} is not there")
            edit(obj)
            note = obj["metadata"].get("annotations", {}).get(APPLIED)
            if actor == APPLY and note:
                wanted = json.loads(note)
                edit(wanted)
                obj["metadata"]["annotations"][APPLIED] = json.dumps(wanted, separators=(",", ":")) + "\n"
            try:
                await self.api.request("PUT", path, query=[("fieldManager", actor)], body=obj)
            except ApiException as error:
                if not error.conflict:
                    raise
                continue
            return
        raise SetUp(f"{of} is written by somebody else all the time")

    async def delete(self, of: str) -> None:
        """Somebody deletes an object."""
        await self.api.delete(resource(of), name(of), self.namespace, propagation="Background")

    async def upgrade(self, release: str, *flags: str) -> None:
        """`helm upgrade --install` with the objects that the release has now."""
        with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="values-") as file:
            json.dump({"objects": self.stacks[release]}, file)
            file.flush()
            await self.call_helm("upgrade", "--install", release, str(CHART), "--values", file.name, *flags)

    async def call_helm(self, *arguments: str) -> None:
        """Calls helm.

        Raises:
            SetUp: it failed.
        """
        process = await asyncio.create_subprocess_exec(
            self.helm,
            *("--kubeconfig", self.kubeconfig, "--kube-context", self.context, "--namespace", self.namespace),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={k: v for k, v in os.environ.items() if not k.startswith(("HELM_", "KUBE"))},
        )
        out, _ = await process.communicate()
        if process.returncode:
            raise SetUp(f"helm {arguments[0]}: {out.decode(errors='replace').strip()[-300:]}")

    def wanted(self, of: str) -> tuple[str, Obj]:
        """The release that has an object, and the object as its values have it."""
        for release, objects in self.stacks.items():
            for obj in objects:
                if ref(obj) == of:
                    return release, obj
        raise SetUp(f"no release has {of}")

    def owner(self, of: str) -> str:
        """The release that has an object, if any."""
        return next((r for r, objects in self.stacks.items() if any(ref(obj) == of for obj in objects)), "")

    async def edit(self, of: str, edit: Callable[[Obj], None], actor: str) -> None:
        """By `helm upgrade` where ``actor`` is helm, else past it."""
        if actor == HELM:
            release, obj = self.wanted(of)
            edit(obj)
            await self.upgrade(release)
        else:
            await self.change(of, edit, actor)

    # what programs and nodes do, which only the simulated kubelet knows

    async def fail(self, fault: str, *, log: str = "", until: str = "", **where: str) -> None:
        """A rule: pods fail from now on. ``until``: the object that ends it when it is again as it was a moment ago."""
        called = f"{self.namespace}-{len(self.rules)}"
        data = {"fault": fault, "namespace": self.namespace, **where}
        if log:
            data["log"] = log
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": called, "namespace": "kube-system", "labels": {RULE_LABEL: "true"}},
            "data": data,
        }
        await self.api.create(kinds.CONFIGMAPS, body)
        self.rules.append(Rule(called, until))

    @asynccontextmanager
    async def newest_fail(self, of: str, fault: str, log: str = "", container: str = "") -> AsyncIterator[None]:
        """Pods of the template that comes meanwhile fail, from their first start."""
        kind = of.partition("/")[0]
        of_template = kinds.REPLICASETS if kind == "deployment" else kinds.CONTROLLERREVISIONS
        seen = await self.api.list(of_template, self.namespace)
        known = {obj["metadata"]["uid"] for obj in seen["items"]}
        version = seen["metadata"]["resourceVersion"]

        async def watch() -> None:
            async for _, obj in self.api.watch(of_template, self.namespace, resource_version=version):
                meta = obj["metadata"]
                owners = {owner["name"] for owner in meta.get("ownerReferences") or ()}
                if "uid" not in meta or meta["uid"] in known or name(of) not in owners:
                    continue
                labels = meta.get("labels") or {}
                if kind == "deployment":
                    selector = f"pod-template-hash={labels['pod-template-hash']}"
                else:
                    digest = labels["controller-revision-hash"] if kind == "daemonset" else meta["name"]
                    selector = f"controller-revision-hash={digest}"
                narrow = {"container": container} if container else {}
                await self.fail(fault, log=log, selector=selector, **narrow)
                return

        task = asyncio.create_task(watch())
        try:
            yield
            await asyncio.wait_for(asyncio.shield(task), PATIENCE)
        except TimeoutError:
            raise SetUp(f"{of} did not make a new template") from None
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def change_node(self, called: str, edit: Callable[[Obj], None], back: Callable[[Obj], None]) -> None:
        """Changes a node for as long as this namespace is."""
        await self._edit_node(called, edit)
        self.nodes.append((called, back))

    async def _edit_node(self, called: str, edit: Callable[[Obj], None]) -> None:
        while True:
            node = await self.api.get(kinds.NODES, called)
            edit(node)
            try:
                await self.api.replace(kinds.NODES, node)
            except ApiException as error:
                if not error.conflict:
                    raise
                continue
            return

    # beginning and end

    async def begin(self) -> None:
        """Makes the namespace, which must not be there."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self.api.create(kinds.NAMESPACES, body)

    async def end(self) -> None:
        """Takes away all that is left."""
        for called, back in reversed(self.nodes):
            with contextlib.suppress(ApiException):
                await self._edit_node(called, back)
        for rule in self.rules:
            with contextlib.suppress(ApiException):
                await self.api.delete(kinds.CONFIGMAPS, rule.name, "kube-system")
        with contextlib.suppress(ApiException):
            await self.api.delete(kinds.NAMESPACES, self.namespace)
