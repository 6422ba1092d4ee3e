# SPDX-License-Identifier: Apache-2.0
"""Who owns an object: who would undo what we do to it. Backout acts on the owner, or says who it is.

What decides, in this order: a controlling ownerReference, followed to its end; the signs of controllers that keep a state
of their own (`backout.ownership.signs`); Helm's marks together with an existing release record. Helm's marks alone prove
nothing: Argo CD renders charts too, and leaves no record. Above a Helm release there may be a controller as well: Flux's
HelmRelease, a HelmChart, Fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

import msgspec

from backout.cluster.port import CONFIGMAPS, SECRETS, ClusterReader
from backout.errors import AccessDenied, NotFoundError
from backout.helm.records import Records
from backout.kube.groups import custom
from backout.kube.names import HELM_NAMESPACE, HELM_RELEASE, MANAGED_BY
from backout.model.message import Message, msg
from backout.model.target import WORKLOADS, ObjectRef, Target
from backout.ownership.argocd import Tracked, applications
from backout.ownership.releases import release_managers
from backout.ownership.signs import Manager, Tool, argo, managers, written_by

MAX_DEPTH = 8
_T = TypeVar("_T")

OwnerKind = Literal["none", "controller", "operator", "helm"] | Tool


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of an object, and what to act on instead of the object.

    ``controller``: a built-in controller made it (a pod of a ReplicaSet): act on ``ref``. ``operator``: a custom resource
    made it, which is ``ref``; ``target`` then names the release that has this resource in its manifest, if one has.
    ``helm``: ``target`` names the release. The name of a controller such as ``flux`` or ``argocd``: it keeps the object
    itself. ``none``: nobody.

    ``manager`` is the controller that would write its own state back, whatever is acted on; None where nobody would.
    ``sure`` is False where a sign could not be followed to its end.
    """

    kind: OwnerKind
    message: Message
    target: Target | None = None
    ref: ObjectRef | None = None
    manager: Manager | None = None
    sure: bool = True


class Ownership:
    """The owners of many objects in one reading: each release, parent and application is looked up once."""

    def __init__(self, reader: ClusterReader) -> None:
        self._reader = reader
        self._asked: dict[object, asyncio.Task[Any]] = {}

    async def of(self, obj: dict[str, Any]) -> Owner:
        """The owner of ``obj`` (as the API gives it, with apiVersion and kind)."""
        top, sure = await self._top(obj)
        ref = ObjectRef.of(top)
        found = await self._manager(top)
        if top is not obj and custom(ref.api_version):
            release = found.target if found and found.kind == "helm" else None
            return msgspec.structs.replace(
                _made_by(ref, sure, release), target=release, manager=found.manager if found else None
            )
        if found is not None:
            return found
        if top is not obj:
            kind = ref.kind.lower()
            target = Target(kind, ref.name, ref.namespace, self._reader.name) if kind in WORKLOADS else None
            return Owner(
                kind="controller", ref=ref, target=target, sure=sure, message=msg("{owner} made it.", owner=str(ref))
            )
        if (tool := written_by(obj)) is not None:
            return Owner(
                kind="none", ref=ref, sure=False, message=msg("It bears no mark, but {tool} has written it.", tool=tool)
            )
        return Owner(kind="none", ref=ref, message=msg("Nobody manages it."))

    async def of_release(self, name: str, namespace: str, objects: tuple[dict[str, Any], ...] = ()) -> Manager | None:
        """The controller that deploys a Helm release, from the marks of its ``objects`` and from the custom resources of
        this cluster; None when people (or pipelines) do."""
        for obj in objects:
            for manager in managers(obj):
                return manager
        listed: dict[tuple[str, str], Manager] = await self._once("releases", release_managers(self._reader))
        return listed.get((namespace, name))

    async def _once(self, key: object, work: Coroutine[Any, Any, _T]) -> _T:
        if key in self._asked:
            work.close()
        else:
            self._asked[key] = asyncio.ensure_future(work)
        answer: _T = await asyncio.shield(self._asked[key])
        return answer

    async def _top(self, obj: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Follows controlling ownerReferences upwards. An owner that can't be read still counts by its name."""
        for _ in range(MAX_DEPTH):
            reference = next((r for r in obj["metadata"].get("ownerReferences") or () if r.get("controller")), None)
            if reference is None:
                return obj, True
            namespace = obj["metadata"].get("namespace", "")
            parent = await self._once(("parent", reference["uid"]), self._parent(reference, namespace))
            if parent is None:
                stub = {"name": reference["name"], "namespace": namespace, "uid": reference["uid"]}
                return {"apiVersion": reference["apiVersion"], "kind": reference["kind"], "metadata": stub}, False
            obj = parent
        return obj, False

    async def _parent(self, reference: dict[str, Any], namespace: str) -> dict[str, Any] | None:
        try:
            resource = await self._reader.resource(reference["apiVersion"], reference["kind"])
            found = await self._reader.get(resource, reference["name"], namespace if resource.namespaced else "")
        except (NotFoundError, AccessDenied):
            return None
        return {"apiVersion": reference["apiVersion"], "kind": reference["kind"], **found}

    async def _manager(self, obj: dict[str, Any]) -> Owner | None:
        """Who keeps a state for ``obj`` outside of it: the release, or a controller with a source of its own."""
        ref, signs = ObjectRef.of(obj), managers(obj)
        release = await self._release(obj)
        if release is not None:
            above = next(iter(signs), None)
            if above is None and release.target is not None:
                above = await self.of_release(release.target.name, release.target.namespace)
            return msgspec.structs.replace(release, manager=above) if above else release
        if not signs and (application := await self._tracked(ref)) is not None:
            signs = (argo(application),)
        if not signs:
            return None
        manager = signs[0]
        if manager.tool == "argocd":
            return Owner(
                kind="argocd",
                ref=ref,
                manager=manager,
                target=Target("app", manager.ref.name, "", self._reader.name),
                message=msg(
                    "The Argo CD application {name} manages it: change Git instead, or the application.",
                    name=manager.ref.name,
                ),
            )
        return Owner(
            kind=manager.tool,
            ref=ref,
            manager=manager,
            message=msg("{owner} keeps it as its source says: change that instead.", owner=manager.name),
        )

    async def _release(self, obj: dict[str, Any]) -> Owner | None:
        meta = obj["metadata"]
        release = (meta.get("annotations") or {}).get(HELM_RELEASE)
        if not release or (meta.get("labels") or {}).get(MANAGED_BY) != "Helm":
            return None
        namespace = (meta.get("annotations") or {}).get(HELM_NAMESPACE) or meta.get("namespace", "")
        known = await self._once(("release", namespace, release), self._recorded(namespace, release))
        if known is False:
            return None
        return Owner(
            kind="helm",
            ref=ObjectRef.of(obj),
            target=Target("helm", release, namespace, self._reader.name),
            sure=bool(known),
            message=msg("The Helm release {name} manages it.", name=release),
        )

    async def _recorded(self, namespace: str, release: str) -> bool | None:
        """Whether there is a record, in either storage driver: whoever asks may not know which one was used; None when
        none may be read."""
        denied = False
        for resource in (SECRETS, CONFIGMAPS):
            try:
                await Records(self._reader, namespace, resource).head(release)
            except AccessDenied:
                denied = True
            except NotFoundError:
                continue
            else:
                return True
        return None if denied else False

    async def _tracked(self, ref: ObjectRef) -> str | None:
        """The application that lists ``ref`` among its resources: objects need bear no mark of Argo CD's own."""
        tracked: Tracked = await self._once("applications", applications(self._reader))
        return tracked.of(ref)


async def owner_of(reader: ClusterReader, obj: dict[str, Any]) -> Owner:
    """The owner of one object; for many in one reading: `Ownership`."""
    return await Ownership(reader).of(obj)


def _made_by(ref: ObjectRef, sure: bool, release: Target | None) -> Owner:
    return Owner(
        kind="operator",
        ref=ref,
        sure=sure,
        message=msg(
            "{kind} {name} made it, and that is part of the Helm release {release}: go back by the release.",
            kind=ref.kind,
            name=ref.name,
            release=release.name,
        )
        if release is not None
        else msg(
            "{kind} {name} made it, and its operator would undo any change: change the {kind} instead.",
            kind=ref.kind,
            name=ref.name,
        ),
    )
