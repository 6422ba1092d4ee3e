# SPDX-License-Identifier: Apache-2.0
"""Targets of the command line, with the namespace and cluster of the session put in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.errors import UsageError
from backout.model.target import Target, parse_target

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cluster.port import Cluster


def read_targets(session: Session, cluster: Cluster, texts: tuple[str, ...]) -> list[Target]:
    """The targets that were named, each once.

    Raises:
        UsageError: a target is malformed, or named together with `-A`.
    """
    if texts and session.all_namespaces:
        raise UsageError(
            "A target lives in one namespace, so -A can't go with it.",
            hint="Say -n NAMESPACE, or leave the target out.",
        )
    namespace = session.namespace_of(cluster)
    found = [parse_target(text, namespace=namespace, cluster=cluster.name) for text in texts]
    return list(dict.fromkeys(found))
