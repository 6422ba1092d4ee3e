# SPDX-License-Identifier: Apache-2.0
"""From an analysis to steps, risks, rights; and every reason to refuse before anything is written."""

from __future__ import annotations

import asyncio
import copy
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from helm_histories import NS, START, fact

from backout.cluster.port import SECRETS, Resource
from backout.errors import BackoutError, Conflict, Invalid, ObjectNotFound, RefusedError, TooLarge
from backout.helm.customs import CustomResource
from backout.helm.payload import Hook
from backout.kube.diff import diff_objects
from backout.mechanisms.common.made import Child
from backout.mechanisms.helm.along import MOST
from backout.mechanisms.helm.analysis import Analysis, Item, held
from backout.mechanisms.helm.checks import access, checks
from backout.mechanisms.helm.children import Custom
from backout.mechanisms.helm.immutables import anew_needed
from backout.mechanisms.helm.params import Holder
from backout.mechanisms.helm.preview import changes
from backout.mechanisms.helm.risks import risks
from backout.mechanisms.helm.sparing import skipped, spare, unskippable
from backout.mechanisms.helm.steps import steps
from backout.mechanisms.helm.strays import strays
from backout.model.part import Access
from backout.model.skip import parse_skip
from backout.model.target import ObjectRef, Target
from backout.tools.locate import Tool

TARGET = Target("helm", "web", NS, "c1")
NOW = START + timedelta(hours=2)
HELM3 = Tool("helm", "/bin/helm", "3.18.0", "PATH")


def item(kind: str, live: dict[str, Any] | None, after: dict[str, Any] | None, **more: Any) -> Item:
    group = {
        "StatefulSet": "apps/v1",
        "Deployment": "apps/v1",
        "DaemonSet": "apps/v1",
        "Job": "batch/v1",
        "StorageClass": "storage.k8s.io/v1",
        "IngressClass": "networking.k8s.io/v1",
        "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
        "Thing": "example.org/v1",
    }
    version = group.get(kind, "v1")

    def whole(part: dict[str, Any] | None) -> dict[str, Any] | None:
        if part is None:
            return None
        return {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, **copy.deepcopy(part)}

    found, wanted = whole(live), whole(after)
    values: dict[str, Any] = {
        "ref": ObjectRef(version, kind, "web", NS, "uid"),
        "resource": Resource(version, kind, kind.lower() + "s"),
        "base": found,
        "target": wanted,
        "live": found,
        "after": wanted,
        "fields": diff_objects(found, wanted) if wanted else (),
        "asked": True,
    }
    return Item(**(values | more))


def analysis(*items: Item, status: str = "deployed", head: int = 2, server_side: bool = False) -> Analysis:
    old, new = fact(1, "web:1"), fact(head, "web:2" if head > 1 else "web:1", status=status)
    assert old.release and new.release
    return Analysis(
        head=new.record,
        head_release=new.release,
        target=old.record,
        target_release=old.release,
        server_side=server_side,
        items=items,
    )


def planned(*items: Item, **more: Any) -> list[Any]:
    return steps(analysis(*items, **more), TARGET, "secret", NOW)


SCALE = item("StatefulSet", {"spec": {"replicas": 3}}, {"spec": {"replicas": 2}})


def test_a_rollback_is_followed_by_what_helm_leaves_undone() -> None:
    found = planned(SCALE)
    assert [step.action for step in found] == ["helm.rollback", "workload.replace-stuck-pods", "workload.wait-ready"]
    rollback = found[0]
    assert rollback.params["revision"] == 1 and rollback.precondition["head"] == 2
    assert rollback.compensation.action == "helm.rollback"
    assert rollback.compensation.params["revision"] == 2
    assert rollback.compensation.params["digest"] == rollback.precondition["digest"]
    assert rollback.compensation.params["expect"] == rollback.params["digest"]
    assert len({step.id for step in found}) == len(found)
    msgspec.json.encode(found)


def test_a_pending_release_is_watched_first_and_longer_while_it_is_young() -> None:
    first = planned(SCALE, status="pending-upgrade")[0]
    assert (first.action, first.params["revision"]) == ("helm.repair-pending", 2)
    young = steps(analysis(SCALE, status="pending-upgrade"), TARGET, "secret", START + timedelta(minutes=3))[0]
    assert young.params["observe"] > first.params["observe"]


def test_an_unfinished_first_install_is_refused_with_what_to_do() -> None:
    with pytest.raises(RefusedError) as caught:
        planned(SCALE, status="pending-install", head=1)
    assert "uninstall" in caught.value.hint


INVALID = Invalid("The API server refused: spec: Forbidden: field is immutable")


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


def claims(size: str, name: str = "data") -> dict[str, Any]:
    template = {"metadata": {"name": name}, "spec": {"resources": {"requests": {"storage": size}}}}
    return {"spec": {"volumeClaimTemplates": [template]}}


def test_a_set_with_other_claim_sizes_is_made_anew_around_its_pods_when_that_is_approved() -> None:
    one = item("StatefulSet", claims("2Gi"), claims("1Gi"), refusal=INVALID)
    step = planned(one)[0]
    assert step.params["recreate"] == ["web"] and step.compensation.params["recreate"] == ["web"]
    assert step.destroys == (one.ref,)
    risk = next(risk for risk in risks(analysis(one), None, NOW) if risk.code == "recreate")
    assert risk.needs_approval
    shown = changes(analysis(one)).objects[0]
    assert shown.action == "recreate" and shown.destructive


def test_a_set_with_other_claims_would_not_fit_its_pods_and_is_made_anew_with_them() -> None:
    step = planned(item("StatefulSet", claims("1Gi"), claims("1Gi", name="other"), refusal=INVALID))[0]
    assert not step.params.get("recreate") and [entry["name"] for entry in step.params["anew"]] == ["web"]


def conflict(manager: str) -> Conflict:
    return Conflict(
        "Other managers own fields: {fields}", fields=f'.spec.replicas ("{manager}" using apps/v1)', count=1
    )


def test_what_a_person_set_by_hand_may_be_taken_over_with_approval() -> None:
    one = item("Deployment", {"spec": {"replicas": 5}}, {"spec": {"replicas": 3}}, refusal=conflict("kubectl-scale"))
    step = planned(one, server_side=True)[0]
    assert step.params["force_conflicts"] is True
    found = {risk.code: risk for risk in risks(analysis(one), None, NOW)}
    assert found["takeover"].needs_approval and "kubectl-scale" in str(found["takeover"].message)
    assert "5 to 3" in str(found["replicas"].message)


def test_what_another_controller_owns_is_not_fought() -> None:
    one = item("Deployment", {"spec": {"replicas": 5}}, {"spec": {"replicas": 3}}, refusal=conflict("keda-operator"))
    with pytest.raises(Conflict) as caught:
        planned(one, server_side=True)
    assert "keda-operator" in caught.value.message and ".spec.replicas" in caught.value.message


def test_a_kind_that_the_cluster_does_not_serve_any_more_is_named() -> None:
    one = item("Thing", None, {"spec": {}}, resource=None, refusal=ObjectNotFound("gone"))
    with pytest.raises(BackoutError) as caught:
        planned(one)
    assert "example.org/v1 Thing" in caught.value.message


def test_deletions_come_first_and_weigh_by_what_they_may_hold() -> None:
    gone = item("PersistentVolumeClaim", {"spec": {}}, None, gone=True)
    kept = item("Secret", {"data": {"a": "b"}}, None, gone=True, kept=True)
    found = changes(analysis(SCALE, kept, gone))
    assert [change.action for change in found.objects] == ["delete", "update", "keep"]
    assert found.objects[0].destructive
    risk = next(risk for risk in risks(analysis(gone), None, NOW) if risk.code == "deletes")
    assert risk.needs_approval
    assert planned(gone)[0].destroys == (gone.ref,)


def test_drift_in_a_custom_resource_that_client_side_apply_keeps_is_told() -> None:
    live, manifest = {"spec": {"retention": "2d"}}, {"spec": {"retention": "10d"}}
    one = item("Thing", live, live)
    one = msgspec.structs.replace(one, base={**(one.base or {}), **manifest}, target={**(one.target or {}), **manifest})
    assert "spec.retention" in str(changes(analysis(one)).objects[0].notes)
    assert not changes(analysis(one, server_side=True)).objects[0].notes


def test_helm_3_on_a_release_of_helm_4_is_a_risk() -> None:
    old, new = fact(1, "web:1"), fact(2, "web:2")
    assert old.release and new.release
    by_four = msgspec.structs.replace(new.release, apply_method="ssa")
    found = Analysis(
        head=new.record,
        head_release=by_four,
        target=old.record,
        target_release=old.release,
        server_side=False,
        items=(),
    )
    assert "helm-major" in {risk.code for risk in risks(found, HELM3, NOW)}


def test_checks_and_rights_cover_what_the_steps_touch() -> None:
    gone = item("ConfigMap", {"data": {}}, None, gone=True)
    found = analysis(SCALE, gone)
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}}\n"
    release = msgspec.structs.replace(found.target_release, manifest=f"{found.target_release.manifest}\n---\n{service}")
    found = msgspec.structs.replace(found, target_release=release)
    codes = [check.code for check in checks(found, TARGET)]
    assert codes[:3] == ["release-deployed", "workload-ready", "no-new-restarts"]
    assert "endpoints" in codes
    rights = access(found, "secret")
    for wanted in (
        Access("create", "", SECRETS.plural, NS),
        Access("update", "", "secrets", NS),
        Access("patch", "apps", "statefulsets", NS),
        Access("delete", "", "configmaps", NS),
        Access("delete", "", "pods", NS),
        Access("watch", "", "pods", NS),
    ):
        assert wanted in rights
    assert Access("delete", "apps", "statefulsets", NS) not in rights
    assert len(set(rights)) == len(rights)


def test_making_a_set_anew_needs_the_right_to_delete_and_create_it() -> None:
    one = item("StatefulSet", claims("2Gi"), claims("1Gi"), refusal=INVALID)
    rights = access(analysis(one), "secret")
    assert Access("delete", "apps", "statefulsets", NS) in rights
    assert Access("create", "apps", "statefulsets", NS) in rights


def actions(*items: Item) -> list[tuple[str, Any]]:
    found = [step for step in planned(*items) if step.action != "helm.rollback"]
    assert len({step.id for step in found}) == len(found)
    return [
        (step.action.removeprefix("workload."), step.params.get("partition", step.params.get("paused")))
        for step in found
    ]


def test_a_partition_that_somebody_left_is_taken_away_but_not_the_chart_s_own() -> None:
    live = {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}}
    left = msgspec.structs.replace(item("StatefulSet", live, live), target={"spec": {}})
    assert actions(left) == [("set-partition", 0), ("replace-stuck-pods", None), ("wait-ready", None)]
    assert actions(item("StatefulSet", live, live)) == [("replace-stuck-pods", None), ("wait-ready", None)]


def test_an_account_that_the_server_keeps_is_taken_away_but_not_one_that_the_target_names() -> None:
    spec = {"template": {"spec": {"serviceAccountName": "runner", "serviceAccount": "runner"}}}
    live = {"metadata": {"name": "x"}, "spec": spec}
    plain = {"spec": {"template": {"spec": {}}}}
    kept = msgspec.structs.replace(item("DaemonSet", live, plain), after=live)
    assert [action for action, _ in actions(kept)] == ["set-account", "wait-ready"]
    named = msgspec.structs.replace(item("DaemonSet", live, live), after=live)
    assert [action for action, _ in actions(named)] == ["wait-ready"]


def test_a_paused_deployment_is_resumed_and_paused_again() -> None:
    live = {"spec": {"paused": True}}
    left = msgspec.structs.replace(item("Deployment", live, live), target={"spec": {}})
    assert actions(left) == [("set-paused", False), ("wait-ready", None), ("set-paused", True)]


def test_pods_of_a_set_that_nobody_updates_are_replaced_and_parallel_ones_mend_themselves() -> None:
    on_delete = {"spec": {"updateStrategy": {"type": "OnDelete"}}}
    assert actions(item("StatefulSet", on_delete, on_delete))[0][0] == "delete-outdated-pods"
    parallel = {"spec": {"podManagementPolicy": "Parallel"}}
    assert actions(item("StatefulSet", parallel, parallel)) == [("wait-ready", None)]


def test_taking_it_back_needs_to_create_what_is_deleted_and_to_delete_what_is_created() -> None:
    gone = item("ConfigMap", {"data": {}}, None, gone=True)
    made = msgspec.structs.replace(item("Service", None, {"spec": {}}), base=None)
    rollback = planned(SCALE, gone, made)[0]
    forward, back = access(analysis(SCALE, gone, made), "secret"), rollback.compensation.access
    assert Access("create", "", "services", NS) in forward and Access("create", "", "configmaps", NS) not in forward
    assert Access("create", "", "configmaps", NS) in back and Access("delete", "", "services", NS) in back
    assert not {Access("delete", "", "configmaps", NS), Access("create", "", "services", NS)} & set(back)
    assert Access("patch", "apps", "statefulsets", NS) in back and Access("create", "", "secrets", NS) in back


def test_what_no_revision_holds_is_taken_back_from_the_capture() -> None:
    live, manifest = {"spec": {"replicas": 3, "template": {"a": 1}}}, {"spec": {"replicas": 3, "template": {"a": 2}}}
    astray = item(
        "StatefulSet",
        live,
        manifest,
        base={"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, **manifest},
    )
    lost = msgspec.structs.replace(item("ConfigMap", None, {"data": {}}), base={"data": {}})
    back = planned(astray, lost, status="pending-upgrade")[1].compensation
    assert back.action == "helm.restore-live"
    assert [(entry["uid"], entry["parts"]) for entry in back.params["objects"]] == [("uid", ["spec.template"])]
    assert [entry["kind"] for entry in back.params["remove"]] == ["ConfigMap"]
    assert back.params["rollback"]["revision"] == 2
    assert {Access("patch", "apps", "statefulsets", NS), Access("delete", "", "configmaps", NS)} <= set(back.access)


def test_undo_never_deletes_what_may_hold_data_and_the_plan_says_so() -> None:
    lost = msgspec.structs.replace(item("PersistentVolumeClaim", None, {"spec": {}}), base={"spec": {}})
    assert planned(lost)[0].compensation.action == "helm.rollback"
    assert "undo-keeps" in {risk.code for risk in risks(analysis(lost), None, NOW)}


def test_nothing_to_take_back_where_only_the_record_changed() -> None:
    old = analysis(SCALE, status="pending-rollback")
    same = msgspec.structs.replace(old, head_release=old.target_release)
    assert steps(same, TARGET, "secret", NOW)[1].compensation is None


@pytest.mark.parametrize(
    ("status", "words"), [("deployed", "outside of Helm"), ("failed", "is failed"), ("pending-upgrade", "not applied")]
)
def test_a_difference_from_the_newest_revision_is_worded_by_its_case(status: str, words: str) -> None:
    astray = item("Deployment", {"spec": {"a": 1}}, {"spec": {"a": 2}}, base={"spec": {"a": 2}})
    notes = str(changes(analysis(astray, status=status)).objects[0].notes)
    assert words in notes and ("outside of Helm" in notes) == (status == "deployed")


def test_without_hooks_helm_runs_none_and_the_plan_says_which() -> None:
    one = analysis(SCALE)
    hook = Hook(name="migrate", kind="Job", events=("pre-rollback",))
    one = msgspec.structs.replace(one, target_release=msgspec.structs.replace(one.target_release, hooks=(hook,)))
    without = msgspec.structs.replace(one, hooks=False)
    assert "no_hooks" not in steps(one, TARGET, "secret", NOW)[0].params
    step = steps(without, TARGET, "secret", NOW)[0]
    assert step.params["no_hooks"] and step.compensation and step.compensation.params["no_hooks"]
    assert "will run" in str(changes(one).notes) and "job/migrate will not run" in str(changes(without).notes)
    assert {"hooks", "no-hooks"} & {risk.code for risk in risks(without, None, NOW)} == {"no-hooks"}
    job = Access("create", "batch", "jobs", NS)
    assert job in access(one, "secret") and job not in access(without, "secret")


def operated(*children: Child, changed: bool = True, status: dict[str, Any] | None = None) -> Analysis:
    """The release's custom resource, of which its operator makes ``children``."""
    thing = item("Thing", {"spec": {"size": 2 if changed else 1}, "status": status or {}}, {"spec": {"size": 1}})
    described = CustomResource(api_version="example.org/v1", kind="Thing", name="web", namespace=NS, key="1")
    made = Custom(resource=described, children=children, served=thing.resource)
    return msgspec.structs.replace(analysis(thing), customs={described.id: made} if children else {})


def child(kind: str = "StatefulSet", **more: Any) -> Child:
    return Child(kind=kind, name="web-set", namespace=NS, uid="u1", generation=3, **more)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (operated(child()), ["helm.wait-operator"]),
        (operated(child(ordered=True)), ["helm.wait-operator", "workload.replace-stuck-pods", "helm.wait-operator"]),
        (
            operated(child(on_delete=True)),
            ["helm.wait-operator", "workload.delete-outdated-pods", "helm.wait-operator"],
        ),
        (operated(child(ordered=True), changed=False), ["workload.replace-stuck-pods", "helm.wait-operator"]),
        (operated(status={"phase": "Running"}), ["helm.wait-operator"]),
        (operated(), []),
    ],
)
def test_what_an_operator_makes_is_waited_for_after_the_rollback(made: Analysis, expected: list[str]) -> None:
    found = steps(made, TARGET, "secret", NOW)
    assert [step.action for step in found] == ["helm.rollback", *expected]
    assert len({step.id for step in found}) == len(found)


def test_a_custom_resource_is_measured_where_the_way_back_changes_it_or_something_is_made_of_it() -> None:
    found = {c.code: c for c in checks(operated(child()), TARGET)}
    assert found["custom-resource"].params["known"] == [
        {"kind": "StatefulSet", "name": "web-set", "namespace": NS, "uid": "u1", "generation": 3}
    ]
    assert found["custom-resource"].params["changed"] is True
    assert found["no-new-restarts"].params["workloads"] == [{"kind": "StatefulSet", "name": "web-set"}]
    assert "custom-resource" in {c.code for c in checks(operated(), TARGET)}
    assert "custom-resource" not in {c.code for c in checks(operated(changed=False), TARGET)}


def test_pods_of_an_operators_set_are_deleted_only_with_the_right_to() -> None:
    delete = Access("delete", "", "pods", NS)
    assert delete in access(operated(child(ordered=True)), "secret")
    plain = access(operated(child()), "secret")
    assert delete not in plain
    assert Access("watch", "example.org", "things", NS) in plain


@pytest.mark.parametrize(
    ("said", "live", "astray"),
    [
        ({"replicas": 1, "template": {"spec": {"hostNetwork": False}}}, {"replicas": 1, "template": {"spec": {}}}, ()),
        ({"replicas": 1, "paused": False}, {"replicas": 1}, ()),
        ({"replicas": 1, "paused": False}, {"replicas": 1, "paused": True}, ("spec.paused",)),
        ({"replicas": 1}, {"replicas": 1, "minReadySeconds": 5}, ()),
        ({"replicas": 1}, {"replicas": 2}, ("spec.replicas",)),
    ],
)
def test_zero_values_of_a_manifest_are_no_difference_for_an_undo(
    said: dict[str, Any], live: dict[str, Any], astray: tuple[str, ...]
) -> None:
    thing = item(
        "Deployment",
        {"spec": live},
        {"spec": {"replicas": 3}},
        base={"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": said},
    )
    found = strays(analysis(thing))
    assert (found[0].parts if found else ()) == astray


@pytest.mark.parametrize(
    ("minutes", "failing", "starting", "asked"),
    [
        (1, False, True, True),
        (1, False, False, False),
        (1, True, True, False),
        (60, False, True, None),
        (60, True, False, None),
    ],
)
def test_a_young_pending_release_whose_pods_are_starting_and_do_not_fail_needs_a_yes(
    minutes: int, failing: bool, starting: bool, asked: bool | None
) -> None:
    found = analysis(item("Deployment", {"spec": {"a": 1}}, {"spec": {"a": 2}}), status="pending-upgrade")
    assert found.head.created is not None
    pods = [("Deployment", NS, "web")] if failing else []
    told = risks(found, HELM3, found.head.created + timedelta(minutes=minutes), failing=pods, starting=starting)
    needed = [risk.needs_approval for risk in told if risk.code == "maybe-running"]
    assert needed == ([] if asked is None else [asked])


def reader(mount: str) -> dict[str, Any]:
    """A workload's content that reads the ConfigMap by environment, by subPath, or from a file that follows it."""
    how: dict[str, Any] = {
        "env": {"envFrom": [{"configMapRef": {"name": "web"}}]},
        "key": {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "web", "key": "a"}}}]},
        "other-key": {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "web", "key": "b"}}}]},
        "subPath": {"volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "a"}]},
        "file": {"volumeMounts": [{"name": "v", "mountPath": "/etc/a"}]},
        "nothing": {},
    }[mount]
    pod: dict[str, Any] = {"containers": [{"name": "c", **how}]}
    if "volumeMounts" in how:
        pod["volumes"] = [{"name": "v", "configMap": {"name": "web"}}]
    return {"spec": {"replicas": 1, "template": {"spec": pod}}}


@pytest.mark.parametrize(
    ("mount", "failing", "restarted"),
    [
        ("env", False, True),
        ("key", False, True),
        ("other-key", False, False),
        ("subPath", False, True),
        ("file", False, False),
        ("file", True, True),
        ("nothing", True, False),
        ("other-key", True, False),
    ],
)
def test_who_holds_what_goes_back_is_restarted_and_nobody_else(mount: str, failing: bool, restarted: bool) -> None:
    config = item("ConfigMap", {"data": {"a": "bad", "b": "x"}}, {"data": {"a": "good", "b": "x"}})
    found = analysis(config, item("Deployment", reader(mount), reader(mount)))
    pods = [("Deployment", NS, "web")] if failing else []
    actions = [step.action for step in steps(found, TARGET, "secret", NOW, failing=pods)]
    assert ("workload.restart" in actions) is restarted
    assert any(risk.code == "restart" for risk in risks(found, HELM3, NOW, failing=pods)) is restarted
    if restarted:
        assert actions.index("helm.rollback") < actions.index("workload.restart") < actions.index("workload.wait-ready")


def test_what_the_rollback_rolls_out_anyway_and_what_runs_no_pod_is_not_restarted() -> None:
    config = item("ConfigMap", {"data": {"a": "bad"}}, {"data": {"a": "good"}})
    other = copy.deepcopy(reader("env"))
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
    gone = copy.deepcopy(reader("env"))
    gone["spec"]["replicas"] = 0
    for workload in (item("Deployment", other, reader("env")), item("Deployment", gone, gone)):
        planned_steps = steps(analysis(config, workload), TARGET, "secret", NOW)
        assert "workload.restart" not in [step.action for step in planned_steps]


def owned_by(release: str) -> dict[str, Any]:
    notes = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": NS}
    return {"metadata": {"name": "web", "annotations": notes}}


def test_what_belongs_to_another_release_now_is_not_taken_from_it() -> None:
    theirs = {**owned_by("other"), "data": {"mode": "new"}}
    ours = {**owned_by("web"), "data": {"mode": "old"}}
    with pytest.raises(Invalid) as caught:
        planned(item("ConfigMap", theirs, ours, base=None))
    assert "belongs to helm/other" in caught.value.message
    assert planned(item("ConfigMap", {**ours, "data": {}}, ours, base=None))


def test_nothing_is_written_to_what_is_being_deleted() -> None:
    """What a finalizer still holds takes it along, and Helm calls that a success."""
    ours = {**owned_by("web"), "data": {"mode": "old"}}
    going = {
        **ours,
        "metadata": {**ours["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]},
    }
    with pytest.raises(Invalid) as caught:
        planned(item("ConfigMap", going, ours, base=None))
    assert "is being deleted" in caught.value.message and "a/b" in caught.value.message
    # What the rollback deletes itself may go.
    assert planned(item("ConfigMap", going, None, gone=True))


def test_deleting_what_belongs_to_another_release_needs_a_yes() -> None:
    def approvals(release: str) -> list[str]:
        gone = item("ConfigMap", {**owned_by(release), "data": {}}, None, gone=True)
        return [risk.code for risk in risks(analysis(gone), None, NOW) if risk.needs_approval]

    assert approvals("other") == ["deletes"]
    assert approvals(fact(2, "web:2").record.release) == []


def test_a_partition_of_the_target_is_told() -> None:
    def spec(image: str, partition: int) -> dict[str, Any]:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
        template = {"spec": {"containers": [{"name": "app", "image": image}]}}
        return {"spec": {"replicas": 3, "updateStrategy": strategy, "template": template}}

    def told(partition: int) -> list[str]:
        found = item("StatefulSet", spec("a:2", 0), spec("a:1", partition))
        return [risk.message.text for risk in risks(analysis(found), None, NOW) if risk.code == "partition"]

    assert told(0) == []
    assert "below 2 stay" in told(2)[0]


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
