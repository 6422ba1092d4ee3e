# SPDX-License-Identifier: Apache-2.0
"""The kubeconfig of embedded clusters: one context each."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import NamedTuple


class Entry(NamedTuple):
    """What a client needs to reach one cluster; ``ca`` is PEM."""

    name: str
    server: str
    ca: bytes
    token: str


def kubeconfig(entries: Iterable[Entry]) -> str:
    """A kubeconfig as JSON (which is YAML); the first entry is the current context."""
    found = list(entries)
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": found[0].name if found else "",
            "clusters": [
                {
                    "name": entry.name,
                    "cluster": {
                        "server": entry.server,
                        "certificate-authority-data": base64.b64encode(entry.ca).decode(),
                    },
                }
                for entry in found
            ],
            "users": [{"name": entry.name, "user": {"token": entry.token}} for entry in found],
            "contexts": [
                {"name": entry.name, "context": {"cluster": entry.name, "user": entry.name}} for entry in found
            ],
        },
        indent=1,
    )
