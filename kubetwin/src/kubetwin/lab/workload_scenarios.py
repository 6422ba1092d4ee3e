# SPDX-License-Identifier: Apache-2.0
"""Scenarios with workloads that nobody manages: made with kubectl, broken with kubectl."""

from __future__ import annotations

import asyncio

from kubetwin.client import Obj
from kubetwin.errors import NotVerifiedError
from kubetwin.lab.behaviour import Behaviour
from kubetwin.lab.builder import WORKLOADS, Lab

NAMES = {"deployment": "gateway", "statefulset": "ledger", "daemonset": "shipper"}
TARGETS = tuple(f"{kind}/{name}" for kind, name in NAMES.items())
CAUSE = "kubernetes.io/change-cause"
NOTE = "example.com/looked-at-by"
STANDING = 12.0
"""Seconds."""


def manifest(lab: Lab, kind: str, version: str) -> Obj:
    """A small workload of that kind."""
    name, values = NAMES[kind], lab.images.good(version)
    container: Obj = {"name": "main", "image": f"{lab.images.image}:{values['tag']}"}
    if "command" in values:
        container["command"] = values["command"]
    spec: Obj = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
        },
    }
    if kind != "daemonset":
        spec["replicas"] = 3
    if kind == "statefulset":
        spec["serviceName"] = name
    return {
        "apiVersion": "apps/v1",
        "kind": WORKLOADS[kind].kind,
        "metadata": {"name": name, "annotations": {CAUSE: f"first version {version}"}},
        "spec": spec,
    }


async def unmanaged(lab: Lab) -> None:
    """One workload of each kind, rolled out twice."""
    await lab.make_namespace()
    for kind in NAMES:
        await lab.create(kind, manifest(lab, kind, "1.4.0"))
    await lab.until_healthy()
    for kind in NAMES:
        await set_image(lab, kind, "1.4.1", Behaviour.GOOD)
    await lab.until_healthy()


async def set_image(lab: Lab, kind: str, version: str, behaviour: Behaviour) -> None:
    """`kubectl set image` with a change-cause, as people write them."""
    container: Obj = {"name": "main", "image": lab.images.reference(version, behaviour)}
    values = lab.images.values(version, behaviour)
    if "command" in values:
        container["command"] = values["command"]
    await lab.patch(
        kind,
        NAMES[kind],
        {
            "metadata": {"annotations": {CAUSE: f"set image {container['image']}"}},
            "spec": {"template": {"spec": {"containers": [container]}}},
        },
    )


async def set_bad_images(lab: Lab) -> None:
    """A bad image on each; then, before anybody noticed, one is scaled and annotated."""
    for kind in NAMES:
        await set_image(lab, kind, "2.0.0", Behaviour.CRASH)
    for name in NAMES.values():
        await lab.until_broken(name, {"CrashLoopBackOff"}, restarts=1)
    await lab.patch(
        "deployment", NAMES["deployment"], {"metadata": {"annotations": {NOTE: "kim"}}, "spec": {"replicas": 4}}
    )


async def edits_kept(lab: Lab) -> None:
    """What was changed after the bad image is still there.

    Raises:
        NotVerifiedError: replicas or a later annotation were lost.
    """
    found = await lab.api.get(WORKLOADS["deployment"], NAMES["deployment"], lab.namespace)
    note, replicas = found["metadata"]["annotations"].get(NOTE), found["spec"]["replicas"]
    if (note, replicas) != ("kim", 4):
        raise NotVerifiedError(
            "A later edit of deployment/gateway was lost.",
            expected="replicas 4 and the annotation {key}=kim",
            found="replicas {replicas} and {note}",
            key=NOTE,
            replicas=replicas,
            note=str(note),
        )


async def break_held_back(lab: Lab) -> None:
    """Three cases in which a plain undo does nothing, or not what one thinks.

    The good revision stands for a while first: one that was ready for a moment only is not proven good.
    """
    await asyncio.sleep(STANDING)
    await lab.patch("deployment", NAMES["deployment"], {"spec": {"paused": True}})
    await set_image(lab, "deployment", "2.0.0", Behaviour.CRASH)
    await lab.patch(
        "daemonset", NAMES["daemonset"], {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}
    )
    await set_image(lab, "daemonset", "2.0.0", Behaviour.CRASH)
    await lab.delete_pod_of(NAMES["daemonset"])
    await lab.patch(
        "statefulset",
        NAMES["statefulset"],
        {"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}},
    )
    await set_image(lab, "statefulset", "2.0.0", Behaviour.CRASH)
    for kind in ("daemonset", "statefulset"):
        await lab.until_broken(NAMES[kind], {"CrashLoopBackOff"}, restarts=1)
