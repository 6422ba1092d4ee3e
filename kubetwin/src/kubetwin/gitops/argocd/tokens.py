# SPDX-License-Identifier: Apache-2.0
"""Who asks argocd-server: tokens (JWT, HS256), local accounts, and what their roles permit. Pure.

Facts: argo-cd util/session/sessionmanager.go (claims, ``account:login`` and ``account:apiKey`` as subject), util/settings/accounts.go,
assets/builtin-policy.csv and model.conf, util/rbac/rbac.go (``EnforceErr``), docs/operator-manual/rbac.md. Single sign-on is not there.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from kubetwin.client import Obj

ISSUER = "argocd"
_READ = (
    "applications",
    "applicationsets",
    "certificates",
    "clusters",
    "repositories",
    "projects",
    "accounts",
    "gpgkeys",
    "logs",
)
_ADMIN = {
    "applications": ("create", "update", "update/*", "delete", "delete/*", "sync", "rollback", "override", "action/*"),
    "applicationsets": ("get", "create", "update", "delete"),
    "clusters": ("create", "update", "delete"),
    "repositories": ("create", "update", "delete"),
    "projects": ("create", "update", "delete"),
    "accounts": ("update",),
}


class SessionError(Exception):
    """A token that is not accepted; the text is what the server says."""


def issue(key: bytes, subject: str, *, lifetime: float = 86400.0, token_id: str = "") -> str:
    """A token for ``ACCOUNT:login``, ``ACCOUNT:apiKey`` or ``proj:PROJECT:ROLE``; ``lifetime`` in seconds, 0 for ever."""
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": subject, "iat": now, "nbf": now, "jti": token_id or str(uuid.uuid4())}
    if lifetime:
        claims["exp"] = now + int(lifetime)
    head = _encoded({"alg": "HS256", "typ": "JWT"}) + "." + _encoded(claims)
    return head + "." + _signature(key, head)


def verified(key: bytes, token: str) -> Obj:
    """Its claims.

    Raises:
        SessionError: it is no token, not ours, or not valid any more.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise SessionError("token is malformed: token contains an invalid number of segments")
    if not hmac.compare_digest(_signature(key, ".".join(parts[:2])), parts[2]):
        raise SessionError("token signature is invalid: signature is invalid")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
    except (ValueError, binascii.Error):
        raise SessionError("token is malformed: could not JSON decode claim") from None
    if not isinstance(claims, dict) or claims.get("iss") != ISSUER:
        raise SessionError("token has invalid claims: token has invalid issuer")
    if claims.get("exp") is not None and time.time() > float(claims["exp"]):
        raise SessionError("token has invalid claims: token is expired")
    return claims


def _encoded(value: Obj) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def _signature(key: bytes, text: str) -> str:
    return base64.urlsafe_b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Account:
    """A local account: ``admin``, or one of ``accounts.NAME`` in argocd-cm."""

    name: str
    capabilities: tuple[str, ...]
    enabled: bool = True


def accounts(settings: dict[str, str]) -> dict[str, Account]:
    """All accounts by name."""
    found = {"admin": Account("admin", ("login",), settings.get("admin.enabled") != "false")}
    for key, value in settings.items():
        parts = key.split(".")
        if len(parts) == 2 and parts[0] == "accounts":
            enabled = settings.get(f"{key}.enabled") != "false"
            found[parts[1]] = Account(parts[1], tuple(each.strip() for each in value.split(",")), enabled)
    return found


class Policy:
    """What subjects may do: the built-in roles, and those of argocd-rbac-cm and of a project."""

    def __init__(self, config: dict[str, str], lines: Iterable[str] = ()) -> None:
        self._default = config.get("policy.default", "")
        self._rules: list[tuple[str, str, str, str, str]] = []
        self._roles: dict[str, set[str]] = {"role:admin": {"role:readonly"}, "admin": {"role:admin"}}
        for resource in _READ:
            self._rules.append(("role:readonly", resource, "get", "*", "allow"))
        for resource, actions in _ADMIN.items():
            self._rules += [("role:admin", resource, action, "*", "allow") for action in actions]
        texts = [v for k, v in sorted(config.items()) if k.startswith("policy.") and k.endswith("csv")]
        for line in [each for text in texts for each in text.splitlines()] + list(lines):
            self._read(line)

    def _read(self, line: str) -> None:
        row = next(csv.reader([line.strip()], skipinitialspace=True), [])
        if len(row) >= 5 and row[0] == "p":
            self._rules.append((row[1], row[2], row[3], row[4], row[5] if len(row) > 5 else "allow"))
        elif len(row) >= 3 and row[0] == "g":
            self._roles.setdefault(row[1], set()).add(row[2])

    def permits(self, subjects: Iterable[str], resource: str, action: str, name: str) -> bool:
        """Some rule allows it, and none denies it."""
        wanted = set(subjects) | ({self._default} if self._default else set())
        while more := {role for each in wanted for role in self._roles.get(each, ())} - wanted:
            wanted |= more
        effects = {
            effect
            for subject, kind, verb, pattern, effect in self._rules
            if subject in wanted
            and fnmatchcase(resource, kind)
            and fnmatchcase(action, verb)
            and fnmatchcase(name, pattern)
        }
        return "allow" in effects and "deny" not in effects


def project_rules(project: Obj) -> list[str]:
    """The policies of a project's own roles, which stand in it."""
    return [line for role in (project.get("spec") or {}).get("roles") or () for line in role.get("policies") or ()]
