# SPDX-License-Identifier: Apache-2.0
"""RollingSync: which applications of a set may sync now, step by step. Pure.

Facts: argo-cd applicationset/progressivesync/progressive_sync.go (``UpdateApplicationSetApplicationStatus``, ``getAppsToSync``,
``UpdateApplicationSetApplicationStatusProgress``, ``SyncDesiredApplications``, ``syncApplication``). An application waits, is
pending, progresses and is healthy; the next step begins when all of this one are healthy. Judged by what applications say: one
that notices a commit before those of earlier steps do is synced before them, there as here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from kubetwin.client import Obj
from kubetwin.gitops.argocd.application import automated, options_of, policy_of
from kubetwin.meta import labels_of, name_of, scaled_value, stamp, status_of

WAITING, PENDING, PROGRESSING, HEALTHY = "Waiting", "Pending", "Progressing", "Healthy"
USER = "applicationset-controller"


def strategy_of(owner: Obj) -> Obj | None:
    """The RollingSync of a set; None when it has another strategy, or no steps."""
    strategy = (owner.get("spec") or {}).get("strategy") or {}
    rolling = strategy.get("rollingSync") or {}
    return rolling if strategy.get("type") == "RollingSync" and rolling.get("steps") else None


def steps_of(owner: Obj, apps: list[Obj]) -> dict[str, int]:
    """The step (from 0) of each application that one selects; the first that does counts."""
    found: dict[str, int] = {}
    for place, step in enumerate((strategy_of(owner) or {}).get("steps") or ()):
        for app in apps:
            if name_of(app) not in found and _selected(step, labels_of(app)):
                found[name_of(app)] = place
    return found


def _selected(step: Obj, labels: dict[str, str]) -> bool:
    for each in step.get("matchExpressions") or ():
        inside = labels.get(each.get("key", "")) in (each.get("values") or ())
        if each.get("operator") == "In" and not inside:
            return False
        if each.get("operator") == "NotIn" and inside:
            return False
        if each.get("operator") not in ("In", "NotIn"):
            return False
    return True


def revisions_of(app: Obj) -> list[str]:
    sync = status_of(app).get("sync") or {}
    return list(sync.get("revisions") or [sync["revision"]] if sync.get("revision") or sync.get("revisions") else [])


def progress(
    owner: Obj, live: list[Obj], desired: list[Obj], changed: Callable[[Obj, Obj], bool]
) -> tuple[list[Obj], set[str]]:
    """The new ``status.applicationStatus``, and the names of those that may sync.

    ``changed`` says whether the spec that lives differs from the desired one, with what is ignored left out.
    """
    steps = steps_of(owner, desired)
    known = {each["application"]: each for each in status_of(owner).get("applicationStatus") or ()}
    wanted = {name_of(each): each for each in desired}
    statuses = [
        _next(app, known.get(name_of(app)), steps, name_of(app) in wanted and changed(app, wanted[name_of(app)]))
        for app in live
    ]
    allowed = _allowed(owner, statuses, steps, {name_of(app) for app in live})
    return _admitted(owner, statuses, steps, allowed), allowed


def _next(app: Obj, known: Obj | None, steps: dict[str, int], spec_changed: bool) -> Obj:
    """One application's status, a transition further if there is reason."""
    name, status = name_of(app), status_of(app)
    health, sync = (status.get("health") or {}).get("status"), (status.get("sync") or {}).get("status")
    revisions = revisions_of(app)
    if known is None:
        known = {"application": name, "targetRevisions": revisions, "status": WAITING, "lastTransitionTime": stamp()}
        known["message"] = "No Application status found, defaulting status to Waiting"
    found = {**known, "step": str(steps[name] + 1 if name in steps else -1)}

    def become(state: str, message: str) -> None:
        found.update(status=state, message=message, lastTransitionTime=stamp())

    moved = list(known.get("targetRevisions") or ()) != revisions
    if moved or spec_changed:
        found["targetRevisions"] = revisions
        both = " (revision and spec differ)" if moved and spec_changed else " (spec differs)" if spec_changed else ""
        if known.get("status") != WAITING or moved:
            become(WAITING, f"Application has pending changes{both}, setting status to Waiting")
    if found["status"] == WAITING:
        if sync == "Synced" and not spec_changed:
            state = HEALTHY if health == "Healthy" else PROGRESSING
            become(state, f"Application resource has synced, updating status to {state}")
    elif known.get("status") == PENDING:
        since = str(known.get("lastTransitionTime") or "")
        operated = status.get("operationState") or {}
        # Stamps have whole seconds, and a sync of an embedded cluster is over within one.
        if str(status.get("reconciledAt") or "") >= since and str(operated.get("startedAt") or "") >= since:
            by_set = ((operated.get("operation") or {}).get("initiatedBy") or {}).get("username") == USER
            if (by_set and went_to(operated, revisions)) or operated["startedAt"] > since:
                text = "Application resource became Progressing, updating status from Pending to Progressing"
                become(PROGRESSING, text)
        elif any(each["type"] in ("InvalidSpecError", "UnknownError") for each in status.get("conditions") or ()):
            become(PROGRESSING, "Application resource has error and cannot sync, updating status to Progressing")
    elif known.get("status") == PROGRESSING and health == "Healthy" and sync == "Synced":
        become(HEALTHY, "Application resource became Healthy, updating status from Progressing to Healthy")
    return found


def went_to(state: Obj, revisions: list[str]) -> bool:
    """Whether an operation is one to these revisions, or is not yet known to be one to others."""
    result = state.get("syncResult") or {}
    reached = (
        result.get("revisions") or [result["revision"]] if result.get("revision") or result.get("revisions") else []
    )
    return not reached or reached == revisions


def _allowed(owner: Obj, statuses: list[Obj], steps: dict[str, int], live: set[str]) -> set[str]:
    """Those of the steps up to the first that is not all healthy."""
    states = {each["application"]: each["status"] for each in statuses}
    found: set[str] = set()
    for place in range(len((strategy_of(owner) or {}).get("steps") or ())):
        names = {name for name, step in steps.items() if step == place}
        found |= names
        if any(name not in live or states.get(name) != HEALTHY for name in names):
            break
    return found


def _admitted(owner: Obj, statuses: list[Obj], steps: dict[str, int], allowed: set[str]) -> list[Obj]:
    """Waiting ones become pending, no more of a step at a time than its ``maxUpdate``."""
    rules = (strategy_of(owner) or {}).get("steps") or []
    total: dict[int, int] = {}
    busy: dict[int, int] = {}
    for each in statuses:
        place = steps.get(each["application"], 0)
        total[place] = total.get(place, 0) + 1
        busy[place] = busy.get(place, 0) + (each["status"] in (PENDING, PROGRESSING))
    found = []
    for each in statuses:
        place = steps.get(each["application"], 0)
        limit = rules[place].get("maxUpdate")
        most = total[place]
        if limit is not None:
            most = scaled_value(limit, total[place], round_up=False)
            if isinstance(limit, str) and limit != "0%":
                most = max(1, most)
        if each["status"] == WAITING and each["application"] in allowed and busy[place] < most:
            text = "Application moved to Pending status, watching for the Application resource to start Progressing"
            each = {**each, "status": PENDING, "message": text, "lastTransitionTime": stamp()}
            busy[place] += 1
        found.append(each)
    return found


def held(app: Obj) -> Obj:
    """An application of a rolling set: automated sync is switched off, its other fields stay."""
    policy = policy_of(app)
    if policy.get("automated") is None:
        return app
    found = copy.deepcopy(app)
    found["spec"]["syncPolicy"]["automated"]["enabled"] = False
    return found


def operation(app: Obj) -> Obj:
    """The sync that a set starts; ``app`` is as it was generated."""
    policy = policy_of(app)
    sync: Obj = {"prune": bool((automated(app) or {}).get("prune"))}
    if options_of(app):
        sync["syncOptions"] = options_of(app)
    reason = {"name": "Reason", "value": "ApplicationSet RollingSync triggered a sync of this Application resource"}
    who = {"username": USER, "automated": True}
    return {"sync": sync, "initiatedBy": who, "retry": policy.get("retry") or {"limit": 5}, "info": [reason]}


def rollout_condition(owner: Obj, statuses: list[Obj]) -> tuple[str, str, str]:
    """Status, reason and message of RolloutProgressing."""
    for place in range(len((strategy_of(owner) or {}).get("steps") or ())):
        if any(each["step"] == str(place + 1) and each["status"] != HEALTHY for each in statuses):
            return "True", "ApplicationSetModified", f"ApplicationSet is performing rollout of step {place + 1}"
    return "False", "ApplicationSetRolloutComplete", "ApplicationSet Rollout has completed"
