# SPDX-License-Identifier: Apache-2.0
"""The URL of a git repository, taken apart: what may be shown, and what may not."""

from __future__ import annotations

import re

import msgspec

from backout.errors import ConfigError

PROTOCOLS = ("https", "ssh", "file")
_SCP = re.compile(r"(?:[\w.-]+@)?[\w.-]+:(?!//)[^\s:][^\s]*", re.ASCII)


class Remote(msgspec.Struct, frozen=True):
    """A repository as the configuration names it, its credentials apart. ``url`` may be shown."""

    url: str
    user: str = ""
    password: str | None = None

    def __repr__(self) -> str:
        return f"Remote({self.url!r})"


def remote_of(text: str) -> Remote:
    """The repository of a URL: https, ssh (also as ``user@host:path``), file, or an absolute path.

    Raises:
        ConfigError: it is none of these; the message holds no part of the URL that could be secret.
    """
    from urllib.parse import unquote, urlsplit, urlunsplit

    expected = "https://…, ssh://…, USER@HOST:PATH, file:///… or an absolute path"
    if text.startswith("/"):
        text = "file://" + text
    if "://" not in text and _SCP.fullmatch(text) and not text.startswith("-"):
        return Remote(text)
    try:
        parts = urlsplit(text)
        host, port, user, password = parts.hostname or "", parts.port, parts.username or "", parts.password
    except ValueError:
        raise ConfigError("A git URL can't be read.", expected=expected) from None
    if parts.scheme not in PROTOCOLS or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ConfigError("{scheme} is no way to a git repository.", scheme=parts.scheme or "this", expected=expected)
    if parts.scheme == "file":
        if host not in ("", "localhost") or not parts.path.startswith("/") or password is not None:
            raise ConfigError("A git URL with file: names no folder of this machine.", expected="file:///FOLDER")
        return Remote(f"file://{parts.path}")
    if not host or host.startswith("-") or not parts.path.strip("/") or user.startswith("-"):
        raise ConfigError("A git URL names no host or no repository.", expected=expected)
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    if parts.scheme == "ssh":
        if password is not None:
            raise ConfigError("SSH takes no password from a URL.", expected="a key, in the agent or in ~/.ssh")
        return Remote(urlunsplit(("ssh", f"{user}@{place}" if user else place, parts.path, "", "")))
    return Remote(
        urlunsplit(("https", place, parts.path, "", "")), unquote(user), None if password is None else unquote(password)
    )


def place_of(url: str) -> str:
    """Which repository a URL leads to, however it is written: ``git@h:ops/x.git``, ``ssh://git@h/ops/x`` and
    ``https://h/ops/x/`` are one. Host and path; a port says nothing, since each protocol has its own. For comparing only."""
    host, path = host_and_path(url)
    return f"{host}/{path}".casefold()


def host_and_path(url: str) -> tuple[str, str]:
    """The host without user and port, and the repository's path there without ``.git``. A file has no host."""
    if "://" not in url and not url.startswith("/") and _SCP.fullmatch(url):
        host, _, path = url.rpartition("@")[2].partition(":")
    else:
        place = ("file://" + url if url.startswith("/") else url).partition("://")[2]
        host, _, path = place.partition("/")
        host = host.rpartition("@")[2]
        if not host.startswith("["):
            host = host.partition(":")[0]
        path = path.partition("?")[0].partition("#")[0]
    return host, path.strip("/").removesuffix(".git").strip("/")
