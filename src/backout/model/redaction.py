# SPDX-License-Identifier: Apache-2.0
"""Keeps secrets out of what is shown or stored. Pure; used wherever text or values come from a cluster or a program."""

from __future__ import annotations

import re

HIDDEN = "•••"

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?($|[^a-z])|secret|token|credential|api[-_.]?key|access[-_.]?key|private[-_.]?key|auth($|[^a-z])|"
    r"authorization|bearer|dsn|connection[-_.]?string|cookie|session[-_.]?key",
    re.IGNORECASE,
)
# Each pattern begins with something rare, and its repetitions are bounded: texts come from strangers, may be a mebibyte
# of one letter, and must take no time that grows with the square of their length.
_URL_USER = re.compile(
    # The second form: a password with a slash in it; a port before the slash is none.
    r"(?<=[A-Za-z0-9+.-])://(?:[^/\s\"']{1,1024}|[^/\s@:\"']{0,256}:(?!\d{1,5}/)[^\s\"']{1,1024})@"
)
_PAIR = re.compile(
    r"(?P<name>(?:pass(?:word|wd|phrase)?|secret|token|credential|api[-_.]?key|access[-_.]?key|private[-_.]?key|"
    r"authorization|dsn)[\w.-]{0,128}[\"']?\s{0,64}[=:]\s{0,64})"
    r"(?P<value>(?:bearer|basic)\s+\S+|\"[^\"]*\"|'[^']*'|[^\s,;&}\]]+)",
    re.IGNORECASE,
)
_PAIR_WORDS = ("pass", "secret", "token", "credential", "key", "authorization", "dsn")
_BEARER = re.compile(r"\b(?P<name>bearer|basic)\s{1,64}[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,2048}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_AWS = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
_FLAG = re.compile(
    r"(?P<name>(?<!\S)--?[\w.-]{0,128}(?:pass(?:word|wd|phrase)?|secret|token|credentials?|api-?key|access-?key)\s{1,64})(?!-)"
    r"(?=\S*[0-9A-Z])\S{6,}"
)
_USER_OPTION = re.compile(r"(?P<name>(?<!\S)(?:-u|--user)[= ]\s{0,64}[^\s:]{1,256}:)\S+")
_WEBHOOK = re.compile(
    r"(?P<name>https://(?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks)/)[^\s\"']+"
)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)


def names_secret(name: str) -> bool:
    """True when a variable, key or field of that name is likely to hold a secret."""
    return _SECRET_NAME.search(name) is not None


def redact_text(text: str) -> str:
    """A log line or message without credentials: ``key=value`` pairs with telling names, URL users, tokens, keys."""
    lowered = text.lower()
    if "-----begin" in lowered:
        text = _PEM.sub(HIDDEN, text)
    if "://" in text and "@" in text:
        text = _URL_USER.sub(f"://{HIDDEN}@", text)
    if "bearer" in lowered or "basic" in lowered:
        text = _BEARER.sub(rf"\g<name> {HIDDEN}", text)
    if any(word in lowered for word in _PAIR_WORDS):
        text = _PAIR.sub(rf"\g<name>{HIDDEN}", text)
        text = _FLAG.sub(rf"\g<name>{HIDDEN}", text)
    if "-u" in text:
        text = _USER_OPTION.sub(rf"\g<name>{HIDDEN}", text)
    if "https://" in text:
        text = _WEBHOOK.sub(rf"\g<name>{HIDDEN}", text)
    text = _JWT.sub(HIDDEN, text)
    return _AWS.sub(HIDDEN, text)


_NO_SECRET = re.compile(r"(?:file|path|dir|directory|name|url|mode|enabled|type|ttl|timeout)$", re.IGNORECASE)


def asks_for_secret(argument: object) -> bool:
    """True for an option whose value is the next argument, and a secret: ``--db-password``, not ``--password-file``."""
    if not isinstance(argument, str) or not argument.startswith("-") or "=" in argument or " " in argument:
        return False
    return names_secret(argument) and _NO_SECRET.search(argument) is None
