# SPDX-License-Identifier: Apache-2.0
"""Where Argo CD was: the deployment history, commit and health of the applications that own objects of a snapshot.

Facts: argo-cd pkg/apis/application/v1alpha1/types.go (status.history grows at its end; several sources have
``revisions``), util/argo/resource_tracking.go (a tracking id begins with the application's name, or ``NAMESPACE_NAME``
where it lives beside Argo CD's own namespace).
"""

from __future__ import annotations

from collections.abc import Iterable

from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import AccessDenied, ObjectNotFound, ServerError
from backout.model.message import Message, msg
from backout.model.snapshot import ApplicationPointer
from backout.model.target import ObjectRef

API_VERSION, KIND = "argoproj.io/v1alpha1", "Application"
USUAL = ("argocd", "openshift-gitops")
"""Where applications are looked for by those who may not list them everywhere."""

Unread = tuple[ObjectRef, Message]


async def read_applications(
    cluster: ClusterReader, names: Iterable[str]
) -> tuple[tuple[ApplicationPointer, ...], list[Unread]]:
    """The applications of these names, and which could not be read."""
    wanted = sorted(set(names))
    if not wanted:
        return (), []
    try:
        resource = await cluster.resource(API_VERSION, KIND)
    except ObjectNotFound:
        # Labels outlive the Argo CD that set them.
        return (), [_unread(name, msg("the cluster has no Argo CD")) for name in wanted]
    except (AccessDenied, ServerError):
        return (), [_unread(name, msg("the API server could not list them")) for name in wanted]
    found: list[Object] = []
    try:
        found = await cluster.list_all(resource)
    except (AccessDenied, ServerError, ObjectNotFound):
        found = [obj for name in wanted if (obj := await _one(cluster, resource, name)) is not None]
    pointers, unread = [], []
    for name in wanted:
        candidates = [obj for obj in found if _is(obj, name)]
        if not candidates:
            unread.append(_unread(name, msg("there is none that you may read")))
        pointers += [_pointer(obj) for obj in candidates]
    return tuple(sorted(pointers, key=lambda p: (p.name, p.namespace))), unread


async def _one(cluster: ClusterReader, resource: Resource, name: str) -> Object | None:
    namespace, _, short = name.rpartition("_")
    for place in (namespace,) if namespace else USUAL:
        try:
            return await cluster.get(resource, short, place)
        except (AccessDenied, ObjectNotFound, ServerError):
            continue
    return None


def _is(obj: Object, name: str) -> bool:
    namespace, _, short = name.rpartition("_")
    meta = obj["metadata"]
    return bool(meta["name"] == short and namespace in ("", meta.get("namespace", "")))


def _pointer(obj: Object) -> ApplicationPointer:
    meta, status = obj["metadata"], obj.get("status") or {}
    last = (status.get("history") or [{}])[-1]
    commit = str(last.get("revision") or "") or ",".join(map(str, last.get("revisions") or ()))
    return ApplicationPointer(
        name=meta["name"],
        namespace=meta.get("namespace", ""),
        history=int(last.get("id") or 0),
        commit=commit,
        sync=str((status.get("sync") or {}).get("status", "")),
        health=str((status.get("health") or {}).get("status", "")),
    )


def _unread(name: str, why: Message) -> Unread:
    return ObjectRef(API_VERSION, KIND, name.rpartition("_")[2], name.rpartition("_")[0]), why
