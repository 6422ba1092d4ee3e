# SPDX-License-Identifier: Apache-2.0
"""What the rest of the house may ask of a cluster. Objects are plain dicts: unknown fields survive every round trip.

Every method raises the errors of `backout.errors`: ClusterUnreachable, TokenExpired (401), AccessDenied (403),
ObjectNotFound (404), Conflict or AlreadyExists (409), Expired (410), Invalid (400, 422), Throttled (429), ServerError
(5xx and answers that are not Kubernetes). Reads are retried with back-off where that is safe; writes are not repeated
blindly: after a timeout or a reset the caller looks again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from backout.errors import BackoutError, ObjectNotFound
from backout.model.part import Access
from backout.model.scope import ClusterIdentity
from backout.model.target import ObjectRef

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
R = TypeVar("R")
Object = dict[str, Any]
Propagation = Literal["Background", "Foreground", "Orphan"]
PatchType = Literal["json", "merge", "strategic"]
PROXY_BYTES = 4 * 1024 * 1024


class Resource(NamedTuple):
    """One kind of object as the API serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        group, slash, _ = self.api_version.partition("/")
        return group if slash else ""


PODS = Resource("v1", "Pod", "pods")
EVENTS = Resource("v1", "Event", "events")
SECRETS = Resource("v1", "Secret", "secrets")
CONFIGMAPS = Resource("v1", "ConfigMap", "configmaps")
SERVICES = Resource("v1", "Service", "services")
PVCS = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)
NODES = Resource("v1", "Node", "nodes", namespaced=False)
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments")
REPLICASETS = Resource("apps/v1", "ReplicaSet", "replicasets")
STATEFULSETS = Resource("apps/v1", "StatefulSet", "statefulsets")
DAEMONSETS = Resource("apps/v1", "DaemonSet", "daemonsets")
PDBS = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
CONTROLLERREVISIONS = Resource("apps/v1", "ControllerRevision", "controllerrevisions")
ENDPOINTSLICES = Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")
JOBS = Resource("batch/v1", "Job", "jobs")
INGRESSES = Resource("networking.k8s.io/v1", "Ingress", "ingresses")


class Served(NamedTuple):
    """A kind that the cluster serves, and what may be done with it (not: by whom). ``status``: it has a status subresource."""

    resource: Resource
    verbs: frozenset[str]
    status: bool = False


class Catalogue(NamedTuple):
    """Every kind that a cluster serves, each in one version only, and the groups that gave no answer."""

    kinds: tuple[Served, ...]
    broken: tuple[str, ...] = ()


class WatchEvent(msgspec.Struct, frozen=True):
    """``ADDED``, ``MODIFIED``, ``DELETED``, or ``SYNCED`` once when the first complete state was delivered."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "SYNCED"]
    object: Object


class AccessAnswer(msgspec.Struct, frozen=True):
    """The API server's answer to "may I?"."""

    access: Access
    allowed: bool
    reason: str = ""


class ProxyAnswer(msgspec.Struct, frozen=True):
    """What a program in a pod answered, through the API server.

    ``refusal`` is not empty when nothing was reached: the API server's own words (``error trying to reach service:
    dial tcp …: connection refused``, ``no endpoints available for service "web"``), or why the answer can't be the
    program's. The other fields then say nothing about the program. A body longer than the limit is cut, and
    ``truncated``.
    """

    status: int
    content_type: str = ""
    body: bytes = b""
    refusal: str = ""
    truncated: bool = False


class HeldLease(Protocol):
    """A lease that this run holds. ``token`` rises with every change of holder (the Lease's resourceVersion then)."""

    token: int
    left: BackoutError | None
    """Why it could not be let go at the end; None where it was, or is not over."""

    async def confirm(self) -> None:
        """Reads the lease again right before a write.

        Raises:
            LeaseLost: another holder has it, or it ran out.
        """


class GatedRequest(NamedTuple):
    """What another program wants to write through a gate: the API's path, without its query."""

    method: str
    path: str
    body: bytes


Instead = Sequence[tuple[Resource, Object]]
"""Objects that another program is shown in place of the cluster's own, each with its kind."""
Fence = Callable[[GatedRequest], Awaitable[None]]
"""Asked before each write of another program; an error of the house keeps it from being made, and shuts the gate."""


class OpenGate(Protocol):
    """A way to the cluster for another program.

    ``kubeconfig`` is a path for KUBECONFIG; ``keep``: descriptors that the program must inherit. ``shut`` is set when a
    write was refused, for the reason ``refusal``: nothing passes from then on. ``wrote`` is true when one was let
    through. ``failure`` is the last reason why the API server could not be asked.
    """

    kubeconfig: str
    keep: tuple[int, ...]
    shut: asyncio.Event
    refusal: BackoutError | None
    failure: BackoutError | None
    wrote: bool


class ClusterReader(Protocol):
    """One cluster, reached through one context of a kubeconfig, to look at: nothing here changes it.

    The ``dry_run`` questions ask the API server what it would make of a write; they always carry ``dryRun=All``
    (kubernetes.io/docs/reference/using-api/api-concepts, "Dry-run"), so that nothing is stored.
    ``kubeconfig`` (empty inside a pod) and ``context`` are those that led here.
    """

    name: str
    context: str
    kubeconfig: str

    async def identity(self) -> ClusterIdentity:
        """Which cluster this really is."""

    async def server_time(self) -> datetime:
        """The API server's own clock (its Date header)."""

    async def resource(self, api_version: str, kind: str) -> Resource:
        """Finds a kind by discovery (built-in kinds without asking).

        Raises:
            ObjectNotFound: the cluster does not serve it.
        """

    async def catalogue(self) -> Catalogue:
        """Every kind that is served now, in the version that the cluster prefers. Asked anew each time."""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """Reads one object, never from a stale cache."""

    async def get_as(self, type: type[T], resource: Resource, name: str, namespace: str = "") -> T:
        """Reads one object into a struct of only the fields that are needed."""

    def pages(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", limit: int = 500
    ) -> AsyncIterator[list[Object]]:
        """Lists page by page; an expired page starts the list again, and no object is delivered twice."""

    async def list_all(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Lists all (use `list_as` for many)."""

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
        """Lists into structs of only the needed fields: for thousands of objects.

        ``metadata_only``: the server sends nothing but metadata, for objects with large contents.
        """

    async def fold(
        self,
        type: type[T],
        resource: Resource,
        fold: Callable[[list[T]], R],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
    ) -> list[R]:
        """Lists page by page of ``limit`` objects, and keeps only what ``fold`` makes of each: for more objects than are
        to be kept.

        When the list has to start again, ``fold`` sees objects again: it must not count by itself.
        """

    def watch(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """List and watch without end: survives 410, resets and half-open streams without losing a deletion."""

    async def dry_run_create(self, obj: Object) -> Object:
        """What a POST would store, or the error that it would end with."""

    async def dry_run_replace(self, obj: Object) -> Object:
        """What a PUT would store; conditional when ``metadata.resourceVersion`` is set."""

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
        """What a PATCH would store."""

    async def dry_run_apply(self, obj: Object, *, manager: str = "backout", force: bool = False) -> Object:
        """What a server-side apply would store."""

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
        """Whether a DELETE with these preconditions would be accepted."""

    async def logs(
        self, pod: str, namespace: str, container: str = "", *, previous: bool = False, tail: int = 20
    ) -> str:
        """The last ``tail`` lines (at most 64 KiB) of a container's log."""

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
        """GETs from a pod's or a Service's port through the API server's proxy; redirects are not followed.

        ``port`` of a Service: its number or name; of a pod: the number. With https the API server doesn't look at the
        program's certificate. After ``timeout`` seconds without a whole answer there is a refusal that says so.

        Raises:
            AccessDenied: no right to ``get`` ``pods/proxy`` or ``services/proxy``.
            ObjectNotFound: there is no such pod or Service.
        """

    async def may(self, accesses: Sequence[Access]) -> list[AccessAnswer]:
        """Asks by SelfSubjectAccessReview, all in parallel."""


class Cluster(ClusterReader, Protocol):
    """A cluster that may be written to: what a run's steps get, and nothing that only looks."""

    async def create(self, obj: Object) -> Object:
        """POST."""

    async def replace(self, obj: Object) -> Object:
        """PUT; conditional when ``metadata.resourceVersion`` is set."""

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
        """PATCH. Put uid or resourceVersion into it (``metadata``, or a JSON patch ``test``) to make it conditional."""

    async def apply(self, obj: Object, *, manager: str = "backout", force: bool = False) -> Object:
        """Server-side apply."""

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
        """DELETE with preconditions; an object with another uid raises Conflict."""

    def lease(
        self, target: str, namespace: str, *, holder: str, about: Mapping[str, str]
    ) -> AbstractAsyncContextManager[HeldLease]:
        """Takes the Lease that stands for ``target``, renews it in the background, and lets it go at the end.

        Raises:
            LockedError: somebody else holds it: the message says who, since when, and what.
            ClusterUnreachable, ServerError: it may be taken all the same; `give_back` lets it go then.
        """

    async def give_back(self, target: str, namespace: str, *, holder: str) -> BackoutError | None:
        """Lets the Lease on ``target`` go if ``holder`` has it, whichever process took it. Returns why that was in vain."""

    def gate(self, fence: Fence, instead: Instead = ()) -> AbstractAsyncContextManager[OpenGate]:
        """Lets another program work on the cluster as the same user, as long as the context lasts and no longer:
        ``fence`` is asked before each of its writes, and nothing passes while this process is stopped. It reads ``instead``
        where it reads one of these objects alone, in place of what the cluster has.
        """

    async def close(self) -> None:
        """Closes connections."""


async def find(cluster: ClusterReader, ref: ObjectRef) -> Object | None:
    """The object that ``ref`` names, or None when it (or its kind) does not exist, or has another uid."""
    try:
        resource = await cluster.resource(ref.api_version, ref.kind)
        obj = await cluster.get(resource, ref.name, ref.namespace)
    except ObjectNotFound:
        return None
    return obj if not ref.uid or obj["metadata"]["uid"] == ref.uid else None
