# SPDX-License-Identifier: Apache-2.0
"""GET to programs in pods through the API server's ``proxy`` subresources, and who it was that answered.

Facts (kubernetes/kubernetes): the API server answers with a Status document of its own when it reaches nobody: 503
ServiceUnavailable ``error trying to reach service: …`` (staging/src/k8s.io/apimachinery/pkg/util/proxy/transport.go),
``no endpoints available for service "…"`` (pkg/registry/core/service/storage/storage.go), 400 ``address not allowed``
for a pod without an address (pkg/registry/core/pod/strategy.go). Where the way from the API server to the pods leads
through an HTTP proxy, that proxy's refusals arrive as if they were the program's, in plain text.
"""

from __future__ import annotations

import asyncio
import re
from typing import Literal
from urllib.parse import quote, unquote

from backout.cluster import answers
from backout.cluster.answers import Status, Subject
from backout.cluster.listing import path_of
from backout.cluster.port import PODS, SERVICES, ProxyAnswer
from backout.cluster.wire import PassedOn, Wire

Where = tuple[Literal["pods", "services"], str, str, int | str, Literal["http", "https"]]
"""Kind, name, namespace, port, scheme."""

_OWN = frozenset({"ServiceUnavailable", "BadGateway", "InternalError", "BadRequest", "Timeout", "TooManyRequests"})
_SAFE = "/?&=:@!$'()*+,;~-._%"
_DOTS = re.compile(r"(^|/)\.{1,2}(/|$)")


async def proxied(wire: Wire, where: Where, path: str, *, limit: int, timeout: float) -> ProxyAnswer:
    """See `backout.cluster.port.Cluster.proxied`."""
    kind, name, namespace, port, scheme = where
    if not path.startswith("/") or _climbs(path):
        # Dots would lead out of the proxy, to any other resource of the API, as this user.
        return ProxyAnswer(0, refusal="a path with dot segments is not asked for")
    collection = path_of(PODS if kind == "pods" else SERVICES, namespace=namespace)
    full = f"{'https:' if scheme == 'https' else ''}{quote(name, safe='')}:{quote(str(port), safe='')}"
    url = f"{collection}/{full}/proxy{quote(path, safe=_SAFE)}"
    try:
        async with asyncio.timeout(timeout):
            answer = await wire.passed_on(url, limit=limit, read_timeout=timeout)
    except TimeoutError:
        return ProxyAnswer(0, refusal=f"no whole answer within {timeout:g} s")
    return _judged(answer, Subject("get", f"{kind}/proxy", name, namespace), wire.server)


def _climbs(path: str) -> bool:
    plain = path.partition("?")[0]
    for _ in range(3):
        if _DOTS.search(plain.replace("\\", "/")):
            return True
        plain = unquote(plain)
    return False


def _judged(answer: PassedOn, subject: Subject, server: str) -> ProxyAnswer:
    status, kind, body, truncated = answer
    if not status:
        return ProxyAnswer(0, refusal="the answer was cut off")
    own = answers.read_status(body, kind) if status >= 400 and not truncated else None
    if own is not None and (own.reason in ("Unauthorized", "Forbidden") or _missing(own, subject)):
        raise answers.error_for(status, own, subject, server=server)
    refusal = _refusal(status, kind, own)
    return ProxyAnswer(status, kind, body, refusal, truncated)


def _missing(own: Status, subject: Subject) -> bool:
    """Whether the pod or Service is not there; a program may answer with a Status of its own, too."""
    return own.reason == "NotFound" and bool(subject.name) and f'"{subject.name}" not found' in own.message


def _refusal(status: int, kind: str, own: Status | None) -> str:
    if own is not None and own.reason in _OWN:
        return answers.cut(own.message) or own.reason
    if status in (403, 407) and kind.partition(";")[0].strip().lower() in ("", "text/plain"):
        return f"{status} in plain text: something between the API server and the pods refuses the connection"
    if status == 429:
        return "429: somebody on the way asked to slow down"
    return ""
