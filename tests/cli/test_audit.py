# SPDX-License-Identifier: Apache-2.0
"""`backout audit`: a run is in it with who did what by which plan and token; it is signed, copied, and a change shows."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from backout_shell import Shell
from held import hold


def test_from_a_run_to_a_copy_that_is_proven_elsewhere(backout: Shell, release: str, tmp_path: Path) -> None:
    # A database that was removed looks like one that was never written.
    empty = backout("audit", "verify")
    assert (empty.out.partition(":")[0], empty.code) == ("Nothing is in the audit, so nothing is proven", 7)
    here = ("-n", release, "--context", "cluster-01")
    done = backout("run", f"helm/{release}", "--to", "4", "--yes", "--approve", "not-proven-good", *here, "-o", "json")
    assert done.code == 0, done.err
    run = done.document["items"][0]
    verified = backout("audit", "verify", "-o", "json")
    assert (verified.code, verified.document["proven"], verified.document["runs"]) == (0, True, 1), verified.out
    assert "Intact." in backout("audit", "verify", "--run", run["id"]).out

    begun, ended = ([one for one in run["events"] if one["type"] == type] for type in ("step-started", "step-done"))
    assert len(begun) == len(ended) > 0, "an intent and an outcome of each"
    for intent, outcome in zip(begun, ended, strict=True):
        assert intent["data"]["plan"] == run["operation"]["hash"] and intent["data"]["actor"] == run["actor"]
        assert intent["data"]["token"] == outcome["data"]["token"] > 0
        assert intent["data"]["cluster"] == "cluster-01" and intent["data"]["target"] == f"helm/{release}"
        assert intent["data"]["objects"]

    key = backout("audit", "key", "-o", "json").document
    head = backout("audit", "checkpoint", "-o", "json").document
    assert (head["public"], head["new"]) == (key["public"], False), "the end of the run is signed"
    copy = tmp_path / "audit.jsonl"
    assert backout("audit", "export", "--out", str(copy)).code == 0
    assert copy.stat().st_mode & 0o077 == 0
    for line in copy.read_text().splitlines():
        hold(json.loads(line))
    elsewhere = Shell(
        backout.home,
        backout.kubeconfig,
        {**backout.environment, "BACKOUT_STATE": str(tmp_path / "none.db"), "BACKOUT_DATA": str(tmp_path / "none")},
    )
    named = ("--key", key["public"], "--head", head["head"])
    assert elsewhere("audit", "verify", str(copy), *named).code == 0
    assert elsewhere("audit", "verify", str(copy)).code == 7, "nobody whom one trusts there signed it"
    copy.write_text(copy.read_text().replace('"token":1', '"token":2', 1))
    changed = elsewhere("audit", "verify", str(copy), *named, "-o", "json")
    assert (changed.code, [one["code"] for one in changed.document["findings"]]) == (10, ["changed"])

    with closing(sqlite3.connect(backout.environment["BACKOUT_STATE"])) as database, database:
        database.execute("DELETE FROM backout_events WHERE n=3")
    found = backout("audit", "verify")
    assert found.code == 10 and f"Of run {run['id']}, records 3 to 3 are missing." in found.out, found.out
    assert backout("runs", "prune", "--keep-last", "0", "--older-than", "1m", "--dry-run").code == 0


def test_bad_input(backout: Shell, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text('{"kind":"Run"}\n')
    cases = {
        ("verify", str(nothing)): ("usage", "line 1: this is no copy of an audit"),
        ("verify", str(tmp_path / "absent")): ("usage", "can't be read"),
        ("verify", str(nothing), "--run", "x"): ("usage", "--run can't go with it"),
        ("verify", "--key", "ssh-rsa AAAA"): ("usage", "no public key"),
        ("verify", "--head", "12"): ("usage", "is no checkpoint"),
        ("verify", "--run", "nope"): ("run-not-found", "There is no run nope"),
        ("export", "--run", "nope"): ("run-not-found", "There is no run nope"),
        ("checkpoint",): ("not-found", "nothing to sign"),
    }
    for words, (code, said) in cases.items():
        error = backout.error("audit", *words)
        assert error["code"] == code and said in error["message"], (words, error)
    key = Path(backout.environment["BACKOUT_DATA"]) / "audit.key"
    key.chmod(0o644)
    assert backout.error("audit", "key")["code"] == "refused"
    key.chmod(0o600)
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    assert backout.error("audit", "key")["code"] == "config"
