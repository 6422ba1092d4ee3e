# SPDX-License-Identifier: Apache-2.0
"""What a rollback makes anew, and what goes or stays with what it takes away."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from helm_drafts import INVALID, NOW, SCALE, TARGET, analysis, item, planned
from helm_histories import NS

from backout.cluster.port import Resource
from backout.errors import Invalid, RefusedError, TooLarge
from backout.mechanisms.helm.along import MOST
from backout.mechanisms.helm.analysis import Item, held
from backout.mechanisms.helm.checks import access, checks
from backout.mechanisms.helm.immutables import anew_needed
from backout.mechanisms.helm.params import Holder
from backout.mechanisms.helm.preview import changes
from backout.mechanisms.helm.risks import risks
from backout.mechanisms.helm.sparing import skipped, spare, unskippable
from backout.mechanisms.helm.steps import steps
from backout.model.part import Access
from backout.model.skip import parse_skip
from backout.model.target import ObjectRef

DELETES = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}


@pytest.mark.parametrize(
    ("kind", "live", "after", "field"),
    [
        ("Job", {"spec": {"template": {"a": 1}}}, {"spec": {"template": {"a": 2}}}, "spec.template"),
        (
            "StatefulSet",
            {"spec": {"serviceName": "a", **DELETES}},
            {"spec": {"serviceName": "b", **DELETES}},
            "spec.serviceName",
        ),
    ],
)
def test_what_can_not_be_made_anew_without_harm_is_refused_before_the_first_write(
    kind: str, live: dict[str, Any], after: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        planned(item(kind, live, after, refusal=INVALID))
    assert field in caught.value.message and "web" in caught.value.message


@pytest.mark.parametrize(
    ("kind", "live", "after", "told"),
    [
        ("StatefulSet", {"spec": {"serviceName": "a"}}, {"spec": {"serviceName": "b"}}, "with its pods"),
        ("Deployment", {"spec": {"selector": {"a": "1"}}}, {"spec": {"selector": {"a": "2"}}}, "with its pods"),
        ("DaemonSet", {"spec": {"selector": {"a": "1"}}}, {"spec": {"selector": {"a": "2"}}}, "with its pods"),
        ("Service", {"spec": {"clusterIP": "None"}}, {"spec": {"clusterIP": "10.0.0.1"}}, "other addresses"),
        ("Service", {"spec": {"clusterIP": "10.0.0.1"}}, {"spec": {"clusterIP": "None"}}, "other addresses"),
        (
            "Service",
            {"spec": {"loadBalancerClass": "a/b"}},
            {"spec": {"loadBalancerClass": "a/c"}},
            "spec.loadBalancerClass",
        ),
        ("StorageClass", {"parameters": {"a": "1"}}, {"parameters": {"a": "2"}}, "what exists by it stays"),
        ("StorageClass", {"provisioner": "a"}, {"provisioner": "b"}, "what exists by it stays"),
        ("IngressClass", {"spec": {"controller": "a"}}, {"spec": {"controller": "b"}}, "what exists by it stays"),
        ("ClusterRoleBinding", {"roleRef": {"name": "a"}}, {"roleRef": {"name": "b"}}, "nobody has these rights"),
        (
            "ConfigMap",
            {"immutable": True, "data": {"a": "1"}},
            {"immutable": True, "data": {"a": "2"}},
            "it is immutable",
        ),
        ("ConfigMap", {"immutable": True, "data": {"a": "1"}}, {"data": {"a": "1"}}, "it is immutable"),
        (
            "Secret",
            {"immutable": True, "data": {"a": "b25l"}},
            {"immutable": True, "stringData": {"a": "two"}},
            "it is immutable",
        ),
        (
            "Secret",
            {"immutable": True, "data": {"a": "b25l", "b": "b25l"}},
            {"immutable": True, "data": {"a": "b25l"}},
            "",
        ),
    ],
)
def test_what_can_not_be_changed_is_made_anew_with_a_yes_and_only_while_it_is_not_what_is_wanted(
    kind: str, live: dict[str, Any], after: dict[str, Any], told: str
) -> None:
    one = item(kind, live, after, refusal=INVALID)
    step = planned(one)[0]
    assert step.params["anew"][0]["kind"] == kind and step.destroys == (one.ref,)
    assert step.compensation.params["anew"] == step.params["anew"]
    risk = next(risk for risk in risks(analysis(one), None, NOW) if risk.code == "recreate")
    assert risk.needs_approval and told in str(risk.message)
    assert one.live is not None and one.target is not None
    assert anew_needed(one.live, one.target)
    stored = {**one.target}
    if "stringData" in stored:
        stored |= {"data": {"a": "dHdv"}}
        del stored["stringData"]
    assert not anew_needed({**stored, "metadata": {"name": "web", "uid": "other"}}, one.target)
    assert not anew_needed({**stored, "type": "Opaque"}, one.target) or kind != "Secret"


READS = Holder(api_version="apps/v1", kind="Deployment", name="web", namespace=NS, replicas=3)
ELSE = Holder(api_version="apps/v1", kind="Deployment", name="other", namespace=NS, replicas=2)
EVERYWHERE = Holder(api_version="apps/v1", kind="DaemonSet", name="agent", namespace=NS, replicas=None)


@pytest.mark.parametrize(
    ("now", "target", "forward", "back"),
    [
        pytest.param({"replicas": 3}, {"replicas": 1}, 1, 3, id="as each manifest says"),
        pytest.param({}, {}, 3, 3, id="as many as there are, where none says"),
        pytest.param({"replicas": 3}, {"replicas": 0}, 0, 3, id="none where none is wanted"),
    ],
)
def test_who_reads_an_immutable_object_ends_before_it_is_made_anew_and_comes_back(
    now: dict[str, Any], target: dict[str, Any], forward: int, back: int
) -> None:
    secret = item(
        "Secret",
        {"immutable": True, "data": {"a": "b25l"}},
        {"immutable": True, "data": {"a": "dHdv"}},
        refusal=INVALID,
        holders=(READS, ELSE, EVERYWHERE),
        others=("debug",),
    )
    found = analysis(item("Deployment", {"spec": now}, {"spec": target}), secret, server_side=True)
    step = steps(found, TARGET, "secret", NOW)[0]
    assert step.compensation is not None
    for params, own in ((step.params, forward), (step.compensation.params, back)):
        counts = {holder["name"]: holder["replicas"] for holder in params["away"]}
        assert counts == {"web": own, "other": 2, "agent": None}
        # that we scaled it is no reason for Helm to give up
        assert params["force_conflicts"] is True
    told = {risk.code: str(risk.message) for risk in risks(found, None, NOW)}
    assert all(name in told["recreate"] for name in ("deployment/web", "deployment/other", "daemonset/agent"))
    assert "pod/debug" in told["old-content"]
    rights = access(found, "secret")
    assert Access("patch", "apps", "deployments", NS) in rights and Access("delete", "", "pods", NS) in rights
    assert not [step for step in steps(found, TARGET, "secret", NOW) if step.action == "workload.restart"]


@pytest.mark.parametrize(("after", "left"), [({"externalName": "x", "ports": []}, True), ({"ports": []}, False)])
def test_what_the_server_keeps_of_the_revision_before_is_told_and_measured(after: dict[str, Any], left: bool) -> None:
    found = item("Service", {"spec": {"externalName": "x", "ports": []}}, {"spec": {"ports": []}})
    whole = {**(found.live or {}), "spec": after}
    one = analysis(msgspec.structs.replace(found, after=whole))
    assert ("left-over" in [risk.code for risk in risks(one, None, NOW)]) is left
    assert ("left-over" in [check.code for check in checks(one, TARGET)]) is left


@pytest.mark.parametrize("ended", [True, False])
def test_a_job_that_has_ended_is_made_anew_when_that_is_approved(ended: bool) -> None:
    def template(image: str) -> dict[str, Any]:
        return {"template": {"spec": {"containers": [{"name": "j", "image": image}]}}}

    status = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}} if ended else {}
    found = item("Job", {"spec": template("j:2"), **status}, {"spec": template("j:1")}, refusal=INVALID)
    if not ended:
        with pytest.raises(Invalid):
            planned(found)
        return
    one = analysis(found)
    assert [risk.code for risk in risks(one, None, NOW) if risk.needs_approval] == ["recreate"]
    rollback = planned(found)[0]
    assert [one["kind"] for one in rollback.params["anew"]] == ["Job"] and not rollback.params.get("recreate")
    assert [ref.kind for ref in rollback.destroys] == ["Job"]
    assert any(right.verb == "delete" and right.resource == "jobs" for right in access(one, "secret"))


def test_a_service_gets_an_address_again_only_when_it_may_be_made_anew() -> None:
    found = item("Service", {"spec": {"clusterIP": "None", "ports": []}}, {"spec": {"ports": []}})
    one = analysis(msgspec.structs.replace(found, after=found.live))
    assert [risk.code for risk in risks(one, None, NOW) if risk.needs_approval] == ["recreate"]
    assert [entry["kind"] for entry in planned(*one.items)[0].params["anew"]] == ["Service"]
    assert "left-over" not in [check.code for check in checks(one, TARGET)]


def test_a_binding_of_another_role_is_made_anew_when_that_is_approved() -> None:
    found = item("RoleBinding", {"roleRef": {"name": "b"}}, {"roleRef": {"name": "a"}}, refusal=INVALID)
    assert [risk.code for risk in risks(analysis(found), None, NOW) if risk.needs_approval] == ["recreate"]


def definition(held: tuple[ObjectRef, ...] | None) -> Item:
    ref = ObjectRef("apiextensions.k8s.io/v1", "CustomResourceDefinition", "things.example.org", "", "uid")
    return item("Thing", {"spec": {}}, None, ref=ref, gone=True, holds=held)


def test_a_definition_that_goes_counts_what_goes_with_it() -> None:
    things = tuple(ObjectRef("example.org/v1", "Thing", f"t{n}", f"ns-{n % 2}") for n in range(3))
    words = "3 custom resources in 2 namespaces"
    found = [risk for risk in risks(analysis(definition(things)), None, NOW) if words in str(risk.message)]
    assert [(risk.code, risk.needs_approval) for risk in found] == [("deletes", True)]
    assert not any("custom resources" in str(risk.message) for risk in risks(analysis(definition(())), None, NOW))


def test_the_custom_resources_of_a_definition_are_those_of_every_namespace() -> None:
    class Reader:
        async def list_as(self, type: Any, resource: Resource, namespace: str = "", **_: Any) -> list[Any]:
            assert (resource.api_version, resource.plural, namespace) == ("example.org/v1", "things", "")
            rows = [{"metadata": {"name": "a", "namespace": "x"}}, {"metadata": {"name": "b", "namespace": "y"}}]
            return [msgspec.convert(row, type) for row in rows]

    names = {"kind": "Thing", "plural": "things"}
    versions = [{"name": "v0", "served": False}, {"name": "v1", "served": True}]
    live = {"spec": {"group": "example.org", "names": names, "scope": "Namespaced", "versions": versions}}
    found = asyncio.run(held(Reader(), live))  # type: ignore[arg-type]
    assert found is not None and [(ref.namespace, ref.name) for ref in found] == [("x", "a"), ("y", "b")]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Namespace", {}),
        ("CustomResourceDefinition", {"group": "example.org", "names": {"kind": "Thing", "plural": "things"}}),
    ],
)
def test_what_goes_with_another_object_can_not_be_left_out_alone(kind: str, spec: dict[str, Any]) -> None:
    thing = msgspec.structs.replace(item("Thing", {"spec": {}}, None), gone=True)
    name = NS if kind == "Namespace" else "web"
    live = {"metadata": {"name": name}, "spec": spec}
    whole = item(kind, live, None, ref=ObjectRef("v1", kind, name, "", "uid"), gone=True)
    alone = spare(analysis(thing, whole), (parse_skip("thing/web"),))
    assert not skipped(alone) and [str(ref) for ref, _ in unskippable(alone)] == ["thing/web"]
    both = spare(analysis(thing, whole), (parse_skip("thing/web"), parse_skip(f"{kind}/{name}")))
    assert len(skipped(both)) == 2 and not unskippable(both)


def test_a_definition_whose_resources_can_not_be_known_or_kept_does_not_go() -> None:
    with pytest.raises(RefusedError, match="may not be read"):
        planned(SCALE, definition(None))
    many = tuple(ObjectRef("example.org/v1", "Thing", f"t{n}", NS) for n in range(MOST + 1))
    with pytest.raises(TooLarge, match="1001"):
        planned(SCALE, definition(many))
    kept = msgspec.structs.replace(definition(None), kept=True)
    assert planned(SCALE, kept)[0].action == "helm.rollback"


def test_what_goes_with_a_definition_is_named_captured_and_made_again_by_an_undo() -> None:
    mine = item("Thing", {"spec": {}}, None, gone=True)
    others = tuple(ObjectRef("example.org/v1", "Thing", name, NS) for name in ("a", "web"))
    one = analysis(mine, definition(others))
    rollback = steps(one, TARGET, "secret", NOW)[0]
    assert {ref.name for ref in rollback.destroys} == {"a", "web", "things.example.org"}
    assert rollback.compensation is not None and rollback.compensation.action == "helm.restore-live"
    # What the release itself has is made by Helm.
    assert [entry["name"] for entry in rollback.compensation.params["again"]] == ["a"]
    shown = [change for change in changes(one).objects if change.ref.kind == "Thing"]
    assert [(change.ref.name, change.action) for change in shown] == [("a", "delete"), ("web", "delete")]
