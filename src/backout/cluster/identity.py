# SPDX-License-Identifier: Apache-2.0
"""Which cluster is this really? Contexts can be renamed, or lead elsewhere, between a plan and its run."""

from __future__ import annotations

import msgspec

from backout.cluster.listing import decoder, path_of
from backout.cluster.port import NAMESPACES
from backout.cluster.tls import fingerprint
from backout.cluster.wire import Wire, decode_failed
from backout.errors import AccessDenied
from backout.model.decoding import UNREADABLE
from backout.model.message import Message, msg
from backout.model.scope import ClusterIdentity


class _Meta(msgspec.Struct):
    uid: str


class _Namespace(msgspec.Struct):
    metadata: _Meta


async def identity(wire: Wire) -> ClusterIdentity:
    """uid of the kube-system namespace (made once in a cluster's life) and SHA-256 of its authority.

    A user who may not read kube-system gets an identity without uid: see `weakness`.

    Raises:
        AccessDenied: no uid, and no authority either: nothing tells this cluster from another.
    """
    ca = fingerprint(wire.connection.ca)
    try:
        response = await wire.request("GET", path_of(NAMESPACES, "kube-system"))
    except AccessDenied:
        if not ca:
            raise AccessDenied(
                "The cluster behind {server} can't be told from another: you may not read the namespace kube-system, "
                "and the kubeconfig names no certificate authority.",
                server=wire.server,
                hint="Ask for the right to get the namespace kube-system.",
            ) from None
        return ClusterIdentity("", ca, wire.server)
    try:
        uid = decoder(_Namespace).decode(response.content).metadata.uid
    except UNREADABLE:
        raise decode_failed("the namespace kube-system") from None
    return ClusterIdentity(uid, ca, wire.server)


def weakness(found: ClusterIdentity) -> Message | None:
    """What a reader must know when the cluster could be pinned by half only, or None."""
    if not found.uid:
        return msg(
            "You may not read the namespace kube-system, so the cluster is recognised by its certificate authority "
            "alone: another cluster with the same authority would pass for it."
        )
    if not found.ca:
        return msg(
            "The kubeconfig names no certificate authority of the cluster's own, so the cluster is recognised by the "
            "uid of its namespace kube-system alone: a copy of it, made from a backup, would pass for it."
        )
    return None
