# SPDX-License-Identifier: Apache-2.0
"""Which workloads depend on an object, kind by kind, and what each needs once it is back: the least that works. Reads only.

Facts: a token is bound to the uid of its account, and pods keep theirs until it is renewed
(kubernetes.io/docs/concepts/security/service-accounts, "Bound service account tokens"; plugin/pkg/admission/serviceaccount
copies imagePullSecrets of an account into a pod when that is made); a LimitRange writes its defaults into pods when they
are made (plugin/pkg/admission/limitranger).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from backout.changes.authors import written_at
from backout.cluster.port import PODS, ClusterReader, Object
from backout.errors import AccessDenied, RefusedError
from backout.kube.pod_health import health_of
from backout.kube.resources import OBJECT_RESOURCES, WORKLOAD_RESOURCES
from backout.kube.workloads import desired, matches
from backout.mechanisms.common.workloads import label_in_force
from backout.mechanisms.objects import needs as needing
from backout.mechanisms.objects.history import ContentRevision, ObjectHistory
from backout.mechanisms.objects.kinds import KINDS
from backout.mechanisms.objects.needs import Need, Workload
from backout.mechanisms.objects.readers import Around, listed, read_content, refuse_unrestartable, stale_readers
from backout.model.message import Message, msg, of_error
from backout.model.target import ObjectRef, Target

RENEWED = timedelta(hours=1)
"""Nodes renew a token when 80 % of its hour are over (pkg/kubelet/token): whatever is older holds a new one."""


async def around(
    cluster: ClusterReader,
    target: Target,
    seen: ObjectHistory,
    content: Object | None,
    past: ContentRevision,
    *,
    anew: bool = False,
) -> Around:
    """Everybody who depends on the object, where ``content`` is put back (None: where it is deleted).

    Raises:
        RefusedError: a reader of its content has to be restarted, and can't be.
    """
    by = KINDS[seen.ref.kind].dependents
    if by == "readers":
        return await read_content(cluster, target, seen, content, past, anew=anew)
    if not by:
        return Around()
    objects = [obj for obj in (seen.live, content) if obj is not None]
    try:
        touches = await _touches(cluster, seen, objects)
        workloads = await _workloads(cluster, target.namespace, touches)
        now = await cluster.server_time()
    except AccessDenied as error:
        return Around(blind=(msg("Who depends on it can't be seen: {why}", why=error.message),))
    changed = written_at(seen.live) if seen.live is not None else None
    decided = [_decide(seen, workload, changed, now) for workload in workloads]
    needs = needing.in_order([need for need in decided if need.what != "none"], await listed(cluster, target.namespace))
    able, blind = [], []
    for need in needs:
        try:
            refuse_unrestartable(target, need)
        except RefusedError as error:
            # Whatever else depends on it is helped all the same.
            blind.append(of_error(error))
        else:
            able.append(need)
    return Around(needs=tuple(able), blind=tuple(blind))


async def stale(cluster: ClusterReader, target: Target, seen: ObjectHistory) -> tuple[Need, ...]:
    """Who has to be restarted though the object is as it should be: readers of what it held meanwhile, and pods with a token
    of an account that was deleted and made again since all was well."""
    if KINDS[seen.ref.kind].dependents != "account":
        return await stale_readers(cluster, target, seen)
    same = [one for one in seen.past if one.digest == seen.current.digest]
    held = max((snapshot.taken_at for one in same for snapshot in one.good_snapshots), default=None)
    if seen.live is None or held is None or _born(seen.live) <= held:
        return ()
    found = await around(cluster, target, seen, seen.live, seen.current)
    return tuple(need for need in found.needs if need.what == "restart")


async def _touches(cluster: ClusterReader, seen: ObjectHistory, objects: list[Object]) -> Callable[[Object], bool]:
    """Whether a workload depends on the object, as it is or as it was."""
    by, name, namespace = KINDS[seen.ref.kind].dependents, seen.ref.name, seen.ref.namespace
    if by == "account":
        return lambda obj: account_of(obj) == name
    if by == "rights":
        accounts = await _accounts(cluster, seen.ref, objects)
        return lambda obj: account_of(obj) in accounts
    if by == "traffic":
        selectors = [(obj.get("spec") or {}).get("podSelector") for obj in objects]
        return lambda obj: any(matches(one, _labels(obj)) for one in selectors)
    if by == "scaled":
        refs = [(obj.get("spec") or {}).get("scaleTargetRef") or {} for obj in objects]
        scaled = {(ref.get("kind"), ref.get("name")) for ref in refs}
        return lambda obj: (obj["kind"], obj["metadata"]["name"]) in scaled
    return lambda obj: obj["metadata"]["namespace"] == namespace


async def _accounts(cluster: ClusterReader, ref: ObjectRef, objects: list[Object]) -> set[str]:
    """The accounts of the namespace that have rights by a Role or a RoleBinding."""
    bindings = objects
    if ref.kind == "Role":
        listed = await cluster.list_all(OBJECT_RESOURCES["RoleBinding"], ref.namespace)
        bindings = [one for one in listed if _role(one) == ("Role", ref.name)]
    return {
        str(subject.get("name"))
        for binding in bindings
        for subject in binding.get("subjects") or ()
        if subject.get("kind") == "ServiceAccount" and subject.get("namespace") in (None, "", ref.namespace)
    }


def _role(binding: Object) -> tuple[str, str]:
    reference = binding.get("roleRef") or {}
    return str(reference.get("kind")), str(reference.get("name"))


def account_of(workload: Object) -> str:
    """The account that its pods run as."""
    spec = _pod_spec(workload)
    return str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default")


def _pod_spec(workload: Object) -> dict[str, Any]:
    found: dict[str, Any] = workload["spec"]["template"].get("spec") or {}
    return found


def _labels(workload: Object) -> dict[str, str]:
    return (workload["spec"]["template"].get("metadata") or {}).get("labels") or {}


async def _workloads(cluster: ClusterReader, namespace: str, touches: Callable[[Object], bool]) -> list[Workload]:
    lists = await asyncio.gather(*(cluster.list_all(one, namespace) for one in WORKLOAD_RESOURCES.values()))
    found = [
        {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        for resource, some in zip(WORKLOAD_RESOURCES.values(), lists, strict=True)
        for obj in some
    ]
    touched = [obj for obj in found if touches(obj)]
    if not touched:
        return []
    pods = await cluster.list_all(PODS, namespace)

    async def one(obj: Object) -> Workload:
        mine = tuple(
            pod
            for pod in pods
            if matches(obj["spec"].get("selector"), pod["metadata"].get("labels") or {}) and health_of(pod).counts
        )
        return Workload(obj=obj, pods=mine, label=await label_in_force(cluster, obj), readers=())

    return list(await asyncio.gather(*(one(obj) for obj in touched)))


def _decide(seen: ObjectHistory, workload: Workload, changed: datetime | None, now: datetime) -> Need:
    by = KINDS[seen.ref.kind].dependents

    def need(what: needing.What, why: Message) -> Need:
        return Need(workload=workload, what=what, why=why)

    if by == "account" and _dead_tokens(seen.live, workload, now):
        return need("restart", msg("its pods hold a token of the account that was deleted"))
    if any(_fails_since(pod, changed) for pod in workload.fresh) and by != "scaled":
        return need("replace", msg("its pods fail, and would wait for their next start"))
    if len(workload.fresh) < desired(workload.obj) and by in ("account", "admission"):
        return need("retry", msg("its pods were refused"))
    if by == "scaled" and not workload.settled:
        return need("wait", msg("it is scaled by it"))
    return need("none", msg("its pods run"))


def _dead_tokens(live: Object | None, workload: Workload, now: datetime) -> bool:
    """Whether a pod that goes on holds a token of an account with another uid."""
    born = _born(live) if live is not None else now
    if live is not None and now - born > RENEWED:
        return False
    return any(
        _mounts_token(pod) and (live is None or _born(pod) < born) for pod in workload.pods if health_of(pod).counts
    )


def _mounts_token(pod: Object) -> bool:
    return any(
        "serviceAccountToken" in source
        for volume in pod["spec"].get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
    )


def _fails_since(pod: Object, changed: datetime | None) -> bool:
    health = health_of(pod)
    began = [problem.since for problem in health.problems if problem.since is not None]
    return health.failure is not None and (changed is None or not began or max(began) >= changed)


def _born(obj: Object) -> datetime:
    return msgspec.convert(obj["metadata"]["creationTimestamp"], datetime)
