# SPDX-License-Identifier: Apache-2.0
"""One step of a sync: which phase and wave is next, what is applied, pruned and waited for.

Facts: argo-cd gitops-engine/pkg/sync/sync_context.go (``Sync``, ``Terminate``, ``runTasks``), controller/sync.go. A step does what can be
done now and returns; the operation is stepped again when something that it waits for changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from kubetwin.client import ApiException, Obj
from kubetwin.gitops.argocd import hooks, tasks
from kubetwin.gitops.argocd.application import MANAGER
from kubetwin.gitops.argocd.compare import Managed
from kubetwin.gitops.argocd.health import resource_health
from kubetwin.gitops.argocd.tasks import Task
from kubetwin.gitops.cluster import Applier, Cluster
from kubetwin.gitops.documents import Key, is_crd_of
from kubetwin.kinds import NAMESPACES
from kubetwin.meta import deleting, name_of

_OPERATIONS = {"Synced": "Running", "SyncFailed": "Failed", "Pruned": "Succeeded", "PruneSkipped": "Succeeded"}
_PROPAGATION = {"foreground": "Foreground", "background": "Background", "orphan": "Orphan"}


@dataclass(frozen=True, slots=True)
class Order:
    """What a sync was asked for."""

    namespace: str
    revision: str
    started: datetime
    options: tuple[str, ...] = ()
    prune: bool = False
    dry_run: bool = False
    force: bool = False
    skip_hooks: bool = False
    wanted: Callable[[Managed], bool] = lambda item: item.own
    permitted: Callable[[Key, bool], bool] = lambda key, namespaced: True
    wave_delay: float = 0.0


@dataclass(slots=True)
class SyncStep:
    """One step; ``phase``, ``message`` and ``results`` are those of the operation, before and after it."""

    cluster: Cluster
    order: Order
    phase: str
    message: str
    results: list[Obj] = field(default_factory=list)
    _tasks: list[Task] = field(default_factory=list)
    _valid: bool = True

    async def run(self, managed: list[Managed], hook_objects: list[Obj]) -> None:
        """Takes the next step. Raises OSError when the cluster does not answer."""
        started = bool(self.results)
        await self._prepare(managed, hook_objects)
        if not self._valid:
            said = sorted({t.message for t in self._tasks if t.status == "SyncFailed" and t.message})
            self._end(
                "Failed", ": ".join(filter(None, ("one or more synchronization tasks are not valid", "; ".join(said))))
            )
        elif self.phase == "Terminating":
            await self._terminate()
        else:
            await self._sync(started)
        self.results = [task.result(0) for task in self._tasks if task.status or task.operation] + self._left()

    def _left(self) -> list[Obj]:
        """Results of objects that are gone meanwhile, such as those that were pruned."""
        known = {task.result_key for task in self._tasks}
        return [each for each in self.results if _result_key(each) not in known]

    def _end(self, phase: str, message: str) -> None:
        self.phase, self.message = phase, message

    def _wait(self, waiting: list[Task], *, deletion: bool = False) -> None:
        """Running, with the message that names what is waited for."""
        if not waiting:
            self._end("Running", "")
            return
        hooked = [task for task in waiting if task.hook]
        reason = "completion of hook" if hooked else "healthy state of"
        if deletion:
            reason = "deletion of hook" if hooked else "deletion of"
        first, more = (hooked or waiting)[0].key, len(waiting) - 1
        kind = "hooks" if len(hooked) == len(waiting) else "resources"
        text = f"waiting for {reason} {first.group}/{first.kind}/{first.name}"
        self._end("Running", f"{text} and {more} more {kind}" if more else text)

    # tasks

    async def _prepare(self, managed: list[Managed], hook_objects: list[Obj]) -> None:
        order = self.order
        found = tasks.made(
            managed,
            hook_objects,
            wanted=order.wanted,
            skip_hooks=order.skip_hooks,
            revision=order.revision,
            started=order.started,
            prune_last="PruneLast=true" in order.options,
        )
        if "CreateNamespace=true" in order.options and order.namespace:
            found = [*await self._namespace(managed), *found]
        known = {_result_key(each): each for each in self.results}
        for task in found:
            await self._resolve(task, managed)
            result = known.get(task.result_key)
            if result is not None:
                task.status, task.operation = str(result.get("status") or ""), str(result.get("hookPhase") or "")
                task.message = str(result.get("message") or "")
        self._tasks = found

    async def _namespace(self, managed: list[Managed]) -> list[Task]:
        name = self.order.namespace
        if any(item.key == Key("", "Namespace", "", name) for item in managed):
            return []
        await self.cluster.watch([NAMESPACES])
        if self.cluster.get(NAMESPACES, name) is not None and not any(r["kind"] == "Namespace" for r in self.results):
            return []
        target = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        return [Task("PreSync", target, self.cluster.get(NAMESPACES, name), NAMESPACES)]

    async def _resolve(self, task: Task, managed: list[Managed]) -> None:
        """Its resource, what lives in its place, and whether it may be at all."""
        obj = task.obj
        if task.resource is None:
            task.resource = await self.cluster.resource(obj["apiVersion"], obj["kind"])
        if task.resource is None:
            if any(
                item.target is not None and is_crd_of(item.target, task.key.group, task.key.kind) for item in managed
            ):
                return
            version = obj["apiVersion"].rpartition("/")[2]
            where = f"The Kubernetes API could not find {task.key.group}/{task.key.kind} for requested resource "
            told = f'{where}{task.key.namespace}/{task.key.name}. Make sure the "{task.key.kind}" CRD is installed '
            told += f"on the destination cluster ({version})."
            if hooks.has_option(task.target, hooks.SYNC_OPTIONS, "SkipDryRunOnMissingResource=true"):
                return
            task.set("SyncFailed", "", told)
            self._valid = False
            return
        if task.target is not None and task.live is None:
            await self.cluster.watch([task.resource])
            task.live = self.cluster.get(task.resource, task.key.name, task.key.namespace)
        if not self.order.permitted(task.key, task.resource.namespaced):
            task.set("SyncFailed", "", f"resource {task.key.group}:{task.key.kind} is not permitted in project")
            self._valid = False

    # one step

    async def _sync(self, started: bool) -> None:
        if not started:
            first = [
                task
                for task in self._tasks
                if task.phase == "PreSync" and task.key.kind == "Namespace" and not task.hook
            ]
            if first and not self.order.dry_run and await self._run(first[:1]) == "failed":
                self._end("Failed", f"the namespace failed to apply, reason: {first[0].message}")
                return
            rest = [task for task in self._tasks if task not in first]
            if await self._run(self._out_of_sync(rest), dry_run=True) == "failed":
                self._end("Failed", "one or more objects failed to apply (dry run)")
                return
        self._look()
        several = len({(task.phase, task.wave) for task in self._tasks}) > 1
        running = [task for task in self._tasks if (several or task.hook) and task.running]
        if running:
            for task in running:
                if task.live is None:
                    key = task.key
                    text = f"Resource {key.group}/{key.kind}/{key.name} is missing, it might have been deleted"
                    task.set("SyncFailed", "Error", text)
            self._wait(running)
            return
        going = [t for t in self._tasks if t.status == "Pruned" and t.live is not None and deleting(t.live)]
        if going:
            self._wait(going, deletion=True)
            return
        for task in self._tasks:
            if task.hook and task.completed:
                await self._release(task)
        done = [task for task in self._tasks if task.hook and task.live is not None and not task.running]
        on_success = [task for task in done if task.has_policy("HookSucceeded")]
        on_failure = [task for task in done if task.has_policy("HookFailed")]
        failing = [task for task in self._tasks if task.phase == "SyncFail"]
        others = [task for task in self._tasks if task.phase != "SyncFail"]
        if any(task.completed and not task.successful for task in others):
            await self._delete(on_failure)
            await self._fail(failing, others, "one or more synchronization tasks completed unsuccessfully")
            return
        left = self._out_of_sync([task for task in others if task.pending])
        if not left:
            await self._delete(on_success)
            self._end("Succeeded", "successfully synced (no more tasks)")
            return
        await self._wave(left, failing, on_success, on_failure)

    async def _wave(
        self, left: list[Task], failing: list[Task], on_success: list[Task], on_failure: list[Task]
    ) -> None:
        """Applies the first phase and wave of what is left."""
        place = left[0].phase, left[0].wave
        now = [task for task in left if (task.phase, task.wave) == place]
        rest = [task for task in left if (task.phase, task.wave) != place]
        outcome = await self._run(now)
        if rest and outcome != "failed":
            await asyncio.sleep(self.order.wave_delay)
        if outcome == "failed":
            hooked = [task for task in now if task.running and task.hook]
            if hooked:
                self._wait(hooked)
            elif await self._fail(failing, now, "one or more objects failed to apply"):
                await self._delete(on_failure)
        elif outcome == "pending":
            self._wait([task for task in now if task.delete_before_creation], deletion=True)
        elif not rest and not any(task.hook for task in now):
            # Nothing waits for the health of the last wave: a sync succeeds when its objects are accepted.
            await self._delete(on_success)
            self._end("Succeeded", "successfully synced (all tasks run)")
        else:
            self._wait(now)

    def _look(self) -> None:
        """What became of the tasks that run."""
        for task in self._tasks:
            if not task.running or task.live is None:
                continue
            health = resource_health(task.live, hook=task.hook)
            if task.hook:
                found = {"Healthy": "Succeeded", "Degraded": "Failed", "Unknown": "Failed"}
                state = "Succeeded" if health is None else found.get(health[0], "Running")
                task.set(task.status, state, f"{name_of(task.live)} created" if health is None else health[1])
            elif health is None:
                task.set(task.status, "Succeeded", task.message)
            elif health[0] in ("Healthy", "Degraded"):
                task.set(task.status, "Succeeded" if health[0] == "Healthy" else "Failed", health[1])

    def _out_of_sync(self, found: list[Task]) -> list[Task]:
        if "ApplyOutOfSyncOnly=true" not in self.order.options:
            return found
        return [task for task in found if task.hook or task.modified]

    async def _fail(self, failing: list[Task], others: list[Task], message: str) -> bool:
        """Runs the SyncFail hooks; True once the sync has failed for good."""
        reasons = ",".join(task.message for task in others if task.status == "SyncFailed")
        text = f"{message}, reason: {reasons}" if reasons else message
        if not failing or all(task.completed for task in failing):
            self._end("Failed", text)
            return True
        waiting = [task for task in failing if task.pending]
        await self._run(waiting)
        self._wait(waiting)
        return False

    async def _terminate(self) -> None:
        for task in self._tasks:
            if not task.hook or not task.running:
                continue
            if task.live is not None:
                health = resource_health(task.live, hook=True)
                await self._release(task)
                if health is not None and health[0] in ("Progressing", "Suspended"):
                    await self._delete([task])
            task.set(task.status, "Failed", "Terminated")
        self._end("Failed", "Operation terminated")

    # effects

    async def _run(self, found: list[Task], *, dry_run: bool = False) -> str:
        """``successful``, ``pending`` when something has to be gone first, or ``failed``."""
        dry_run = dry_run or self.order.dry_run
        failed = False
        if not dry_run:
            for task in [t for t in found if t.hook and t.pending and t.live is not None]:
                await self._release(task)
        for task in [t for t in found if t.prune]:
            status, message = await self._prune(task, dry_run)
            failed = failed or status == "SyncFailed"
            if not dry_run or self.order.dry_run or status == "SyncFailed":
                task.set(status, _OPERATIONS[status], message)
        if failed:
            return "failed"
        stale = [task for task in found if task.delete_before_creation]
        if stale and not dry_run:
            await self._delete(stale)
            return "pending"
        for task in [t for t in found if not t.prune]:
            status, message = await self._apply(task, dry_run)
            failed = failed or status == "SyncFailed"
            if not dry_run or self.order.dry_run or status == "SyncFailed":
                operation = "Succeeded" if self.order.dry_run and status == "Synced" else _OPERATIONS[status]
                task.set(status, operation, message)
        return "failed" if failed else "successful"

    async def _apply(self, task: Task, dry_run: bool) -> tuple[str, str]:
        assert task.target is not None
        if task.resource is None:
            if dry_run:
                return "Synced", ""
            task.resource = await self.cluster.resource(task.target["apiVersion"], task.target["kind"])
            if task.resource is None:
                return "SyncFailed", f'no matches for kind "{task.key.kind}" in version "{task.target["apiVersion"]}"'
            await self.cluster.watch([task.resource])
        how = Applier(
            MANAGER,
            server_side=not dry_run and self._asked(task, "ServerSideApply=true"),
            replace=self._asked(task, "Replace=true"),
            force=self.order.force or self._asked(task, "Force=true"),
        )
        if dry_run:
            # As kubectl's client-side dry run: nothing is asked of the server, so only what is no object fails here.
            return "Synced", f"{task.resource.plural} (dry run)"
        before = task.live
        try:
            task.live = await self.cluster.apply(task.resource, task.target, before, how)
        except ApiException as error:
            return "SyncFailed", error.message or str(error)
        name = f"{task.resource.plural}{'.' + task.resource.group if task.resource.group else ''}/{task.key.name}"
        if is_crd_of(task.target):
            await self._established(task)
        if how.server_side:
            return "Synced", f"{name} serverside-applied"
        same = (
            before is not None and before["metadata"].get("resourceVersion") == task.live["metadata"]["resourceVersion"]
        )
        return "Synced", f"{name} {'created' if before is None else 'unchanged' if same else 'configured'}"

    def _asked(self, task: Task, option: str) -> bool:
        return option in self.order.options or any(
            hooks.has_option(obj, hooks.SYNC_OPTIONS, option) for obj in (task.target, task.live)
        )

    async def _established(self, task: Task) -> None:
        """Until the API server serves a new kind; the next wave may have objects of it."""
        assert task.target is not None
        spec = task.target["spec"]
        version = next((v["name"] for v in spec.get("versions") or () if v.get("served")), "")
        for _ in range(100):
            if await self.cluster.resource(f"{spec['group']}/{version}", spec["names"]["kind"]) is not None:
                return
            await asyncio.sleep(0.05)

    async def _prune(self, task: Task, dry_run: bool) -> tuple[str, str]:
        assert task.live is not None and task.resource is not None
        if not self.order.prune:
            return "PruneSkipped", "ignored (requires pruning)"
        if "Prune=false" in self.order.options or hooks.has_option(task.live, hooks.SYNC_OPTIONS, "Prune=false"):
            return "PruneSkipped", "ignored (no prune)"
        if dry_run:
            return "Pruned", "pruned (dry run)"
        if not deleting(task.live):
            asked = [
                each.partition("=")[2] for each in self.order.options if each.startswith("PrunePropagationPolicy=")
            ]
            try:
                await self.cluster.delete(
                    task.resource, task.live, propagation=_PROPAGATION.get((asked or [""])[-1], "Foreground")
                )
            except ApiException as error:
                return "SyncFailed", error.message or str(error)
        return "Pruned", "pruned"

    async def _release(self, task: Task) -> None:
        """Takes the finalizer of hooks away, so that what ended can go."""
        live = task.live
        finalizers = (live or {}).get("metadata", {}).get("finalizers") or ()
        if live is None or task.resource is None or hooks.FINALIZER not in finalizers:
            return
        kept = [each for each in finalizers if each != hooks.FINALIZER]
        patch = {"metadata": {"finalizers": kept or None, "resourceVersion": live["metadata"]["resourceVersion"]}}
        try:
            task.live = await self.cluster.api.patch(
                task.resource, name_of(live), patch, live["metadata"].get("namespace")
            )
        except ApiException as error:
            if not error.not_found and not error.conflict:
                task.set(task.status, "Error", f"Failed to remove hook finalizer: {error}")

    async def _delete(self, found: list[Task]) -> None:
        for task in found:
            if task.live is not None and task.resource is not None:
                try:
                    await self.cluster.delete(task.resource, task.live)
                except ApiException as error:
                    task.set(task.status, "Error", f"failed to delete resource: {error}")


def _result_key(result: Obj) -> tuple[Key, str]:
    key = Key(
        str(result.get("group") or ""),
        str(result.get("kind") or ""),
        str(result.get("namespace") or ""),
        str(result.get("name") or ""),
    )
    return key, str(result.get("syncPhase") or "")
