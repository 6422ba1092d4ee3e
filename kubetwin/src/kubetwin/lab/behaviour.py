# SPDX-License-Identifier: Apache-2.0
"""How a container of the lab behaves, on simulated kubelets (by image tag) and on real ones (by command)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

SIMULATED_IMAGE = "registry.example/thanos"
REAL_IMAGE = "docker.io/library/busybox"
_SLEEP = "trap 'exit 0' TERM; while :; do sleep 1; done"
_READY = f"touch /tmp/ready; {_SLEEP}"


class Behaviour(Enum):
    """What goes wrong; the value is the word that the simulated kubelet reads in an image tag."""

    GOOD = ""
    CRASH = "crash-exit2"
    OOM = "oom"
    UNPULLABLE = "missing"
    UNREADY = "unready"


_COMMANDS: dict[Behaviour, str] = {
    Behaviour.GOOD: _READY,
    Behaviour.CRASH: "echo 'level=error msg=\"unknown flag --receive.replication-protocl\"'; exit 2",
    Behaviour.OOM: "x=a; while :; do x=$x$x; done",
    Behaviour.UNPULLABLE: _READY,
    Behaviour.UNREADY: _SLEEP,
}


@dataclass(frozen=True, slots=True)
class Images:
    """Chooses values for the chart. ``real``: the cluster runs containers for real, so tags alone change nothing."""

    real: bool = False

    @property
    def image(self) -> str:
        """The repository that every component is pulled from."""
        return REAL_IMAGE if self.real else SIMULATED_IMAGE

    def good(self, version: str) -> dict[str, Any]:
        """Values of a component that works, in a version of its own."""
        return self.values(version, Behaviour.GOOD)

    def values(self, version: str, behaviour: Behaviour) -> dict[str, Any]:
        """``tag`` and ``command`` of one component."""
        if not self.real:
            return {"tag": f"{version}-{behaviour.value}" if behaviour.value else version}
        tag = "no-such-tag" if behaviour is Behaviour.UNPULLABLE else "1.37"
        return {"tag": tag, "command": ["sh", "-c", f": {version}; {_COMMANDS[behaviour]}"]}

    def reference(self, version: str, behaviour: Behaviour) -> str:
        """The whole image reference, for `kubectl set image`."""
        return f"{self.image}:{self.values(version, behaviour)['tag']}"
