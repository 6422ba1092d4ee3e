# SPDX-License-Identifier: Apache-2.0
"""What the simulated program in a container does: how long it runs, how it ends, what it prints."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass

from kubetwin.client import Obj
from kubetwin.kubelet.faults import Fault, tag_of
from kubetwin.kubelet.settings import KubeletSettings

_SHELLS = frozenset(("sh", "bash", "ash", "/bin/sh", "/bin/bash", "/bin/ash"))
_SEPARATOR = re.compile(r"\s*(?:;|&&|\n)\s*")


@dataclass(frozen=True, slots=True)
class Program:
    """``lifetime`` None means that it runs until it is told to stop; ``up_after`` until it answers probes."""

    lifetime: float | None = None
    exit_code: int = 0
    reason: str = "Completed"
    message: str = ""
    up_after: float = 0.0
    ready: bool = True
    live: bool = True
    ignores_term: bool = False
    first_lines: tuple[str, ...] = ()
    up_lines: tuple[str, ...] = ()
    """Printed once it has read its configuration."""
    last_lines: tuple[str, ...] = ()


def program_for(container: Obj, restart_policy: str, fault: Fault, settings: KubeletSettings, *, init: bool) -> Program:
    image = container.get("image", "")
    name = _program_name(image)
    version = tag_of(image) or "latest"
    start = (
        f'level=info msg="Starting {name}" version={version}',
        f'level=info msg="Loading configuration" file=/etc/{name}/config.yaml',
    )
    up = (f'level=info msg="Server is ready to receive requests" component={name}',)
    if fault.run_error:
        command = (container.get("command") or [f"/bin/{name}"])[0]
        return Program(
            lifetime=0.0,
            exit_code=128,
            reason="StartError",
            message=(
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
                f"failed: unable to start container process: error during container init: exec: {_quoted(command)}: "
                f"stat {command}: no such file or directory"
            ),
        )
    if fault.oom:
        growth = (
            'level=info msg="Replaying WAL, this may take a while"',
            'level=info msg="WAL segment loaded" segment=17',
        )
        if fault.after is not None:
            return _ending(fault, settings, (*start, *up), fault.log or growth, 137, "OOMKilled")
        return _ending(fault, settings, start, fault.log or growth, 137, "OOMKilled")
    if fault.exit_code is not None:
        reason = "Error" if fault.exit_code else "Completed"
        if fault.after is not None:
            last = fault.log or (
                'level=error msg="Write of block failed" err="input/output error"',
                "fatal: storage is unusable: write /data/wal/00000017: input/output error",
            )
            return _ending(fault, settings, (*start, *up), last, fault.exit_code, reason)
        last = fault.log or (
            f'level=error msg="Loading configuration failed" file=/etc/{name}/config.yaml',
            f'fatal: cannot start: parsing /etc/{name}/config.yaml: line 14: unknown field "compaction_v2"',
        )
        return _ending(fault, settings, start, last, fault.exit_code, reason)
    script = _script(container)
    if script is not None:
        return script
    if init or restart_policy != "Always":
        duration = settings.init_duration if init else settings.job_duration
        return Program(lifetime=duration, first_lines=start, last_lines=('level=info msg="Done"',))
    return Program(
        up_after=fault.slow,
        ready=not fault.unready,
        live=not fault.unlive,
        ignores_term=fault.hang,
        first_lines=start,
        up_lines=fault.log or up,
    )


def _ending(
    fault: Fault, settings: KubeletSettings, first: tuple[str, ...], last: tuple[str, ...], code: int, reason: str
) -> Program:
    lifetime = settings.crash_after if fault.after is None else fault.slow + fault.after
    up_after = math.inf if fault.after is None else fault.slow
    return Program(lifetime, code, reason, up_after=up_after, first_lines=first, last_lines=last)


def _program_name(image: str) -> str:
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0] or "app"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _script(container: Obj) -> Program | None:
    """Commands made only of sleep, echo, exit, true and false are followed; others are not understood: None."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    if not words:
        return None
    if words[0] in _SHELLS and len(words) >= 3 and words[1] in ("-c", "-ec", "-ce"):
        commands = [c for c in _SEPARATOR.split(words[2].strip()) if c]
    else:
        commands = [shlex.join(words)]
    lines: list[str] = []
    lifetime = 0.0
    for command in commands:
        try:
            parts = shlex.split(command)
        except ValueError:
            return None
        match parts:
            case ["echo", *rest]:
                lines.append(" ".join(rest))
            case ["sleep", "infinity"]:
                return Program(first_lines=tuple(lines))
            case ["sleep", number] if re.fullmatch(r"[0-9]+(\.[0-9]+)?s?", number):
                lifetime += float(number.rstrip("s"))
            case ["true" | "/bin/true" | ":"]:
                pass
            case ["false" | "/bin/false"]:
                return Program(lifetime, 1, "Error", first_lines=tuple(lines))
            case ["exit", code] if code.isdigit():
                value = min(255, int(code))
                return Program(lifetime, value, "Error" if value else "Completed", first_lines=tuple(lines))
            case _:
                return None
    return Program(lifetime, first_lines=tuple(lines))
