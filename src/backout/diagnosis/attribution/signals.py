# SPDX-License-Identifier: Apache-2.0
"""What last words of a program point to. Pure. A line is evidence, and no proof: it says where to look.

Ordinary lines ("loading configuration from FILE") name nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from backout.kube.references import mentions
from backout.model.message import Message, msg

_ADDRESS = r"env|args|command|[cC]onfig|volumes|volumeMounts|hostAliases|dns|networkpolicy|service/|[sS]ecret"


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """Where a line points, and which fields could have made a program say that (``by``, a pattern of paths)."""

    name: str
    words: tuple[str, ...]
    by: str
    message: Message


SIGNALS: tuple[Signal, ...] = (
    Signal(
        name="dns",
        words=(
            r"no such host",
            r"temporary failure in name resolution",
            r"server misbehaving",
            r"NXDOMAIN",
            r"getaddrinfo",
            r"ENOTFOUND",
            r"EAI_AGAIN",
        ),
        by=_ADDRESS,
        message=msg("Its last words are that a name can't be resolved: look at that name, and at the cluster's DNS."),
    ),
    Signal(
        name="certificate",
        words=(
            r"x509:",
            r"certificate has expired",
            r"certificate is not yet valid",
            r"unknown authority",
            r"tls: (bad|failed)",
            r"SSL: CERTIFICATE",
        ),
        by=r"tls|cert|[cC]onfig|volumes|volumeMounts|[sS]ecret|env|args",
        message=msg("Its last words are of a certificate: look at when it ran out, and at who issues it."),
    ),
    Signal(
        name="disk",
        words=(r"no space left on device", r"disk quota exceeded", r"read-only file system"),
        by=r"volumes|volumeMounts|volumeClaimTemplates|securityContext|args|[cC]onfig",
        message=msg("Its last words are that a disk is full, or can't be written: look at its volume and its node."),
    ),
    Signal(
        name="credentials",
        words=(
            r"authentication failed",
            r"password authentication",
            r"invalid credentials",
            r"access denied for user",
            r"login failed",
            r"401 Unauthorized",
            r"NOAUTH",
            r"WRONGPASS",
        ),
        by=r"env|args|[cC]onfig|volumes|[sS]ecret|serviceAccount",
        message=msg("Its last words are that it was not let in: look at who changed the password, there or here."),
    ),
    Signal(
        name="rights",
        words=(r"\bforbidden\b", r"is not authorized", r"permission denied", r"403 Forbidden", r"AccessDenied"),
        by=r"securityContext|[sS]erviceAccount|role|volumes|volumeMounts|[sS]ecret|env|command|args|image",
        message=msg("Its last words are that something is not allowed: look at its rights (Role, RoleBinding, files)."),
    ),
    Signal(
        name="dependency",
        words=(
            r"connection refused",
            r"i/o timeout",
            r"dial tcp",
            r"ECONNREFUSED",
            r"ETIMEDOUT",
            r"connection reset",
            r"deadline exceeded",
            r"too many connections",
            r"503 Service Unavailable",
        ),
        by=_ADDRESS,
        message=msg("Its last words are that something else does not answer: look at what it depends on."),
    ),
)


def signals(text: str) -> Iterator[Signal]:
    """What the words point to, the most telling first."""
    for signal in SIGNALS:
        if re.search("|".join(signal.words), text, re.IGNORECASE):
            yield signal


_UNANSWERED = re.compile(
    "|".join(word for signal in SIGNALS if signal.name == "dependency" for word in signal.words), re.IGNORECASE
)
_UNRESOLVED = re.compile(
    "|".join(word for signal in SIGNALS if signal.name == "dns" for word in signal.words), re.IGNORECASE
)
_NEAR = 100
"""Characters of a log line between a name and what is said of it."""


def does_not_answer(text: str, name: str) -> bool:
    """True when the words are that what has that name does not answer."""
    return _said_of(_UNANSWERED, text, name)


def does_not_resolve(text: str, name: str) -> bool:
    """True when the words are that this name can't be resolved."""
    return _said_of(_UNRESOLVED, text, name)


def _said_of(words: re.Pattern[str], text: str, name: str) -> bool:
    return any(
        mentions(text[max(0, found.start() - _NEAR) : found.end() + _NEAR], name) for found in words.finditer(text)
    )


_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - of the program that says so, not ours
_FULL = re.compile(r"(/[\w./-]+)\W{1,3}no space left on device", re.IGNORECASE)


def in_its_own_memory(template: Mapping[str, Any], said: str) -> bool:
    """True when what is full is a disk that the pod has for itself: nothing of its node, and nobody else's.

    A container has 64 MiB of memory at ``/dev/shm``, unless something is mounted there; an ``emptyDir`` may be in memory, or
    have a limit.
    """
    spec = template.get("spec") or {}
    limited = {
        volume.get("name")
        for volume in spec.get("volumes") or ()
        if (volume.get("emptyDir") or {}).get("medium") == "Memory" or (volume.get("emptyDir") or {}).get("sizeLimit")
    }
    mounts = {
        str(mount.get("mountPath")).rstrip("/"): mount.get("name")
        for container in spec.get("containers") or ()
        for mount in container.get("volumeMounts") or ()
    }
    own = [path for path, name in mounts.items() if name in limited]
    own += [] if _SHARED_MEMORY in mounts else [_SHARED_MEMORY]
    full = _FULL.findall(said)
    return bool(full) and all(any(path == one or path.startswith(f"{one}/") for one in own) for path in full)
