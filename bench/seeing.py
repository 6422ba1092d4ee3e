# SPDX-License-Identifier: Apache-2.0
"""Backout's verification alone: ``python -m bench.seeing CONTEXT NAMESPACE DEPLOYMENT``.

Prints the moment (seconds since 1970) at which `backout.verify` held every check of the Deployment to be met.
"""

from __future__ import annotations

import asyncio
import sys
import time

from backout.cluster.client import connect
from backout.model.message import msg
from backout.model.part import Check
from backout.model.target import Target
from backout.verify.verify import verify


async def main(context: str, namespace: str, name: str) -> None:
    target = Target("deployment", name, namespace, context)
    check = Check(code="workload-ready", target=target, title=msg("ready"), params={})
    cluster = connect("", context)
    try:
        verdict = await verify(cluster, [check], 0.0, settle=120.0)
        at = time.time()
    finally:
        await cluster.close()
    print(repr(at), verdict.outcome)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
