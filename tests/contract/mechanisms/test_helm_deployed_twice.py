# SPDX-License-Identifier: Apache-2.0
"""Two revisions that both say deployed: named wherever somebody looks, and set right by the next rollback."""

from __future__ import annotations

import base64
import gzip
import json

from cluster_harness.http import STRATEGIC
from helm_world import RELEASE, World, wait

from backout.cluster.client import KubernetesCluster
from backout.diagnosis.diagnose import diagnose
from backout.helm.deployed import superseded
from backout.mechanisms.helm.mechanism import HelmMechanism
from backout.mechanisms.port import Measure
from backout.model.diagnosis import Diagnosis
from backout.model.measured import Measured
from backout.model.part import Check
from backout.planning.choice import choose

SECRETS = "/api/v1/namespaces/{ns}/secrets/sh.helm.release.v1.{release}.v{number}"


def record(world: World, number: int) -> str:
    return SECRETS.format(ns=world.namespace, release=RELEASE, number=number)


def deployed_twice(world: World) -> None:
    world.install()
    world.upgrade(mode="other")
    labels = {"metadata": {"labels": {"status": "deployed"}}}
    world.harness.patch(record(world, 1), labels, STRATEGIC).ok()
    assert world.statuses() == ["deployed", "deployed"]
    world.until_healthy()


def measured(world: World, check: Check) -> Measured:
    async def work(cluster: KubernetesCluster) -> Measured:
        measure: Measure = HelmMechanism().measurements()[check.code]  # type: ignore[type-arg]
        return await measure(check, cluster)

    return world.use(work)


def test_it_is_named_and_the_next_rollback_sets_it_right(world: World) -> None:
    deployed_twice(world)

    async def look(cluster: KubernetesCluster) -> Diagnosis:
        return await diagnose(cluster, world.namespace)

    seen = world.use(look)
    assert not seen.healthy and [one.owners for one in seen.unseen] == [(world.target,)]
    assert "Revisions 1, 2 all say deployed" in str(seen.blind[0])
    # What is in force is good once its pods have been ready for a while.
    wait(
        lambda: any((one.number, one.goodness) == (2, "good") for one in world.history()), 120, "revision 2 to be good"
    )
    history = world.history()
    assert all(any("1, 2 all say" in str(reason) for reason in one.reasons) for one in history), history
    assert history[-1].current and not history[-1].settled
    # What is live may be either: the good revision in force is applied once more.
    assert choose(world.target, history).revision.number == 2

    draft = world.draft(2)
    assert any(risk.code == "several-deployed" for risk in draft.risks)
    check = next(one for one in draft.checks if one.code == "release-deployed")
    assert measured(world, check).status == "unknown"
    step = next(one for one in draft.steps if one.action == "helm.rollback")
    assert step.params["reapply"]
    assert world.execute(step)[0].changed
    assert world.statuses() == ["superseded", "superseded", "deployed"]
    assert measured(world, check).status == "pass"
    assert world.use(look).healthy


def test_a_record_that_comes_back_says_superseded_in_both_places(world: World) -> None:
    world.install()
    stored = {"apiVersion": "v1", "kind": "Secret", **world.live(record(world, 1).replace(world.namespace, "{ns}", 1))}
    back = superseded(stored)
    assert back["metadata"]["labels"]["status"] == "superseded"
    content = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(back["data"]["release"]))))
    before = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(stored["data"]["release"]))))
    assert content["info"].pop("status") == "superseded" and before["info"].pop("status") == "deployed"
    assert content == before
    assert superseded(back) == back and stored["metadata"]["labels"]["status"] == "deployed"
