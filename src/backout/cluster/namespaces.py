# SPDX-License-Identifier: Apache-2.0
"""Whether a namespace is there: the API server lists a missing one as an empty one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.cluster.port import NAMESPACES
from backout.errors import AccessDenied, ObjectNotFound

if TYPE_CHECKING:
    from backout.cluster.port import ClusterReader


async def require_namespace(cluster: ClusterReader, namespace: str) -> None:
    """Makes sure that the namespace exists.

    Raises:
        ObjectNotFound: it does not.
        BackoutError: the cluster can't be asked.
    """
    try:
        await cluster.get(NAMESPACES, namespace)
    except AccessDenied:
        # Who may work in a namespace need not be allowed to read the Namespace itself.
        return
    except ObjectNotFound as error:
        raise ObjectNotFound(
            "There is no namespace {namespace} on {cluster}.",
            namespace=namespace,
            cluster=cluster.name,
            hint="Name another with -n, or look at all of them with -A.",
        ) from error
