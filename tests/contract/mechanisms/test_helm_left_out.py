# SPDX-License-Identifier: Apache-2.0
"""What a rollback would delete and somebody wants to stay: both helms heed the mark, and its undo takes that away again."""

from __future__ import annotations

import pytest
from cluster_harness.http import STRATEGIC
from helm_world import World, compensation

from backout.errors import PreconditionFailed
from backout.mechanisms.port import Options
from backout.model.skip import parse_skip

EXTRA = "/api/v1/namespaces/{ns}/configmaps/extra"
SKIP = Options(skip=(parse_skip("cm/extra"), parse_skip("configmaps/kept"), parse_skip("sts/db")))


def mark(world: World) -> str | None:
    notes: dict[str, str] = world.live(EXTRA)["metadata"].get("annotations") or {}
    return notes.get("helm.sh/resource-policy")


def test_it_is_marked_and_stays(world: World) -> None:
    world.install()
    world.upgrade(extra="true")
    uid = world.live(EXTRA)["metadata"]["uid"]
    draft = world.draft(1, SKIP)
    assert [str(ref) for ref, _ in draft.skipped] == ["configmap/extra", "configmap/kept"]
    assert [str(ref) for ref, _ in draft.unskippable] == ["statefulset/db"]
    keep, back = (next(one for one in draft.steps if one.action == action) for action in ("helm.keep", "helm.rollback"))
    assert draft.steps.index(keep) < draft.steps.index(back) and not back.destroys
    check = next(one for one in draft.checks if one.code == "left-out")

    outcome, context = world.execute(keep)
    assert outcome.changed and context.guards == 1 and mark(world) == "keep"
    again, context = world.execute(keep)
    assert not again.changed and context.guards == 0
    world.execute(back)
    assert world.live(EXTRA)["metadata"]["uid"] == uid and check.params["objects"][0]["uid"] == uid

    undone, _ = world.execute(compensation(keep))
    assert undone.changed and mark(world) is None
    assert not world.execute(compensation(keep))[0].changed


def test_a_mark_of_others_and_an_object_that_was_made_anew_are_left_alone(world: World) -> None:
    world.install()
    world.upgrade(extra="true")
    keep = next(one for one in world.draft(1, SKIP).steps if one.action == "helm.keep")
    path = EXTRA.format(ns=world.namespace)
    notes = {"metadata": {"annotations": {"helm.sh/resource-policy": "delete"}}}
    world.harness.patch(path, notes, STRATEGIC).ok()
    with pytest.raises(PreconditionFailed, match="changed meanwhile"):
        world.execute(keep)
    obj = world.live(EXTRA)
    world.harness.delete(path).ok()
    meta = {"name": "extra", "namespace": world.namespace}
    world.harness.post(path.rpartition("/")[0], {**obj, "metadata": meta}).ok()
    with pytest.raises(PreconditionFailed, match="made again"):
        world.execute(keep)


def test_helm_deletes_nothing_that_the_plan_does_not_name(world: World) -> None:
    """A mark that held an object back is taken away after the plan: it was neither shown nor captured."""
    world.install()
    world.upgrade(extra="true")
    keep = next(one for one in world.draft(1, SKIP).steps if one.action == "helm.keep")
    back = next(one for one in world.draft(1, SKIP).steps if one.action == "helm.rollback")
    with pytest.raises(PreconditionFailed, match="configmap/extra"):
        world.execute(back)
    assert world.statuses() == ["superseded", "deployed"] and mark(world) is None
    world.execute(keep)
    assert world.execute(back)[0].changed
