# SPDX-License-Identifier: Apache-2.0
"""What only looks is given a reader: it has no name for a cluster that could be written to."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import backout

HOUSE = Path(backout.__file__).parent
LOOKING = ("changes", "diagnosis", "helm", "kube", "ownership", "planning", "probes", "report", "verify")
READING = ("workflows/prepare.py", "workflows/before.py", "snapshots/capture.py", "snapshots/collect.py")
WRITES = frozenset({"create", "replace", "patch", "apply", "delete", "lease"})


def modules() -> list[Path]:
    found = [path for package in LOOKING for path in sorted((HOUSE / package).rglob("*.py"))]
    return [*found, *(HOUSE / name for name in READING)]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(HOUSE)))
def test_it_knows_no_writer(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert "Cluster" not in imported and "KubernetesCluster" not in imported


def test_the_reader_has_no_method_that_writes() -> None:
    from backout.cluster.forwarding import ForwardingReader
    from backout.cluster.port import Cluster, ClusterReader

    assert not WRITES & set(dir(ClusterReader)) and not WRITES & set(dir(ForwardingReader))
    assert set(dir(Cluster)) >= WRITES
