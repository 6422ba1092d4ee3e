# SPDX-License-Identifier: Apache-2.0
"""``http-answer``: the requests that the configuration of a stack asks for, on top of what is checked anyway."""

from __future__ import annotations

from backout.cluster.port import INGRESSES, SERVICES, ClusterReader
from backout.errors import AccessDenied, ObjectNotFound
from backout.mechanisms.common.measuring import namespace_of
from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, passed, unknown
from backout.model.message import Message, msg
from backout.model.part import Check
from backout.model.settings import CheckSettings, Settings
from backout.model.target import Target
from backout.probes.ingress import fetch
from backout.probes.service import LIMIT, port_of
from backout.verify.params import HttpParams


def stack_checks(settings: Settings, cluster: str, namespace: str) -> tuple[Check, ...]:
    """The checks of the stacks that live in this namespace of this cluster."""
    return tuple(
        _check(wanted, cluster, namespace)
        for stack in settings.stacks.values()
        if stack.namespace == namespace and (not stack.clusters or cluster in stack.clusters)
        for wanted in stack.checks
    )


def _check(wanted: CheckSettings, cluster: str, namespace: str) -> Check:
    kind = "ingress" if wanted.ingress else "service"
    name = wanted.ingress or wanted.service
    params = {
        kind: name,
        "host": wanted.host,
        "port": wanted.port,
        "path": wanted.path,
        "status": wanted.status,
        "contains": wanted.contains,
    }
    title = msg("{object} answers {status} to {path}", object=f"{kind}/{name}", status=wanted.status, path=wanted.path)
    return Check(
        code="http-answer",
        target=Target(kind, name, namespace, cluster),
        title=title,
        params={key: value for key, value in params.items() if value not in ("", 0)},
    )


async def http_answer(check: CheckOf[HttpParams], cluster: ClusterReader) -> Measured:
    """A GET is answered with ``status``, and its body holds ``contains``."""
    params = check.params
    path, status, text = params.path, params.status or 200, params.contains
    if params.ingress:
        found, body, why = await _of_ingress(check, cluster, path)
    else:
        found, body, why = await _of_service(check, cluster, path)
    if not found:
        return unknown(why)
    if found < 0:
        return failed(why, again=True)
    if found != status:
        return failed(
            msg("it answers {status}", status=found), msg("{status}", status=status), again=True, status=found
        )
    if text and text.encode() not in body:
        return failed(
            msg("it answers {status}, without the text", status=found),
            msg("“{text}” in it", text=text),
            again=True,
            status=found,
        )
    if text:
        return passed(msg("it answers {status}, with “{text}” in it", status=found, text=text), status=found)
    return passed(msg("it answers {status}", status=found), status=found)


async def _of_ingress(check: CheckOf[HttpParams], cluster: ClusterReader, path: str) -> tuple[int, bytes, Message]:
    """Status (0: not measured, -1: it can't be right), body, and why."""
    name = check.params.ingress
    try:
        ingress = await cluster.get(INGRESSES, name, namespace_of(check))
    except ObjectNotFound:
        return -1, b"", msg("{object} does not exist", object=f"ingress/{name}")
    answer, body = await fetch(cluster, ingress, path, host=check.params.host)
    return answer.status, body, answer.error or msg("")


async def _of_service(check: CheckOf[HttpParams], cluster: ClusterReader, path: str) -> tuple[int, bytes, Message]:
    name, namespace = check.params.service, namespace_of(check)
    try:
        service = await cluster.get(SERVICES, name, namespace)
    except ObjectNotFound:
        return -1, b"", msg("{object} does not exist", object=f"service/{name}")
    ports = (service.get("spec") or {}).get("ports") or ()
    wanted = check.params.port or (ports[0].get("name") or ports[0].get("port") if ports else "")
    port = port_of(service, wanted)
    if port is None:
        return -1, b"", msg("Service {service} has no port {port}", service=name, port=str(wanted))
    scheme = "https" if str(port.get("appProtocol") or port.get("name") or "").lower().startswith("https") else "http"
    try:
        answer = await cluster.proxied(
            "services",
            name,
            namespace,
            port.get("name") or int(port["port"]),
            path,
            scheme="https" if scheme == "https" else "http",
            limit=LIMIT,
        )
    except AccessDenied:
        return 0, b"", msg("you may not use services/proxy in namespace {namespace}", namespace=namespace)
    if "connection refused" in answer.refusal or "no endpoints available" in answer.refusal:
        return -1, b"", msg("{why}", why=answer.refusal)
    if answer.refusal:
        return 0, b"", msg("the API server does not reach it: {why}", why=answer.refusal)
    return answer.status, answer.body, msg("")
