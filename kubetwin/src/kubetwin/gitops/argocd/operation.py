# SPDX-License-Identifier: Apache-2.0
"""Carrying out the ``operation`` of an application: from Running to Succeeded, Failed or Error, with retries.

Facts: argo-cd controller/appcontroller.go (``processRequestedAppOperation``, ``setOperationState``), controller/sync.go
(``SyncAppState``, ``syncWindowPreventsSync``), controller/state.go (``persistRevisionHistory``).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from kubetwin.client import JSON_PATCH, Obj
from kubetwin.gitops.argocd import windows
from kubetwin.gitops.argocd.application import (
    APPLICATIONS,
    COMPLETED,
    destination_namespace,
    history_limit,
    in_progress,
    operation_state,
    source_of,
    spec_of,
)
from kubetwin.gitops.argocd.autosync import retry_delay
from kubetwin.gitops.argocd.compare import Comparison, Managed, compare, respecting
from kubetwin.gitops.argocd.projects import kind_permitted, project_name
from kubetwin.gitops.argocd.sync import Order, SyncStep
from kubetwin.informer import key_of
from kubetwin.meta import age_seconds, name_of, namespace_of, now, parse_time, stamp, status_of

if TYPE_CHECKING:
    from kubetwin.gitops.argocd.controller import ApplicationController

_LOOK_AGAIN = 1.0
"""Seconds after which an operation that waits is stepped again, if nothing that it waits for changed before."""
_ERRORS = ("ComparisonError", "InvalidSpecError")


class Operations:
    """The operations of one controller."""

    def __init__(self, controller: ApplicationController) -> None:
        self._controller = controller

    async def step(self, app: Obj) -> None:
        """Starts or goes on with the operation of an application."""
        fresh = await self._controller.ctx.api.get(APPLICATIONS, name_of(app), namespace_of(app))
        if not fresh.get("operation") and not in_progress(fresh):
            return
        key = f"operation/{key_of(fresh)}"
        state = copy.deepcopy(operation_state(fresh)) if in_progress(fresh) else None
        if state is None:
            state = {"phase": "Running", "operation": fresh["operation"], "startedAt": stamp()}
            fresh = await self._put(fresh, state)
        elif state["phase"] == "Running" and state.get("finishedAt"):
            left = self._retry_left(state)
            if left is None:
                await self._put(fresh, state)
                return
            if left > 0:
                self._controller.queue.add_after(key, left)
                return
            self._retry(state)
            fresh = await self._put(fresh, state)
        elif state["phase"] == "Running" and 0 < self._controller.settings.sync_timeout < age_seconds(
            state["startedAt"]
        ):
            state |= {"phase": "Terminating", "message": "operation is terminating due to timeout"}
            fresh = await self._put(fresh, state)
        terminating = state["phase"] == "Terminating"
        await self._sync(fresh, state)
        if state["phase"] == "Running":
            latest = await self._controller.ctx.api.get(APPLICATIONS, name_of(app), namespace_of(app))
            if (operation_state(latest) or {}).get("phase") == "Terminating":
                state |= {"phase": "Terminating", "message": "operation is terminating"}
        elif state["phase"] in ("Failed", "Error"):
            self._failed(state, terminating=terminating)
        fresh = await self._put(fresh, state)
        if state["phase"] not in COMPLETED:
            self._controller.queue.add_after(key, _LOOK_AGAIN)
            return
        sync = (state.get("operation") or {}).get("sync") or {}
        if sync and not sync.get("dryRun"):
            by_itself = ((state.get("operation") or {}).get("initiatedBy") or {}).get("automated")
            self._controller.request(fresh, 2 if by_itself else 3)

    # retries

    def _retry_left(self, state: Obj) -> float | None:
        """Seconds until the next attempt; None when its back-off can't be understood, which the state then says."""
        retry = (state.get("operation") or {}).get("retry") or {}
        try:
            delay = retry_delay(retry, int(state.get("retryCount") or 0))
        except ValueError as error:
            state |= {"phase": "Error", "message": str(error)}
            return None
        return delay - age_seconds(state.get("finishedAt"))

    def _retry(self, state: Obj) -> None:
        operation = state.get("operation") or {}
        more = ""
        if (operation.get("retry") or {}).get("refresh"):
            more = " with latest revisions"
            operation["sync"] = {k: v for k, v in operation["sync"].items() if k not in ("revision", "revisions")}
        state["message"] = f"Retrying operation{more}. Attempt #{state.get('retryCount', 0)}"
        state.pop("finishedAt", None)
        state.pop("syncResult", None)

    def _failed(self, state: Obj, *, terminating: bool) -> None:
        """A failure is tried again, or is one for good."""
        retry = (state.get("operation") or {}).get("retry") or {}
        count, limit = int(state.get("retryCount") or 0), int(retry.get("limit") or 0)
        if not terminating and (count < limit or limit < 0):
            try:
                delay = retry_delay(retry, count)
            except ValueError as error:
                state |= {"phase": "Error", "message": f"{state.get('message', '')} (failed to retry: {error})"}
                return
            # Running with a time of its end: what waits for another attempt looks so.
            at = now()
            state |= {"phase": "Running", "finishedAt": stamp(at), "retryCount": count + 1}
            when = stamp(at.fromtimestamp(at.timestamp() + delay, at.tzinfo))
            state["message"] = f"{state.get('message', '')}. Retrying attempt #{count + 1} at {when}."
        elif count:
            state["message"] = f"{state.get('message', '')} (retried {count} times)."

    # the state

    async def _put(self, app: Obj, state: Obj) -> Obj:
        """Writes the state whole; an operation that is over gives its slot back."""
        over = state["phase"] in COMPLETED
        if over and (operation_state(app) or {}).get("phase") not in COMPLETED:
            state["finishedAt"] = stamp()
        if operation_state(app) == state and not (over and app.get("operation")):
            return app
        patch: list[Obj] = [] if "status" in app else [{"op": "add", "path": "/status", "value": {}}]
        patch.append({"op": "add", "path": "/status/operationState", "value": state})
        if over and app.get("operation"):
            patch.append({"op": "remove", "path": "/operation"})
        answer = await self._controller.write.patch(APPLICATIONS, app, patch, content_type=JSON_PATCH)
        if over:
            self._told(app, state)
        return answer

    def _told(self, app: Obj, state: Obj) -> None:
        sync = (state.get("operation") or {}).get("sync") or {}
        words = ["Partial sync operation" if sync.get("resources") else "Sync operation"]
        if state.get("syncResult"):
            words.append(f"to {state['syncResult'].get('revision', '')}")
        good = state["phase"] == "Succeeded"
        words.append("succeeded" if good else f"failed: {state.get('message', '')}")
        self._controller.recorder.event(app, "Normal" if good else "Warning", "OperationCompleted", " ".join(words))

    # one step of a sync

    async def _sync(self, app: Obj, state: Obj) -> None:
        """One step; changes ``state``."""
        controller = self._controller
        project = controller.project_of(app)
        if project is None:
            name = project_name(app)
            message = f'Failed to load application project: appproject.argoproj.io "{name}" not found'
            state |= {"phase": "Error", "message": message}
            return
        sync = (state.get("operation") or {}).get("sync")
        if sync is None:
            state |= {"phase": "Error", "message": "Invalid operation request: no operation specified"}
            return
        result = state.setdefault("syncResult", _new_result(app, sync))
        blocked = self._blocked(project, app, state)
        if blocked is not None:
            if state["phase"] == "Running":
                state["message"] = ": ".join(filter(None, ("Sync operation blocked by sync window", blocked)))
            return
        multiple = bool(result.get("sources"))
        sources = result["sources"] if multiple else [result.get("source") or {}]
        revisions = result.get("revisions") or [] if multiple else [result.get("revision", "")]
        if len(revisions) != len(sources) or not any(revisions):
            revisions = [str(each.get("targetRevision") or "") for each in sources]
        desired = await controller.desired(app, sources, revisions, multiple=multiple, local=sync.get("manifests"))
        try:
            around = controller.surroundings(app, project)
        except (KeyError, StopIteration):
            state |= {"phase": "Error", "message": "Failed to get destination cluster"}
            return
        found = await compare(app, desired, around)
        result["revision"] = found.status.get("revision", "")
        if multiple:
            result["revisions"] = found.status["revisions"]
        errors = [each["message"] for each in found.conditions if each["type"] in _ERRORS]
        errors += [
            each["message"] for each in status_of(app).get("conditions") or () if each["type"] == "InvalidSpecError"
        ]
        shared = [each["message"] for each in found.conditions if each["type"] == "SharedResourceWarning"]
        options = tuple(sync.get("syncOptions") or ())
        if errors:
            state |= {"phase": "Error", "message": "; ".join(errors)}
            return
        if "FailOnSharedResource=true" in options and shared:
            state |= {"phase": "Failed", "message": f"Shared resource found: {shared[0]}"}
            return
        if "RespectIgnoreDifferences=true" in options:
            for item in found.managed:
                if item.target is not None and item.live is not None:
                    item.target = respecting(app, item.target, item.live)
        order = self._order(app, project, sync, state, found, options)
        step = SyncStep(
            around.cluster, order, state["phase"], str(state.get("message") or ""), result.get("resources") or []
        )
        await step.run(found.managed, found.hooks)
        state |= {"phase": step.phase, "message": step.message}
        result["resources"] = step.results
        if step.phase == "Succeeded" and not sync.get("dryRun") and not sync.get("resources"):
            await self._history(app, state, found, multiple)

    def _order(
        self, app: Obj, project: Obj, sync: Obj, state: Obj, found: Comparison, options: tuple[str, ...]
    ) -> Order:
        strategy = sync.get("syncStrategy") or {}
        only_apply = "apply" in strategy and strategy["apply"] is not None
        force = bool(((strategy.get("apply") or strategy.get("hook")) or {}).get("force"))
        chosen = sync.get("resources") or []

        def wanted(item: Managed) -> bool:
            return item.own and (not chosen or any(_is(each, item) for each in chosen))

        return Order(
            namespace=destination_namespace(app),
            revision=str(found.status.get("revision") or (found.status.get("revisions") or [""])[0]),
            started=parse_time(state.get("startedAt")) or now(),
            options=options,
            prune=bool(sync.get("prune")),
            dry_run=bool(sync.get("dryRun")),
            force=force,
            skip_hooks=only_apply or bool(chosen),
            wanted=wanted,
            permitted=lambda key, namespaced: kind_permitted(
                project, key.group, key.kind, key.name, namespaced=namespaced
            ),
            wave_delay=self._controller.settings.wave_delay,
        )

    def _blocked(self, project: Obj, app: Obj, state: Obj) -> str | None:
        """Why no window lets it through, which may be an empty text; None when nothing blocks it."""
        matching = windows.matching((project.get("spec") or {}).get("syncWindows"), app)
        manual = not ((state.get("operation") or {}).get("initiatedBy") or {}).get("automated")
        started = parse_time(state.get("startedAt"))
        try:
            return None if windows.can_sync(matching, now(), manual=manual, started=started) else ""
        except windows.WindowError as error:
            return f"invalid sync windows: {error}"

    async def _history(self, app: Obj, state: Obj, found: Comparison, multiple: bool) -> None:
        """One more entry of the history, cut to its limit; ids count on from the last one."""
        fresh = await self._controller.ctx.api.get(APPLICATIONS, name_of(app), namespace_of(app))
        history = list(status_of(fresh).get("history") or ())
        entry: Obj = {
            "id": int(history[-1]["id"]) + 1 if history else 0,
            "deployedAt": stamp(),
            "deployStartedAt": state["startedAt"],
            "initiatedBy": (state.get("operation") or {}).get("initiatedBy") or {},
        }
        compared: Any = found.status["comparedTo"]
        if multiple:
            entry |= {"sources": compared["sources"], "revisions": found.status["revisions"], "source": {"repoURL": ""}}
        else:
            entry |= {"source": compared["source"], "revision": found.status.get("revision", "")}
        limit = history_limit(app)
        history = [*history, entry][-limit:] if limit > 0 else []
        await self._controller.write.patch(APPLICATIONS, fresh, {"status": {"history": history}})


def _is(wanted: Obj, item: Managed) -> bool:
    return (
        wanted.get("name") == item.key.name
        and wanted.get("kind") == item.key.kind
        and (wanted.get("group") or "") == item.key.group
        and wanted.get("namespace", "") in ("", item.key.namespace)
    )


def _new_result(app: Obj, sync: Obj) -> Obj:
    """What is synced to, until the commit is known."""
    result: Obj = {"revision": sync.get("revision", "")}
    if sync.get("sources") or sync.get("source"):
        result["source"] = sync.get("source") or {}
        sources = sync.get("sources")
    else:
        result["source"] = source_of(app)
        sources = spec_of(app).get("sources")
    if sources:
        result["sources"] = sources
        result["revisions"] = sync.get("revisions") or []
    return result
