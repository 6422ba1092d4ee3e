# SPDX-License-Identifier: Apache-2.0
"""Which names stand for secrets: of variables, keys, fields, options, headers. Pure."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"pass(?:word|wd|phrase|code)?(?:$|[^a-z])|pwd$|secret|token|credential|creds(?:$|[^a-z])|auth(?:$|[^a-z])|authorization|"
    r"api[-_.]?key|(?:access|private|account|shared|signing|encryption|master|license|admin|storage)[-_.]?key|bearer|dsn|"
    r"connection[-_.]?string|cookie|session[-_.]?(?:key|id)|(?:^|[-_.])pat$|(?:^|[-_.])sas$|requirepass|masterauth|signature$",
    re.IGNORECASE,
)
_KEY = re.compile(r"(?:[a-z0-9][-_.]key|[a-z0-9]Key|[A-Z0-9]_KEY)$")
_NO_KEY = re.compile(
    r"(?:public|topology|partition|sort|routing|primary|foreign|hash|cache|index|group|label|annotation|range|lookup|merge|row|object|config|"
    r"map|dedup(?:lication)?|idempotency|host|metric|series|tenant)[-_.]?key$",
    re.IGNORECASE,
)
_PLACES = frozenset({"PWD", "OLDPWD"})
"""Variables of every shell: the folder."""
_ONLY_NAMES = re.compile(
    r"(?:file|path|dir|directory|name|names|url|uri|mode|enabled|type|kind|ttl|timeout|ref|refs|count|length|size|seconds|expiry|"
    r"expires|version|provider|class|format|namespace|policy|lookups?|endpoint|host|user|username|issuer|mount|audience)$",
    re.IGNORECASE,
)
"""A name that ends so says where a secret is, or something about it, and does not hold it."""


def names_secret(name: str) -> bool:
    """True when a variable, key or field of that name is likely to hold a secret."""
    if name in _PLACES:
        return False
    return _SECRET.search(name) is not None or is_key(name)


def is_key(name: str) -> bool:
    """``SIGNING_KEY``, ``tls.key``, ``accountKey``; not ``topologyKey`` or ``cache_key``."""
    return _KEY.search(name) is not None and _NO_KEY.search(name) is None


def holds_secret(name: str) -> bool:
    """As `names_secret`, but for names that only say where one is: ``passwordFile``, ``secretName``."""
    return names_secret(name) and _ONLY_NAMES.search(name) is None


def asks_for_secret(argument: object) -> bool:
    """True for an option whose value is the next argument, and a secret: ``--db-password``, not ``--password-file``."""
    if not isinstance(argument, str) or not argument.startswith("-") or "=" in argument or " " in argument:
        return False
    return holds_secret(argument.lstrip("-")) or argument == "-p"
