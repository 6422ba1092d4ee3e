# SPDX-License-Identifier: Apache-2.0
"""What each reader of an object needs once its content is back: the least that works. Pure, but for `look`.

Facts: kubernetes.io/docs/concepts/configuration/configmap (mounted files follow, environment and subPath never do);
kubernetes pkg/kubelet/util/manager/watch_based_manager.go (a kubelet serves the old content of an immutable object for
as long as any pod of its node refers to it).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.cluster.port import PODS, ClusterReader, Object
from backout.kube.consumers import Consumer
from backout.kube.pod_health import health_of
from backout.kube.references import references
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.workloads import controller_uid, desired, revision_label
from backout.mechanisms.common import backoff
from backout.mechanisms.common.workloads import label_in_force, load
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

What = Literal["none", "wait", "retry", "replace", "reload", "restart", "scale", "delete-pods"]
Watches = Callable[[Object, str, str], bool]
"""Whether the program in a container (of a pod spec, by name) reads that file again by itself when it changes."""


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that reads the object, with its pods, as they are now. ``label`` is that of its present revision."""

    obj: Object
    pods: tuple[Object, ...]
    label: str
    readers: tuple[Consumer, ...]

    @property
    def ref(self) -> ObjectRef:
        """The workload."""
        return ObjectRef.of(self.obj)

    @property
    def spec(self) -> dict[str, Any]:
        """Its pod spec."""
        found: dict[str, Any] = self.obj["spec"]["template"].get("spec") or {}
        return found

    @property
    def fresh(self) -> list[Object]:
        """Pods of the present revision that are to stay; when it is not known which, all of them."""
        staying = [pod for pod in self.pods if not pod["metadata"].get("deletionTimestamp")]
        mine = [pod for pod in staying if self.label and revision_label(pod, self.obj["kind"]) == self.label]
        return mine or staying

    @property
    def settled(self) -> bool:
        """Whether every pod is ready and of the present revision."""
        fresh = self.fresh
        return len(fresh) == len(self.pods) == desired(self.obj) and all(health_of(pod).ready for pod in fresh)


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one reader needs, and why. ``containers`` are those that read the object by themselves."""

    workload: Workload
    what: What
    why: Message
    containers: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether all of its pods are ready."""
        return self.workload.settled

    @property
    def failing(self) -> bool:
        """Whether pods of its present revision fail."""
        return any(health_of(pod).failure is not None for pod in self.workload.fresh)

    @property
    def ref(self) -> ObjectRef:
        """The workload."""
        return self.workload.ref


async def look(
    cluster: ClusterReader, readers: Iterable[Consumer]
) -> tuple[tuple[Workload, ...], tuple[Consumer, ...]]:
    """The workloads among the readers as they are now, and the readers that are none."""
    by_ref: dict[ObjectRef, list[Consumer]] = {}
    others = []
    for reader in readers:
        if reader.workload.kind in WORKLOAD_RESOURCES:
            by_ref.setdefault(reader.workload, []).append(reader)
        else:
            others.append(reader)
    if not by_ref:
        return (), tuple(others)
    namespace = next(iter(by_ref)).namespace
    pods = {pod["metadata"]["name"]: pod for pod in await cluster.list_all(PODS, namespace)}

    async def one(ref: ObjectRef, mine: list[Consumer]) -> Workload:
        obj = await load(cluster, ref.kind, ref.name, ref.namespace)
        names = {name for reader in mine for name in reader.pods}
        found = tuple(pods[name] for name in sorted(names & pods.keys()))
        return Workload(obj=obj, pods=found, label=await label_in_force(cluster, obj), readers=tuple(mine))

    return tuple(await asyncio.gather(*(one(ref, mine) for ref, mine in sorted(by_ref.items())))), tuple(others)


def decide(
    workload: Workload, changed: frozenset[str], watches: Watches, *, anew: bool = False, held: datetime | None = None
) -> Need:
    """What to do about one reader. ``changed`` are the keys that change; ``anew``: the object can only be
    deleted and made anew, while pods of this workload make the kubelets keep its old content; ``held``: when all was
    healthy with the content that is put back, so that what has only read it before that is as it was then."""
    mine = [reader for reader in workload.readers if _touched(reader, changed)]

    def need(what: What, why: Message, containers: Iterable[str] = ()) -> Need:
        return Need(workload=workload, what=what, why=why, containers=tuple(sorted(set(containers))))

    if not mine:
        return need("none", msg("it reads other keys"))
    if not workload.pods and not desired(workload.obj):
        return need("none", msg("it has no pods"))
    if anew and workload.pods:
        return _anew(need, workload)
    read = {(one.kind, one.name) for one in references(workload.spec)}
    if all((reader.reference.kind, reader.reference.name) not in read for reader in mine):
        return need("none", msg("its template in force does not read it, only pods of an earlier one do"))
    reading = [reader for reader in mine if reader.how != "pullSecret"]
    once = {r.container for r in reading if not _follows(r, workload, watches, changed)}
    hot = {r.container for r in reading} - once
    kept = {name for name in once if all(r.how in ("env", "subPath") for r in reading if r.container == name)}
    if any(_runs(pod, once - kept) or _runs(pod, kept, held) for pod in workload.fresh):
        return need("restart", _once(reading, once), once)
    if hot and any(_runs(pod, hot) for pod in workload.fresh):
        return need("reload", msg("it reads its file again by itself"), hot)
    if any(health_of(pod).failure is not None for pod in workload.fresh):
        return need("replace", msg("its pods fail, and read the content when they are made anew"))
    if workload.fresh and all(_runs(pod, kept) for pod in workload.fresh):
        return need("none", msg("its pods run since all was healthy, and have not read it again"))
    return need("wait", msg("its pods wait for it"))


def stale(workload: Workload, keys: frozenset[str], watches: Watches, held: datetime, written: datetime) -> Need | None:
    """A restart for a reader that began to run while the object held something else: after ``held``, when all was well,
    and not after ``written``, when it came back; None when there is no such pod."""
    reading = [reader for reader in workload.readers if _touched(reader, keys) and reader.how != "pullSecret"]
    once = {r.container for r in reading if not _follows(r, workload, watches, keys)}
    if not any(_runs(pod, once, held, written) for pod in workload.fresh):
        return None
    return Need(workload=workload, what="restart", why=_once(reading, once), containers=tuple(sorted(once)))


def _anew(need: Callable[..., Need], workload: Workload) -> Need:
    if workload.obj["kind"] == "DaemonSet" or controller_uid(workload.obj):
        return need("delete-pods", msg("nodes keep the old content while its pods run"))
    return need("scale", msg("nodes keep the old content while its pods run"))


def _once(readers: Sequence[Consumer], containers: set[str]) -> Message:
    ways = {reader.how for reader in readers if reader.container in containers}
    if ways == {"env"}:
        return msg("it reads it as environment variables, once, when it starts")
    if ways == {"subPath"}:
        return msg("a file that is mounted by subPath is never updated")
    return msg("it reads it once, when it starts")


def _touched(reader: Consumer, changed: frozenset[str]) -> bool:
    return not reader.keys or bool(changed & set(reader.keys))


def _follows(reader: Consumer, workload: Workload, watches: Watches, changed: frozenset[str]) -> bool:
    """Whether the files of that reader that change are all read again by its program."""
    if reader.how not in ("volume", "projected") or not reader.container:
        return False
    keys = [key for key in (reader.keys or sorted(changed)) if key in changed]
    files = [file for key in keys if (file := reader.file(key))]
    return bool(files) and all(watches(workload.spec, reader.container, file) for file in files)


def _runs(pod: Object, containers: set[str], after: datetime | None = None, before: datetime | None = None) -> bool:
    """Whether one of the containers has read the object already and goes on running with it (or was an init one);
    with ``after`` and ``before``, whether it did so then."""
    status = pod.get("status") or {}
    for field in ("containerStatuses", "initContainerStatuses"):
        for entry in status.get(field) or ():
            state = entry.get("state") or {}
            if entry.get("name") not in containers or not _began(state, after, before):
                continue
            if field == "initContainerStatuses" and state.get("terminated", {}).get("exitCode") == 0:
                return True
            if state.get("running") is not None and (entry.get("ready") or not _crashed(entry)):
                return True
    return False


def _began(state: dict[str, Any], after: datetime | None, before: datetime | None) -> bool:
    """True when nothing is known of it. Whole seconds: one that began in the same second may have read either."""
    text = (state.get("running") or state.get("terminated") or {}).get("startedAt")
    if not text:
        return True
    began = msgspec.convert(text, datetime)
    return (after is None or began >= after.replace(microsecond=0)) and (before is None or began <= before)


def _crashed(entry: dict[str, Any]) -> bool:
    """Between two crashes a container runs too; its next start reads the object anew."""
    return bool((entry.get("lastState") or {}).get("terminated"))


def in_order(needs: Sequence[Need], services: Sequence[Object]) -> list[Need]:
    """What names a Service of another one comes after it; otherwise by kind and name."""
    by_ref = {need.ref: need for need in sorted(needs, key=lambda need: need.ref)}
    templates = {ref: need.workload.obj["spec"]["template"] for ref, need in by_ref.items()}
    return [by_ref[ref] for ref in backoff.in_order(templates, services)]
