# SPDX-License-Identifier: Apache-2.0
"""Takes snapshots into a directory until it is killed; prints id, namespace and time of each one that is completed, and
`-` and the id of each that a prune removed."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyrage

from backout.model.scope import ClusterIdentity
from backout.model.snapshot import Entry, SnapshotDraft
from backout.model.target import ObjectRef
from backout.snapshots.repository import Repository
from backout.snapshots.repository.directory import Directory
from backout.snapshots.repository.prune import prune
from backout.snapshots.repository.retention import Policy

KEPT = 4


async def main(folder: Path, life: int) -> None:
    identity = pyrage.x25519.Identity.from_str((folder / "key").read_text())
    repository = await Repository.open(Directory(folder / "r"), [identity])
    print("ready", flush=True)
    for number in range(1000):
        async with repository.writer() as writer:
            for i in range(1300):
                # A tenth of the objects is new each time, so that packs are written all the while.
                content = json.dumps(
                    {"name": i, "text": f"{i * 7919} {(life, number) if i % 10 == 0 else 0}" * 20}
                ).encode()
                ref = ObjectRef("v1", "ConfigMap", f"n{i}", "n")
                await writer.add(Entry(ref=ref, address=await writer.put(content), size=len(content)))
            draft = SnapshotDraft(
                kind="manual",
                cluster="c",
                identity=ClusterIdentity("u", "c"),
                namespace=f"n{number % 2}",
                taken_at=datetime.now(UTC),
                message=f"{life} {number}",
            )
            snapshot = await writer.save(draft)
        print(snapshot.id, snapshot.namespace, snapshot.taken_at.isoformat(), flush=True)
        if number % 4 == 3:
            result = await prune(repository, Policy(last=KEPT))
            print(*(f"-{gone.id}" for gone in result.removed), sep="\n", flush=True)


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
