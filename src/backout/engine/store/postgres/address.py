# SPDX-License-Identifier: Apache-2.0
"""Which PostgreSQL is meant: the URL as libpq reads it, with what is added where it says nothing. Its password is never told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from backout.errors import ConfigError

APPLICATION = "backout"
DEFAULTS: dict[str, str] = {
    "application_name": APPLICATION,
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    # Of several hosts, the one that takes writes: after a failover the new one.
    "target_session_attrs": "any",
}
"""Parameters of a connection that the URL may set otherwise: a server that is gone is noticed in seconds."""
SEVERAL_HOSTS = {"target_session_attrs": "read-write"}


@dataclass(frozen=True)
class Address:
    """One database. ``parameters`` may hold a password, and are no part of what this prints as."""

    parameters: dict[str, Any] = field(repr=False)
    place: str

    def without_secrets(self, text: str) -> str:
        """What the driver or the server said, as one line and without the password."""
        line = " ".join(text.split())
        for name in ("password", "sslpassword"):
            if secret := str(self.parameters.get(name) or ""):
                line = line.replace(secret, "***")
        return line


def parse(url: str) -> Address:
    """The database that ``url`` means: ``postgresql://[USER@]HOST[:PORT]/DATABASE[?PARAMETER=VALUE…]``.

    Raises:
        ConfigError: it is no such URL; its text is not part of what is said, since it may hold a password.
    """
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        raise ConfigError(
            "state is no address of a PostgreSQL database.",
            expected="postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full",
            hint="parameters are those of libpq; special characters in a name or password are written as %XX",
        ) from None
    several = SEVERAL_HOSTS if "," in given.get("host", "") else {}
    return Address({**DEFAULTS, **several, **given}, _place(given))


def _place(given: dict[str, str]) -> str:
    hosts = given.get("host") or given.get("hostaddr") or "the default host"
    ports = given.get("port", "")
    where = f"{hosts}:{ports}" if ports and not hosts.startswith("/") else hosts
    return f"PostgreSQL {given.get('dbname') or given.get('user') or 'default'} on {where}"
