# SPDX-License-Identifier: Apache-2.0
"""Scenarios in which an operator makes the workloads: of a release's custom resources, and of one that nobody's release has."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from kubetwin.client import Obj, Resource
from kubetwin.errors import LabFailed, NotVerifiedError
from kubetwin.kinds import STATEFULSETS
from kubetwin.lab.builder import Lab, rolled_out

PROMETHEUSES = Resource("monitoring.coreos.com", "v1", "prometheuses", "Prometheus")
CRASHING = {"CrashLoopBackOff"}
IMAGE = "quay.io/prometheus/prometheus"
BAD = f"{IMAGE}:v2.99.0-crash-exit1"
OF_RELEASE = ("prometheus-kps-prometheus", "alertmanager-kps-alertmanager")
OWN, OWN_SET = "team", "prometheus-team"
NEWER = (("57.0.0", "58.0.0"), ("0.72.0", "0.73.0"), ("v2.51.0", "v2.51.2"))
SMALL = ("--set", "dashboards=1,rules=1")
STANDING = 12.0
"""Seconds: what was ready for a moment only is not proven good."""


async def two_charts(lab: Lab) -> None:
    """Revision 1 is the chart, revision 2 its next version: operator, program and the definitions in crds/ are newer."""
    _simulated_only(lab)
    await lab.install()
    await until_made(lab, *OF_RELEASE)
    lab.kept["charts"] = tempfile.TemporaryDirectory(prefix="lab-chart-")
    lab.chart = newer(lab.chart, Path(lab.kept["charts"].name))
    await lab.helm("upgrade", lab.release, str(lab.chart))
    await lab.until_healthy()
    await until_made(lab, *OF_RELEASE)
    await asyncio.sleep(STANDING)


def newer(chart: Path, into: Path) -> Path:
    """A copy of the chart with the versions of the next release."""
    copy = into / chart.name
    shutil.copytree(chart, copy)
    for file in (*copy.glob("*.yaml"), *(copy / "crds").glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        for before, after in NEWER:
            text = text.replace(before, after)
        file.write_text(text, encoding="utf-8")
    return copy


async def bad_field(lab: Lab) -> None:
    """`helm upgrade` with an image of the custom resource that crash-loops: no workload of the manifest shows it."""
    await lab.helm("upgrade", lab.release, str(lab.chart), "--set", f"prometheus.image={BAD}")
    await lab.until_broken(OF_RELEASE[0], CRASHING, restarts=1)


async def children_ready(lab: Lab) -> None:
    """What the operator makes runs what the good revision says.

    Raises:
        NotVerifiedError: it does not.
    """
    made = await lab.api.get(STATEFULSETS, OF_RELEASE[0], lab.namespace)
    images = [container["image"] for container in made["spec"]["template"]["spec"]["containers"]]
    if not rolled_out(made) or f"{IMAGE}:v2.51.2" not in images:
        raise NotVerifiedError(
            "What the operator makes is not ready.",
            expected="{image} on every pod of statefulset/{name}",
            found="{images}",
            image=f"{IMAGE}:v2.51.2",
            name=OF_RELEASE[0],
            images=", ".join(images),
        )


async def without_release(lab: Lab) -> None:
    """An operator that a release brings, and a custom resource that somebody applied beside it."""
    _simulated_only(lab)
    await lab.make_namespace()
    await lab.helm("install", lab.release, str(lab.chart), *SMALL)
    await until_made(lab, *OF_RELEASE)
    await lab.api.create(PROMETHEUSES, prometheus(f"{IMAGE}:v2.51.0"), lab.namespace)
    await until_made(lab, OWN_SET)
    await asyncio.sleep(STANDING)
    await lab.take_snapshot()


def prometheus(image: str) -> Obj:
    """A custom resource of no release."""
    return {
        "apiVersion": PROMETHEUSES.api_version,
        "kind": PROMETHEUSES.kind,
        "metadata": {"name": OWN},
        "spec": {"image": image, "replicas": 1, "retention": "2d"},
    }


async def edit_custom(lab: Lab) -> None:
    """`kubectl patch` of the custom resource."""
    await lab.api.patch(
        PROMETHEUSES, OWN, {"spec": {"image": BAD}}, lab.namespace, content_type="application/merge-patch+json"
    )
    await lab.until_broken(OWN_SET, CRASHING, restarts=1)


async def own_ready(lab: Lab) -> None:
    """What the operator makes of it runs what it said before, and its retention stays.

    Raises:
        NotVerifiedError: it does not.
    """
    obj = await lab.api.get(PROMETHEUSES, OWN, lab.namespace)
    made = await lab.api.get(STATEFULSETS, OWN_SET, lab.namespace)
    images = [container["image"] for container in made["spec"]["template"]["spec"]["containers"]]
    if not rolled_out(made) or f"{IMAGE}:v2.51.0" not in images or obj["spec"].get("retention") != "2d":
        raise NotVerifiedError("What the operator makes of prometheus/{name} is not what it was.", name=OWN)


async def until_made(lab: Lab, *names: str) -> None:
    """StatefulSets of those names are there and rolled out."""
    async with lab.watching(STATEFULSETS) as sets:

        def ready() -> bool:
            found = {obj["metadata"]["name"]: obj for obj in lab.mine(sets)}
            return all(name in found and rolled_out(found[name]) for name in names)

        await lab.until(sets, ready, f"{', '.join(names)} are rolled out")


def _simulated_only(lab: Lab) -> None:
    if lab.images.real:
        raise LabFailed(
            "This rehearsal needs an operator that embedded clusters bring.",
            expected="an embedded cluster",
            found="one that runs containers for real",
            hint="Leave --context out.",
        )
