# SPDX-License-Identifier: Apache-2.0
"""Asks a platform's API: JSON over TLS, with limits, without following anybody elsewhere, and without a secret in errors.

A token goes to the host that it is for and nowhere else: redirects are not followed. What an answer means is one table for
all platforms (RFC 9110; RFC 6585 for 429; GitHub answers 403 with ``x-ratelimit-remaining: 0`` as well: docs.github.com,
"Rate limits for the REST API").
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlsplit

import msgspec

from backout.effects import passing
from backout.errors import (
    AccessDenied,
    BackoutError,
    Conflict,
    GitUnreachable,
    Invalid,
    NotFoundError,
    RefusedError,
    Throttled,
    TokenExpired,
    TooLarge,
)
from backout.model.decoding import UNREADABLE
from backout.model.plaintext import one_line
from backout.model.redaction import redact_text

TIMEOUT = 30.0
"""Seconds for one answer."""
LARGEST = 8 * 1024 * 1024
LONGEST_WORDS = 300


Query = Mapping[str, str | int]


class Api:
    """One platform's API below ``base``, with the headers that say who we are."""

    def __init__(self, base: str, headers: Mapping[str, str], *, timeout: float = TIMEOUT) -> None:
        self.base = base.rstrip("/")
        self.host = urlsplit(base).netloc
        self._headers = {"User-Agent": "backout", "Accept": "application/json", **headers}
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"Api({self.base!r})"

    async def ask(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, query: Query | None = None
    ) -> Any:
        """One request; ``path`` begins with a slash, or is a whole URL of the same host. The answer's JSON.

        Raises:
            GitUnreachable: no answer, or 5xx.
            Throttled: it asks to slow down; the hint says how long.
            TokenExpired, AccessDenied, NotFoundError, Conflict, Invalid: 401, 403, 404, 409, 422 or 400.
            TooLarge: more than 8 MiB.
            RefusedError: a redirect, or no JSON.
        """
        import httpx2 as httpx

        url = path if "://" in path else self.base + path
        try:
            with nullcontext() if method == "GET" else passing("forge", f"{method} {path.partition('?')[0]}"):
                async with (
                    asyncio.timeout(self._timeout),
                    httpx.AsyncClient(follow_redirects=False, timeout=self._timeout) as client,
                    client.stream(
                        method, url, json=body, params=dict(query) if query else None, headers=self._headers
                    ) as answer,
                ):
                    content = bytearray()
                    async for chunk in answer.aiter_bytes():
                        content += chunk
                        if len(content) > LARGEST:
                            raise TooLarge(
                                "{host} answers more than {most} MiB.", host=self.host, most=LARGEST // 1024 // 1024
                            )
                    status, headers = answer.status_code, answer.headers
        except (httpx.HTTPError, TimeoutError, ssl.SSLError, OSError) as error:
            raise self._unreached(error) from None
        if not 200 <= status < 300:
            raise self._refused(status, headers, bytes(content))
        try:
            return msgspec.json.decode(bytes(content)) if content else None
        except UNREADABLE:
            raise RefusedError(
                "{host} answers something that is no JSON.",
                host=self.host,
                expected="its API",
                found=one_line(headers.get("content-type", "nothing"))[:80],
                hint="a proxy or a login page may be in between",
            ) from None

    def _unreached(self, error: Exception) -> BackoutError:
        words = one_line(redact_text(str(error)))[:LONGEST_WORDS] or type(error).__name__
        if "certificate" in words.lower():
            return RefusedError(
                "The certificate of {host} is not vouched for: {words}",
                host=self.host,
                words=words,
                hint="SSL_CERT_FILE names the authority that you trust; or somebody is in between",
            )
        return GitUnreachable("{host} gives no answer: {words}", host=self.host, words=words, hint="try again later")

    def _refused(self, status: int, headers: Mapping[str, str], content: bytes) -> BackoutError:
        words = _words(content)
        facts = {"host": self.host, "status": str(status), "words": words}
        if status == 429 or (
            status == 403 and (headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers)
        ):
            return Throttled(
                "{host} asks to slow down ({status}): {words}",
                **facts,
                seconds=wait_of(headers),
                hint="again in {seconds} s",
            )
        if status >= 500:
            return GitUnreachable("{host} answers {status}: {words}", **facts, hint="try again later")
        if 300 <= status < 400:
            return RefusedError(
                "{host} says that the repository is elsewhere: {to}.",
                host=self.host,
                to=one_line(redact_text(headers.get("location", "nowhere")))[:LONGEST_WORDS],
                hint="use its new URL; a token is not carried to another place",
            )
        if status == 401:
            return TokenExpired("{host} does not accept the token: {words}", **facts, hint="make a new one")
        if status == 403:
            return AccessDenied(
                "{host} does not allow that: {words}", **facts, hint="the token needs the right to write"
            )
        if status == 404:
            return NotFoundError(
                "{host} knows no such repository or request: {words}",
                **facts,
                hint="it answers so too where the token may not see it",
            )
        if status == 409:
            return Conflict("{host}: {words}", **facts)
        if status in (400, 422):
            return Invalid("{host} does not take the request: {words}", **facts)
        return RefusedError("{host} answers {status}: {words}", **facts)


def wait_of(headers: Mapping[str, str]) -> int:
    """Seconds after which to ask again, an hour at most."""
    import time

    try:
        if "retry-after" in headers:
            return max(1, min(3600, int(headers["retry-after"])))
        for name in ("x-ratelimit-reset", "ratelimit-reset"):
            if name in headers:
                return max(1, min(3600, int(headers[name]) - int(time.time())))
    except ValueError:
        pass
    return 60


def _words(content: bytes) -> str:
    """What the platform says went wrong: GitHub ``message`` and ``errors[]``, GitLab ``message`` (a text, a list, or texts
    by field) or ``error``, Gitea ``message``."""
    try:
        found = msgspec.json.decode(content)
    except UNREADABLE:
        found = None
    if not isinstance(found, dict):
        return "no words"
    said = [*_texts(found.get("message") or found.get("error")), *_texts(found.get("errors"))]
    return one_line(redact_text(": ".join(dict.fromkeys(said))))[:LONGEST_WORDS] or "no words"


def _texts(found: Any) -> list[str]:
    if isinstance(found, str):
        return [found]
    if isinstance(found, list):
        return [text for one in found[:5] for text in _texts(one)]
    if isinstance(found, dict):
        if isinstance(found.get("message"), str):
            return [found["message"]]
        return [text for key, one in list(found.items())[:5] if key not in ("resource", "code") for text in _texts(one)]
    return []
