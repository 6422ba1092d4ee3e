# SPDX-License-Identifier: Apache-2.0
"""Commands that are printed can be pasted: they carry the cluster, the namespace and the files that were given."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backout.cli.options import GlobalOptions

_COMMAND = re.compile(r"\bbackout ((?:snapshot key |snapshot |runs |twin )?[a-z]+)\b(?=([^`\n]*))")
"""A command of ours in a sentence, and what follows it."""
_PLACED = frozenset(
    {"status", "history", "changes", "diagnose", "plan", "run", "verify", "doctor"}
    | {f"snapshot {verb}" for verb in ("create", "list", "show", "diff", "restore")}
)
"""Those that look at a cluster and a namespace; runs and archives know their own."""
_OF_RUNS = frozenset({"report", "show", "undo", "resume", "abort", "runs", "snapshot key add", "snapshot prune"})
"""Those that know by themselves where they work, but not by which files."""
_SAME = {"-n": ("--namespace", "-A", "--all-namespaces"), "--context": ("--cluster",)}


def pasteable(text: str, options: GlobalOptions, cluster: str = "") -> str:
    """``text`` with the given options in each command of ours that lacks them.

    ``cluster`` is that which a command is for, where several were given.
    """
    if "backout " not in text:
        return text

    def completed(found: re.Match[str]) -> str:
        missing = [shlex.join(words) for words in _given(found[1], options, cluster) if not _has(found[2], words[0])]
        return " ".join([found[0], *missing])

    return _COMMAND.sub(completed, text)


def _given(verb: str, options: GlobalOptions, cluster: str) -> list[tuple[str, str]]:
    """The options that a command needs to mean what is meant here."""
    found = [("--config", options.config), ("--kubeconfig", options.kubeconfig)]
    if verb in _PLACED:
        context = cluster if cluster and options.contexts else options.contexts[0] if len(options.contexts) == 1 else ""
        found += [
            ("--context", context),
            ("--stack", options.stack),
            ("-n", "" if options.all_namespaces else options.namespace),
        ]
    elif verb not in _OF_RUNS:
        return []
    return [(name, value) for name, value in found if value]


def _has(rest: str, option: str) -> bool:
    return any(re.search(rf"(?:^|\s){name}\b", rest) for name in (option, *_SAME.get(option, ())))
