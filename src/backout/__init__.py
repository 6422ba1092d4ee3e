# SPDX-License-Identifier: Apache-2.0
"""Backout takes a Kubernetes deployment from "it went wrong" to "verified healthy, and written up".

    async with Backout(context="cluster-02", namespace="monitoring") as backout:
        diagnosis = await backout.diagnose()
        plan = await backout.plan(diagnosis.problems[0].target)
        run = await backout.run(plan)

The names in ``__all__`` are the public face; docs/library.md shows their use. Each is imported when it is asked for.
"""

from importlib import import_module

__version__ = "0.1.0"

_MODEL = "backout.model."
_HOMES = {
    "Backout": "backout.app.library",
    "Clusters": "backout.app.library_many",
    "Execution": "backout.app.library",
    "Snapshots": "backout.app.snapshots.library",
    "Front": "backout.app.events",
    "Event": "backout.app.events",
    "Settings": _MODEL + "settings",
    "Target": _MODEL + "target",
    "Revision": _MODEL + "revision",
    "Diagnosis": _MODEL + "diagnosis",
    "Problem": _MODEL + "diagnosis",
    "Operation": _MODEL + "operation",
    "PartOutcome": _MODEL + "outcomes",
    "Run": _MODEL + "run",
    "RunEvent": _MODEL + "run",
    "Verdict": _MODEL + "verdict",
    "CheckResult": _MODEL + "verdict",
    "Snapshot": _MODEL + "snapshot",
    "Taken": "backout.snapshots.collect",
    **dict.fromkeys(
        (
            "BackoutError",
            "UsageError",
            "ConfigError",
            "NotFoundError",
            "RefusedError",
            "LockedError",
            "NotVerifiedError",
            "PartlyDoneError",
            "TimedOut",
            "ClusterUnreachable",
            "Interrupted",
        ),
        "backout.errors",
    ),
}
"""Public name → where it is defined; `backout/__init__.pyi` says the same to type checkers."""

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'backout' has no attribute {name!r}")
    found: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
