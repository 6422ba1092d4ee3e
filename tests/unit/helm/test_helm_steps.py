# SPDX-License-Identifier: Apache-2.0
"""From an analysis to steps, risks, rights; and every reason to refuse before anything is written."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from helm_drafts import HELM3, INVALID, NOW, SCALE, TARGET, analysis, item, planned
from helm_histories import NS, START, fact

from backout.cluster.port import SECRETS
from backout.errors import BackoutError, Conflict, Invalid, ObjectNotFound, RefusedError
from backout.helm.customs import CustomResource
from backout.helm.payload import Hook
from backout.mechanisms.common.made import Child
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.mechanisms.helm.checks import access, checks
from backout.mechanisms.helm.children import Custom
from backout.mechanisms.helm.preview import changes
from backout.mechanisms.helm.risks import risks
from backout.mechanisms.helm.steps import steps
from backout.mechanisms.helm.strays import strays
from backout.model.part import Access


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
