# SPDX-License-Identifier: Apache-2.0
"""Which platform a repository is on, and the token for it.

A token of the environment goes to the host that it is made for and to no other: the URL of a repository may come from a cluster,
and whoever wrote it must not get it sent. For any other host git's credential helper is asked, which goes by the host itself
(git-credential(1)); or a variable says which host is meant, as those platforms' own tools have it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from backout.errors import RefusedError, TokenExpired
from backout.git.forges.gitea import Gitea
from backout.git.forges.github import GitHub
from backout.git.forges.gitlab import GitLab
from backout.git.forges.port import Forge, Kind
from backout.git.mirror import LOOK
from backout.model.giturl import Remote, host_and_path
from backout.tools.git import run_git

_KNOWN: dict[str, Kind] = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "codeberg.org": "gitea",
    "gitea.com": "gitea",
}
_WORDS: tuple[tuple[str, Kind], ...] = (
    ("github", "github"),
    ("gitlab", "gitlab"),
    ("gitea", "gitea"),
    ("forgejo", "gitea"),
)
_TOKENS: dict[Kind, tuple[tuple[str, str, str], ...]] = {
    # the variable, the host that it is for, the variable that names another one
    "github": (
        ("GH_TOKEN", "github.com", ""),
        ("GITHUB_TOKEN", "github.com", ""),
        ("GH_ENTERPRISE_TOKEN", "", "GH_HOST"),
        ("GITHUB_ENTERPRISE_TOKEN", "", "GH_HOST"),
    ),
    "gitlab": (("GITLAB_TOKEN", "gitlab.com", "GITLAB_HOST"),),
    "gitea": (("GITEA_TOKEN", "gitea.com", "GITEA_SERVER_URL"), ("FORGEJO_TOKEN", "codeberg.org", "FORGEJO_HOST")),
}
"""As gh (`gh help environment`), glab and tea have them."""


def kind_of(url: str) -> Kind | None:
    """The platform of a URL, by its host; None where that says nothing."""
    host = host_and_path(url)[0].casefold()
    if host in _KNOWN:
        return _KNOWN[host]
    labels = set(re.split(r"[.-]", host))
    return next((kind for word, kind in _WORDS if word in labels), None)


def api_of(kind: Kind, host: str) -> str:
    """Where the API of a platform is."""
    if kind == "github":
        return "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
    return f"https://{host}/api/v4" if kind == "gitlab" else f"https://{host}/api/v1"


async def forge_of(remote: Remote, *, kind: Kind | None = None, api: str = "") -> Forge:
    """The platform of a repository, with a token. ``kind`` and ``api`` where the URL does not tell.

    Raises:
        RefusedError: nothing tells which platform it is.
        TokenExpired: there is no token for it.
        ToolMissing: there is no git.
    """
    host, path = host_and_path(remote.url)
    kind = kind or kind_of(remote.url)
    if kind is None or not host:
        raise RefusedError(
            "Nothing tells which platform {url} is on, so no request can be made there.",
            url=remote.url,
            expected="GitHub, GitLab, or Gitea (Forgejo)",
            hint="push the revert yourself, or onto the branch itself",
        )
    token = await token_of(remote, kind, host.casefold())
    made: dict[Kind, Callable[[str, str, str], Forge]] = {"github": GitHub, "gitlab": GitLab, "gitea": Gitea}
    return made[kind](api or api_of(kind, host), path, token)


async def token_of(remote: Remote, kind: Kind, host: str) -> str:
    """The token for a host: of the URL in the configuration, of the environment, of git's credential helper.

    Raises:
        TokenExpired: there is none.
        ToolMissing: there is no git.
    """
    if remote.password:
        return remote.password
    for variable, usual, named in _TOKENS[kind]:
        meant = _host(os.environ.get(named, "")) if named else ""
        if (value := os.environ.get(variable, "").strip()) and host == (meant or usual):
            return value
    answer = await run_git(
        remote, ["credential", "fill"], timeout=LOOK, check=False, stdin=f"protocol=https\nhost={host}\n\n".encode()
    )
    found = re.search(r"^password=(.+)$", answer.stdout, re.MULTILINE) if answer.code == 0 else None
    if found is None:
        raise TokenExpired(
            "There is no token for {host}.",
            host=host,
            expected="{variables}, or a credential helper of git that knows {host}",
            variables=" or ".join(variable for variable, *_ in _TOKENS[kind]),
        )
    return found[1]


def _host(text: str) -> str:
    return text.partition("://")[2].partition("/")[0].casefold() if "://" in text else text.strip("/").casefold()
