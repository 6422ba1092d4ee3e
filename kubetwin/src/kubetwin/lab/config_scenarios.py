# SPDX-License-Identifier: Apache-2.0
"""Scenarios in which a ConfigMap or a Secret was changed by hand, under a stack that Helm installed."""

from __future__ import annotations

import base64
import json
from typing import Any

from kubetwin.client import Obj, Resource
from kubetwin.errors import NotVerifiedError, RefusedError
from kubetwin.kinds import CONFIGMAPS, DEPLOYMENTS, PODS, SECRETS
from kubetwin.lab.builder import Lab
from kubetwin.lab.helm_scenarios import CRASHING

_CUT_OFF = '[{"hashring": "default", "endpoints": ["thanos-receive-0.thanos-receive:10901",'
_NO_YAML = "endpoints:\n  - address: thanos-receive:10901\n - address: thanos-store:10901\n"
_NO_RULE = "groups:\n  - name: latency\n    rules:\n      - {alert: Slow, expr: 'sum(rate(http_requests_total[5m])'}\n"
_EXTRA_RULES = "groups:\n  - name: extra\n    rules:\n      - record: extra:up:sum\n        expr: sum(up)\n"


def need_programs(lab: Lab) -> None:
    """
    Raises:
        RefusedError: the containers of this cluster only run a shell.
    """
    if lab.images.real:
        raise RefusedError(
            "This rehearsal needs programs that read their configuration; on this cluster the containers of the stack "
            "only run a shell.",
            hint="Play it on embedded clusters: leave out --context.",
        )


async def healthy(lab: Lab, **values: dict[str, Any]) -> None:
    """The stack, installed and healthy, with a snapshot of it."""
    need_programs(lab)
    await lab.install(top=lab.images.good("0.36.0"), **values)
    lab.kept["pods"] = await _pods(lab)
    await lab.take_snapshot()


async def keep(lab: Lab, resource: Resource, name: str) -> None:
    """Remembers the content of a healthy object."""
    found = await lab.api.get(resource, name, lab.namespace)
    lab.kept[f"{resource.plural}/{name}"] = _content(found)


def _content(obj: Obj) -> Obj:
    return {key: obj.get(key) for key in ("data", "binaryData", "immutable", "type") if obj.get(key)}


async def as_before(lab: Lab, resource: Resource, name: str) -> None:
    """
    Raises:
        NotVerifiedError: the object holds other keys or values than when it was healthy; values are not shown.
    """
    before = lab.kept[f"{resource.plural}/{name}"]
    now = _content(await lab.api.get(resource, name, lab.namespace))
    if now != before:
        wrong = sorted(
            key
            for key in {**(before.get("data") or {}), **(now.get("data") or {})}
            if (before.get("data") or {}).get(key) != (now.get("data") or {}).get(key)
        )
        raise NotVerifiedError(
            "{kind} {name} is not as it was.",
            kind=resource.kind,
            name=name,
            expected="the content of the snapshot",
            found="other content of: {keys}",
            keys=", ".join(wrong) or "its other fields",
        )


async def _pods(lab: Lab) -> dict[str, tuple[str, int]]:
    """Name → (uid, restarts)."""
    pods = (await lab.api.list(PODS, lab.namespace))["items"]
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            sum(s["restartCount"] for s in pod["status"].get("containerStatuses") or ()),
        )
        for pod in pods
    }


async def not_restarted(lab: Lab) -> None:
    """
    Raises:
        NotVerifiedError: a pod is another one than before, or its containers were restarted.
    """
    before, now = lab.kept["pods"], await _pods(lab)
    moved = sorted(name for name in before if now.get(name) != before[name])
    if moved:
        raise NotVerifiedError(
            "Pods were restarted that read the change from their files.",
            expected="the same pods, no restart",
            found="others: {pods}",
            pods=", ".join(moved),
        )


# -- B1 ----------------------------------------------------------------------------------------------------------------


def _hashring(lab: Lab) -> str:
    return f"{lab.release}-receive-hashring"


async def prepare_hashring(lab: Lab) -> None:
    """A healthy stack, and what its hashring is."""
    await healthy(lab)
    await keep(lab, CONFIGMAPS, _hashring(lab))


async def edit_hashring(lab: Lab) -> None:
    """`kubectl edit` names a receiver that is not there; a second edit, meant to mend it, is cut off."""
    receive = f"{lab.release}-receive"
    wrong = [f"{receive}-{number}.{receive}:10901" for number in (0, 1, 3)]
    ring = json.dumps([{"hashring": "default", "endpoints": wrong}])
    await lab.edit(CONFIGMAPS, _hashring(lab), {"data": {"hashring.json": ring}})
    pods = [name for name in lab.kept["pods"] if name.startswith(receive)]
    for pod in pods:
        await lab.until_log(pod, "receive", "Set up hashring", times=2)
    await lab.edit(CONFIGMAPS, _hashring(lab), {"data": {"hashring.json": _CUT_OFF}})
    for pod in pods:
        await lab.until_log(pod, "receive", "failed to load configuration file")


async def hashring_back(lab: Lab) -> None:
    """The ConfigMap is exactly as it was, and no pod was restarted for it."""
    await as_before(lab, CONFIGMAPS, _hashring(lab))
    await not_restarted(lab)


# -- B2 ----------------------------------------------------------------------------------------------------------------


def _objstore(lab: Lab) -> str:
    return f"{lab.release}-objstore"


async def prepare_objstore(lab: Lab) -> None:
    """A healthy stack, and its Secret."""
    await healthy(lab)
    await keep(lab, SECRETS, _objstore(lab))


async def wrong_credentials(lab: Lab) -> None:
    """`kubectl edit` of the Secret, then `kubectl rollout restart` of what reads it."""
    secret = await lab.api.get(SECRETS, _objstore(lab), lab.namespace)
    text = base64.b64decode(secret["data"]["objstore.yml"]).decode()
    lines = [
        line.partition(":")[0] + ": rotated-elsewhere" if "secret_key" in line else line for line in text.splitlines()
    ]
    data = base64.b64encode(("\n".join(lines) + "\n").encode()).decode()
    await lab.edit(SECRETS, _objstore(lab), {"data": {"objstore.yml": data}})
    await lab.restart("deployment", f"{lab.release}-store")
    await lab.restart("statefulset", f"{lab.release}-prometheus")
    await lab.until_broken(f"{lab.release}-store", CRASHING, restarts=1)
    pod = f"{lab.release}-prometheus-0"
    async with lab.watching(PODS) as pods:
        old = lab.kept["pods"][pod][0]
        await lab.until(pods, lambda: _runs_anew(pods.get(pod, lab.namespace), old), f"{pod} was restarted")
    await lab.until_log(pod, "sidecar", "check exists")


def _runs_anew(pod: Obj | None, old: str) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or () if pod else ()
    running = bool(statuses) and all("running" in status["state"] for status in statuses)
    return pod is not None and pod["metadata"]["uid"] != old and running


async def objstore_back(lab: Lab) -> None:
    """The Secret is exactly as it was."""
    await as_before(lab, SECRETS, _objstore(lab))


# -- B6 ----------------------------------------------------------------------------------------------------------------


def _stores(lab: Lab) -> str:
    return f"{lab.release}-query-stores"


async def prepare_deletion(lab: Lab) -> None:
    """A healthy stack, its hashring, and the immutable ConfigMap of the querier."""
    await healthy(lab)
    for name in (_hashring(lab), _stores(lab)):
        await keep(lab, CONFIGMAPS, name)


async def delete_and_replace(lab: Lab) -> None:
    """One ConfigMap is deleted, and a pod that needs it started anew; an immutable one is replaced by hand.

    Its readers are scaled down first: while one runs, the kubelet of its node goes on serving the old content.
    """
    await lab.api.delete(CONFIGMAPS, _hashring(lab), lab.namespace)
    pod = f"{lab.release}-receive-0"
    await lab.api.delete(PODS, pod, lab.namespace)
    await lab.until_event(pod, "FailedMount")
    query = f"{lab.release}-query"
    replicas = (await lab.api.get(DEPLOYMENTS, query, lab.namespace))["spec"]["replicas"]
    await lab.scale("deployment", query, 0)
    async with lab.watching(PODS) as pods:
        await lab.until(
            pods,
            lambda: not any(p["metadata"]["name"].startswith(f"{query}-") for p in lab.mine(pods)),
            "the queriers are gone",
        )
    good = await lab.api.get(CONFIGMAPS, _stores(lab), lab.namespace)
    await lab.api.delete(CONFIGMAPS, _stores(lab), lab.namespace)
    labels, notes = good["metadata"].get("labels") or {}, good["metadata"].get("annotations") or {}
    meta = {"name": _stores(lab), "labels": labels, "annotations": notes}
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta,
        "immutable": True,
        "data": {"stores.yaml": _NO_YAML},
    }
    await lab.api.request("POST", CONFIGMAPS.path(lab.namespace), query=[("fieldManager", "kubectl-create")], body=body)
    await lab.scale("deployment", query, replicas)
    await lab.until_broken(query, CRASHING, restarts=1)


async def configmaps_back(lab: Lab) -> None:
    """Both are exactly as they were, and the immutable one is so still."""
    for name in (_hashring(lab), _stores(lab)):
        await as_before(lab, CONFIGMAPS, name)


# -- B7 ----------------------------------------------------------------------------------------------------------------


def _rules(lab: Lab) -> str:
    return f"{lab.release}-prometheus-rules"


async def prepare_rules(lab: Lab) -> None:
    """A healthy stack, and its rule files."""
    await healthy(lab)
    await keep(lab, CONFIGMAPS, _rules(lab))


async def add_rules(lab: Lab) -> None:
    """`kubectl patch` adds two rule files, one of them broken, and changes a third."""
    found = await lab.api.get(CONFIGMAPS, _rules(lab), lab.namespace)
    changed = found["data"]["recording.yml"].replace("avg by (job) (up)", "max by (job) (up)")
    data = {"alerts.yml": _NO_RULE, "extra.yml": _EXTRA_RULES, "recording.yml": changed}
    await lab.edit(CONFIGMAPS, _rules(lab), {"data": data}, manager="kubectl-patch")
    await lab.until_log(f"{lab.release}-prometheus-0", "prometheus", "Error reloading config")


async def rules_back(lab: Lab) -> None:
    """What was added is gone, what was changed is back, and no pod was restarted for it."""
    await as_before(lab, CONFIGMAPS, _rules(lab))
    await not_restarted(lab)
