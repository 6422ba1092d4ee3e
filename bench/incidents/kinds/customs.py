# SPDX-License-Identifier: Apache-2.0
"""Custom resources: Rollouts that make pods as Deployments do, and those from which an operator makes workloads."""

from __future__ import annotations

from typing import Any

from bench.incidents.kinds.common import CUSTOM, Scene, newer, scene, set_env, set_image
from bench.incidents.objects import main, make, pod, ref
from bench.incidents.situation import Draw, Expected, Situation, kind
from bench.incidents.steps import Aborted, Edit, Mutation, Settled, Step, Wait
from kubetwin.client import Obj

MISSING = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "none-such", "key": "token"}}}
STEPS: tuple[list[Obj], ...] = (
    [],
    [{"setWeight": 50}, {"pause": {}}],
    [{"setWeight": 20}, {"pause": {"duration": 300}}, {"setWeight": 60}],
)


def _rollout(draw: Draw, number: int, strategy: Obj | None = None) -> Scene:
    """As a scene, with a Rollout where the workload would be."""
    found = scene(draw, number, shapes=("deployment",), replicas=draw.randint(2, 4))
    old = found.obj()
    if strategy is None:
        strategy = {"canary": {"steps": STEPS[number % 3]}} if number % 4 != 3 else {"blueGreen": {}}
    spec = {**{key: old["spec"][key] for key in ("replicas", "selector", "template")}, "strategy": strategy}
    new = make("rollout", found.app, spec={**spec, "progressDeadlineSeconds": 30})
    found.objects[found.objects.index(old)] = new
    found.of = ref(new)
    return found


def _expected(found: Scene, *words: str) -> Expected:
    """What a release owns and somebody changed past it goes back by applying the revision again."""
    if found.past_helm:
        return Expected(((found.of, *words, "kubectl*"),), ("recovered", "approval"), ("takeover",))
    return found.expected(found.of, *words)


@kind(CUSTOM, 8)
def rollout_whose_image_is_bad(draw: Draw, number: int) -> Situation:
    """A canary, or a blue-green update, whose new pods fail."""
    found = _rollout(draw, number)
    image = newer(found.obj(), draw.choice(("crash-exit3", "missing", "crash-exit1")), draw)
    return found.situation(_expected(found, "image", image), found.change(set_image(image)))


@kind(CUSTOM, 6)
def rollout_whose_template_is_bad(draw: Draw, number: int) -> Situation:
    """Other fields of the template."""
    found = _rollout(draw, number)
    changes: list[tuple[str, Mutation]] = [
        ("nodeSelector", lambda obj: pod(obj).update(nodeSelector={"disk": "nvme-of-tomorrow"})),
        ("TOKEN|none-such", lambda obj: main(obj).update(env=[MISSING])),
        ("memory", lambda obj: main(obj).update(resources={"requests": {"memory": "900Gi"}})),
    ]
    word, change = changes[number % len(changes)]
    return found.situation(_expected(found, word), found.change(change), wait=20.0)


@kind(CUSTOM, 6)
def rollout_that_was_aborted(draw: Draw, number: int) -> Situation:
    """The bad pods are gone, and the Rollout is degraded until its template is another one."""
    found = _rollout(draw, number, {"canary": {"steps": STEPS[1 + number % 2]}})
    image = newer(found.obj(), "crash-exit3", draw)
    faults: list[Step] = [found.change(set_image(image)), Wait(8), Aborted(found.of)]
    return found.situation(_expected(found, "image", image), *faults)


@kind(CUSTOM, 6)
def rollout_after_a_good_one(draw: Draw, number: int) -> Situation:
    """Two revisions went well before; the last of them is the one to go to."""
    found = _rollout(draw, number, {"canary": {"steps": STEPS[0]}})
    found.before += [Edit(found.of, set_env("FEATURE", "on"), found.actor), Settled(), Wait(3)]
    image = newer(found.obj(), "crash-exit3", draw)
    return found.situation(_expected(found, "image", image), found.change(set_image(image)))


def _operated(draw: Draw, number: int, **spec: Any) -> Scene:
    """As a scene, with a custom resource from which an operator makes a StatefulSet."""
    found = scene(draw, number, shapes=("deployment",), quiet=number % 3 == 0)
    short, program = (
        ("prometheus", "prometheus/prometheus:v2.51.0"),
        ("alertmanager", "prometheus/alertmanager:v0.27.0"),
    )[number % 2]
    new = make(short, found.app, spec={"image": f"quay.io/{program}", "replicas": 1, "retention": "2d", **spec})
    found.objects[found.objects.index(found.obj())] = new
    found.of = ref(new)
    return found


@kind(CUSTOM, 8)
def operated_image(draw: Draw, number: int) -> Situation:
    """The image of a custom resource, by a release or by hand."""
    found = _operated(draw, number)
    bad = f"{found.obj()['spec']['image']}-{draw.choice(('crash-exit1', 'missing'))}"

    def change(obj: Obj) -> None:
        obj["spec"]["image"] = bad

    return found.situation(_expected(found, "image", bad), found.change(change), wait=15.0)


MISTAKES: tuple[tuple[str, Obj], ...] = (
    ("nodeSelector", {"nodeSelector": {"zone": "mars"}}),
    (
        "affinity",
        {
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["none-such"]}]}
                        ]
                    }
                }
            }
        },
    ),
    ("resources", {"resources": {"requests": {"memory": "800Gi"}}}),
    ("serviceAccountName", {"serviceAccountName": "nobody-here"}),
)


@kind(CUSTOM, 8)
def operated_wrongly(draw: Draw, number: int) -> Situation:
    """Placement, room and accounts of a custom resource as people get them wrong."""
    found = _operated(draw, number)
    word, wrong = MISTAKES[(number // 2) % len(MISTAKES)]

    def change(obj: Obj) -> None:
        obj["spec"].update(wrong)

    return found.situation(_expected(found, word), found.change(change), wait=20.0)


@kind(CUSTOM, 6)
def operated_refused(draw: Draw, number: int) -> Situation:
    """A field that its operator does not take: the pods are well, and what was wanted is not carried out."""
    found = _operated(draw, number)
    field, wrong = (("retention", draw.choice(("two weeks", "10 days", "1.5y"))), ("version", "notaversion"))[
        number % 2
    ]

    def change(obj: Obj) -> None:
        obj["spec"][field] = wrong

    return found.situation(_expected(found, field), found.change(change), wait=8.0)
