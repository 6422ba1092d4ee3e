# SPDX-License-Identifier: Apache-2.0
"""The tasks of a sync and their order. Pure.

Facts: argo-cd gitops-engine/pkg/sync/sync_task.go, sync_tasks.go (phase, wave, kind, name), sync_context.go (``getSyncTasks``: waves of
what is pruned are turned round; names of hooks that have none).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from kubetwin.client import Obj, Resource
from kubetwin.gitops.argocd import hooks
from kubetwin.gitops.argocd.application import COMPLETED
from kubetwin.gitops.argocd.compare import Managed
from kubetwin.gitops.documents import Key, identity, version_of

_PHASE_ORDER = {"PreSync": -1, "Sync": 0, "PostSync": 1, "SyncFail": 2}
# fmt: off
_KINDS = (
    "Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodSecurityPolicy", "PodDisruptionBudget",
    "ServiceAccount", "Secret", "SecretList", "ConfigMap", "StorageClass", "PersistentVolume",
    "PersistentVolumeClaim", "CustomResourceDefinition", "ClusterRole", "ClusterRoleList",
    "ClusterRoleBinding", "ClusterRoleBindingList", "Role", "RoleList", "RoleBinding", "RoleBindingList",
    "Service", "DaemonSet", "Pod", "ReplicationController", "ReplicaSet", "Deployment",
    "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob", "IngressClass", "Ingress", "APIService",
)
# fmt: on
_KIND_ORDER = {kind: place - len(_KINDS) for place, kind in enumerate(_KINDS)}


@dataclass(slots=True)
class Task:
    """One object in one phase; ``operation`` is its phase: empty when pending, then Running, Succeeded, Failed or Error."""

    phase: str
    target: Obj | None
    live: Obj | None
    resource: Resource | None = None
    modified: bool = True
    status: str = ""
    operation: str = ""
    message: str = ""
    wave_override: int | None = None

    @property
    def obj(self) -> Obj:
        found = self.target or self.live
        assert found is not None
        return found

    @property
    def key(self) -> Key:
        return identity(self.obj)

    @property
    def result_key(self) -> tuple[Key, str]:
        return self.key, self.phase

    @property
    def wave(self) -> int:
        return hooks.wave(self.obj) if self.wave_override is None else self.wave_override

    @property
    def hook(self) -> bool:
        return hooks.is_hook(self.obj)

    @property
    def prune(self) -> bool:
        return self.target is None

    @property
    def pending(self) -> bool:
        return not self.operation

    @property
    def running(self) -> bool:
        return self.operation in ("Running", "Terminating")

    @property
    def completed(self) -> bool:
        return self.operation in COMPLETED

    @property
    def successful(self) -> bool:
        return self.operation == "Succeeded"

    def has_policy(self, policy: str) -> bool:
        return self.hook and policy in hooks.delete_policies(self.obj)

    @property
    def delete_before_creation(self) -> bool:
        return self.live is not None and self.pending and self.has_policy("BeforeHookCreation")

    def set(self, status: str, operation: str, message: str) -> None:
        """Its result; an empty message leaves the last one."""
        self.status, self.operation = status, operation
        self.message = message or self.message

    def result(self, order: int) -> Obj:
        """Its entry in ``syncResult.resources``."""
        key = self.key
        found: Obj = {
            "group": key.group,
            "version": version_of(self.obj),
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "syncPhase": self.phase,
            "message": self.message,
        }
        if self.status:
            found["status"] = self.status
        if self.operation:
            found["hookPhase"] = self.operation
        if self.hook:
            found["hookType"] = self.phase
        return found

    def sort_key(self) -> tuple[int, int, int, str]:
        return _PHASE_ORDER[self.phase], self.wave, _KIND_ORDER.get(self.key.kind, 0), self.key.name


def made(
    managed: list[Managed],
    hook_objects: list[Obj],
    *,
    wanted: Callable[[Managed], bool],
    skip_hooks: bool,
    revision: str,
    started: datetime,
    prune_last: bool,
) -> list[Task]:
    """The tasks of a sync in their order, without what is known of their results."""
    tasks = [
        Task(phase, item.target, item.live, item.resource, item.modified or item.live is None or item.target is None)
        for item in managed
        if wanted(item) and not hooks.is_hook(item.target or item.obj)
        for phase in hooks.phases(item.target or item.obj)
    ]
    for obj in [] if skip_hooks else hook_objects:
        tasks += [Task(phase, _hook(obj, phase, revision, started), None) for phase in hooks.phases(obj)]
    _turn_round([task for task in tasks if task.prune])
    last = max([0, *(task.wave for task in tasks if task.phase == "Sync")]) + 1
    for task in tasks:
        if task.prune and (prune_last or hooks.has_option(task.live, hooks.SYNC_OPTIONS, "PruneLast=true")):
            task.wave_override = last
    return sorted(tasks, key=Task.sort_key)


def _hook(obj: Obj, phase: str, revision: str, started: datetime) -> Obj:
    target = copy.deepcopy(obj)
    meta = target["metadata"]
    if not meta.get("name"):
        short = revision[:7] if len(revision) >= 8 else revision
        meta["name"] = f"{meta.get('generateName', '')}{short}-{phase}-{int(started.timestamp())}".lower()
    meta["finalizers"] = [*(meta.get("finalizers") or ())]
    if hooks.FINALIZER not in meta["finalizers"]:
        meta["finalizers"].append(hooks.FINALIZER)
    return target


def _turn_round(pruned: list[Task]) -> None:
    """What was applied first is deleted last."""
    waves = sorted({task.wave for task in pruned})
    swapped = dict(zip(waves, reversed(waves), strict=True))
    for task, wave in [(task, swapped[task.wave]) for task in pruned]:
        task.wave_override = wave
