# SPDX-License-Identifier: Apache-2.0
"""Routes that an Ingress had, and that no Ingress has now: a host, a path, or the certificate of a host that was taken out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from backout.changes.authors import of_entries
from backout.changes.writers import Entry, Written
from backout.cluster.port import Object
from backout.diagnosis.attribution.faults import Finding
from backout.diagnosis.evidence.baseline import Expected
from backout.diagnosis.evidence.network import Ingress, Network
from backout.kube.intent import canonical
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef

if TYPE_CHECKING:
    from backout.probes.ingress import Answer


class Lost(msgspec.Struct, frozen=True):
    """A route that is gone; without a ``path`` it is the certificate of its host."""

    host: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.host or '*'}{self.path}"


def spec_of(ingress: Object) -> Any:
    """What an Ingress asks for, in the form in which two can be compared."""
    return canonical({**ingress, "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {}}).get("spec")


def set_by(entries: Iterable[Entry], written: Written, fields: str) -> bool:
    """True when that writer set one of these fields of the spec (a pattern)."""
    mine = [author for author in of_entries(entries) if author.manager == written.manager]
    return any(re.search(rf"^spec\.({fields})", path) for author in mine for path in author.paths)


def lost_routes(ref: ObjectRef, ingress: Ingress, earlier: Expected, network: Network) -> list[Lost]:
    """What it served then, and what no Ingress of the namespace serves now.

    Hosts of more than one namespace may be served elsewhere: asking tells (see `still_lost`).
    """
    now = [one.spec for (namespace, _), one in network.ingresses.items() if namespace == ref.namespace]
    routes = [route for spec in now for route in _routes(spec)]
    then = earlier.content.get("spec") or {}
    found = [Lost(host, path) for host, path in _routes(then) if not any(_covers(one, (host, path)) for one in routes)]
    hosts = {host for host, _ in _routes(ingress.spec)}
    secured = {host for spec in now for host in _secured(spec)}
    found += [Lost(host) for host in _secured(then) if host not in secured and host in hosts]
    return list(dict.fromkeys(found))


def _routes(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            yield str(rule.get("host") or ""), str(path.get("path") or "/")


def _secured(spec: dict[str, Any]) -> Iterator[str]:
    for entry in spec.get("tls") or ():
        yield from (str(host) for host in entry.get("hosts") or ())


def _covers(route: tuple[str, str], wanted: tuple[str, str]) -> bool:
    host, path = route
    same = host in ("", wanted[0]) or (host.startswith("*.") and host[2:] == wanted[0].partition(".")[2])
    return same and (path == wanted[1] or wanted[1].startswith(path.rstrip("/") + "/"))


def still_lost(lost: Sequence[Lost], answers: Sequence[Answer]) -> list[Lost]:
    """Without those that answer all the same: something elsewhere serves them."""
    well = {(answer.host, answer.path) for answer in answers if answer.status and answer.status < 400}
    return [one for one in lost if not one.path or (one.host, one.path) not in well]


def lost_finding(
    ref: ObjectRef, written: Written | None, gone: Sequence[Lost], earlier: Expected, answers: Sequence[Answer]
) -> Finding:
    """The finding of an Ingress that lost these routes."""
    routes, hosts = [str(one) for one in gone if one.path], [one.host for one in gone if not one.path]
    text = (
        msg("it has no route for {routes} any more", routes=", ".join(routes[:3]))
        if routes
        else msg("it has no certificate for {hosts} any more", hosts=", ".join(hosts[:3]))
    )
    evidence = [Evidence(source="object", ref=ref, message=msg("{source} has it", source=earlier.source))]
    asked = {(one.host, one.path) for one in gone}
    for answer in answers:
        if answer.status >= 400 and (answer.host, answer.path) in asked:
            said = msg(
                "GET http://{address}{path} with Host {host}: {status}",
                address=answer.address,
                path=answer.path,
                host=answer.host or "-",
                status=answer.status,
            )
            evidence.append(Evidence(source="http", ref=ref, message=said, data={"status": answer.status}))
    by_hand = written is not None and written.by == "other"
    symptom = Symptom(
        code="LostRoute",
        ref=ref,
        message=text,
        since=written.at if written is not None and by_hand else None,
        evidence=tuple(evidence[:4]),
    )
    proof = msg("By {source}, it serves {routes}.", source=earlier.source, routes=", ".join([*routes, *hosts][:3]))
    return Finding(ref, symptom, None, proof, direct=True, fields="rules" if routes else "tls", before=earlier)
