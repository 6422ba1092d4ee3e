# SPDX-License-Identifier: Apache-2.0
"""Is a hashring of Thanos receivers fit to be written? Pure.

Facts: thanos-io/thanos pkg/receive/config.go (HashringConfig: a list of rings; endpoints are addresses or objects with
``address``), cmd/thanos/receive.go (``--receive.hashrings-file``). Receivers that a ring names and that do not exist
fail every write that belongs to them; so a ring is written after its receivers are there, and before they go.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from typing import Any

import msgspec

from backout.cluster.port import Object
from backout.model.message import Message, few, msg

FLAG = "--receive.hashrings-file"


class Growth(msgspec.Struct, frozen=True, order=True):
    """A StatefulSet that must have more pods before the ring is written."""

    name: str
    now: int
    wanted: int


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: ``wrong`` forbids writing it; ``growth`` has to come first; ``notes`` are worth a word."""

    wrong: tuple[Message, ...] = ()
    growth: tuple[Growth, ...] = ()
    notes: tuple[Message, ...] = ()


class Around(msgspec.Struct, frozen=True):
    """What of the namespace endpoints can name."""

    namespace: str
    services: frozenset[str]
    sets: tuple[Object, ...]
    """The StatefulSets."""


def hashring_file(arguments: Iterable[str]) -> str:
    """The file that a receiver's arguments name as its hashring; empty when they name none."""
    words = [str(word) for word in arguments]
    for number, word in enumerate(words):
        if word.startswith(f"{FLAG}="):
            return word.partition("=")[2]
        if word == FLAG and number + 1 < len(words):
            return words[number + 1]
    return ""


def examine(text: str, around: Around) -> Ring:
    """Holds a ring against the receivers that are there."""
    try:
        rings = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Ring(wrong=(msg("it is not JSON: {why}", why=str(error)[:200]),))
    try:
        hosts = list(_hosts(rings))
    except ValueError as error:
        return Ring(wrong=(msg("it is no list of hashrings: {why}", why=str(error)),))
    return _held_against(hosts, around)


def _hosts(rings: Any) -> Iterable[str]:
    if not isinstance(rings, list) or not rings:
        raise ValueError("a list with at least one ring was expected")
    for ring in rings:
        endpoints = ring.get("endpoints") if isinstance(ring, dict) else None
        if not isinstance(endpoints, list) or not endpoints:
            raise ValueError("a ring has no endpoints")
        for endpoint in endpoints:
            address = endpoint.get("address") if isinstance(endpoint, dict) else endpoint
            if not isinstance(address, str) or not address:
                raise ValueError("an endpoint has no address")
            yield _host(address)


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, colon, port = address.rpartition(":")
    return host if colon and port.isdecimal() else address


def _held_against(hosts: list[str], around: Around) -> Ring:
    wrong: list[str] = []
    unchecked: list[str] = []
    needed: dict[str, int] = {}
    by_name = {entry["metadata"]["name"]: entry for entry in around.sets}
    headless = {entry["spec"].get("serviceName", ""): entry for entry in around.sets}
    for host in hosts:
        pod, service, ours = _place(host, around, set(headless))
        if not ours:
            unchecked.append(host)
        elif not pod:
            if service not in around.services:
                wrong.append(host)
        else:
            name, _, number = pod.rpartition("-")
            found = by_name.get(name)
            if found is None or not number.isdecimal() or service != found["spec"].get("serviceName", ""):
                wrong.append(host)
            else:
                needed[name] = max(needed.get(name, 0), int(number) + 1)
    growth = tuple(
        sorted(
            Growth(name, _replicas(by_name[name]), wanted)
            for name, wanted in needed.items()
            if wanted > _replicas(by_name[name])
        )
    )
    return Ring(
        wrong=(msg("its endpoints name what does not exist: {hosts}", hosts=few(dict.fromkeys(wrong))),)
        if wrong
        else (),
        growth=growth,
        notes=tuple(_notes(needed, by_name, unchecked)),
    )


def _place(host: str, around: Around, headless: set[str]) -> tuple[str, str, bool]:
    """Pod (may be empty), Service, and whether it is one of this namespace (else it can't be judged)."""
    try:
        ipaddress.ip_address(host)
        return "", "", False
    except ValueError:
        pass
    labels = host.rstrip(".").split(".")
    inside = "svc" in labels
    if inside:
        labels = labels[: labels.index("svc")]
    if len(labels) == 1:
        return "", labels[0], True
    if len(labels) == 2 and labels[1] in around.services | headless:
        return labels[0], labels[1], True
    if len(labels) == 2 and labels[1] == around.namespace:
        return "", labels[0], True
    if len(labels) == 3 and labels[2] == around.namespace:
        return labels[0], labels[1], True
    return "", "", False


def _notes(needed: dict[str, int], sets: dict[str, Object], unchecked: list[str]) -> Iterable[Message]:
    for name, wanted in sorted(needed.items()):
        now = _replicas(sets[name])
        if now > wanted:
            yield msg(
                "statefulset/{name} has {now} pods, of which this ring names {wanted}. Backout does not scale "
                "down: take the others away yourself when they have uploaded their data.",
                name=name,
                now=now,
                wanted=wanted,
            )
    if unchecked:
        yield msg("Endpoints outside of this namespace were not checked: {hosts}", hosts=few(dict.fromkeys(unchecked)))


def _replicas(entry: Object) -> int:
    replicas = entry["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)
