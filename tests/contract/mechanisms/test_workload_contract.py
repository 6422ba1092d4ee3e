# SPDX-License-Identifier: Apache-2.0
"""The workload mechanism on a whole cluster: the twin, or any other with simulated nodes."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from cluster_harness import Cluster as Harness
from mechanism_helpers import BETTER, CRASH, GOOD, MISSING, WORKLOADS, Bench, Context, failing, image_of, images, run

from backout import errors
from backout.cluster.port import PODS, Resource
from backout.kube.pod_health import health_of
from backout.mechanisms import registry
from backout.mechanisms.common.steps import start_anew, wait_ready
from backout.mechanisms.port import Options
from backout.model.part import Step
from backout.model.target import ObjectRef, Target
from backout.verify.defaults import workload_checks
from backout.verify.verify import verify

KINDS = ["Deployment", "StatefulSet", "DaemonSet"]


async def broken(found: Bench, tag: str = CRASH) -> None:
    """Two good revisions, then a bad one."""
    await found.create(GOOD)
    await found.ready()
    await found.roll_out(BETTER)
    await found.set_image(tag)
    await found.until_failing(tag)


@pytest.mark.parametrize("kind", KINDS)
def test_back_to_the_last_good_revision_and_forward_again(running: Harness, ns: str, kind: str) -> None:
    async def work(found: Bench) -> None:
        await broken(found)
        # Edits after the bad change are somebody's work, and stay.
        await found.patch({"metadata": {"annotations": {"team": "blue"}}})
        if kind != "DaemonSet":
            await found.patch({"spec": {"replicas": 4}})
        history = await found.history()
        assert [revision.images[0].rpartition(":")[2] for revision in history] == [GOOD, BETTER, CRASH]
        assert [revision.current for revision in history] == [False, False, True]
        assert history[1].goodness == "good", history[1].reasons
        assert history[2].goodness == "bad", history[2].reasons
        assert history[0].goodness != "good"
        changes = (await found.draft(history[1])).changes
        assert [change.path for change in changes.objects[0].fields] == [
            "spec.template.spec.containers[name=app].image"
        ]
        before = {pod["metadata"]["uid"] for pod in await found.pods() if image_of(pod) == BETTER}
        steps = await found.plan(BETTER)
        outcomes, _ = await found.carry_out(steps)
        assert outcomes[0].changed
        pods = await found.pods()
        assert images(pods) == {BETTER}
        if kind != "Deployment":
            assert before <= {pod["metadata"]["uid"] for pod in pods}, "pods that were good have been left alone"
        obj = await found.get()
        assert obj["metadata"]["annotations"]["team"] == "blue"
        # A change-cause would stay, and speak for the next revision too.
        assert "kubernetes.io/change-cause" not in obj["metadata"]["annotations"]
        assert obj["spec"].get("replicas", 4) == 4
        current = next(revision for revision in await found.history() if revision.current)
        assert current.digest == history[1].digest
        assert current.created is not None and history[2].created is not None
        assert current.created >= history[2].created, "it came into force after the bad one, whenever it was made"
        if kind == "Deployment":
            assert history[1].number in current.former, "who wrote down its number still finds it"
        # All of it again: everything is there already.
        outcomes, context = await found.carry_out(steps)
        assert not any(outcome.changed for outcome in outcomes)
        assert context.guards == 0
        # And forward again, in another second: what a template's return is dated by counts whole ones.
        await asyncio.sleep(2.1)
        undo = steps[0].compensation
        assert undo is not None
        step = Step(id="undo-undo", action=undo.action, params=undo.params, target=found.target, title=steps[0].title)
        outcomes, _ = await found.carry_out([step])
        assert outcomes[0].changed
        assert await found.image() == CRASH
        assert "kubernetes.io/change-cause" not in (await found.get())["metadata"]["annotations"]
        # Both came back by now: neither is as old as what keeps it.
        again = await found.until_numbered(current.number + 1)
        assert again.created is not None and again.created >= current.created

    run(running, kind, ns, work)


def test_a_stuck_set_is_freed(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await broken(found)
        # As `kubectl rollout undo` leaves it: the template is back, and the set waits for the broken pod for ever.
        await found.set_image(BETTER)
        pods = await found.until(lambda pods: len(pods) == 3 and CRASH in images(pods))
        await asyncio.sleep(1)
        assert CRASH in images(await found.pods()), "this control plane frees stuck sets by itself"
        stuck = [pod["metadata"]["name"] for pod in pods if image_of(pod) == CRASH]
        current = next(revision for revision in await found.until_good(BETTER) if revision.current)
        assert not current.settled
        assert current.images[0].endswith(BETTER)
        changes = (await found.draft(current)).changes
        assert "web-2" in str(changes.objects[0].notes)
        outcomes, context = await found.carry_out(await found.plan(BETTER))
        assert [outcome.changed for outcome in outcomes] == [False, True, False]
        assert outcomes[1].data["pods"] == stuck == ["web-2"]
        assert "exit code 2" in context.messages[0]
        assert images(await found.pods()) == {BETTER}

    run(running, "StatefulSet", ns, work)


def test_a_set_is_freed_all_of_whose_pods_are_stuck(running: Harness, ns: str) -> None:
    """No pod is made again while one of a lower ordinal is not ready: to wait for each in turn would be for ever."""

    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        await found.roll_out(BETTER)
        update = (await found.get())["status"]["updateRevision"]
        name = f"stuck-{ns}"
        rule = {"fault": "crash-exit2", "namespace": ns, "selector": f"controller-revision-hash={update}"}
        labels = {"twin.backout.dev/fault-rule": "true"}
        meta = {"name": name, "namespace": "kube-system", "labels": labels}
        await found.port.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": rule})
        try:
            await found.until(lambda pods: len(pods) == 3 and not any(health_of(pod).ready for pod in pods))
            outcomes, _ = await found.carry_out(await found.plan(GOOD))
        finally:
            await found.port.delete(Resource("v1", "ConfigMap", "configmaps"), name, "kube-system")
        assert outcomes[1].data["pods"] == ["web-2", "web-1", "web-0"]
        assert images(await found.pods()) == {GOOD}
        assert all(health_of(pod).ready for pod in await found.pods())

    run(running, "StatefulSet", ns, work)


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_on_delete_sets_are_replaced_pod_by_pod(running: Harness, ns: str, kind: str) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD, updateStrategy={"type": "OnDelete"})
        await found.ready()
        await found.set_image(CRASH)
        pods = await found.pods()
        await found.port.delete(await found.port.resource("v1", "Pod"), pods[-1]["metadata"]["name"], found.namespace)
        await found.until_failing()
        untouched = {pod["metadata"]["uid"] for pod in await found.pods() if image_of(pod) == GOOD}
        steps = await found.plan(GOOD)
        assert [step.action for step in steps] == [
            "workload.undo",
            "workload.delete-outdated-pods",
            "workload.wait-ready",
        ]
        outcomes, _ = await found.carry_out(steps)
        assert len(outcomes[1].data["pods"]) == 1
        pods = await found.pods()
        assert images(pods) == {GOOD}
        assert untouched <= {pod["metadata"]["uid"] for pod in pods}

    run(running, kind, ns, work)


def test_an_evicted_pod_that_stays_listed_is_in_nobody_s_way(running: Harness, ns: str) -> None:
    """It counts in nothing for the cluster, so it does not for us: not in a wait, a verdict, or a judgement."""

    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        victim = (await found.pods())[0]["metadata"]
        gone = {"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}}
        await found.port.patch(PODS, victim["name"], gone, ns, subresource="status")
        pods = await found.until(lambda pods: len(pods) == 4 and sum(health_of(pod).ready for pod in pods) == 3)
        assert [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Failed"] == [victim["name"]]
        async with asyncio.timeout(600):
            outcome = await found.ready()
        assert (outcome.data["ready"], outcome.data["desired"]) == (3, 3)
        verdict = await verify(found.port, workload_checks(found.target), 1.0, settle=5.0)
        assert verdict.outcome == "recovered", [result.measured.text for result in verdict.checks]
        assert (await found.until_good(GOOD))[-1].current

    run(running, "Deployment", ns, work)


def test_a_left_over_partition_is_lifted_only_where_it_blocks(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        await found.patch({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}})
        await found.set_image(BETTER)
        await found.until(lambda pods: any(image_of(pod) == BETTER for pod in pods) and len(pods) == 3)
        await found.set_image(CRASH)
        await found.until_failing()
        # Below the partition the pods are at GOOD, so that it is not in the way there.
        assert "workload.set-partition" not in [step.action for step in await found.plan(GOOD)]
        steps = await found.plan(BETTER)
        assert "workload.set-partition" in [step.action for step in steps]
        await found.carry_out(steps)
        assert images(await found.pods()) == {BETTER}
        partition = next(step for step in steps if step.action == "workload.set-partition").compensation
        assert partition is not None
        assert partition.params["partition"] == 2

    run(running, "StatefulSet", ns, work)


def test_a_paused_deployment_whose_bad_template_never_rolled_out(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        before = {pod["metadata"]["uid"] for pod in await found.pods()}
        await found.patch({"spec": {"paused": True}})
        await found.set_image(CRASH)
        history = await found.until_good(GOOD)
        assert history[-1].current
        assert not history[-1].settled
        assert "paused" in history[-1].status
        assert [revision.number for revision in history] == [1, 2]
        steps = await found.plan(GOOD)
        assert [step.action for step in steps] == ["workload.undo", "workload.wait-ready"]
        await found.carry_out(steps)
        obj = await found.get()
        assert obj["spec"]["paused"]
        assert await found.image() == GOOD
        assert {pod["metadata"]["uid"] for pod in await found.pods()} == before
        # No revision kept the bad template, so the plan did: it holds no secret.
        undo = steps[0].compensation
        assert undo is not None
        step = Step(id="u", action=undo.action, params=undo.params, target=found.target, title=steps[0].title)
        await found.carry_out([step])
        assert await found.image() == CRASH

    run(running, "Deployment", ns, work)


def test_a_deployment_that_was_paused_half_way_is_resumed_and_paused_again(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        await found.set_image(CRASH)
        await found.until_failing()
        await found.patch({"spec": {"paused": True}})
        steps = await found.plan(GOOD)
        assert [step.id for step in steps] == ["undo", "resume", "wait-ready", "pause"]
        await found.carry_out(steps)
        assert (await found.get())["spec"]["paused"]
        assert images(await found.pods()) == {GOOD}

    run(running, "Deployment", ns, work)


def test_secrets_of_a_template_are_shown_nowhere(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        await found.patch({"spec": {"paused": True}})
        await found.set_image(CRASH, env=[{"name": "DB_PASSWORD", "value": "hunter2"}])
        good = (await found.history())[0]
        draft = await found.draft(good)
        steps = draft.steps
        shown = msgspec.json.encode([draft, await found.history()]).decode()
        assert "hunter2" not in shown
        assert "DB_PASSWORD" in shown
        assert steps[0].compensation is None
        assert "not-undone" in {risk.code for risk in draft.risks}

    run(running, "Deployment", ns, work)


def test_what_somebody_else_owns_needs_a_word(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        await found.roll_out(BETTER)
        good = await found.revision(GOOD)
        annotation = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:x/web"}
        await found.patch({"metadata": {"annotations": annotation}})
        await found.history()
        (kept,) = [risk for risk in (await found.draft(good)).risks if risk.code == "owner"]
        assert kept.needs_approval and "shop" in kept.message.text
        with pytest.raises(errors.ObjectNotFound):
            await WORKLOADS.read(found.port, Target("deployment", "nobody", ns))

    run(running, "Deployment", ns, work)


def test_a_revision_that_fails_itself_is_told_early_and_why(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        await found.set_image(MISSING)
        await found.until_failing(MISSING)
        with pytest.raises(errors.NotVerifiedError, match="ImagePull") as caught:
            await found.ready(patience=1)
        assert caught.value.exit_code == 7

    run(running, "Deployment", ns, work)


def test_a_change_after_the_plan_stops_it(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await broken(found)
        steps = await found.plan(BETTER)
        await found.set_image("3.0")
        with pytest.raises(errors.PreconditionFailed, match="changed after the plan"):
            await found.carry_out(steps[:1])
        assert await found.image() == "3.0"
        await found.port.delete(found.resource, found.name, found.namespace)
        await found.until(lambda pods: not pods)
        await found.create(CRASH)
        with pytest.raises(errors.PreconditionFailed, match="made again"):
            await found.carry_out(steps[:1])

    run(running, "Deployment", ns, work)


def test_a_run_that_was_cut_off_at_each_write_ends_the_same(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await broken(found)
        steps = await found.plan(BETTER)
        # Right before the template goes back, and right before the stuck pod is deleted.
        for stop_at, image in ((1, CRASH), (2, BETTER)):
            with pytest.raises(asyncio.CancelledError):
                await found.carry_out(steps, stop_at=stop_at)
            assert await found.image() == image
            assert CRASH in images(await found.pods())
        outcomes, _ = await found.carry_out(steps)
        assert [outcome.changed for outcome in outcomes] == [False, True, False]
        assert images(await found.pods()) == {BETTER}

    run(running, "StatefulSet", ns, work)


def test_what_the_server_would_refuse_is_known_before(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        await found.roll_out(BETTER)
        good = await found.revision(GOOD)
        draft = await found.draft(good)
        rights = draft.access
        assert all(answer.allowed for answer in await found.port.may(rights))
        assert {(right.verb, right.resource) for right in rights} >= {("patch", "deployments"), ("list", "pods")}
        codes = [check.code for check in draft.checks]
        assert codes[:3] == ["revision-restored", "workload-ready", "no-new-restarts"]
        step = (await found.plan(GOOD))[0]
        assert json.loads(msgspec.json.encode(step))["precondition"]["uid"]
        pruned = msgspec.structs.replace(step, params={**step.params, "digest": "0" * 16, "source": "gone"})
        with pytest.raises(errors.RevisionNotFound, match="not in its history any more"):
            await WORKLOADS.step_kinds()[step.action].effect(Context(found.port), pruned)

    run(running, "Deployment", ns, work)


def test_waiting_ends_when_the_api_server_refuses_the_pods(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": ns}}
        await found.port.create({**quota, "spec": {"hard": {"pods": "2"}}})
        await found.create(GOOD)
        began = asyncio.get_running_loop().time()
        with pytest.raises(errors.NotVerifiedError, match="exceeded quota"):
            await found.ready()
        assert asyncio.get_running_loop().time() - began < 120

    run(running, "Deployment", ns, work)


def test_waiting_ends_where_a_partition_keeps_the_rest(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        partition = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
        await found.patch({"spec": {"updateStrategy": partition}})
        await found.set_image(BETTER)
        outcome = await found.ready()
        assert f"keeps {found.name}-0, {found.name}-1 at another one" in outcome.message.text
        assert [image_of(pod) for pod in await found.pods()].count(BETTER) == 1

    run(running, "StatefulSet", ns, work)


def test_what_a_template_reads_and_is_gone_is_told_and_measured(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old", "namespace": ns}, "data": {}}
        await found.port.create(config)
        await found.create(GOOD)
        await found.set_image(GOOD, envFrom=[{"configMapRef": {"name": "old"}}])
        await found.ready()
        await found.set_image(CRASH, envFrom=[{"configMapRef": {"name": "old"}}])
        await found.until_failing(CRASH)
        revision = (await found.history())[1]
        draft = await found.draft(revision)
        assert "read-objects" not in [risk.code for risk in draft.risks]
        assert "read-objects" in [check.code for check in draft.checks]
        await found.port.delete(Resource("v1", "ConfigMap", "configmaps"), "old", ns)
        draft = await found.draft(revision)
        assert "configmap/old" in next(risk.message.text for risk in draft.risks if risk.code == "read-objects")
        assert (await found.history())[1].goodness == "bad"
        # Another plan of the same run puts it back before.
        coming = Options(coming=(ObjectRef("v1", "ConfigMap", "old", ns),))
        reading = await WORKLOADS.read(found.port, found.target, lambda _: (revision,), coming)
        assert reading.revisions[1].goodness != "bad"
        told = {risk.code: risk.message.text for risk in reading.draft(revision).risks}
        assert "read-objects" not in told and "configmap/old" in told["needs-first"]
        await found.carry_out(list(draft.steps))
        verdict = await verify(found.port, list(draft.checks), 0.0, settle=5.0)
        assert [check.code for check in verdict.checks if check.status == "fail"] == ["read-objects"]

    run(running, "Deployment", ns, work)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_what_waits_for_its_next_start_is_started_anew_and_who_is_well_is_left_alone(
    running: Harness, ns: str, kind: str
) -> None:
    async def work(found: Bench) -> None:
        step = start_anew(ObjectRef("apps/v1", kind, "web", ns), found.target)
        assert not (await found.carry_out([step]))[0][0].changed, "there is nothing yet"
        await found.create()
        await found.ready()
        well = {pod["metadata"]["uid"] for pod in await found.pods()}
        outcomes, context = await found.carry_out([step])
        assert not outcomes[0].changed and not context.guards
        assert {pod["metadata"]["uid"] for pod in await found.pods()} == well
        await found.set_image(CRASH)
        await found.until_failing()
        failed = {
            pod["metadata"]["uid"] for pod in await found.until(lambda pods: any(map(failing, pods))) if failing(pod)
        }
        while failed & {pod["metadata"]["uid"] for pod in await found.pods()}:
            # one that was just started does not fail yet
            await found.carry_out([step])
        assert well & {pod["metadata"]["uid"] for pod in await found.pods()}, "pods that serve were not to be touched"

    run(running, kind, ns, work)


def test_what_still_waits_in_a_back_off_when_a_run_is_resumed_is_started_anew(running: Harness, ns: str) -> None:
    """Else its failing of before would be taken for that of now."""

    async def work(found: Bench) -> None:
        await found.create(CRASH)
        waits = {pod["metadata"]["uid"] for pod in await found.until(lambda pods: any(map(failing, pods)))}
        ref = ObjectRef("apps/v1", "Deployment", "web", ns)
        for again in (False, True):
            context = Context(found.port)
            context.again = again
            with pytest.raises(errors.NotVerifiedError):
                await registry.effect("workload.wait-ready")(context, wait_ready(ref, found.target, patience=1.0))
            assert bool(context.guards) is again
            still = waits & {pod["metadata"]["uid"] for pod in await found.pods()}
            assert (still != waits) is again
            assert any("anew" in message for message in context.messages) is again

    run(running, "Deployment", ns, work)
