# SPDX-License-Identifier: Apache-2.0
"""Learns what the Secrets of a namespace hold, so that copies of it are hidden wherever they turn up: in logs, in events, in
variables of other names. Whoever may not list them is not told, and nothing is learnt: shapes and names have to do."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from backout.cluster.port import SECRETS, ClusterReader
from backout.errors import BackoutError
from backout.model.knownsecrets import learn_secret

MOST = 2000
"""Secrets that are looked at; a namespace with more of them keeps data there."""
LONGEST = 3.0
"""Seconds; an answer that comes later is not waited for."""


async def learn_from(cluster: ClusterReader, namespace: str) -> None:
    """Notes the values of the namespace's Secrets (of all namespaces when it is empty), but for Helm's records."""
    seen = 0
    with suppress(BackoutError, TimeoutError):
        async with asyncio.timeout(LONGEST):
            async for page in cluster.pages(SECRETS, namespace, fields="type!=helm.sh/release.v1"):
                for secret in page:
                    learn_secret(secret.get("data") or {})
                seen += len(page)
                if seen >= MOST:
                    return
