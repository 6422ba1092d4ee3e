# SPDX-License-Identifier: Apache-2.0
"""The user's git, hardened: no shell, no hooks, no prompts, few protocols, bounded time, output and size.

Credentials come from where git has them: SSH, credential helpers, or the URL of the configuration; these last ones go
to git by its environment, since arguments can be read by every user of the machine (git-config(1): GIT_CONFIG_COUNT).
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from backout.errors import ToolMissing
from backout.model.giturl import PROTOCOLS, Remote
from backout.tools import ensure
from backout.tools.run import OUTPUT, Completed, run_tool

REMOTE = "backout"
"""The name by which the repository is called in arguments; its URL is in the environment."""
LARGEST = 1024 * 1024 * 1024
"""Bytes that one file may have which git writes (the kernel sees to it), such as a pack that is fetched."""
OLDEST = (2, 31)
"""The first version that takes its configuration from the environment."""
_OLD_FAULTS = ("zeroPaddedFilemode", "badTimezone", "missingSpaceBeforeDate")
_NO_LFS = (("process", ""), ("smudge", ""), ("clean", ""), ("required", "false"))
_KEPT = ("GIT_SSH", "GIT_SSL", "GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_HTTP_PROXY")


async def run_git(
    remote: Remote,
    arguments: Sequence[str],
    *,
    folder: Path | None = None,
    timeout: float,
    check: bool = True,
    more: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    output: int = OUTPUT,
    tree: Path | None = None,
) -> Completed:
    """Runs git; ``remote`` is what `REMOTE` means in the arguments, ``folder`` the bare repository to work in, or ``tree`` a
    working tree of it.

    ``more`` are further variables of its environment; ``stdin``, ``output``: see `run_tool`. Standard output keeps bytes that
    are no UTF-8 (PEP 383): names of files may have any.

    Raises:
        ToolMissing: there is no git, or one that is too old.
        ToolFailed: it ended with an error (only with ``check``).
        TimedOut: it did not end in time, and was stopped.
    """
    tool = await ensure("git", install=False)
    version = tuple(int(number) for number in re.findall(r"\d+", tool.version)[:2])
    if version < OLDEST:
        raise ToolMissing("git {version} is too old.", version=tool.version, expected="git 2.31 or newer")
    # Away from where the user stands: a repository there has settings and programs of its own.
    where = ["-C", "/", *(["--git-dir", str(folder)] if folder is not None else [])]
    if tree is not None:
        where = ["-C", str(tree)]
    return await run_tool(
        [tool.path, "--no-pager", *where, *arguments],
        env=environment(remote) | dict(more or {}),
        timeout=timeout,
        check=check,
        largest=LARGEST,
        stdin=stdin,
        output=output,
        errors="surrogateescape",
    )


def environment(remote: Remote) -> dict[str, str]:
    """The user's environment without what would lead git elsewhere, make it talk, or make it ask."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key.startswith(_KEPT)}
    env |= {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }
    settings = [
        (f"remote.{REMOTE}.url", remote.url),
        *_credentials(remote),
        ("core.hooksPath", os.devnull),
        ("core.fsmonitor", "false"),
        ("protocol.ext.allow", "never"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        ("submodule.recurse", "false"),
        ("fetch.recurseSubmodules", "false"),
        ("transfer.fsckObjects", "true"),
        # Old tools wrote these; they harm nobody, and a history that holds one could not be fetched.
        *((f"fetch.fsck.{fault}", "warn") for fault in _OLD_FAULTS),
        # Pointers of large files stay what they are; what they point to is not ours to bring.
        *((f"filter.lfs.{key}", value) for key, value in _NO_LFS),
        ("push.gpgSign", "false"),
        ("push.followTags", "false"),
        ("http.lowSpeedLimit", "1000"),
        ("http.lowSpeedTime", "30"),
    ]
    env["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (key, value) in enumerate(settings):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env


def _credentials(remote: Remote) -> list[tuple[str, str]]:
    if remote.password is None:
        return [("credential.username", remote.user)] if remote.user else []
    pair = base64.b64encode(f"{remote.user}:{remote.password}".encode()).decode()
    # A header goes along to wherever the server redirects.
    return [("http.extraHeader", f"Authorization: Basic {pair}"), ("http.followRedirects", "false")]
