# SPDX-License-Identifier: Apache-2.0
"""Whether an application syncs by itself now, and to what. Pure.

Facts: argo-cd controller/appcontroller.go (``autoSync``, ``alreadyAttemptedSync``, ``selfHealRemainingBackoff``), pkg/apis/application/
v1alpha1/types.go (``NextRetryAt``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubetwin.client import Obj
from kubetwin.gitops.argocd.application import (
    COMPLETED,
    automated,
    condition,
    operation_state,
    options_of,
    policy_of,
    several,
    source_of,
    sources_of,
    spec_of,
)
from kubetwin.gitops.argocd.settings import ArgoSettings
from kubetwin.gitops.durations import seconds
from kubetwin.meta import age_seconds, deleting


@dataclass(frozen=True, slots=True)
class Decision:
    """``operation``: what to start. ``error``: a condition SyncError. ``again``: seconds after which to look again."""

    operation: Obj | None = None
    error: Obj | None = None
    again: float = 0.0


def decide(
    app: Obj, sync_status: Obj, resources: list[Obj], settings: ArgoSettings, *, changes: bool = True
) -> Decision:
    """What auto-sync does after a comparison. ``changes``: whether new commits touch the application."""
    policy = automated(app)
    if policy is None or app.get("operation") or deleting(app) or sync_status.get("status") != "OutOfSync":
        return Decision()
    if not policy.get("prune") and all(r.get("status") == "Synced" or r.get("requiresPruning") for r in resources):
        # Nothing is out of sync but what would have to be pruned.
        return Decision()
    wanted = sync_status["revisions"] if several(app) else [sync_status.get("revision", "")]
    shown = f"[{' '.join(wanted)}]"
    sync: Obj = {"prune": bool(policy.get("prune")), "syncOptions": options_of(app) or None}
    if several(app):
        sync |= {"sources": sources_of(app), "revisions": wanted}
    else:
        sync |= {"source": source_of(app), "revision": wanted[0]}
    state = operation_state(app)
    attempted, phase = already_attempted(app, wanted, changes=changes)
    if attempted:
        assert state is not None
        last = state.get("syncResult") or {}
        before = last.get("revisions") or [last.get("revision", "")]
        if phase != "Succeeded":
            text = f"Failed last sync attempt to [{' '.join(map(str, before))}]: {state.get('message', '')}"
            return Decision(error=condition("SyncError", text))
        if not policy.get("selfHeal"):
            return Decision()
        count = int(((state.get("operation") or {}).get("sync") or {}).get("selfHealAttemptsCount") or 0)
        left = heal_backoff(state, count, settings)
        if left > 0:
            return Decision(again=left)
        sync["selfHealAttemptsCount"] = count + 1
        sync["resources"] = [
            {k: r[k] for k in ("group", "kind", "name") if r.get(k)} for r in resources if r.get("status") != "Synced"
        ]
    if policy.get("prune") and not policy.get("allowEmpty") and all(r.get("requiresPruning") for r in resources):
        text = f"Skipping sync attempt to {shown}: auto-sync will wipe out all resources"
        return Decision(error=condition("SyncError", text))
    operation: Obj = {
        "sync": {k: v for k, v in sync.items() if v is not None},
        "initiatedBy": {"automated": True},
        "retry": policy_of(app).get("retry") or {"limit": 5},
    }
    return Decision(operation=operation)


def already_attempted(app: Obj, wanted: list[str], *, changes: bool = True) -> tuple[bool, str]:
    """Whether the last operation went to these revisions of these sources, and its phase."""
    state = operation_state(app)
    if state is None:
        return False, ""
    phase = str(state.get("phase") or "")
    result = state.get("syncResult")
    if result is None:
        return phase in COMPLETED, phase
    if changes:
        last = result.get("revisions") if several(app) else [result.get("revision", "")]
        if last != wanted:
            return False, phase
    if several(app):
        return _same(spec_of(app).get("sources"), result.get("sources")), phase
    return _same(source_of(app), result.get("source")), phase


def _same(one: Any, other: Any) -> bool:
    return bool((one or None) == (other or None))


def heal_backoff(state: Obj, count: int, settings: ArgoSettings) -> float:
    """Seconds until a self-heal may be tried again after ``count`` of them; not positive: now."""
    if count < 1 or not settings.self_heal_timeout:
        delay = 0.0
    else:
        grown = settings.self_heal_timeout * settings.self_heal_factor ** (count - 1)
        delay = min(grown, settings.self_heal_cap)
    finished = state.get("finishedAt")
    return delay - age_seconds(finished) if finished else delay


def retry_delay(retry: Obj, count: int) -> float:
    """Seconds before retry number ``count`` (from 0) of an operation.

    Raises:
        ValueError: its back-off can't be understood.
    """
    backoff = retry.get("backoff") or {}
    first, longest = backoff.get("duration") or "5s", backoff.get("maxDuration") or "3m"
    delay, most = seconds(first), seconds(longest)
    if delay is None or most is None:
        raise ValueError(f"time: invalid duration {first if delay is None else longest!r}")
    factor = backoff.get("factor")
    waited = delay * float(2 if factor is None else factor) ** count
    return min(most, waited) if most > 0 else waited
