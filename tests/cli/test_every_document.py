# SPDX-License-Identifier: Apache-2.0
"""What every command prints with `-o json`, and with `-o yaml`, is as the schema of its kind says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from backout_shell import Shell
from held import hold

from backout.documents.shipped import kinds

PARTS = {"Operation", "Error", "AuditExport", "AuditEntry", "AuditRecord"}
"""Errors are held in test_errors_obey_options, lines of a copy of the audit in test_audit; a plan stands in lists, and in files of
`plan --out`."""


def test_each_command_prints_a_document_of_its_kind(backout: Shell, release: str, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def call(kind: str, *words: str, code: int = 0, times: int = 1) -> dict[str, Any]:
        for _ in range(times):
            answer = backout(*words, "-o", "json")
            assert answer.code == code, (words, answer.out, answer.err)
            assert answer.document["kind"] == kind, words
            seen[kind] = answer.document
        return seen[kind]

    here = ("-n", release, "--context", "cluster-01")
    both = ("-n", release, "--context", "cluster-01", "--context", "cluster-02")
    helm = f"helm/{release}"
    for where in (here, both):
        number = 2 if where is both else 1
        assert len(call("StatusList", "status", *where)["items"]) == number
        # The second cluster has no such namespace: not known is not healthy.
        found = call("DiagnosisList", "diagnose", *where, code=7 if where is both else 0)
        assert len(found["items"]) == number
        assert len(call("ChangesList", "changes", "--since", "1d", *where)["items"]) == number
        assert len(call("VerdictList", "verify", "--soak", "0", *where, code=7)["items"]) == number
    call("History", "history", helm, *here)
    call("Doctor", "doctor", *here)
    call("OperationList", "plan", helm, "--to", "4", *here)
    call("DryRunList", "run", helm, "--to", "4", "--dry-run", *here)
    outcome = call("RunOutcomeList", "run", helm, "--to", "4", "--yes", "--approve", "not-proven-good", *here)
    run = outcome["items"][0]["id"]
    hold(outcome["items"][0])
    hold(outcome["items"][0]["operation"])
    for command in ("show", "report"):
        assert call("Run", command, run)["id"] == run
    call("Run", "undo", run, "--yes", *here)
    call("RunList", "runs")
    call("AuditVerification", "audit", "verify")
    call("AuditCheckpoint", "audit", "checkpoint")
    call("AuditKey", "audit", "key")
    call("RunPrune", "runs", "prune", "--keep-last", "9", "--dry-run")
    snapshots = call("SnapshotCreatedList", "snapshot", "create", "--tag", "v1", *here)
    call("SnapshotList", "snapshot", "list", *here)
    assert call("Snapshot", "snapshot", "show", "v1", "--objects")["id"] == snapshots["items"][0]["id"]
    call("SnapshotDiff", "snapshot", "diff", "v1", "live", *here)
    call("SnapshotRestore", "snapshot", "restore", "v1", "--dry-run", *here)
    call("SnapshotVerification", "snapshot", "verify", "--read-data")
    call("SnapshotPrune", "snapshot", "prune", "--keep-last", "9")
    call("SnapshotExport", "snapshot", "export", "all.bk", "--all")
    call("SnapshotImport", "snapshot", "import", "all.bk")
    call("SnapshotKeys", "snapshot", "key", "show")
    call("Version", "version")
    call("ScenarioList", "demo", "--list")
    call("SchemaList", "schema")
    error = backout("abort", run, "-o", "json")
    assert error.code == 5 and error.document["kind"] == "Error"
    text = backout("status", *here, "-o", "yaml").out
    hold(_typed(text))

    elsewhere = {
        "RunAbort": "a run under way: test_run_documents",
        "RunSubmission": "a PostgreSQL: test_worker",
        "RunApproval": "a run that waits: test_worker",
        "Rehearsal": "test_scenarios",
        "Twin": "test_twin_commands",
        "TwinFault": "test_twin_commands",
    }
    assert set(kinds()) - PARTS - set(elsewhere) == set(seen)


def _typed(text: str) -> Any:
    """YAML without its own idea of times: these are texts in the documents."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return yaml.load(text, Loader=Loader)
