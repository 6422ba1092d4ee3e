# SPDX-License-Identifier: Apache-2.0
"""Other people's yes: to just the plan that waits, each person once, not the one who asks, in time; and what overlaps is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from tests.contract.store.test_store_contract import part, plan
from tests.postgres import server

from backout.app import approving
from backout.app.admission import Terms
from backout.app.approving import approve, miss
from backout.app.store import open_store
from backout.app.working import submit
from backout.app.workspace import Workspace
from backout.errors import LockedError, NotApprovedError, PlanChanged, RefusedError, UsageError
from backout.model.operation import Operation
from backout.model.policy import PolicySettings
from backout.model.settings import Settings
from backout.planning.document import seal

QUEUED = Terms(queued=True, priority=3)


def operation(*names: str) -> Operation:
    return seal(plan("", *(part(name, name) for name in names or ("c",))))


class People:
    """A database that several people use; whoever is ``now`` sits at the keyboard."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url, self._monkeypatch = url, monkeypatch
        self.workspace = self.with_policy(approvals=2)
        self.sits("alice")

    def with_policy(self, **policy: Any) -> Workspace:
        return Workspace(Settings(state=self.url, policy=PolicySettings(**policy)))

    def sits(self, name: str) -> None:
        self._monkeypatch.setattr(approving, "person", lambda: name)

    def says(self, name: str, what: str, reason: str = "because") -> approving.Approval:
        self.sits(name)
        return approve(self.workspace, what, reason)

    @property
    def waiting(self) -> list[str]:
        with open_store(self.workspace) as store:
            return store.queue.waiting()


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    yield People(server().url(server().database()), monkeypatch)


def test_two_others_say_yes_and_then_it_is_for_the_workers(people: People) -> None:
    (run,) = submit(people.workspace, [operation()], QUEUED)
    assert people.waiting == [], "nobody begins what waits for a yes"
    first = people.says("bob", run.id)
    assert (first.have, first.people, first.begins, people.waiting) == (1, 2, False, [])
    second = people.says("carol", run.id, "it burns")
    assert (second.have, second.begins, people.waiting) == (2, True, [run.id])
    with open_store(people.workspace) as store:
        told = [event for event in store.events(run.id) if event.type == "approved"]
    assert [(one.data["person"], one.data["reason"], one.data["plan"]) for one in told] == [
        ("bob", "because", run.operation.hash),
        ("carol", "it burns", run.operation.hash),
    ]
    assert all(one.data["role"] and one.data["host"] for one in told)


def test_whose_yes_does_not_count(people: People, tmp_path: Path) -> None:
    (run,) = submit(people.workspace, [operation()], QUEUED)
    with pytest.raises(NotApprovedError, match="alice submitted run"):
        people.says("alice", run.id)
    people.says("bob", run.id)
    with pytest.raises(NotApprovedError, match=r"bob has approved run .* already"):
        people.says("bob", run.id)
    with pytest.raises(UsageError, match="needs a reason"):
        people.says("carol", run.id, "  ")
    people.workspace = people.with_policy(approvals=2, self_approval=True)
    assert people.says("alice", run.id).begins, "unless policy lets it"
    (free,) = submit(people.with_policy(), [operation("d")], QUEUED)
    with pytest.raises(NotApprovedError, match="needs nobody's approval"):
        people.says("bob", free.id)
    with open_store(people.workspace, create=True) as store:
        store.update(run.id, state="recovered", ended=datetime.now(UTC))
    with pytest.raises(NotApprovedError, match="has ended: recovered"):
        people.says("carol", run.id)


def test_a_yes_by_the_file_of_the_plan_is_to_just_that_plan(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backout.app import planning

    (run,) = submit(people.workspace, [operation()], QUEUED)
    file = tmp_path / "plan.yaml"
    file.touch()
    monkeypatch.setattr(planning, "plans_in", lambda path: planning.Planned([operation()], []))
    assert people.says("bob", str(file)).run.id == run.id
    other = seal(msgspec.structs.replace(operation(), made_at=datetime.now(UTC)))
    monkeypatch.setattr(planning, "plans_in", lambda path: planning.Planned([other], []))
    with pytest.raises(PlanChanged, match="No run that waits for approval is of the plan"):
        people.says("carol", str(file))


def test_nobody_in_time_is_a_no(people: People) -> None:
    (run,) = submit(people.workspace, [operation()], QUEUED)
    with open_store(people.workspace, create=True) as store:
        later = datetime.now(UTC) + timedelta(hours=1, seconds=1)
        assert not miss(store, store.get(run.id), datetime.now(UTC))
        assert miss(store, store.get(run.id), later) and not miss(store, store.get(run.id), later)
        ended = store.get(run.id)
        assert ended.failure is not None
        assert (ended.state, ended.failure.code, ended.failure.exit_code) == ("aborted", "not-approved", 5)
    with pytest.raises(NotApprovedError, match="has ended: aborted"):
        people.says("bob", run.id)


def test_who_waits_here_goes_on_when_enough_said_yes_and_ends_when_nobody_did(people: People) -> None:
    async def waits(seconds: float) -> Any:
        from backout.workflows.runner import new_run

        workspace = people.with_policy(approvals=1, approval_timeout=seconds)
        with open_store(workspace, create=True) as store:
            run = new_run(store, operation(f"c{seconds:g}"), "alice@desk")
            assert approving.prepare(workspace, store, run, Terms(wait=True))
            waiting = asyncio.ensure_future(approving.wait(workspace, store, run))
            if seconds > 60:
                await asyncio.sleep(0)
                people.says("bob", run.id)
            return await waiting

    assert asyncio.run(waits(600)).state == "pending", "approved, and not begun yet"
    assert people.waiting == [], "it is for who waits, not for the workers"
    people.sits("alice")
    late = asyncio.run(waits(1))
    assert late.state == "aborted" and late.failure.code == "not-approved"


def test_a_run_that_waits_is_not_resumed(people: People) -> None:
    from backout.app.running import resume

    (run,) = submit(people.workspace, [operation()], QUEUED)
    with pytest.raises(NotApprovedError, match="needs the approval of 2 people, and has that of 0"):
        asyncio.run(resume(people.workspace, run.id))
    with open_store(people.workspace) as store:
        assert store.get(run.id).state == "pending"


def test_people_are_roles_of_the_database_where_policy_has_it_so(people: People) -> None:
    (run,) = submit(people.with_policy(approvals=1, people="database-role"), [operation()], QUEUED)
    people.workspace = people.with_policy(approvals=1, people="database-role")
    with pytest.raises(NotApprovedError, match="submitted run"):
        people.says("bob", run.id)
    with closing(psycopg.connect(people.url, autocommit=True)) as admin:
        name = f"carol_{abs(hash(people.url)) % 10**9}"
        admin.execute(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'x'")  # type: ignore[call-overload]
        info = admin.info
        url = f"postgresql://{name}:x@{info.host}:{info.port}/{info.dbname}"
    people.workspace = Workspace(Settings(state=url, policy=people.workspace.settings.policy))
    assert people.says("alice", run.id).person == name


def test_what_overlaps_is_refused_with_who_since_when_and_what(people: People) -> None:
    free = people.with_policy()
    (first,) = submit(free, [operation("c", "d")], QUEUED)
    submit(free, [operation("e")], QUEUED)
    with pytest.raises(
        LockedError, match=f"helm/thanos in namespace ns of d is what run {first.id} is about: .*, since 20"
    ):
        submit(free, [operation("f"), operation("d")], QUEUED)
    assert len(people.waiting) == 2, "nothing of it was submitted"
    with open_store(free, create=True) as store:
        store.update(first.id, state="aborted", ended=datetime.now(UTC))
        store.queue.done(first.id)
    submit(free, [operation("d")], QUEUED)


def test_a_plan_that_says_that_it_takes_a_run_back_gets_round_nothing(people: People) -> None:
    forged = seal(msgspec.structs.replace(operation(), undo_of="20261122-010101-abcd"))
    with pytest.raises(RefusedError, match="not carried out from a file"):
        submit(people.workspace, [forged], QUEUED)
    with pytest.raises(NotApprovedError, match="other people have to approve this plan first: 2"):
        from backout.app.admission import require_policy

        require_policy(people.workspace, operation(), Terms())
