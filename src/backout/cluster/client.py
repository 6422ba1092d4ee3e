# SPDX-License-Identifier: Apache-2.0
"""One cluster behind `backout.cluster.port`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec

from backout import __version__
from backout.cluster import access, lease, listing, reflector
from backout.cluster import identity as identities
from backout.cluster import kubeconfig as kubeconfigs
from backout.cluster.discovery import Discovery
from backout.cluster.kubeconfig import Connection
from backout.cluster.listing import decoder, name_kind, path_of
from backout.cluster.port import (
    PROXY_BYTES,
    AccessAnswer,
    Catalogue,
    Cluster,
    Fence,
    HeldLease,
    Instead,
    Object,
    OpenGate,
    PatchType,
    Propagation,
    ProxyAnswer,
    Resource,
    WatchEvent,
)
from backout.cluster.wire import READ, Wire, decode_failed
from backout.errors import BackoutError, ServerError
from backout.model.decoding import UNREADABLE
from backout.model.part import Access
from backout.model.scope import ClusterIdentity

if TYPE_CHECKING:
    from backout.cluster.verbs import Verbs

T = TypeVar("T")
R = TypeVar("R")
MANAGER = "backout"
LOG_BYTES = 64 * 1024


class KubernetesCluster:
    """The adapter. ``kubeconfig`` and ``context`` lead other programs (helm, kubectl) to the same cluster."""

    def __init__(
        self,
        connection: Connection,
        *,
        name: str = "",
        read_timeout: float = READ,
        timing: reflector.Timing | None = None,
    ) -> None:
        self.name = name or connection.context
        self.context = connection.context
        self.kubeconfig = connection.kubeconfig
        self.namespace = connection.namespace
        self._wire = Wire(connection, user_agent=f"backout/{__version__}", read_timeout=read_timeout)
        self._discovery = Discovery(self._wire)
        self._timing = timing or reflector.Timing()
        self._lazy_verbs: Verbs | None = None
        self._identity: ClusterIdentity | None = None

    @property
    def _verbs(self) -> Verbs:
        if self._lazy_verbs is None:
            from backout.cluster.verbs import Verbs

            self._lazy_verbs = Verbs(self._wire, manager=MANAGER)
        return self._lazy_verbs

    def forget(self) -> None:
        """What was asked once, and remembered since, is asked again when it is next needed."""
        self._identity = None
        self._discovery = Discovery(self._wire)

    async def identity(self) -> ClusterIdentity:
        """Which cluster this really is; asked once."""
        if self._identity is None:
            self._identity = await identities.identity(self._wire)
        return self._identity

    async def server_time(self) -> datetime:
        """The API server's own clock (its Date header, whole seconds)."""
        response = await self._wire.request("GET", "/version")
        try:
            return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError):
            raise ServerError("The API server's answer carries no Date header.") from None

    async def resource(self, api_version: str, kind: str) -> Resource:
        """Finds a kind by discovery."""
        return await self._discovery.find(api_version, kind)

    async def catalogue(self) -> Catalogue:
        """Every kind that is served now."""
        from backout.cluster.catalogue import catalogue

        return await catalogue(self._wire)

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """Reads one object."""
        return await self.get_as(dict, resource, name, namespace)

    async def get_as(self, type: type[T], resource: Resource, name: str, namespace: str = "") -> T:
        """Reads one object into a struct of only the needed fields."""
        response = await self._wire.request("GET", path_of(resource, name, namespace))
        what = f"{resource.plural} {name}"
        if _decode(_Named, response.content, what).metadata.name != name:
            # ``{}``, or another object: it says nothing of the one that was asked for.
            raise decode_failed(what)
        return cast(T, _decode(type, response.content, what))

    async def pages(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", limit: int = 500
    ) -> AsyncIterator[list[Object]]:
        """Lists page by page; after an expiry only what was not delivered yet."""
        delivered: set[str] = set()
        found = listing.pages(
            self._wire, dict[str, Any], resource, namespace, labels=labels, fields=fields, limit=limit
        )
        async for page in found:
            items = [item for item in page.items if item["metadata"]["uid"] not in delivered]
            delivered.update(item["metadata"]["uid"] for item in items)
            if items:
                yield name_kind(items, resource)

    async def list_all(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Lists all as dicts."""
        items, _ = await listing.everything(
            self._wire, dict[str, Any], resource, namespace, labels=labels, fields=fields
        )
        return name_kind(items, resource)

    async def list_as(
        self,
        type: type[T],
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> list[T]:
        """Lists into structs."""
        accept = listing.METADATA if metadata_only else "application/json"
        items, _ = await listing.everything(
            self._wire, type, resource, namespace, labels=labels, fields=fields, accept=accept
        )
        return items

    async def fold(
        self,
        type: type[T],
        resource: Resource,
        fold: Callable[[list[T]], R],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = listing.PAGE,
    ) -> list[R]:
        """Lists page by page, and keeps only what ``fold`` makes of each."""
        return await listing.folded(
            self._wire, type, resource, fold, namespace, labels=labels, fields=fields, limit=limit
        )

    async def watch(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Lists and watches without end."""
        async for kind, obj in reflector.reflect(
            self._wire, dict, resource, namespace, labels=labels, fields=fields, timing=self._timing
        ):
            yield WatchEvent(kind, obj if obj is not None else {})

    def watch_as(
        self, type: type[T], resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[tuple[reflector.EventType, T | None]]:
        """`watch` into structs of only the needed fields; ``SYNCED`` comes with None."""
        return reflector.reflect(
            self._wire, type, resource, namespace, labels=labels, fields=fields, timing=self._timing
        )

    async def create(self, obj: Object) -> Object:
        """POST."""
        return await self._create(obj, dry_run=False)

    async def dry_run_create(self, obj: Object) -> Object:
        """POST with dryRun=All."""
        return await self._create(obj, dry_run=True)

    async def _create(self, obj: Object, *, dry_run: bool) -> Object:
        resource = await self.resource(obj["apiVersion"], obj["kind"])
        return await self._verbs.create(resource, obj, dry_run=dry_run)

    async def replace(self, obj: Object) -> Object:
        """PUT."""
        return await self._replace(obj, dry_run=False)

    async def dry_run_replace(self, obj: Object) -> Object:
        """PUT with dryRun=All."""
        return await self._replace(obj, dry_run=True)

    async def _replace(self, obj: Object, *, dry_run: bool) -> Object:
        resource = await self.resource(obj["apiVersion"], obj["kind"])
        return await self._verbs.replace(resource, obj, dry_run=dry_run)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
    ) -> Object:
        """PATCH."""
        return await self._verbs.patch(
            resource, name, patch, namespace, type=type, subresource=subresource, dry_run=False
        )

    async def dry_run_patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
    ) -> Object:
        """PATCH with dryRun=All."""
        return await self._verbs.patch(
            resource, name, patch, namespace, type=type, subresource=subresource, dry_run=True
        )

    async def apply(self, obj: Object, *, manager: str = MANAGER, force: bool = False) -> Object:
        """Server-side apply."""
        return await self._apply(obj, manager=manager, force=force, dry_run=False)

    async def dry_run_apply(self, obj: Object, *, manager: str = MANAGER, force: bool = False) -> Object:
        """Server-side apply with dryRun=All."""
        return await self._apply(obj, manager=manager, force=force, dry_run=True)

    async def _apply(self, obj: Object, *, manager: str, force: bool, dry_run: bool) -> Object:
        resource = await self.resource(obj["apiVersion"], obj["kind"])
        return await self._verbs.apply(resource, obj, manager=manager, force=force, dry_run=dry_run)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "Background",
        grace: int | None = None,
    ) -> None:
        """DELETE with preconditions."""
        options = _delete_options(uid, resource_version, propagation)
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        await self._delete(path_of(resource, name, namespace), options)

    async def dry_run_delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "Background",
    ) -> None:
        """DELETE with dryRun=All."""
        options = {**_delete_options(uid, resource_version, propagation), "dryRun": ["All"]}
        await self._delete(path_of(resource, name, namespace), options, read_only=True)

    async def _delete(self, path: str, options: dict[str, Any], *, read_only: bool = False) -> None:
        await self._wire.request("DELETE", path, body=msgspec.json.encode(options), read_only=read_only)

    async def logs(
        self, pod: str, namespace: str, container: str = "", *, previous: bool = False, tail: int = 20
    ) -> str:
        """The last lines of a container's log."""
        params = {"tailLines": str(tail), "limitBytes": str(LOG_BYTES)}
        if container:
            params["container"] = container
        if previous:
            params["previous"] = "true"
        path = path_of(Resource("v1", "Pod", "pods"), pod, namespace, "log")
        content = await self._wire.last_bytes(path, params=params, limit=LOG_BYTES)
        return content.decode("utf-8", "replace")

    async def proxied(
        self,
        kind: Literal["pods", "services"],
        name: str,
        namespace: str,
        port: int | str,
        path: str = "/",
        *,
        scheme: Literal["http", "https"] = "http",
        limit: int = PROXY_BYTES,
        timeout: float = 5.0,
    ) -> ProxyAnswer:
        """GETs from a pod or a Service through the API server."""
        from backout.cluster.proxying import proxied

        where = (kind, name, namespace, port, scheme)
        return await proxied(self._wire, where, path, limit=limit, timeout=timeout)

    async def may(self, accesses: Sequence[Access]) -> list[AccessAnswer]:
        """Asks by SelfSubjectAccessReview, all in parallel."""
        return await access.may(self._wire, accesses)

    def lease(
        self, target: str, namespace: str, *, holder: str, about: Mapping[str, str]
    ) -> AbstractAsyncContextManager[HeldLease]:
        """Takes the Lease that stands for ``target``."""
        return lease.hold(self, target, namespace, holder=holder, about=about)

    async def give_back(self, target: str, namespace: str, *, holder: str) -> BackoutError | None:
        """Lets a Lease go that ``holder`` left behind."""
        return await lease.give_back(self, target, namespace, holder=holder)

    def gate(self, fence: Fence, instead: Instead = ()) -> AbstractAsyncContextManager[OpenGate]:
        """A way to the cluster for another program."""
        from backout.cluster.gate import opened

        return opened(self._wire, self.context, fence, instead)

    async def close(self) -> None:
        """Closes connections."""
        if self._lazy_verbs is not None:
            await self._lazy_verbs.close()
        await self._wire.close()

    async def __aenter__(self) -> KubernetesCluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def connect(kubeconfig: str = "", context: str = "", *, name: str = "", imported: bool = False) -> KubernetesCluster:
    """A cluster by kubeconfig and context, as kubectl would choose them. Opens no connection yet.

    Raises:
        ConfigError, UnknownContext: see `backout.cluster.kubeconfig`.
        RefusedError: an ``imported`` kubeconfig wants to run a program or to weaken the connection.
    """
    return KubernetesCluster(kubeconfigs.connection(kubeconfig, context, imported=imported), name=name)


class _Name(msgspec.Struct):
    name: str = ""


class _Named(msgspec.Struct):
    metadata: _Name


def _delete_options(uid: str, resource_version: str, propagation: Propagation) -> dict[str, Any]:
    options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
    preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
    if preconditions:
        options["preconditions"] = preconditions
    return options


def _decode(type_: Any, body: bytes, what: str) -> Any:
    try:
        return decoder(type_).decode(body)
    except UNREADABLE:
        raise decode_failed(what) from None


_protocol: type[Cluster] = KubernetesCluster
