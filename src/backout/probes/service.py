# SPDX-License-Identifier: Apache-2.0
"""Does anything answer behind a port of a Service? One GET through the API server's proxy, to one of its pods.

The API server dials a ready endpoint; what it says when that fails is Go's net and net/http packages' text.
"""

from __future__ import annotations

import html
import re
from typing import Any, Literal

import msgspec

from backout.cluster.port import ClusterReader, Object, ProxyAnswer
from backout.errors import AccessDenied, BackoutError, ObjectNotFound
from backout.model.message import Message, msg
from backout.model.redaction import redact_text
from backout.probes.logs import plain

LIMIT = 256 * 1024
TIMEOUT = 5.0
_NO_TLS = ("server gave HTTP response to HTTPS client", "first record does not look like a TLS handshake")
_OTHER_PROTOCOL = ("malformed HTTP response", "malformed HTTP status code", "malformed MIME header", *_NO_TLS)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TLS_NAMES = ("https", "webhook", "tls")


class Connection(msgspec.Struct, frozen=True):
    """``answers``: a program was reached (``status`` 0: it speaks something other than HTTP/1).

    ``refused``: ready endpoints, but nobody listens. ``no-endpoints``: nobody to ask. ``unreachable``: nothing is
    known, since the API server doesn't get there, or this user may not ask.
    """

    state: Literal["answers", "refused", "no-endpoints", "unreachable"]
    message: Message
    status: int = 0
    marker: str = ""


async def connection(
    cluster: ClusterReader, namespace: str, service: Object, port: Any, path: str = "/", *, timeout: float = TIMEOUT
) -> Connection:
    """Asks ``path`` of a port: one of ``spec.ports`` of the Service, or its name or number. Never raises."""
    name = str(service["metadata"]["name"])
    spec = service.get("spec") or {}
    entry = port if isinstance(port, dict) else port_of(service, port)
    if entry is None:
        return Connection("no-endpoints", msg("Service {service} has no port {port}", service=name, port=str(port)))
    if (entry.get("protocol") or "TCP") != "TCP":
        return _unreachable(msg("port {port} is not TCP", port=str(entry.get("port"))))
    if spec.get("type") == "ExternalName" or not spec.get("selector"):
        return _unreachable(msg("Service {service} selects no pods", service=name))
    scheme: Literal["http", "https"] = "https" if _is_tls(entry) else "http"
    where: int | str = entry.get("name") or int(entry.get("port") or 0)
    try:
        answer = await cluster.proxied(
            "services", name, namespace, where, path, scheme=scheme, limit=LIMIT, timeout=timeout
        )
        if scheme == "https" and any(words in answer.refusal for words in _NO_TLS):
            answer = await cluster.proxied("services", name, namespace, where, path, limit=LIMIT, timeout=timeout)
    except AccessDenied:
        return _unreachable(msg("you may not use services/proxy in namespace {namespace}", namespace=namespace))
    except ObjectNotFound as error:
        return Connection("no-endpoints", msg("{error}", error=error.message))
    except BackoutError as error:
        return _unreachable(msg("{error}", error=error.message))
    return judged(answer)


def judged(answer: ProxyAnswer) -> Connection:
    """What an answer through the proxy says of the connection."""
    if not answer.refusal:
        mark = marker(answer.body, answer.content_type)
        return Connection("answers", msg("it answers {status}", status=answer.status), answer.status, mark)
    if "no endpoints available" in answer.refusal or "no service port" in answer.refusal:
        return Connection("no-endpoints", msg("{why}", why=answer.refusal))
    if "connection refused" in answer.refusal:
        return Connection("refused", msg("nobody listens on its pods' port ({why})", why=answer.refusal))
    if any(words in answer.refusal for words in _OTHER_PROTOCOL):
        return Connection("answers", msg("it accepts connections, and speaks something other than HTTP/1"))
    return _unreachable(msg("the API server does not reach it: {why}", why=answer.refusal))


def marker(body: bytes, content_type: str) -> str:
    """What tells one page from another: its title; of short plain text the text. Never more than 80 characters."""
    kind = content_type.partition(";")[0].strip().lower()
    found = _TITLE.search(body[: 64 * 1024]) if "html" in kind or not kind else None
    if found is not None:
        text = html.unescape(found[1].decode("utf-8", "replace"))
    elif kind == "text/plain" and len(body) <= 200:
        text = body.decode("utf-8", "replace")
    else:
        return ""
    return redact_text(plain(text))[:80]


def port_of(service: Object, port: int | str) -> dict[str, Any] | None:
    """The port of a Service by its name or number."""
    for entry in (service.get("spec") or {}).get("ports") or ():
        if port in (entry.get("name"), entry.get("port")) or str(port) == str(entry.get("port")):
            return dict(entry)
    return None


def _is_tls(entry: dict[str, Any]) -> bool:
    name = str(entry.get("name") or "")
    return (
        str(entry.get("appProtocol") or "").lower() == "https"
        or name.startswith(_TLS_NAMES)
        or (not entry.get("appProtocol") and not name and entry.get("port") in (443, 8443))
    )


def _unreachable(message: Message) -> Connection:
    return Connection("unreachable", message)
