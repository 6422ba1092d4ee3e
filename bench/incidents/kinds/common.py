# SPDX-License-Identifier: Apache-2.0
"""The scenery of a situation: a program that is about to fail, its neighbours, who deployed them, and innocent changes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from bench.incidents.objects import WORKLOADS, configmap, main, make, ref, service, workload
from bench.incidents.situation import HELM, Draw, Expected, Situation
from bench.incidents.steps import Edit, Kill, Mutation, New, Restart, Scale, Settled, Step, Wait, Warned
from kubetwin.client import Obj

OWN = "the workload's own change"
SCHEDULING = "scheduling and volumes"
LIMITS = "quotas and limits"
CONFIGURATION = "configuration and Secrets"
NETWORK = "Services, Ingresses, rights, Jobs"
DRIFT = "hand edits past Helm, and of nobody's"
OUTSIDE = "no change is the cause"
CUSTOM = "custom resources"
SEVERAL = "two causes, cascades, red herrings"


@dataclass(slots=True)
class Scene:
    """``of`` is the workload that fails. ``release``: Helm deployed it all; ``actor`` makes the change in question."""

    draw: Draw
    app: str
    of: str
    objects: list[Obj]
    release: str
    actor: str
    neighbours: list[str]
    before: list[Step] = field(default_factory=list)
    after: list[Step] = field(default_factory=list)

    def obj(self, of: str = "") -> Obj:
        """An object as it is deployed first."""
        return next(obj for obj in self.objects if ref(obj) == (of or self.of))

    @property
    def past_helm(self) -> bool:
        """Whether somebody changes what a release owns."""
        return bool(self.release) and self.actor != HELM

    def expected(self, of: str, *words: str, approve: tuple[str, ...] = (), **more: Any) -> Expected:
        """The change of ``of`` by the actor is named with these words, and can be taken back."""
        if self.actor == HELM:
            return Expected(((f"helm/{self.release}", *words),), ("recovered",), **more)
        if self.past_helm:
            innocent = (*more.pop("innocent", ()), f"helm/{self.release} went to revision")
            names = ((of, *words, "kubectl*"),)
            return Expected(names, ("recovered", "approval"), ("takeover", *approve), innocent=innocent, **more)
        outcomes = ("recovered", "approval") if approve else ("recovered",)
        return Expected(((of, *words),), outcomes, approve, **more)

    def situation(self, expected: Expected, *faults: Step, **more: Any) -> Situation:
        """With the decoys that were drawn."""
        return Situation(
            "",
            "",
            0,
            "",
            self.objects,
            expected,
            list(faults),
            release=self.release,
            before=[*more.pop("before", ()), *self.before],
            after=[*more.pop("after", ()), *self.after],
            **more,
        )

    def change(self, mutation: Mutation, **fault: str) -> Edit:
        """The change of the workload in question."""
        return Edit(self.of, mutation, self.actor, **fault)


def scene(
    draw: Draw,
    number: int,
    *,
    shapes: tuple[str, ...] = WORKLOADS,
    release: bool | None = None,
    actor: str = "",
    quiet: bool = False,
    replicas: int = 0,
    **container: Any,
) -> Scene:
    """Draws one. ``quiet``: no decoys; else one or two before, and perhaps one after."""
    kind = shapes[number % len(shapes)]
    app = draw.name()
    owned = (number % 2 == 0) if release is None else release
    neighbours = [draw.name() for _ in range(draw.randint(1, 2))]
    objects = [
        workload(kind, app, draw.image(app), replicas=replicas or draw.randint(1, 3), **container),
        service(app, **({"clusterIP": "None"} if kind == "statefulset" else {})),
        configmap(f"{app}-notes", text=draw.choice(("hello", "see the wiki", "owner: team-a"))),
    ]
    for other in neighbours:
        objects += [workload("deployment", other, draw.image(other), replicas=draw.randint(1, 2)), service(other)]
    called = draw.choice((app, "shop", "platform", "edge", "team-a", "backend")) if owned else ""
    found = Scene(draw, app, f"{kind}/{app}", objects, called, actor or (HELM if owned else draw.hand()), neighbours)
    if not quiet:
        _decoys(found)
    return found


def set_env(called: str, value: str) -> Mutation:
    """Sets or adds a variable of the first container."""

    def change(obj: Obj) -> None:
        env = [each for each in main(obj).get("env", []) if each["name"] != called]
        main(obj)["env"] = [*env, {"name": called, "value": value}]

    return change


def set_image(image: str) -> Mutation:
    """The image of the first container."""

    def change(obj: Obj) -> None:
        main(obj)["image"] = image

    return change


def newer(obj: Obj, words: str = "", draw: Draw | None = None) -> str:
    """The image of a workload in a later version, with fault words."""
    image = str(main(obj)["image"])
    repository, _, tag = image.rpartition(":")
    major = int(tag.split(".")[0]) + 1
    minor = draw.randint(0, 9) if draw else 0
    return f"{repository}:{major}.{minor}.0{'-' if words else ''}{words}"


def _decoys(found: Scene) -> None:
    draw, other = found.draw, found.neighbours[0]
    hand = draw.hand()

    def label(obj: Obj) -> None:
        obj["metadata"].setdefault("labels", {})["reviewed"] = "yes"

    def note(obj: Obj) -> None:
        obj["data"]["text"] = "moved to the new wiki"

    def annotate(obj: Obj) -> None:
        obj["metadata"].setdefault("annotations", {})["contact"] = "on-call@example.com"

    # An upgrade after an edit past Helm would end in a conflict, as it does for people.
    by_helm = found.release and (found.actor == HELM or draw.random() < 0.5)
    actor = HELM if by_helm else hand
    early: list[list[Step]] = [
        [Edit(f"deployment/{other}", set_env("LOG_LEVEL", "debug"), actor), Settled()],
        [Edit(f"deployment/{other}", set_image(newer(found.obj(f"deployment/{other}"), draw=draw)), actor), Settled()],
        [Edit(f"configmap/{found.app}-notes", note, actor)],
        [Restart(f"deployment/{other}"), Settled()],
        [Edit(f"service/{other}", annotate, actor)],
        [New(configmap(f"{other}-extra", a="b"), hand)],
    ]
    late: list[list[Step]] = [
        [],
        [],
        [Edit(f"configmap/{found.app}-notes", label, hand)],
        [New(configmap("scratch", a="b"), hand)],
        [Kill(other, 1)],
        [Warned(f"deployment/{other}", "PolicyViolation", "policy require-labels: validation error: label is missing")],
        [] if found.release else [Scale(f"deployment/{other}", 3)],
    ]
    for steps in draw.sample(early, draw.randint(1, 2)):
        found.before += steps
    found.before.append(Wait(draw.choice((1.0, 4.0, 9.0))))
    found.after += draw.choice(late)


def role(called: str, account: str) -> list[Obj]:
    """What lets a ServiceAccount read pods."""
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    subjects = [{"kind": "ServiceAccount", "name": account}]
    given = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": called}
    return [make("role", called, rules=rules), make("rolebinding", called, subjects=subjects, roleRef=given)]


def clone(objects: list[Obj]) -> list[Obj]:
    """A deep copy."""
    return copy.deepcopy(objects)
