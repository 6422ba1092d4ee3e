# SPDX-License-Identifier: Apache-2.0
"""A plan acts where it says, object by object, and nowhere that is protected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from backout.errors import PlanChanged, RefusedError
from backout.model.change import Changes, ObjectChange
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.part import Compensation, Part, Step
from backout.model.revision import Revision
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.target import ObjectRef, Target
from backout.planning import document
from backout.planning.reach import hold, protected_risks

NS = "shop"
TARGET = Target("configmap", "app", NS)


def named(namespace: str = NS, **more: Any) -> dict[str, Any]:
    return {"api_version": "v1", "kind": "ConfigMap", "name": "app", "namespace": namespace, **more}


def step(action: str = "objects.scale", back: Compensation | None = None, **params: Any) -> Step:
    wanted = {**named(), "replicas": 2, **params}
    return Step(id="s", action=action, target=TARGET, title=msg("go"), params=wanted, compensation=back)


def part(*steps: Step, changes: tuple[ObjectChange, ...] = ()) -> Part:
    return Part(
        id="configmap/app",
        scope=ClusterScope(cluster="c", namespace=NS, identity=ClusterIdentity("u", "ca")),
        target=TARGET,
        mechanism="objects",
        cause=msg("asked"),
        revision=Revision(number=1, digest="d"),
        steps=steps,
        changes=Changes(objects=changes),
    )


def test_objects_of_the_namespace_are_within_reach() -> None:
    hold(part(step()))


def test_a_step_that_writes_elsewhere_is_refused() -> None:
    with pytest.raises(RefusedError, match="outside of the plan"):
        hold(part(step(namespace="kube-system")))


def test_so_is_a_way_back_that_would() -> None:
    back = Compensation("objects.scale", {**named("elsewhere"), "replicas": 1})
    with pytest.raises(RefusedError, match="namespace elsewhere"):
        hold(part(step(back=back)))


def test_an_object_elsewhere_that_the_changes_name_is_within_reach() -> None:
    ref = ObjectRef("v1", "ConfigMap", "app", "other")
    mine = part(step(namespace="other"), changes=(ObjectChange(ref=ref, action="update"),))
    hold(mine)
    with pytest.raises(RefusedError, match="protected by policy"):
        hold(mine, ("other",))


def test_a_change_in_a_protected_namespace_is_refused_whoever_writes_it() -> None:
    ref = ObjectRef("v1", "Service", "dns", "kube-system")
    with pytest.raises(RefusedError, match="service/dns is in namespace kube-system"):
        hold(part(changes=(ObjectChange(ref=ref, action="update"),)), ("kube-system",))


@pytest.mark.parametrize("params", [{"replicas": "many"}, {"unheard": 1}, {"until": "tomorrow"}])
def test_parameters_are_read_strictly(params: dict[str, Any]) -> None:
    with pytest.raises(PlanChanged, match=r"parameters of objects\.scale"):
        hold(part(step(**params)))


def test_an_unknown_action_is_named() -> None:
    with pytest.raises(RefusedError, match=r"knows the action objects\.explode"):
        hold(part(step("objects.explode")))


def test_a_plan_file_that_was_edited_and_sealed_again_is_refused() -> None:
    edited = document.seal(
        Operation(made_at=datetime(2026, 1, 1, tzinfo=UTC), parts=(part(step(namespace="kube-system")),))
    )
    with pytest.raises(RefusedError, match="outside of the plan"):
        document.load(document.dump([edited]), "f")
    good = document.seal(msgspec.structs.replace(edited, parts=(part(step()),)))
    assert document.load(document.dump([good]), "f") == [good]


def test_what_a_release_has_in_a_protected_namespace_needs_a_yes_to_just_that() -> None:
    there = ObjectChange(ref=ObjectRef("v1", "Service", "rel-coredns", "kube-system"), action="update")
    here = ObjectChange(ref=ObjectRef("v1", "ConfigMap", "app", NS), action="update")
    bare = part(step(), changes=(there, here))
    (risk,) = protected_risks(bare, ("kube-system",))
    assert (risk.code, risk.needs_approval) == ("protected", True)
    assert "service/rel-coredns (kube-system)" in risk.message.text and "configmap/app" not in risk.message.text
    hold(msgspec.structs.replace(bare, risks=(risk,)), ("kube-system",))
    with pytest.raises(RefusedError, match="protected by policy"):
        hold(bare, ("kube-system",))
    with pytest.raises(RefusedError, match="protected by policy"):
        hold(
            msgspec.structs.replace(part(step(namespace="kube-system"), changes=(there,)), risks=(risk,)),
            ("kube-system",),
        )
    with pytest.raises(RefusedError, match="protected by policy"):
        hold(msgspec.structs.replace(bare, risks=(risk,)), ("kube-system", NS))


def test_what_stays_as_it_is_and_what_is_elsewhere_is_no_risk() -> None:
    kept = ObjectChange(ref=ObjectRef("v1", "Service", "rel-coredns", "kube-system"), action="keep")
    other = ObjectChange(ref=ObjectRef("v1", "Service", "rel", "other"), action="update")
    cluster = ObjectChange(ref=ObjectRef("rbac.authorization.k8s.io/v1", "ClusterRole", "rel"), action="update")
    assert protected_risks(part(step(), changes=(kept, other, cluster)), ("kube-system",)) == ()
