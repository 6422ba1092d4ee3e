# SPDX-License-Identifier: Apache-2.0
"""The helm mechanism with real helms against a whole API server: find the good revision, go back, undo, refuse."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cluster_harness.http import STRATEGIC
from helm_world import BAD, RELEASE, World, compensation, wait

from backout.changes.timeline import changes as ledger
from backout.cluster.client import KubernetesCluster
from backout.errors import PreconditionFailed, RefusedError, ReleaseNotFound
from backout.model.change import Changes
from backout.model.part import Access, Risk, Step
from backout.model.scope import ClusterIdentity
from backout.planning.choice import choose
from backout.snapshots.capture import Capture, CaptureStore

STATEFULSET = "/apis/apps/v1/namespaces/{ns}/statefulsets/db"
DEPLOYMENT = "/apis/apps/v1/namespaces/{ns}/deployments/web"


def image(world: World, path: str) -> str:
    found: str = world.live(path)["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def verdicts(world: World) -> str:
    return "".join(revision.goodness[0] for revision in world.history())


def chosen(world: World) -> int:
    return choose(world.target, world.history()).revision.number


def looked_at(world: World, number: int) -> tuple[Changes, tuple[Risk, ...], tuple[Access, ...]]:
    draft = world.draft(number)
    return draft.changes, draft.risks, draft.access


def test_a_crashing_set_goes_back_to_the_revision_that_still_serves_and_forward_again(world: World) -> None:
    world.install()
    world.until_healthy()
    world.upgrade(tag="1.1", web="1.1")
    world.until_healthy()
    world.upgrade(tag=f"1.2-{BAD}", web="1.1", extra="true")
    world.until_crashing()
    history = world.history()
    assert [revision.goodness for revision in history] == ["unknown", "good", "bad"]
    assert [revision.current for revision in history] == [False, False, True]
    assert history[1].chart == "tiny-shop-1.2.3-rc.1" and "registry.example/db:1.1" in history[1].images
    assert chosen(world) == 2

    preview, risks, rights = looked_at(world, 2)
    shown = {str(change.ref): change for change in preview.objects}
    assert preview.objects[0].ref.name == "extra" and preview.objects[0].action == "delete"
    assert shown["configmap/kept"].action == "keep" and shown["configmap/kept"].notes
    fields = {field.path: (field.before, field.after) for field in shown["statefulset/db"].fields}
    name = "spec.template.spec.containers[name=db].image"
    assert fields == {name: (f"registry.example/db:1.2-{BAD}", "registry.example/db:1.1")}
    assert shown["deployment/web"].action == "keep" and not shown["deployment/web"].notes
    assert "hunter2" not in msgspec.json.encode(preview).decode()
    assert Access("delete", "", "configmaps", world.namespace) in rights

    step = next(step for step in world.steps(2) if step.action == "helm.rollback")
    outcome, context = world.execute(step)
    assert outcome.changed and outcome.data["revision"] == 4 and context.guards
    assert world.statuses() == ["superseded", "superseded", "superseded", "deployed"]
    assert image(world, STATEFULSET) == "registry.example/db:1.1"
    assert world.harness.get(f"/api/v1/namespaces/{world.namespace}/configmaps/extra").status == 404
    assert world.harness.get(f"/api/v1/namespaces/{world.namespace}/configmaps/kept").status == 200
    again, context = world.execute(step)
    assert not again.changed and context.guards == 0 and len(world.statuses()) == 4

    # Helm is done, but the set's bad pod is not: the release is where it should be, the cluster is not.
    current = world.history()[-1]
    assert current.current and not current.settled and chosen(world) == 4

    if world.waiting == "--wait":
        # Helm 3 stops at the object that was kept, after it wrote others: refused before that, and told in the plan.
        assert any(risk.code == "undo-blocked" for risk in risks)
        with pytest.raises(PreconditionFailed, match="configmap/kept"):
            world.execute(compensation(step))
        assert len(world.statuses()) == 4
        world.harness.delete(f"/api/v1/namespaces/{world.namespace}/configmaps/kept").ok()
    undone, _ = world.execute(compensation(step))
    assert undone.changed and undone.data["revision"] == 5
    assert image(world, STATEFULSET) == f"registry.example/db:1.2-{BAD}"
    assert world.harness.get(f"/api/v1/namespaces/{world.namespace}/configmaps/extra").status == 200
    assert not world.execute(compensation(step))[0].changed


def test_three_bad_revisions_of_which_helm_calls_one_superseded_and_one_deployed(world: World) -> None:
    world.install(tag="1.0")
    world.until_healthy()
    world.upgrade(tag="1.1")
    world.until_healthy()
    world.upgrade(tag=f"2.0-{BAD}")
    world.until_crashing()
    world.upgrade("--wait", "--timeout", "3s", check=False, tag=f"2.1-{BAD}")
    world.upgrade(tag=f"2.2-{BAD}")
    assert world.statuses() == ["superseded", "superseded", "superseded", "failed", "deployed"]
    assert verdicts(world)[1:4] == "gbb"
    assert chosen(world) == 2


def test_a_deployment_that_never_took_over(world: World) -> None:
    world.install(web="1.0")
    world.until_healthy()
    world.upgrade(web=f"1.1-{BAD}")
    world.until_crashing("web-")
    world.upgrade(web=f"1.2-{BAD}")
    wait(lambda: image(world, DEPLOYMENT).endswith(f"1.2-{BAD}"), 30, "the second upgrade")
    assert chosen(world) == 1


def test_helm_killed_in_an_upgrade_and_again_in_the_rollback(world: World) -> None:
    world.install(tag="1.0")
    world.until_healthy()
    flags = ("--set-string", f"tag=1.1-{BAD}", world.waiting)
    world.killed(
        lambda: world.statuses()[-1] == "pending-upgrade" and image(world, STATEFULSET).endswith(BAD),
        "upgrade",
        RELEASE,
        str(world.chart),
        *flags,
    )
    world.until_crashing()
    world.killed(
        lambda: world.statuses()[-1] == "pending-rollback" and not image(world, STATEFULSET).endswith(BAD),
        "rollback",
        RELEASE,
        "1",
        world.waiting,
    )
    assert world.statuses() == ["deployed", "pending-upgrade", "pending-rollback"]
    assert chosen(world) == 1
    repair, rollback, *_ = world.steps(1)
    assert (repair.action, rollback.action) == ("helm.repair-pending", "helm.rollback")
    watched, context = world.execute(msgspec.structs.replace(repair, params={**repair.params, "observe": 2.0}))
    assert not watched.changed and context.guards == 0
    assert world.execute(rollback)[0].changed
    assert world.statuses()[-1] == "deployed" and len(world.statuses()) == 4


def test_a_pending_release_on_which_somebody_works_is_left_alone(world: World) -> None:
    world.install(tag="1.0")
    world.until_healthy()
    flags = ("--set-string", f"tag=1.1-{BAD}", world.waiting)
    world.killed(lambda: world.statuses()[-1] == "pending-upgrade", "upgrade", RELEASE, str(world.chart), *flags)
    repair, rollback, *_ = world.steps(1)
    patient = msgspec.structs.replace(repair, params={**repair.params, "observe": 60.0})
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(world.execute, patient)
        world.helm("rollback", RELEASE, "1")
        with pytest.raises(PreconditionFailed):
            watching.result(90)
    with pytest.raises(PreconditionFailed):
        world.execute(repair)
    assert not world.execute(rollback)[0].changed, "somebody else went back to the very same content"
    assert world.statuses()[-1] == "deployed" and len(world.statuses()) == 3


def test_a_release_that_moved_on_since_the_plan_is_left_alone(world: World) -> None:
    world.install(tag="1.0")
    world.upgrade(tag="1.1")
    step = next(step for step in world.steps(1) if step.action == "helm.rollback")
    world.upgrade(tag="1.2")
    with pytest.raises(PreconditionFailed) as caught:
        world.execute(step)
    assert "revision 3" in caught.value.found.format(**caught.value.arguments)
    assert len(world.statuses()) == 3


def test_an_edited_record_of_the_target_is_noticed(world: World) -> None:
    world.install(tag="1.0")
    world.upgrade(tag="1.1")
    step = next(step for step in world.steps(1) if step.action == "helm.rollback")
    tampered = msgspec.structs.replace(step, params={**step.params, "digest": "0" * 64})
    with pytest.raises(PreconditionFailed):
        world.execute(tampered)
    assert len(world.statuses()) == 2


def test_a_set_of_another_service_is_made_anew_with_its_pods_and_keeps_its_claims(world: World) -> None:
    world.install(service="db", claim="1Gi")
    world.until_healthy()
    world.harness.delete(STATEFULSET.format(ns=world.namespace), {"propagationPolicy": "Orphan"})
    wait(lambda: world.harness.get(STATEFULSET.format(ns=world.namespace)).status == 404, 30, "the set to go")
    world.upgrade(service="db2", claim="1Gi")
    world.until_healthy()
    _, risks, _ = looked_at(world, 1)
    assert any(risk.code == "recreate" and risk.needs_approval and "serviceName" in str(risk.message) for risk in risks)
    before = {pod["metadata"]["uid"] for pod in world.pods() if pod["metadata"]["name"].startswith("db-")}
    step = next(step for step in world.steps(1) if step.action == "helm.rollback")
    assert world.execute(step)[0].changed
    assert world.live(STATEFULSET)["spec"]["serviceName"] == "db"
    world.until_healthy()
    after = {pod["metadata"]["uid"] for pod in world.pods() if pod["metadata"]["name"].startswith("db-")}
    assert len(after) == len(before) and not after & before
    assert not world.execute(step)[0].changed
    world.execute(compensation(step))
    assert world.live(STATEFULSET)["spec"]["serviceName"] == "db2"


def test_a_set_with_another_claim_size_is_made_anew_around_its_pods(world: World) -> None:
    world.install(claim="1Gi")
    world.until_healthy()
    world.harness.delete(STATEFULSET.format(ns=world.namespace), {"propagationPolicy": "Orphan"})
    wait(lambda: world.harness.get(STATEFULSET.format(ns=world.namespace)).status == 404, 30, "the set to go")
    world.upgrade(claim="2Gi")
    world.until_healthy()
    before = {pod["metadata"]["uid"] for pod in world.pods() if pod["metadata"]["name"].startswith("db-")}
    preview, risks, rights = looked_at(world, 1)
    shown = next(change for change in preview.objects if change.ref.name == "db")
    assert shown.action == "recreate" and shown.destructive
    paths = [field.path for field in shown.fields]
    assert paths == ["spec.volumeClaimTemplates[metadata.name=data].spec.resources.requests.storage"]
    assert any(risk.code == "recreate" and risk.needs_approval for risk in risks)
    assert Access("delete", "apps", "statefulsets", world.namespace) in rights
    step = next(step for step in world.steps(1) if step.action == "helm.rollback")
    outcome, context = world.execute(step)
    assert outcome.changed and context.guards
    claims = world.live(STATEFULSET)["spec"]["volumeClaimTemplates"]
    assert claims[0]["spec"]["resources"]["requests"]["storage"] == "1Gi"
    world.until_healthy()
    after = {pod["metadata"]["uid"] for pod in world.pods() if pod["metadata"]["name"].startswith("db-")}
    assert after == before, "the pods were to be left alone"
    world.execute(compensation(step))
    claims = world.live(STATEFULSET)["spec"]["volumeClaimTemplates"]
    assert claims[0]["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_what_was_changed_past_helm_is_shown_with_its_writer_reset_and_put_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.install(web="1.0")
    world.until_healthy()
    patch = {
        "spec": {"template": {"spec": {"containers": [{"name": "web", "image": f"registry.example/web:9-{BAD}"}]}}}
    }
    world.harness.patch(
        DEPLOYMENT.format(ns=world.namespace), patch, STRATEGIC, query={"fieldManager": "kubectl-set"}
    ).ok()
    world.until_crashing("web-")
    # A template whose pods are all young is not called good at once: a crash loop is ready now and then.
    wait(lambda: verdicts(world) == "g", 60, "the pods to have been ready for a while")
    assert not world.history()[0].settled
    assert chosen(world) == 1
    preview, risks, _ = looked_at(world, 1)
    shown = next(change for change in preview.objects if change.ref.name == "web")
    assert [field.path for field in shown.fields] == ["spec.template.spec.containers[name=web].image"]
    step = next(step for step in world.steps(1) if step.action == "helm.rollback")
    if step.params["apply"] == "ssa":
        assert step.params["force_conflicts"] is True
        assert "kubectl-set" in str(next(risk for risk in risks if risk.code == "takeover").message)
    back = captured(world, step, tmp_path, monkeypatch)
    assert world.execute(step)[0].changed
    assert image(world, DEPLOYMENT) == "registry.example/web:1.0"
    assert not world.execute(step)[0].changed

    # No revision of Helm's knows what was live: the capture does.
    undone, context = world.execute(back)
    assert undone.changed and context.guards == 1 and "deployment/web" in str(undone.message)
    assert image(world, DEPLOYMENT) == f"registry.example/web:9-{BAD}"
    assert len(world.statuses()) == 2 and not world.execute(back)[0].changed
    # Deleted and made anew since: another object, which is left alone.
    world.harness.delete(DEPLOYMENT.format(ns=world.namespace)).ok()
    world.upgrade(web="1.0")
    with pytest.raises(PreconditionFailed):
        world.execute(back)


def captured(world: World, step: Step, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    """The compensation of a step, as an undo would make it, with what is live now captured."""
    monkeypatch.setenv("BACKOUT_DATA", str(folder / "data"))
    assert step.compensation is not None and step.compensation.action == "helm.restore-live"
    params = step.compensation.params
    assert "hunter2" not in msgspec.json.encode(params).decode()
    live = [world.harness.get(DEPLOYMENT.format(ns=world.namespace)).ok()]
    receipt = CaptureStore().save(
        Capture(run="r1", cluster="c", identity=ClusterIdentity("u", "c"), at=datetime.now(UTC), objects=tuple(live))
    )
    params = {**params, "capture": {"run": "r1", "digest": receipt.digest}}
    return msgspec.structs.replace(step, action=step.compensation.action, params=params, precondition={})


def test_records_in_configmaps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_DRIVER", "configmap")
    world.env["HELM_DRIVER"] = "configmap"
    world.install(tag="1.0")
    world.upgrade(tag="1.1")
    assert [revision.number for revision in world.history()] == [1, 2]
    step = next(step for step in world.steps(1) if step.action == "helm.rollback")
    # The driver is the plan's, whatever the environment says later.
    monkeypatch.delenv("HELM_DRIVER")
    assert world.execute(step)[0].data["revision"] == 3
    monkeypatch.setenv("HELM_DRIVER", "sql")
    with pytest.raises(RefusedError):
        world.history()


def test_a_release_that_does_not_exist_and_one_that_was_never_finished(world: World) -> None:
    with pytest.raises(ReleaseNotFound):
        world.history()
    world.killed(
        lambda: world.statuses()[-1:] == ["pending-install"],
        "install",
        RELEASE,
        str(world.chart),
        "--set-string",
        f"tag=1.0-{BAD}",
        world.waiting,
    )
    with pytest.raises(RefusedError) as caught:
        world.steps(1)
    assert "helm uninstall" in caught.value.hint


def test_the_ledger_tells_each_change_once(world: World) -> None:
    world.install(web="1.0")
    world.until_healthy()
    world.upgrade(web="1.1")
    world.until_healthy()
    patch = {"data": {"mode": "by hand"}}
    world.harness.patch(
        f"/api/v1/namespaces/{world.namespace}/configmaps/settings", patch, query={"fieldManager": "kubectl-edit"}
    ).ok()

    async def work(cluster: KubernetesCluster) -> list[tuple[str, str, str]]:
        since = await cluster.server_time() - timedelta(hours=1)
        found = await ledger(cluster, world.namespace, since)
        return [(entry.source, str(entry.target), entry.actor) for entry in found]

    assert world.use(work) == [
        ("helm", f"helm/{RELEASE}", "helm"),
        ("helm", f"helm/{RELEASE}", "helm"),
        ("managedfields", "configmap/settings", "kubectl-edit"),
    ]
