# SPDX-License-Identifier: Apache-2.0
"""The measurements of releases: is the right revision deployed, are live objects as they were captured."""

from __future__ import annotations

import msgspec

from backout.cluster.port import ClusterReader, find
from backout.helm.deployed import several, told
from backout.helm.records import Records
from backout.mechanisms.common.measuring import ByDigest, revision_in_force
from backout.mechanisms.common.params import ObjectParams
from backout.mechanisms.helm.history import read_history
from backout.mechanisms.helm.strays import part_digest
from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, listed, passed, unknown
from backout.model.message import msg


class Digests(ObjectParams, frozen=True, kw_only=True):
    """An object, and the digests of parts of it."""

    parts: dict[str, str]


class LiveParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``live-restored``."""

    objects: tuple[Digests, ...]


async def release_deployed(check: CheckOf[ByDigest], cluster: ClusterReader) -> Measured:
    """The newest revision is deployed, with the content that the check names."""
    records = Records(cluster, check.target.namespace)
    history = await read_history(cluster, records, check.target.name)
    if numbers := several((one.record.revision, one.record.status) for one in history.facts if one.record.kept is None):
        return unknown(told(numbers))
    return revision_in_force(history.revisions, check.params.digest, "deployed")


async def as_captured(check: CheckOf[LiveParams], cluster: ClusterReader) -> Measured:
    """The parts of the objects have the digests of the capture: back to what was live, which no revision says."""
    wrong: list[str] = []
    for entry in check.params.objects:
        ref = entry.ref
        found = await find(cluster, ref)
        if found is None:
            return failed(msg("{object} does not exist", object=str(ref)))
        wrong += [f"{ref}: {name}" for name, digest in entry.parts.items() if part_digest(found, name) != digest]
    if wrong:
        return failed(msg("not as captured: {parts}", parts=listed(wrong)))
    return passed(msg("as captured"))


async def nothing_left_over(check: CheckOf[LiveParams], cluster: ClusterReader) -> Measured:
    """The parts of the objects do not have those digests any more: what an undone revision had set is gone."""
    kept: list[str] = []
    for entry in check.params.objects:
        found = await find(cluster, entry.ref)
        if found is not None:
            kept += [
                f"{entry.ref}: {name}" for name, digest in entry.parts.items() if part_digest(found, name) == digest
            ]
    if kept:
        return failed(msg("still as the revision before set it: {parts}", parts=listed(kept)))
    return passed(msg("nothing is"))
