# SPDX-License-Identifier: Apache-2.0
"""Preconditions, records, fences and second looks that are taken out of the source, one at a time; and the tests that find it."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """``was`` stands in ``file`` (of src/backout) once, and becomes ``now``; then ``tests`` must fail."""

    name: str
    file: str
    was: str
    now: str
    tests: tuple[str, ...]


GATE = ("tests/contract/port/test_gate_contract.py",)
LEASE = ("tests/unit/cluster/test_cluster_lease.py",)
WIRE = ("tests/unit/cluster/test_cluster_wire.py",)
EFFECTS = ("tests/unit/test_effect_gate.py",)
JOURNAL = ("tests/unit/engine/test_journal.py",)
FLEET = ("tests/unit/workflows/test_fleet_workflow.py",)
OPERATION = ("tests/unit/workflows/test_operation_workflow.py",)
ROLLBACK = ("tests/unit/workflows/test_rollback_workflow.py", *OPERATION)
STORE = ("tests/contract/store/test_store_contract.py",)
QUEUE = ("tests/contract/store/test_queue.py",)
HELM = ("tests/unit/helm/test_helm_preconditions.py",)
OBJECTS = ("tests/contract/mechanisms/test_objects_contract.py",)
WORKLOAD = (
    "tests/contract/mechanisms/test_workload_contract.py",
    "tests/contract/mechanisms/test_workload_declared.py",
)
CUSTOMS = ("tests/contract/mechanisms/test_customs_contract.py",)
REPOSITORY = ("tests/unit/snapshots/test_repository_directory.py",)
CAPTURE = ("tests/unit/snapshots/test_snapshots_capture.py",)

MUTATIONS = (
    # the gate for other programs
    Mutation(
        "a program's writes are not asked for",
        "cluster/gate.py",
        "                await self._fence(GatedRequest(request.method, target.path, body))\n",
        "                pass\n",
        GATE,
    ),
    Mutation(
        "a refused program may go on",
        "cluster/gate.py",
        "                self.refusal = self.refusal or error\n                self.shut.set()\n",
        "                self.refusal = self.refusal or error\n",
        GATE,
    ),
    Mutation(
        "anybody may use a program's gate",
        "cluster/gate.py",
        'if not hmac.compare_digest(request.headers.get("proxy-authorization", ""), self._wanted):',
        "if False:",
        GATE,
    ),
    # the lock of a target
    Mutation(
        "a lost lock is not told",
        "cluster/lease.py",
        "        if self._lost:\n            raise",
        "        if False:\n            raise",
        LEASE,
    ),
    Mutation(
        "whose lock it is by now is not looked at",
        "cluster/lease.py",
        "if _mark(found) != self._mark:",
        "if False:",
        LEASE,
    ),
    Mutation(
        "a lock is deleted whoever has it",
        "cluster/lease.py",
        'if (found.get("spec") or {}).get("holderIdentity") == holder:',
        "if True:",
        LEASE,
    ),
    Mutation(
        "a step writes without looking at its lock",
        "workflows/services.py",
        "        if time.monotonic() - self._confirmed > RIGHT_BEFORE:\n            await self.guard()\n",
        "",
        EFFECTS,
    ),
    Mutation(
        "one confirmation is good for ever",
        "workflows/services.py",
        "            await self.guard()\n        self._confirmed = -math.inf\n",
        "            await self.guard()\n",
        EFFECTS,
    ),
    # requests
    Mutation(
        "a write is sent again after its answer was lost",
        "cluster/wire.py",
        "safe = (read_only or self.never_sent) and not (self.slow and attempt > 1)",
        "safe = True",
        WIRE,
    ),
    Mutation(
        "a write is sent again after 503",
        "cluster/wire.py",
        "(read_only and self.code in _TRANSIENT)",
        "self.code in _TRANSIENT",
        WIRE,
    ),
    # records
    Mutation(
        "a recorded step is done again",
        "engine/journal.py",
        "        if kept is not None:\n            return _replay(kept)\n",
        "",
        JOURNAL,
    ),
    Mutation(
        "what a step failed with is not recorded",
        "engine/journal.py",
        "            self._answers.keep_answer(self.run, key, _written({_ERROR: encode_error(error)}))\n",
        "",
        JOURNAL,
    ),
    Mutation(
        "what another life recorded first is not taken over",
        "engine/journal.py",
        "        return _replay(self._answers.keep_answer(self.run, key, _written({_RESULT: result})))\n",
        "        self._answers.keep_answer(self.run, key, _written({_RESULT: result}))\n        return result\n",
        JOURNAL,
    ),
    Mutation(
        "the later of two answers counts (SQLite)",
        "engine/store/sqlite/runs.py",
        "INSERT INTO backout_answers(run, step, answer) VALUES (?, ?, ?) ON CONFLICT(run, step) DO NOTHING",
        "INSERT OR REPLACE INTO backout_answers(run, step, answer) VALUES (?, ?, ?)",
        STORE,
    ),
    Mutation(
        "who lost a claim writes on (SQLite)",
        "engine/store/sqlite/runs.py",
        "            self._fence(database, run)\n            database.execute(\n"
        '                "INSERT INTO backout_answers',
        '            database.execute(\n                "INSERT INTO backout_answers',
        STORE,
    ),
    Mutation(
        "tokens may fall (SQLite)",
        "engine/store/sqlite/runs.py",
        "SET token=max(token, excluded.token)",
        "SET token=excluded.token",
        STORE,
    ),
    Mutation(
        "a living process loses its claim (PostgreSQL)",
        "engine/store/postgres/owners.py",
        "        if (cursor.fetchone() or (False,))[0]:\n            raise executed_elsewhere",
        "        if False:\n            raise executed_elsewhere",
        STORE,
    ),
    Mutation(
        "who lost a claim writes on (PostgreSQL)",
        "engine/store/postgres/owners.py",
        '        if (cursor.fetchone() or ("",))[0] != process:\n',
        "        if False:\n",
        STORE,
    ),
    Mutation(
        "a worker that asks twice gets two runs",
        "engine/store/postgres/queue.py",
        "            if (found := cursor.fetchone()) is None:\n",
        "            if True:\n",
        QUEUE,
    ),
    Mutation(
        "the limit of a cluster is not kept",
        "engine/store/postgres/queue.py",
        '"per_cluster": limits.per_cluster',
        '"per_cluster": 0',
        QUEUE,
    ),
    # waves
    Mutation(
        "the budget of failures is not kept",
        "workflows/operation_v2.py",
        'return self._fleet.on_failure != "continue" and len(self._bad()) > self._fleet.max_failures',
        "return False",
        FLEET,
    ),
    Mutation(
        "a wave of which nothing is verified opens the next",
        "workflows/operation_v2.py",
        "return self._keep_shut(number) if self._spent() or not verified else True",
        "return self._keep_shut(number) if self._spent() else True",
        FLEET,
    ),
    Mutation(
        "what needs a part that failed is begun",
        "workflows/operation_v2.py",
        "        return wanted and all(self._verified(need) for need in part.needs)\n",
        "        return wanted\n",
        FLEET,
    ),
    Mutation(
        "what the gate found is forgotten",
        "workflows/operation_v2.py",
        "        self._note(number, answer)\n        verified =",
        "        verified =",
        FLEET,
    ),
    Mutation(
        "what can't be asked at a gate holds",
        "workflows/gate.py",
        '        return PartEnd(state="unknown", wrote=True, failure=encode_error(of_house(error)))\n',
        "        return None\n",
        FLEET,
    ),
    Mutation(
        "a resume does not look where a name leads",
        "workflows/part_v2.py",
        "    await stages.identify_again()\n",
        "",
        FLEET,
    ),
    # runs
    Mutation(
        "an edited plan is run",
        "planning/document.py",
        "    if operation.hash != found:\n",
        "    if False:\n",
        ("tests/unit/planning/test_document.py", "tests/unit/planning/test_forged_plans.py"),
    ),
    Mutation(
        "a step begins without its intent",
        "workflows/part_stages.py",
        '                "step-started",\n                step.title,\n',
        '                "step-progress",\n                step.title,\n',
        ROLLBACK,
    ),
    Mutation(
        "missing rights do not stop a run",
        "workflows/part_stages.py",
        "        if missing:\n            raise AccessDenied(",
        "        if False:\n            raise AccessDenied(",
        ROLLBACK,
    ),
    # ways back
    Mutation(
        "helm rolls back what was changed since the plan",
        "mechanisms/helm/effects.py",
        "        _still_as_planned(step, head, current)\n",
        "",
        (
            "tests/contract/mechanisms/test_helm_mechanism.py::test_a_release_that_moved_on_since_the_plan_is_left_alone",
        ),
    ),
    Mutation(
        "helm rolls back over another content",
        "mechanisms/helm/effects.py",
        "    if expected and content != expected and not",
        "    if False and not",
        HELM,
    ),
    Mutation(
        "helm goes to a revision that says something else by now",
        "mechanisms/helm/effects.py",
        "    if digest(wanted.manifest) != step.params.digest:\n",
        "    if False:\n",
        HELM,
    ),
    Mutation(
        "helm's revision is not looked at before its record is made",
        "mechanisms/helm/fenced.py",
        "            if found.revision > (newest or self.next):\n",
        "            if False:\n",
        ("tests/contract/mechanisms/test_helm_stopped.py::test_what_others_did_meanwhile_stands",),
    ),
    Mutation(
        "an object that was changed since the plan is overwritten",
        "mechanisms/objects/write.py",
        "    if planned and found_as(live, repository) != planned:\n",
        "    if False:\n",
        ("tests/contract/mechanisms/test_objects_contract.py::test_a_change_after_the_plan_stops_it",),
    ),
    Mutation(
        "an undo overwrites what came after the run",
        "mechanisms/objects/write.py",
        "        if not _as_left(live, former, written):\n",
        "        if False:\n",
        (
            "tests/contract/mechanisms/test_objects_contract.py::test_an_undo_does_not_overwrite_what_came_after_the_run",
        ),
    ),
    Mutation(
        "a template that was changed since the plan is overwritten",
        "mechanisms/workload/change.py",
        "        if planned and found != planned:\n",
        "        if False:\n",
        ("tests/contract/mechanisms/test_workload_contract.py::test_a_change_after_the_plan_stops_it",),
    ),
    Mutation(
        "a workload that was made anew is written to",
        "mechanisms/common/patching.py",
        '    if uid and obj["metadata"]["uid"] != uid:\n',
        "    if False:\n",
        (
            "tests/contract/mechanisms/test_workload_declared.py::test_a_workload_that_was_made_anew_after_the_plan_is_left_alone",
        ),
    ),
    Mutation(
        "a custom resource that was changed since the plan is overwritten",
        "mechanisms/customs/change.py",
        "        if found != params.expect:\n",
        "        if False:\n",
        CUSTOMS,
    ),
    # what is kept
    Mutation(
        "a capture that was exchanged is believed",
        "snapshots/capture.py",
        "        if digest and found != digest:\n",
        "        if False:\n",
        CAPTURE,
    ),
    Mutation(
        "a file of a repository replaces another one of its name",
        "snapshots/repository/directory.py",
        "            if create:\n                _link(temporary, target)\n            else:\n                temporary.replace(target)\n",
        "            temporary.replace(target)\n",
        REPOSITORY,
    ),
)

SAMPLE = (
    "a step writes without looking at its lock",
    "one confirmation is good for ever",
    "a lost lock is not told",
    "a write is sent again after 503",
    "a capture that was exchanged is believed",
)
"""Those that are found fastest: they are among the tests."""
