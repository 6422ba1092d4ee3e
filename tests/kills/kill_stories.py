# SPDX-License-Identifier: Apache-2.0
"""What is played: something good, a change that broke it, a way back by the command line, and perhaps that taken back again.

Each story says which step actions it plays. What is true is read from the cluster itself, past Backout.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import os
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubetwin.client import JSON_PATCH, Api, ApiException, Obj, Resource
from kubetwin.kinds import (
    CONFIGMAPS,
    CRDS,
    DEPLOYMENTS,
    LEASES,
    NAMESPACES,
    PDBS,
    PODS,
    SECRETS,
    SERVICEACCOUNTS,
    STATEFULSETS,
)
from kubetwin.transport import HttpTransport

IMAGE = "registry.example/web"
GOOD, BETTER, BAD = "1.0", "1.1", "2.0-crash-exit2"
SECRET = "canary-7b1e9d44f0"
"""A value of a Secret that the workloads read; it must come out nowhere."""
PATIENCE = 90.0
ROUTES = Resource("routing.example", "v1", "routes", "Route")


@dataclass
class Site:
    """A namespace of a seed; ``backout`` plays the command line in a process of its own and wants success."""

    api: Api
    ns: str
    folder: Path
    kubeconfig: Path
    environment: dict[str, str]
    backout: Callable[..., str]
    helm_program: str = ""

    async def make(self, resource: Resource, name: str, **content: Any) -> Obj:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **content}
        body["metadata"] = {"name": name, "namespace": self.ns, **content.get("metadata", {})}
        return await self.api.create(resource, body, self.ns)

    async def patch(self, resource: Resource, name: str, patch: Any, kind: str = "") -> Obj:
        return await self.api.patch(resource, name, patch, self.ns, **({"content_type": kind} if kind else {}))

    async def image(self, resource: Resource, name: str, tag: str) -> None:
        path = "/spec/template/spec/containers/0/image"
        await self.patch(resource, name, [{"op": "replace", "path": path, "value": f"{IMAGE}:{tag}"}], JSON_PATCH)

    async def workload(
        self, resource: Resource, name: str, replicas: int = 1, *, spec: Any = None, **more: Any
    ) -> None:
        labels = {"app": name}
        container = {"name": "web", "image": f"{IMAGE}:{GOOD}", "env": [_token()], **more.pop("container", {})}
        pod = {"terminationGracePeriodSeconds": 1, "containers": [container], **more.pop("pod", {})}
        template = {"metadata": {"labels": labels}, "spec": pod}
        found = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **(spec or {})}
        await self.make(resource, name, spec=found)

    async def until(self, true: Callable[[], Awaitable[Any]]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await true():  # noqa: ASYNC110 - a condition over several objects
                await asyncio.sleep(0.05)

    async def ready(self, resource: Resource, name: str) -> None:
        async def complete() -> bool:
            obj = await self.api.get(resource, name, self.ns)
            status, wanted = obj.get("status") or {}, obj["spec"]["replicas"]
            counted = {status.get(count) or 0 for count in ("replicas", "readyReplicas", "updatedReplicas")}
            return counted == {wanted} and status.get("observedGeneration") == obj["metadata"]["generation"]

        await self.until(complete)

    async def failing(self, tag: str = BAD) -> None:
        """A pod of that image has ended badly."""

        async def failed() -> bool:
            for pod in (await self.api.list(PODS, self.ns))["items"]:
                if pod["spec"]["containers"][0]["image"].endswith(tag):
                    states = (pod.get("status") or {}).get("containerStatuses") or []
                    if any("terminated" in (s.get("lastState") or {}) or s.get("restartCount") for s in states):
                        return True
            return False

        await self.until(failed)

    async def pod_of(self, tag: str = BAD) -> None:
        async def there() -> bool:
            pods = (await self.api.list(PODS, self.ns))["items"]
            return any(pod["spec"]["containers"][0]["image"].endswith(tag) for pod in pods)

        await self.until(there)

    async def get(self, resource: Resource, name: str) -> Obj | None:
        with contextlib.suppress(ApiException):
            return await self.api.get(resource, name, self.ns)
        return None

    def helm(self, *words: str) -> str:
        done = subprocess.run(
            [self.helm_program, *words, "--kubeconfig", str(self.kubeconfig), "-n", self.ns],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _token() -> Obj:
    return {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}


@dataclass(frozen=True)
class Story:
    """``prepare`` makes what is good; ``break_`` spoils it. ``plan`` are the words of the plan, ``run`` more words of the run.

    ``actions``: the step actions that the run carries out, ``undoes`` those of the undo (none: it is not taken back).
    ``look``: what is true, as JSON; equal to what it was before the change once it is taken back by a run that recovered.
    ``writes``: how often the run changes the spec of objects, of which ``look`` has the generation; an undo does so as often.
    """

    name: str
    mechanism: str
    prepare: Callable[[Site], Awaitable[None]]
    break_: Callable[[Site], Awaitable[None]]
    plan: tuple[str, ...]
    look: Callable[[Site], Awaitable[dict[str, Any]]]
    actions: frozenset[str]
    undoes: frozenset[str] = frozenset()
    run: tuple[str, ...] = ()
    writes: dict[str, int] = field(default_factory=dict)


# looks


def spec_of(*wanted: tuple[Resource, str]) -> Callable[[Site], Awaitable[dict[str, Any]]]:
    """Images, replicas and the like of workloads; the data of ConfigMaps; what others say in their spec."""

    async def look(site: Site) -> dict[str, Any]:
        return {name: _said(await site.get(resource, name)) for resource, name in wanted}

    return look


def _said(obj: Obj | None) -> Any:
    if obj is None:
        return None
    if obj["kind"] == "ConfigMap":
        return {"data": obj.get("data"), "immutable": obj.get("immutable", False)}
    spec = obj.get("spec") or {}
    if "template" not in spec:
        return {"spec": spec, "generation": obj["metadata"].get("generation")}
    pod = spec["template"]["spec"]
    status = obj.get("status") or {}
    return {
        "image": [container["image"] for container in pod["containers"]],
        "reads": [sorted(container.get("envFrom", []), key=str) for container in pod["containers"]],
        "account": pod.get("serviceAccountName"),
        "replicas": spec.get("replicas"),
        "paused": bool(spec.get("paused")),
        "strategy": spec.get("updateStrategy"),
        "ready": status.get("readyReplicas", 0),
        "generation": obj["metadata"]["generation"],
    }


# workloads


async def _deployment(site: Site) -> None:
    await site.workload(DEPLOYMENTS, "web", 2)
    await site.ready(DEPLOYMENTS, "web")


async def _bad_and_paused(site: Site) -> None:
    await site.image(DEPLOYMENTS, "web", BAD)
    await site.pod_of()
    await site.patch(DEPLOYMENTS, "web", {"spec": {"paused": True}})
    await site.failing()


async def _ordered(site: Site) -> None:
    await site.workload(STATEFULSETS, "web", 2, spec={"serviceName": "web"})
    await site.ready(STATEFULSETS, "web")


async def _bad_and_held_back(site: Site) -> None:
    """A second revision that is well, and a third that is tried with the highest pod alone."""
    await site.image(STATEFULSETS, "web", BETTER)
    await site.ready(STATEFULSETS, "web")
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    await site.patch(STATEFULSETS, "web", {"spec": {"updateStrategy": strategy}})
    await site.image(STATEFULSETS, "web", BAD)
    await site.failing()


async def _on_delete(site: Site) -> None:
    await site.workload(STATEFULSETS, "web", 2, spec={"serviceName": "web", "updateStrategy": {"type": "OnDelete"}})
    await site.ready(STATEFULSETS, "web")


async def _bad_by_hand(site: Site) -> None:
    await site.image(STATEFULSETS, "web", BAD)
    await site.api.delete(PODS, "web-1", site.ns)
    await site.failing()


async def _kept(site: Site) -> None:
    await _deployment(site)
    site.backout("snapshot", "create", "--tag", "well")


async def _scaled_away(site: Site) -> None:
    await site.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 0}})

    async def gone() -> bool:
        return not (await site.api.list(PODS, site.ns))["items"]

    await site.until(gone)


# objects


async def _settings(site: Site, *, immutable: bool) -> None:
    await site.make(CONFIGMAPS, "settings", data={"mode": "good"}, **({"immutable": True} if immutable else {}))
    reads = {"volumes": [{"name": "v", "configMap": {"name": "settings"}}]}
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/etc/app"}]}
    variable = {
        "env": [_token(), {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}}]
    }
    if immutable:
        await site.workload(DEPLOYMENTS, "web", 2, pod=reads, container=mounts)
    else:
        await site.workload(DEPLOYMENTS, "web", 2, container=variable)
    await site.ready(DEPLOYMENTS, "web")
    site.backout("snapshot", "create", "--tag", "well")


async def _read_once(site: Site) -> None:
    await _settings(site, immutable=False)


async def _immutable(site: Site) -> None:
    await _settings(site, immutable=True)


async def _edited(site: Site) -> None:
    """And read: a pod that has started since has it."""
    await site.patch(CONFIGMAPS, "settings", {"data": {"mode": "bad"}})
    pods = {pod["metadata"]["name"] for pod in (await site.api.list(PODS, site.ns))["items"]}
    for name in pods:
        await site.api.delete(PODS, name, site.ns)

    async def replaced() -> bool:
        return not pods & {pod["metadata"]["name"] for pod in (await site.api.list(PODS, site.ns))["items"]}

    await site.until(replaced)
    await site.ready(DEPLOYMENTS, "web")


async def _made_anew(site: Site) -> None:
    await site.api.delete(CONFIGMAPS, "settings", site.ns)
    await site.make(CONFIGMAPS, "settings", data={"mode": "bad"}, immutable=True)


async def _key_gone(site: Site) -> None:
    """Its key is taken away, and a pod starts without it."""
    await site.patch(CONFIGMAPS, "settings", {"data": {"mode": None}})
    pods = (await site.api.list(PODS, site.ns))["items"]
    await site.api.delete(PODS, pods[0]["metadata"]["name"], site.ns)

    async def refused() -> bool:
        found = (await site.api.list(PODS, site.ns))["items"]
        states = [s for pod in found for s in (pod.get("status") or {}).get("containerStatuses") or []]
        return any((s["state"].get("waiting") or {}).get("reason") == "CreateContainerConfigError" for s in states)

    await site.until(refused)


async def _one_more(site: Site) -> None:
    await site.make(PDBS, "new", spec={"minAvailable": 1, "selector": {}})


async def _account(site: Site) -> None:
    await site.make(SERVICEACCOUNTS, "robot")
    await site.workload(DEPLOYMENTS, "web", 1, pod={"serviceAccountName": "robot"})
    await site.ready(DEPLOYMENTS, "web")
    site.backout("snapshot", "create", "--tag", "well")


async def _account_gone(site: Site) -> None:
    """And a pod that was to come instead of another is refused."""
    await site.api.delete(SERVICEACCOUNTS, "robot", site.ns)
    pods = (await site.api.list(PODS, site.ns))["items"]
    await site.api.delete(PODS, pods[0]["metadata"]["name"], site.ns)

    async def refused() -> bool:
        obj = await site.api.get(DEPLOYMENTS, "web", site.ns)
        return any(c["type"] == "ReplicaFailure" for c in (obj.get("status") or {}).get("conditions") or [])

    await site.until(refused)


# custom resources


async def _route(site: Site) -> None:
    await _definition(site)
    await site.workload(DEPLOYMENTS, "web", 1)
    await site.ready(DEPLOYMENTS, "web")
    await site.make(ROUTES, "cart", spec={"to": "cart", "weight": 90})
    site.backout("snapshot", "create", "--tag", "well")


async def _definition(site: Site) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"kind": "Route", "plural": "routes", "singular": "route", "listKind": "RouteList"}
    body = {
        "apiVersion": CRDS.api_version,
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "routes.routing.example"},
        "spec": {"group": "routing.example", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    with contextlib.suppress(ApiException):
        await site.api.create(CRDS, body)

    async def served() -> bool:
        with contextlib.suppress(ApiException):
            await site.api.list(ROUTES, site.ns)
            return True
        return False

    await site.until(served)


async def _misrouted(site: Site) -> None:
    await site.patch(ROUTES, "cart", {"spec": {"to": "nowhere", "weight": None, "timeout": "1s"}})


# releases

CHART = Path(__file__).parents[1] / "soak" / "chart"


async def _installed(site: Site) -> None:
    await asyncio.to_thread(site.helm, "install", "web", str(CHART), "--set", f"tag={GOOD}")
    await site.ready(DEPLOYMENTS, "web")


async def _upgraded(site: Site) -> None:
    await asyncio.to_thread(site.helm, "upgrade", "web", str(CHART), "--set", f"tag={BAD}")
    await site.failing()


async def _history(site: Site) -> dict[str, Any]:
    found = await spec_of((DEPLOYMENTS, "web"), (CONFIGMAPS, "settings"))(site)
    records = (await site.api.list(SECRETS, site.ns, label_selector="owner=helm"))["items"]
    labels = sorted((int(r["metadata"]["labels"]["version"]), r["metadata"]["labels"]["status"]) for r in records)
    return {**found, "revisions": labels}


async def _drifted(site: Site) -> None:
    """And edited by somebody, past Helm."""
    await _upgraded(site)
    path = "/spec/template/spec/containers/0/envFrom"
    await site.patch(DEPLOYMENTS, "web", [{"op": "remove", "path": path}], JSON_PATCH)


async def _kept_release(site: Site) -> None:
    await _installed(site)
    site.backout("snapshot", "create", "--tag", "well")


async def _pruned(site: Site) -> None:
    """So often that Helm does not keep the record of what was good."""
    for number in (1, 2):
        tag = f"2.{number}-crash-exit2"
        await asyncio.to_thread(site.helm, "upgrade", "web", str(CHART), "--set", f"tag={tag}", "--history-max", "2")
    await site.failing(tag)


async def _left_pending(site: Site) -> None:
    """As by a helm that was killed at the end of its work."""
    await _upgraded(site)
    name = "sh.helm.release.v1.web.v2"
    record = await site.api.get(SECRETS, name, site.ns)
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(record["data"]["release"]))))
    release["info"]["status"] = "pending-upgrade"
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode()))).decode()
    labels = {"labels": {"status": "pending-upgrade"}}
    await site.patch(SECRETS, name, {"data": {"release": packed}, "metadata": labels})


STORIES = (
    Story(
        "paused", "workload", _deployment, _bad_and_paused, ("deployment/web", "--to", "1"),
        spec_of((DEPLOYMENTS, "web")),
        frozenset({"workload.undo", "workload.set-paused", "workload.wait-ready"}),
        frozenset({"workload.undo", "workload.set-paused"}),
        writes={"web": 3},
    ),
    Story(
        "ordered", "workload", _ordered, _bad_and_held_back, ("statefulset/web", "--to", "1"),
        spec_of((STATEFULSETS, "web")),
        frozenset({"workload.undo", "workload.set-partition", "workload.replace-stuck-pods", "workload.wait-ready"}),
        frozenset({"workload.undo", "workload.set-partition"}),
        writes={"web": 2},
    ),
    Story(
        "on-delete", "workload", _on_delete, _bad_by_hand, ("statefulset/web", "--to", "1"),
        spec_of((STATEFULSETS, "web")),
        frozenset({"workload.undo", "workload.delete-outdated-pods", "workload.wait-ready"}),
        writes={"web": 1},
    ),
    Story(
        "scaled", "workload", _kept, _scaled_away, ("deployment/web",),
        spec_of((DEPLOYMENTS, "web")),
        frozenset({"workload.set-spec", "workload.wait-ready"}),
        frozenset({"workload.set-spec"}),
        writes={"web": 1},
    ),
    Story(
        "read-once", "objects", _read_once, _edited, ("configmap/settings", "--to", "well"),
        spec_of((CONFIGMAPS, "settings"), (DEPLOYMENTS, "web")),
        frozenset({"objects.restore", "workload.restart", "workload.wait-ready"}),
        frozenset({"objects.put-back", "workload.restart"}),
        writes={"web": 1},
    ),
    Story(
        "immutable", "objects", _immutable, _made_anew, ("configmap/settings", "--to", "well"),
        spec_of((CONFIGMAPS, "settings"), (DEPLOYMENTS, "web")),
        frozenset({"objects.restore", "objects.scale", "workload.wait-ready"}),
        frozenset({"objects.put-back", "objects.scale"}),
        run=("--approve", "recreate"),
        writes={"web": 2},
    ),
    Story(
        "key-gone", "objects", _read_once, _key_gone, ("configmap/settings", "--to", "well"),
        spec_of((CONFIGMAPS, "settings"), (DEPLOYMENTS, "web")),
        frozenset({"objects.restore", "objects.replace-pods", "workload.wait-ready"}),
    ),
    Story(
        "one-more", "objects", _kept, _one_more, ("poddisruptionbudget/new",),
        spec_of((PDBS, "new"), (DEPLOYMENTS, "web")),
        frozenset({"objects.remove"}),
        frozenset({"objects.put-back"}),
        run=("--approve", "deletes"),
    ),
    Story(
        "refused", "objects", _account, _account_gone, ("serviceaccount/robot", "--to", "well"),
        spec_of((DEPLOYMENTS, "web")),
        frozenset({"objects.restore", "objects.ask-again", "workload.wait-ready"}),
    ),
    Story(
        "route", "customs", _route, _misrouted, ("route.routing.example/cart", "--to", "well"),
        spec_of((ROUTES, "cart")),
        frozenset({"customs.put-back"}),
        frozenset({"customs.put-back"}),
        writes={"cart": 1},
    ),
    Story(
        "release", "helm", _installed, _upgraded, ("helm/web", "--to", "1"),
        _history,
        frozenset({"helm.rollback", "workload.wait-ready"}),
        frozenset({"helm.rollback"}),
    ),
    Story(
        "drifted", "helm", _installed, _drifted, ("helm/web", "--to", "1"),
        _history,
        frozenset({"helm.rollback", "workload.wait-ready"}),
        frozenset({"helm.restore-live"}),
    ),
    Story(
        "pruned", "helm", _kept_release, _pruned, ("helm/web", "--to", "1"),
        _history,
        frozenset({"helm.restore-record", "helm.rollback"}),
        frozenset({"helm.rollback", "helm.remove-record"}),
    ),
    Story(
        "pending", "helm", _installed, _left_pending, ("helm/web", "--to", "1"),
        _history,
        frozenset({"helm.repair-pending", "helm.rollback"}),
    ),
)  # fmt: skip


def named(name: str) -> Story:
    return next(story for story in STORIES if story.name == name)


async def opened(site: Site, story: Story) -> dict[str, Any]:
    """Makes the namespace, what is good in it, and then the change that breaks it: what was true before, and after it."""
    await site.api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": site.ns}})
    await site.make(SECRETS, "token", stringData={"token": SECRET})
    await story.prepare(site)
    good = await story.look(site)
    await story.break_(site)
    return {"good": good, "bad": await story.look(site)}


async def leases(site: Site) -> list[str]:
    found = (await site.api.list(LEASES, site.ns))["items"]
    return [lease["metadata"]["name"] for lease in found if lease["spec"].get("holderIdentity")]


def client(kubeconfig: Path) -> Api:
    return Api(HttpTransport.from_kubeconfig(kubeconfig, "cluster-01"), user_agent="kills")


def plain(value: Any) -> Any:
    """As it is after JSON."""
    return json.loads(json.dumps(value))
