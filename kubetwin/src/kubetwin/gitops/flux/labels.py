# SPDX-License-Identifier: Apache-2.0
"""A post-renderer for helm: the labels by which helm-controller knows its objects again.

Run by helm as a program of its own (``labels.py NAME NAMESPACE``, manifests from stdin to stdout), so it imports nothing of the package.
Facts: helm-controller internal/postrender/common_renderer.go and internal/action/post_render.go (origin labels).
"""

from __future__ import annotations

import sys

import yaml

GROUP = "helm.toolkit.fluxcd.io"


def labelled(text: str, name: str, namespace: str) -> str:
    """Every document with both labels; comments that name the template stay."""
    out = []
    for part in text.split("\n---"):
        document = yaml.safe_load(part.removeprefix("---"))
        if not isinstance(document, dict):
            continue
        head = [line for line in part.splitlines() if line.startswith("# Source:")]
        meta = document.setdefault("metadata", {})
        meta["labels"] = {**(meta.get("labels") or {}), f"{GROUP}/name": name, f"{GROUP}/namespace": namespace}
        out.append("\n".join(["---", *head, yaml.safe_dump(document, sort_keys=False)]))
    return "\n".join(out)


if __name__ == "__main__":
    sys.stdout.write(labelled(sys.stdin.read(), sys.argv[1], sys.argv[2]))
