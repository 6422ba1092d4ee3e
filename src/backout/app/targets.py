# SPDX-License-Identifier: Apache-2.0
"""Targets as people write them, with the namespace and cluster that are meant put in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backout.errors import UsageError
from backout.model.target import Target, parse_target

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.cluster.port import Cluster


def read_targets(workspace: Workspace, cluster: Cluster, texts: Sequence[str]) -> list[Target]:
    """The targets that were named, each once.

    Raises:
        UsageError: a target is malformed, or named together with all namespaces.
    """
    if texts and workspace.where.all_namespaces:
        raise UsageError(
            "A target lives in one namespace, so -A can't go with it.",
            hint="Say -n NAMESPACE, or leave the target out.",
        )
    namespace = workspace.namespace_of(cluster)
    found = [parse_target(text, namespace=namespace, cluster=cluster.name) for text in texts]
    return list(dict.fromkeys(found))
