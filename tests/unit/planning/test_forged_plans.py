# SPDX-License-Identifier: Apache-2.0
"""Plan files that somebody edited and sealed again: the hash is right, and they are held to their scope and to policy all the
same. A hash says that a plan is whole; it says nothing of who made it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from backout.errors import BackoutError, PlanChanged, RefusedError
from backout.model.change import Changes, ObjectChange
from backout.model.message import Message, msg
from backout.model.operation import Operation
from backout.model.part import Compensation, Part, Risk, Step
from backout.model.revision import Revision
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.target import ObjectRef, Target
from backout.planning import document
from backout.planning.derived import told
from backout.planning.reach import Reach, hold
from backout.workflows.services import hold_part

NS, SYSTEM = "shop", "kube-system"
PROTECTED = (SYSTEM, "vault")
HELM, MAP = Target("helm", "app", NS, "c"), Target("configmap", "app", NS, "c")
HEAD = {"head": 3, "digest": "now"}
ROLLBACK: dict[str, Any] = {"release": "app", "revision": 2, "digest": "d", "apply": "ssa"}
SCALE: dict[str, Any] = {"api_version": "v1", "kind": "ConfigMap", "name": "app", "namespace": NS, "replicas": 2}
RECORD = {
    "release": "app",
    "revision": 1,
    "record": "sh.helm.release.v1.app.v1",
    "repository": "r",
    "snapshot": "s",
    "address": "a",
}


def step(action: str = "helm.rollback", target: Target = HELM, back: Compensation | None = None, **params: Any) -> Step:
    base = {"helm.rollback": ROLLBACK, "objects.scale": SCALE, "helm.remove-record": RECORD}[action]
    held = HEAD if action == "helm.rollback" else {}
    return Step(
        id="s",
        action=action,
        target=target,
        title=msg("go"),
        params={**base, **params},
        precondition=held,
        compensation=back,
    )


def part(
    *steps: Step, target: Target = HELM, namespace: str = NS, refs: tuple[ObjectChange, ...] = (), **more: Any
) -> Part:
    return Part(
        **{
            "id": "p",
            "scope": ClusterScope(cluster="c", namespace=namespace, identity=ClusterIdentity("u", "ca")),
            "target": target,
            "mechanism": "helm",
            "cause": msg("asked"),
            "revision": Revision(number=2, digest="d"),
            "steps": steps,
            "changes": Changes(objects=refs),
            **more,
        }
    )


def at(kind: str, name: str, namespace: str, action: Any = "update") -> ObjectChange:
    return ObjectChange(ref=ObjectRef("v1", kind, name, namespace), action=action)


YES = Risk(code="protected", message=msg("yes"), needs_approval=True)
FORGED: dict[str, Callable[[], Part]] = {
    "a release of another namespace": lambda: part(
        step(target=Target("helm", "cilium", SYSTEM, "c"), release="cilium")
    ),
    "another release of the same namespace": lambda: part(step(release="other")),
    "a release named in the way back alone": lambda: part(
        step(back=Compensation("helm.rollback", {**ROLLBACK, "release": "other"}))
    ),
    "a release within another action": lambda: part(
        step(
            back=Compensation(
                "helm.restore-live", {"release": "app", "expect": "d", "rollback": {**ROLLBACK, "release": "x"}}
            )
        )
    ),
    "the whole part in a protected namespace": lambda: part(
        step(target=Target("helm", "app", SYSTEM, "c")), target=Target("helm", "app", SYSTEM, "c"), namespace=SYSTEM
    ),
    "that, with a yes that nobody may ask for": lambda: part(
        step(target=Target("helm", "app", SYSTEM, "c")),
        target=Target("helm", "app", SYSTEM, "c"),
        namespace=SYSTEM,
        risks=(YES,),
    ),
    "a target that is not in the scope": lambda: part(step(), target=Target("helm", "app", "elsewhere", "c")),
    "a step of another cluster": lambda: part(step(target=Target("helm", "app", NS, "prod"))),
    "an object elsewhere": lambda: part(step("objects.scale", namespace="elsewhere")),
    "an object of a protected namespace": lambda: part(
        step("objects.scale", namespace=SYSTEM), refs=(at("ConfigMap", "app", SYSTEM),)
    ),
    "that, hidden among what is kept": lambda: part(
        step("objects.scale", namespace=SYSTEM), refs=(at("ConfigMap", "app", SYSTEM, "keep"),)
    ),
    "one more object under the same yes": lambda: part(
        step("objects.scale", namespace=SYSTEM, name="other"), refs=(at("ConfigMap", "app", SYSTEM),), risks=(YES,)
    ),
    "an object of the whole cluster": lambda: part(
        step("objects.scale", namespace="", kind="ClusterRole", name="admin")
    ),
    "what a step destroys": lambda: part(
        msgspec.structs.replace(step(), destroys=(ObjectRef("v1", "PersistentVolumeClaim", "data", SYSTEM),))
    ),
    "a way back elsewhere": lambda: part(
        step("objects.scale", back=Compensation("objects.scale", {**SCALE, "namespace": "vault"}))
    ),
    "a path instead of a name": lambda: part(step("objects.scale", name="../../kube-system/secrets/x")),
    "a step up": lambda: part(step("objects.scale", name="..")),
    "a path instead of a namespace": lambda: part(
        step("objects.scale", namespace="shop/../kube-system"), refs=(at("ConfigMap", "app", "shop/../kube-system"),)
    ),
    "an option instead of a release": lambda: part(
        step(target=Target("helm", "--kube-context=prod", NS, "c"), release="--kube-context=prod"),
        target=Target("helm", "--kube-context=prod", NS, "c"),
    ),
    "an option among StatefulSets": lambda: part(step(recreate=("--all",))),
    "a record that is a path": lambda: part(step("helm.remove-record", record="x/../../y")),
    "an escape in a name": lambda: part(step("objects.scale", name="a\x1b[2J")),
    "no name": lambda: part(step("objects.scale", name="")),
    "an action that nobody knows": lambda: part(msgspec.structs.replace(step(), action="shell.run")),
    "an action that is a path": lambda: part(msgspec.structs.replace(step(), action="../x")),
    "a parameter more": lambda: part(step(command="rm -rf /")),
    "a namespace like an option": lambda: part(
        step(target=Target("helm", "app", "-x", "c")), target=Target("helm", "app", "-x", "c"), namespace="-x"
    ),
}


def resealed(mine: Part) -> Operation:
    """As whoever edits a plan and knows how hashes are made would leave it."""
    bare = Operation(made_at=datetime(2026, 11, 29, tzinfo=UTC), parts=(mine,))
    return msgspec.structs.replace(bare, hash=document.digest(bare))


@pytest.mark.parametrize("kind", FORGED)
def test_an_edited_plan_does_not_get_out_of_its_scope(kind: str) -> None:
    mine = FORGED[kind]()
    operation = resealed(mine)
    document.check(operation)  # the hash itself is right
    with pytest.raises((PlanChanged, RefusedError)) as told:
        loaded = document.load(document.dump([operation]), "f")
        hold(loaded[0].parts[0], PROTECTED)
    assert told.value.exit_code == 5
    # A file is one way in; what stands in the state database is held as well, when the run begins and when it is resumed.
    with pytest.raises(BackoutError):
        hold_part(mine, PROTECTED)


def test_the_same_without_the_edit_is_carried_out() -> None:
    for mine in (
        part(step()),
        part(step("objects.scale"), target=MAP),
        part(step(recreate=("db",)), risks=asked("recreate")),
    ):
        (loaded,) = document.load(document.dump([resealed(mine)]), "f")
        hold_part(loaded.parts[0], PROTECTED)


@pytest.mark.parametrize("way", ["text", "template", "argument", "inner"])
def test_a_plan_says_the_same_in_every_format(way: str) -> None:
    inner = {"text": "goes back", "template": "", "args": {}}
    said = Message("app: goes back to 2", "{app}: {what} to {n}", {"app": "app", "what": inner, "n": 2})
    forged = {
        "text": Message("app: nothing happens", said.template, said.args),
        "template": Message(said.text, "{app}: nothing happens", said.args),
        "argument": Message(said.text, said.template, {**said.args, "n": 3}),
        "inner": Message(
            said.text, said.template, {**said.args, "what": {**inner, "template": "{x}", "args": {"x": "stays"}}}
        ),
    }[way]
    assert document.load(document.dump([resealed(part(step(), cause=said))]), "f")
    with pytest.raises(PlanChanged, match="another as a template"):
        document.load(document.dump([resealed(part(step(), cause=forged))]), "f")


@pytest.mark.parametrize("template", ["{a.__class__.__mro__}", "{a:>999999999}", "{a!r}", "{a[0]}", "{}", "{b}"])
def test_templates_reach_into_nothing(template: str) -> None:
    forged = Message("x", template, {"a": "x"})
    with pytest.raises(PlanChanged):
        document.load(document.dump([resealed(part(step(), cause=forged))]), "f")


def test_what_a_release_turns_out_to_hold_is_held_to_the_same_reach() -> None:
    mine = part(step(), refs=(at("Service", "named", "other"), at("Service", "dns", SYSTEM)))
    there, unnamed = ObjectRef("v1", "Service", "named", "other"), ObjectRef("v1", "Service", "hidden", "other")
    reach = Reach(mine, PROTECTED)
    reach.require([there, ObjectRef("v1", "Service", "x", NS)], "s")
    with pytest.raises(RefusedError, match="outside of the plan"):
        reach.require([unnamed], "s")
    dns = ObjectRef("v1", "Service", "dns", SYSTEM)
    with pytest.raises(RefusedError, match="protected by policy"):
        reach.require([dns], "s")
    Reach(msgspec.structs.replace(mine, risks=(YES,)), PROTECTED).require([dns], "s")


DESTROYS = (ObjectRef("v1", "PersistentVolumeClaim", "data", NS),)
CLAIM = (at("PersistentVolumeClaim", "data", NS, "delete"),)


def sealed(one: Part) -> str:
    return document.dump([document.seal(Operation(made_at=datetime(2026, 1, 1, tzinfo=UTC), parts=(one,)))])


def asked(*codes: str) -> tuple[Risk, ...]:
    return tuple(Risk(code=code, message=msg("yes"), needs_approval=True) for code in codes)


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({"destroys": DESTROYS}, ("deletes",)),
        ({"params": {**ROLLBACK, "recreate": ["db"]}}, ("recreate",)),
        ({"params": {**ROLLBACK, "force_conflicts": True}}, ("takeover",)),
        ({"destroys": DESTROYS, "params": {**ROLLBACK, "recreate": ["db"]}}, ("deletes", "recreate")),
        ({}, ()),
    ],
)
def test_a_question_that_steps_ask_can_not_be_taken_out_of_a_file(
    changed: dict[str, Any], codes: tuple[str, ...]
) -> None:
    one = msgspec.structs.replace(step(), **changed)
    document.load(sealed(part(one, refs=CLAIM, risks=asked(*codes))), "plan.yaml")
    for left in range(len(codes)):
        fewer = asked(*(code for number, code in enumerate(codes) if number != left))
        with pytest.raises(PlanChanged, match=codes[left]):
            document.load(sealed(part(one, refs=CLAIM, risks=fewer)), "plan.yaml")
        only = tuple(Risk(code=code, message=msg("no need")) for code in codes)
        with pytest.raises(PlanChanged, match="question"):
            document.load(sealed(part(one, refs=CLAIM, risks=only)), "plan.yaml")


def test_what_a_rollback_holds_to_can_not_be_taken_out_of_a_file() -> None:
    with pytest.raises(PlanChanged, match="condition"):
        document.load(sealed(part(msgspec.structs.replace(step(), precondition={"head": 3}))), "plan.yaml")


def test_a_step_is_told_as_its_parameters_have_it_whatever_its_title_says() -> None:
    forged = msgspec.structs.replace(
        step(), title=msg("Look, and change nothing"), precondition=HEAD, destroys=DESTROYS
    )
    said = str(told(forged))
    assert "helm.rollback" in said and "release=app" in said and "persistentvolumeclaim/data (shop)" in said
