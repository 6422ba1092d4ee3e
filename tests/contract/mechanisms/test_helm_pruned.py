# SPDX-License-Identifier: Apache-2.0
"""Revisions that Helm pruned and a snapshot has: found, judged, brought back by a real helm, taken away again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helm_world import BAD, RELEASE, World

from backout.cluster.client import KubernetesCluster
from backout.errors import (
    BackoutError,
    NoGoodRevision,
    PreconditionFailed,
    RepositoryChanged,
    RepositoryDamaged,
    RepositoryNotFound,
    RevisionNotFound,
)
from backout.mechanisms.helm.mechanism import HelmMechanism
from backout.mechanisms.port import Reading
from backout.model.operation import Operation
from backout.model.part import Part, Step
from backout.model.revision import Revision
from backout.model.run import Run, RunEvent
from backout.model.scope import ClusterIdentity
from backout.model.settings import SnapshotSettings
from backout.model.snapshot import Snapshot
from backout.planning.choice import choose
from backout.planning.document import seal
from backout.snapshots import source
from backout.snapshots.capture import CaptureStore
from backout.snapshots.collect import About, take
from backout.snapshots.repository import Repository
from backout.snapshots.repository.opening import open_repository
from backout.workflows.prepare import make_operation
from backout.workflows.undo import undo_operation

RECORD = "sh.helm.release.v1." + RELEASE + ".v{}"
DEPLOYMENT = "/apis/apps/v1/namespaces/{ns}/deployments/web"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SnapshotSettings]:
    """A repository that is not there yet, and is the one that is meant."""
    monkeypatch.setenv("BACKOUT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HELM_MAX_HISTORY", "3")
    found = SnapshotSettings(repository=str(tmp_path / "snapshots"))
    with source.using(found):
        yield found


def snapshot(world: World, *, healthy: bool | None = True, **about: Any) -> Snapshot:
    """Takes one of the namespace as it is."""

    async def work(cluster: KubernetesCluster) -> Snapshot:
        opened = await open_repository(source.current(), create=True)
        try:
            said = About(healthy=healthy, **about)
            return (await take(cluster, opened.repository, world.namespace, said)).snapshot
        finally:
            await opened.repository.close()

    return world.use(work)


def pruned(world: World, **about: Any) -> Snapshot:
    """Revisions 1 and 2 are good, and kept at 2; 3 to 5 are bad, and all that is left."""
    world.install()
    world.upgrade(web="1.1")
    world.until_healthy()
    kept = snapshot(world, **about)
    for number in range(3):
        world.upgrade("--history-max", "3", web=f"2.{number}-{BAD}")
    world.until_crashing("web")
    assert [revision.number for revision in live(world)] == [3, 4, 5]
    return kept


def live(world: World) -> list[Revision]:
    with source.using(SnapshotSettings(repository="/nowhere/at/all")):
        return world.history()


def planned(world: World, to: str = "") -> Part:
    """Through JSON, as it is kept."""

    async def work(cluster: KubernetesCluster) -> Operation:
        return await make_operation(cluster, world.target, made_at=datetime.now(UTC), to=to)

    return msgspec.json.decode(msgspec.json.encode(world.use(work)), type=Operation).parts[0]


def step_of(plan: Part, action: str) -> Step:
    return next(step for step in plan.steps if step.action == action)


def record(world: World, number: int) -> dict[str, Any] | None:
    answer = world.harness.get(f"/api/v1/namespaces/{world.namespace}/secrets/{RECORD.format(number)}")
    return answer.ok() if answer.status == 200 else None


def undone(plan: Part, done: dict[str, dict[str, Any]], made: datetime | None = None) -> Part:
    """The plan that takes the steps of ``done`` back, which said that of themselves."""
    now = made or datetime.now(UTC)
    run = Run(id="r1", state="failed", operation=seal(Operation(made_at=now, parts=(plan,))), started=now)
    events = [
        RunEvent(run="r1", type=kind, at=now, message=plan.cause, part=plan.id, step=step, data=data)
        for step, data in done.items()
        for kind in ("step-started", "step-done")
        if kind == "step-started" or data
    ]
    return undo_operation(run, events, now, CaptureStore()).parts[0]


def test_the_good_revision_comes_back_from_the_snapshot_and_goes_again(world: World) -> None:
    kept = pruned(world, tags=("v1.1",))
    history = world.history()
    assert [(r.number, r.status, r.goodness) for r in history[:2]] == [(1, "pruned", "unknown"), (2, "pruned", "good")]
    assert history[1].names == (kept.id, "v1.1") and not history[0].names
    assert any(kept.short in reason.text and "everything was healthy" in reason.text for reason in history[1].reasons)
    assert [revision.current for revision in history] == [False, False, False, False, True]

    plan = planned(world)
    assert plan.revision.number == 2 and planned(world, "v1.1").revision.number == 2
    assert planned(world, kept.short).revision.number == 2
    bring, back = step_of(plan, "helm.restore-record"), step_of(plan, "helm.rollback")
    assert plan.steps.index(bring) + 1 == plan.steps.index(back)
    assert any(risk.code == "record-from-snapshot" and kept.short in risk.message.text for risk in plan.risks)
    created = {change.ref.name: change.action for change in plan.changes.objects}
    assert created[RECORD.format(2)] == "create"
    needed = {(access.verb, access.resource) for access in plan.access}
    assert {("create", "secrets"), ("get", "secrets")} <= needed
    assert "hunter2" not in msgspec.json.encode(plan).decode()

    outcome, context = world.execute(bring)
    found = record(world, 2)
    assert outcome.changed and context.guards == 1 and found is not None
    assert outcome.data["made"]["uid"] == found["metadata"]["uid"]
    assert found["type"] == "helm.sh/release.v1" and found["metadata"]["labels"]["version"] == "2"
    again, context = world.execute(bring)
    assert not again.changed and context.guards == 0 and again.data == outcome.data

    # HELM_MAX_HISTORY says 3: a rollback that pruned would begin with the one that was brought back.
    gone, _ = world.execute(back)
    assert gone.changed and gone.data["revision"] == 6
    assert record(world, 2) is not None
    assert world.statuses().count("deployed") == 1
    assert image(world) == "registry.example/web:1.1"
    world.until_healthy()

    undo = undone(plan, {bring.id: {"changed": True, **outcome.data}, back.id: {"changed": True}})
    assert [step.action for step in undo.steps][-1] == "helm.remove-record"
    assert {("delete", "secrets", RECORD.format(2))} <= {(a.verb, a.resource, a.name) for a in undo.access}
    assert any(check.code == "object-absent" and check.params["name"] == RECORD.format(2) for check in undo.checks)
    remove = undo.steps[-1]
    said, context = world.execute(remove)
    assert said.changed and context.guards == 1 and record(world, 2) is None
    assert not world.execute(remove)[0].changed


def image(world: World) -> str:
    found: str = world.live(DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def test_records_in_configmaps_come_back_as_such(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_DRIVER", "configmap")
    world.env["HELM_DRIVER"] = "configmap"
    pruned(world)
    plan = planned(world)
    assert plan.revision.number == 2
    for step in (step_of(plan, "helm.restore-record"), step_of(plan, "helm.rollback")):
        assert world.execute(step)[0].changed
    path = f"/api/v1/namespaces/{world.namespace}/configmaps/{RECORD.format(2)}"
    assert world.harness.get(path).status == 200 and record(world, 2) is None
    assert image(world) == "registry.example/web:1.1"


def test_only_the_record_that_was_brought_back_is_deleted(world: World) -> None:
    pruned(world)
    plan = planned(world)
    bring = step_of(plan, "helm.restore-record")
    outcome, _ = world.execute(bring)
    path = f"/api/v1/namespaces/{world.namespace}/secrets/{RECORD.format(2)}"
    original = record(world, 2)
    assert original is not None

    # Cut off before it could note the uid: then it must be exactly what was brought back.
    cut_off = undone(plan, {bring.id: {}}).steps[-1]
    assert "made" not in cut_off.params
    changed = {**original, "metadata": {**original["metadata"], "labels": {**original["metadata"]["labels"], "x": "y"}}}
    changed["metadata"].pop("resourceVersion")
    world.harness.put(path, changed).ok()
    with pytest.raises(PreconditionFailed, match="not the one that the run brought back"):
        world.execute(cut_off)

    # Deleted and made by somebody else: another uid.
    named = undone(plan, {bring.id: {"changed": True, **outcome.data}}).steps[-1]
    world.harness.delete(path).ok()
    fresh = {key: value for key, value in original["metadata"].items() if key not in ("uid", "resourceVersion")}
    world.harness.post(f"/api/v1/namespaces/{world.namespace}/secrets", {**original, "metadata": fresh}).ok()
    with pytest.raises(PreconditionFailed):
        world.execute(named)
    assert record(world, 2) is not None
    # The same content all the same: enough for a run that was cut off.
    assert world.execute(cut_off)[0].changed and record(world, 2) is None


def test_another_record_in_its_place_is_left_alone(world: World) -> None:
    pruned(world)
    bring = step_of(planned(world), "helm.restore-record")
    world.harness.post(
        f"/api/v1/namespaces/{world.namespace}/secrets",
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": RECORD.format(2)}, "data": {}},
    ).ok()
    with pytest.raises(PreconditionFailed, match="another record of revision 2"):
        world.execute(bring)


def _forgotten(folder: Path) -> None:
    for file in sorted((folder / "snapshots").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (folder / "snapshots").rmdir()
    for pin in (folder / "data" / "repositories").iterdir():
        pin.unlink()


def _another(folder: Path) -> None:
    _forgotten(folder)
    asyncio.run(_made())


async def _made() -> None:
    await (await open_repository(source.current(), create=True)).repository.close()


def _damaged(folder: Path) -> None:
    for pack in (folder / "snapshots" / "packs").iterdir():
        content = bytearray(pack.read_bytes())
        content[: len(content) // 2] = bytes(len(content) // 2)
        pack.write_bytes(content)


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [(_forgotten, RepositoryNotFound), (_another, RepositoryChanged), (_damaged, RepositoryDamaged)],
    ids=["forgotten", "another", "damaged"],
)
def test_a_repository_that_changed_after_the_plan(
    world: World, tmp_path: Path, trouble: Callable[[Path], None], expected: type[BackoutError]
) -> None:
    pruned(world)
    bring = step_of(planned(world), "helm.restore-record")
    trouble(tmp_path)
    with pytest.raises(expected):
        world.execute(bring)
    assert record(world, 2) is None


def test_without_a_snapshot_it_is_refused_with_what_to_do(world: World, tmp_path: Path) -> None:
    world.install()
    for number in range(4):
        world.upgrade("--history-max", "2", web=f"2.{number}-{BAD}")
    world.until_crashing("web")
    with pytest.raises(NoGoodRevision) as refused:
        choose(world.target, world.history())
    assert "backout snapshot create" in refused.value.hint and "no snapshot" in refused.value.hint
    with pytest.raises(RevisionNotFound, match="pruned"):
        choose(world.target, world.history(), "1")
    # One that can't be read: said, and no more is known.
    asyncio.run(_made())
    (tmp_path / "data" / "identity.age").unlink()
    oldest = world.history()[0]
    assert "Whether a snapshot has more is not known" in oldest.reasons[-1].text


def test_what_does_not_vouch_for_a_revision(world: World) -> None:
    world.install()
    world.upgrade(web="1.1")
    world.until_healthy()
    incident = snapshot(world, incident=True)
    unknown = snapshot(world, healthy=None, kind="run", run="r0")
    # Mended past Helm: healthy, but not with what revision 2 says.
    body = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "registry.example/web:1.2"}]}}}}
    world.harness.patch(
        f"/apis/apps/v1/namespaces/{world.namespace}/deployments/web", body, "application/strategic-merge-patch+json"
    ).ok()
    world.until_healthy()
    mended = snapshot(world)
    assert mended.good
    # A newer revision was in force that Helm calls failed, since it did not wait for it: not the deployed one.
    force = ["--force-conflicts"] if world.waiting != "--wait" else []
    world.upgrade(world.waiting, "--timeout", "10ms", *force, check=False, web="1.3")
    world.until_healthy()
    assert world.statuses() == ["superseded", "deployed", "failed"] and image(world) == "registry.example/web:1.3"
    failed = snapshot(world)
    assert failed.good
    for number in range(3):
        world.upgrade("--history-max", "2", web=f"2.{number}-{BAD}")
    history = {revision.number: revision for revision in world.history()}
    second = history[2]
    assert second.status == "pruned" and second.names == (failed.id, mended.id, unknown.id, incident.id)
    assert not any("everything was healthy" in reason.text for reason in second.reasons)


def test_an_earlier_life_of_the_release_is_another_release(world: World) -> None:
    world.install()
    world.upgrade(web="1.1")
    world.until_healthy()
    snapshot(world)
    world.helm("uninstall", RELEASE, "--wait")
    world.install(web="1.2")
    for number in range(3):
        world.upgrade("--history-max", "2", web=f"2.{number}-{BAD}")
    assert [revision.number for revision in world.history()] == [3, 4]


def test_snapshots_of_elsewhere_do_not_count(world: World) -> None:
    kept = pruned(world)

    async def moved(cluster: KubernetesCluster) -> list[Snapshot]:
        """The same content as of another cluster, of another namespace, and as imported."""
        opened = await open_repository(source.current())
        repository = opened.repository
        found = []
        for change, imported in (
            ({"identity": ClusterIdentity("another", "ca")}, ""),
            ({"namespace": "another"}, ""),
            ({}, "f" * 32),
        ):
            async with repository.writer() as writer:
                async for entry, content in repository.contents(kept):
                    await writer.put(content)
                    await writer.add(entry)
                for release in kept.pointers.releases:
                    await writer.put(await repository.get(release.address))
                from backout.snapshots.repository.saving import plain_draft

                draft = msgspec.structs.replace(plain_draft(kept), **change)
                found.append(await writer.save(draft, imported_from=imported))
        await repository.manifests.remove(kept.id)
        await repository.close()
        return found

    assert len(world.use(moved)) == 3
    assert [revision.number for revision in world.history()] == [3, 4, 5]


def test_a_plan_opens_the_repository_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pruned(world)
    opened = 0
    really = source.opened

    def counted() -> AbstractAsyncContextManager[Repository | None]:
        nonlocal opened
        opened += 1
        return really()

    monkeypatch.setattr(source, "opened", counted)

    async def work(cluster: KubernetesCluster) -> tuple[Reading, int]:
        reading = await HelmMechanism().read(cluster, world.target, lambda revisions: revisions[1:2])
        reading.draft(reading.revisions[1])
        return reading, len(reading.between(reading.revisions[1], reading.revisions[2]))

    reading, changed = world.use(work)
    assert reading.revisions[1].number == 2 and changed == 1
    assert opened == 1
