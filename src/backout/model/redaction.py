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
_URL_USER = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@\"']+@", re.IGNORECASE)
_PAIR = re.compile(
    r"(?P<name>\b[\w.-]*(?:pass(?:word|wd|phrase)?|secret|token|credential|api[-_.]?key|access[-_.]?key|private[-_.]?key|"
    r"authorization|dsn)[\w.-]*[\"']?\s*[=:]\s*)(?P<value>(?:bearer|basic)\s+\S+|\"[^\"]*\"|'[^']*'|[^\s,;&}\]]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?P<name>bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_AWS = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)


def names_secret(name: str) -> bool:
    """True when a variable, key or field of that name is likely to hold a secret."""
    return _SECRET_NAME.search(name) is not None


def redact_text(text: str) -> str:
    """A log line or message without credentials: ``key=value`` pairs with telling names, URL users, tokens, keys."""
    text = _PEM.sub(HIDDEN, text)
    text = _URL_USER.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _BEARER.sub(rf"\g<name> {HIDDEN}", text)
    text = _PAIR.sub(rf"\g<name>{HIDDEN}", text)
    text = _JWT.sub(HIDDEN, text)
    return _AWS.sub(HIDDEN, text)
