# SPDX-License-Identifier: Apache-2.0
"""Snapshots are found by what the cluster is, as plans find them: a context that was renamed loses none."""

from __future__ import annotations

import yaml
from backout_shell import Shell


def ids(shell: Shell, *arguments: str) -> list[str]:
    answer = shell("snapshot", "list", "-o", "json", *arguments)
    assert answer.code == 0, answer.err
    return [item["id"] for item in answer.document["items"]]


def test_a_renamed_context_finds_its_snapshots(backout: Shell, release: str) -> None:
    assert backout("snapshot", "create", "-n", release, "--context", "cluster-01").code == 0
    made = ids(backout, "--context", "cluster-01")
    assert len(made) == 1
    config = yaml.safe_load(backout.kubeconfig.read_text())
    for context in config["contexts"]:
        # Now each bears the other's name, and the first one a third.
        context["name"] = {"cluster-01": "east", "cluster-02": "cluster-01"}.get(context["name"], context["name"])
    renamed = backout.home / "renamed"
    renamed.write_text(yaml.safe_dump({**config, "current-context": "east"}))
    more = ("--kubeconfig", str(renamed))
    assert ids(backout, "--context", "east", *more) == made
    assert ids(backout, "--context", "cluster-01", *more) == [], "that is another cluster by now"
    assert backout("snapshot", "show", "latest", "-n", release, "--context", "east", *more).code == 0
    # A cluster that gives no answer is known by its name.
    for entry in config["clusters"]:
        entry["cluster"]["server"] = "https://127.0.0.1:1"
    for context in config["contexts"]:
        context["name"] = {"east": "cluster-01", "cluster-01": "cluster-02"}.get(context["name"], context["name"])
    renamed.write_text(yaml.safe_dump(config))
    assert ids(backout, "--context", "cluster-01", *more) == made
