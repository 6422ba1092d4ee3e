# SPDX-License-Identifier: Apache-2.0
"""Values that are known to be secret, because a Secret of the cluster holds them; they are hidden wherever they turn up.

A value counts by its key (``password``), or by its looks (long, letters and digits mixed). Names, addresses and words are
no secrets, whatever Secret they stand in: a host name that is hidden would hide why something can't be reached. Known for
the length of the process, in memory alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from backout.model.secretnames import holds_secret

HIDDEN = "•••"
_HEAD = 6
"""Letters by which a value is looked up; shorter ones can't be told from words."""
_MOST = 20_000
_LONGEST = 16 * 1024
_ORDINARY = re.compile(
    r"[a-z]+|\d{1,6}|true|false|[a-z0-9]+(?:[.-][a-z0-9]+)*(?::\d+)?|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|/[\w./-]*"
)
"""Words, small numbers, host names with or without a port, mail addresses, paths."""
_WORDS = frozenset({"password", "secret", "changeme", "default", "monitoring", "postgres", "production", "staging"})
_CERTIFICATE = "-----BEGIN CERTIFICATE"
_TOKEN = re.compile(r"[A-Za-z0-9_+/=.~!@#$%^&*?-]{12,}")
_by_head: dict[str, set[str]] = {}
_generation = 0


def generation() -> int:
    """Rises with whatever is learnt: what was redacted before may have to be redacted again."""
    return _generation


def learn(key: str, value: bytes | str) -> None:
    """Notes what one key of a Secret holds."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    text = text.strip()
    if not _HEAD <= len(text) <= _LONGEST or text.startswith(_CERTIFICATE) or len(_by_head) > _MOST:
        return
    if holds_secret(key) and "\n" not in text and text.lower() not in _WORDS:
        if not text.isdigit() or len(text) > _HEAD:
            _note(text)
    elif _mixed(text):
        _note(text)
    else:
        _within(text)


def learn_secret(data: Mapping[str, str]) -> None:
    """Notes the ``data`` of a Secret: values are base64."""
    for key, value in data.items():
        try:
            learn(key, base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError, TypeError):
            continue


def forget() -> None:
    """Forgets all, for tests."""
    global _generation
    _generation += 1
    _by_head.clear()


def hide(text: str) -> str:
    """The text with every known value taken out."""
    if not _by_head or len(text) < _HEAD:
        return text
    found: list[str] = []
    at = begin = 0
    last = len(text) - _HEAD
    while at <= last:
        values = _by_head.get(text[at : at + _HEAD])
        value = max((v for v in values if text.startswith(v, at)), key=len, default="") if values else ""
        if value:
            found += [text[begin:at], HIDDEN]
            at = begin = at + len(value)
        else:
            at += 1
    return "".join([*found, text[begin:]]) if found else text


def _note(text: str) -> None:
    global _generation
    _generation += 1
    for form in _forms(text):
        if len(form) >= _HEAD:
            _by_head.setdefault(form[:_HEAD], set()).add(form)


def _forms(text: str) -> Iterable[str]:
    """How it may turn up: as it is, in a URL, in JSON, as base64 wherever it stands in what was encoded."""
    raw = text.encode()
    yield text
    yield quote(text, safe="")
    yield json.dumps(text)[1:-1]
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode()
        start = -(-before * 4 // 3)
        yield whole[start : (before + len(raw)) * 4 // 3]


def _mixed(text: str) -> bool:
    """Whether it looks as if nobody made it up to be read."""
    if not _TOKEN.fullmatch(text) or _ORDINARY.fullmatch(text) or "://" in text:
        return False
    kinds = (any(map(str.islower, text)), any(map(str.isupper, text)), any(map(str.isdigit, text)))
    return sum(kinds) >= 2 and len(set(text)) >= 8


def _within(text: str) -> None:
    """Secrets inside of a file or a URL: what redaction would hide of it."""
    from backout.model.redaction import secrets_in

    for value in secrets_in(text):
        if len(value) >= _HEAD and not _ORDINARY.fullmatch(value):
            _note(value)
