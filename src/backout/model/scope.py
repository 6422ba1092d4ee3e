# SPDX-License-Identifier: Apache-2.0
"""Where a way back acts. A scope says what a part is pinned to, and how two runs are kept off each other there."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

import msgspec

LockKind = Literal["lease", "ref", "object"]
"""How a scope is locked: by a Lease with a fencing token (cluster), by compare-and-swap of a ref (repository), by an
object that is written on a condition (bucket)."""


class ClusterIdentity(msgspec.Struct, frozen=True):
    """Which cluster this is, whatever the context is called: uid of the kube-system namespace, SHA-256 of the CA."""

    uid: str
    ca: str
    server: str = ""

    def same_as(self, other: ClusterIdentity) -> bool:
        """Whether both are one cluster. Where one of them was seen by somebody who might not read kube-system, the
        authority tells; with neither in common nothing does, and they are different."""
        if self.uid and other.uid:
            return self.uid == other.uid
        return bool(self.ca) and self.ca == other.ca


class ClusterScope(msgspec.Struct, frozen=True, kw_only=True, tag="cluster", tag_field="kind"):
    """A namespace of a cluster. ``cluster`` is the name that leads there from here; ``identity`` is what it must be."""

    lock: ClassVar[LockKind] = "lease"

    cluster: str
    namespace: str
    identity: ClusterIdentity

    @property
    def place(self) -> tuple[str, ...]:
        """Where it is as people read it, from the large to the small."""
        return (self.cluster, self.namespace)


Scope: TypeAlias = ClusterScope
"""A tagged union by ``kind``. Every member has ``lock``, ``place`` and an ``identity`` of its own shape; whoever carries
out or shows an operation goes by those, and by `backout.scopes`, which opens any of them."""
