# SPDX-License-Identifier: Apache-2.0
"""What a diagnosis asked for and may not read: what it can't be sure without, and what it only lacks as evidence. Pure.

Whatever was asked for in the namespace may show that something is broken (pods that a quota refuses show in events alone):
without it nothing is called healthy. Logs only say why; what belongs to the whole cluster or to other namespaces, or is a custom
resource that no release has, is not given to everybody who may look after a namespace. All of it is named.
"""

from __future__ import annotations

from collections.abc import Iterable

from backout.cluster.noting import LOGS, no_right
from backout.cluster.port import Resource
from backout.kube.groups import custom
from backout.model.message import Message, few, msg

Denied = tuple[Resource, str]
"""A kind, and the namespace in which it may not be read."""


def hidden(denied: Iterable[Denied], namespace: str) -> tuple[Message, ...]:
    """What hides whether something is broken."""
    return tuple(no_right(one.plural, place) for one, place in denied if _needed(one, place, namespace))


def lacking(denied: Iterable[Denied], namespace: str) -> tuple[Message, ...]:
    """What is missing as evidence; one sentence, however much it is."""
    kinds = [_called(one, place, namespace) for one, place in denied if not _needed(one, place, namespace)]
    return (msg("Not looked at, for want of rights: {kinds}.", kinds=few(list(dict.fromkeys(kinds)))),) if kinds else ()


def _needed(resource: Resource, place: str, namespace: str) -> bool:
    return resource.namespaced and place == namespace and resource != LOGS and not custom(resource.api_version)


def _called(resource: Resource, place: str, namespace: str) -> str:
    return f"{resource.plural} ({place})" if place and place != namespace else resource.plural
