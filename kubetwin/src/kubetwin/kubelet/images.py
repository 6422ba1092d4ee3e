# SPDX-License-Identifier: Apache-2.0
"""Image references and the errors of registries, in the words of a kubelet with containerd."""

from __future__ import annotations

import hashlib
import re

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?))*(?::[0-9]+)?"
_NAME = re.compile(
    rf"^(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[a-f0-9]{{64}})?$"
)


def invalid_reason(image: str) -> str | None:
    """Why an image reference cannot be parsed; None when it can."""
    if _NAME.match(image):
        return None
    name = image.partition("@")[0]
    path = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    problem = "invalid reference format"
    if path != path.lower() and _NAME.match(image.lower()):
        problem += ": repository name must be lowercase"
    return f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {problem}'


def full_name(image: str) -> str:
    """docker.io/library/nginx:latest for nginx."""
    first, slash, _ = image.partition("/")
    if not slash:
        image = f"docker.io/library/{image}"
    elif not ("." in first or ":" in first or first == "localhost"):
        image = f"docker.io/{image}"
    if "@" not in image and ":" not in image.rpartition("/")[2]:
        image += ":latest"
    return image


def repository(image: str) -> str:
    name = full_name(image).partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def image_id(image: str) -> str:
    """A repository digest that is always the same for the same reference."""
    if "@sha256:" in image:
        return full_name(image)
    return f"{repository(image)}@sha256:{hashlib.sha256(full_name(image).encode()).hexdigest()}"


def pull_error(image: str, kind: str) -> str:
    """The runtime's error for ``missing``, ``denied`` and ``unreachable``."""
    name = full_name(image)
    head = f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": '
    host = name.partition("/")[0]
    repo = repository(image)
    if kind == "missing":
        return f"rpc error: code = NotFound desc = {head}{name}: not found"
    if kind == "denied":
        return (
            f"rpc error: code = Unknown desc = {head}pull access denied, repository does not exist or may require "
            "authorization: authorization failed: no basic auth credentials"
        )
    registry = "registry-1.docker.io" if host == "docker.io" else host
    tag = name.rpartition(":")[2]
    path = repo.partition("/")[2]
    return (
        f"rpc error: code = Unknown desc = {head}failed to do request: "
        f'Head "https://{registry}/v2/{path}/manifests/{tag}": '
        f"dial tcp: lookup {registry}: i/o timeout"
    )
