# SPDX-License-Identifier: Apache-2.0
"""The endpoints of applications: reading, refreshing, syncing, rolling back, ending operations, manifests and trees.

Facts: argo-cd server/application/application.go (``Get``, ``Sync``, ``Rollback``, ``TerminateOperation``, ``GetManifests``, ``Patch``,
``getAppEnforceRBAC``: who may not know whether an application exists is told 403) and application.proto.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from kubetwin.client import ApiException, Obj, Resource
from kubetwin.gitops.argocd import windows
from kubetwin.gitops.argocd.application import (
    APPLICATIONS,
    REFRESH,
    automated,
    destination_namespace,
    history_of,
    operation_state,
    options_of,
    policy_of,
    several,
    source_of,
    sources_of,
    spec_of,
)
from kubetwin.gitops.argocd.calls import Call, Refused
from kubetwin.gitops.argocd.compare import Desired, compare
from kubetwin.gitops.argocd.health import resource_health
from kubetwin.gitops.argocd.projects import project_name
from kubetwin.gitops.argocd.repo_server import SourceError
from kubetwin.gitops.documents import group_of, version_of
from kubetwin.gitops.git import GitError
from kubetwin.kinds import PODS, REPLICASETS
from kubetwin.meta import deleting, label_selector, labels_of, name_of, namespace_of, now, status_of

if TYPE_CHECKING:
    from kubetwin.gitops.argocd.server import ArgoServer

_REFRESH_PATIENCE = 60.0
_HIDDEN = "++++++++"


class ApplicationApi:
    """``/api/v1/applications/…``"""

    def __init__(self, server: ArgoServer) -> None:
        self._server = server

    async def handle(self, call: Call, parts: list[str]) -> Any:
        """The body of the answer. Raises Refused, ApiException or OSError."""
        method = call.request.method
        match method, parts:
            case "GET", []:
                return self._list(call)
            case "POST", []:
                return await self._create(call)
            case "GET", [name]:
                return await self._get(call, name)
            case "PATCH", [name]:
                return await self._patch(call, name)
            case "PUT", [name, "spec"]:
                return await self._put_spec(call, name)
            case "DELETE", [name]:
                return await self._delete(call, name)
            case "POST", [name, "sync"]:
                return await self._sync(call, name)
            case "POST", [name, "rollback"]:
                return await self._rollback(call, name)
            case "DELETE", [name, "operation"]:
                return await self._terminate(call, name)
            case "GET", [name, "manifests"]:
                return await self._manifests(call, name)
            case "GET", [name, "resource-tree"]:
                return await self._tree(call, name)
            case "GET", [name, "managed-resources"]:
                return await self._managed(call, name)
            case "GET", [name, "syncwindows"]:
                return self._windows(call, name)
            case "GET", [name, "revisions", revision, "metadata"]:
                return await self._metadata(call, name, revision)
        raise Refused("NotFound", "Not Found")

    # finding

    def _found(self, call: Call, name: str, action: str, *, project: str = "") -> Obj:
        """The application, if the caller may do that with it."""
        controller = self._server.controller
        own = controller.settings.namespace
        namespace = call.request.param("appNamespace") or own
        project = project or call.request.param("project") or call.request.param("projects")
        if project and not self._server.permits(call, "applications", action, f"{project}/{name}"):
            raise Refused("PermissionDenied", "permission denied")
        app = controller.apps.get(name, namespace)
        missing = Refused("NotFound", f'applications.argoproj.io "{name}" not found')
        if app is None:
            raise missing if project else Refused("PermissionDenied", "permission denied")
        if not self._server.permits(call, "applications", action, f"{project_name(app)}/{name}"):
            raise missing if project else Refused("PermissionDenied", "permission denied")
        if project and project_name(app) != project:
            raise missing
        return app

    async def _fresh(self, call: Call, name: str, action: str, body: Obj) -> Obj:
        """As the API server has it now, for those that write."""
        app = self._found(call, name, action, project=str(body.get("project") or ""))
        return await self._server.controller.ctx.api.get(APPLICATIONS, name, namespace_of(app))

    def _list(self, call: Call) -> Obj:
        request = call.request
        wanted = request.query.get("projects") or request.query.get("project") or []
        chosen = label_selector(_selector(request.param("selector")))
        items = [
            app
            for app in self._server.controller.apps.all()
            if self._server.permits(call, "applications", "get", f"{project_name(app)}/{name_of(app)}")
            and (not wanted or project_name(app) in wanted)
            and request.param("name") in ("", name_of(app))
            and chosen(labels_of(app))
        ]
        return {"metadata": {}, "items": sorted(items, key=name_of)}

    async def _get(self, call: Call, name: str) -> Obj:
        app = self._found(call, name, "get")
        refresh = call.request.param("refresh")
        if not refresh:
            return app
        api, apps = self._server.controller.ctx.api, self._server.controller.apps
        kind = "hard" if refresh == "hard" else "normal"
        patched = await api.patch(APPLICATIONS, name, {"metadata": {"annotations": {REFRESH: kind}}}, namespace_of(app))
        asked = int(patched["metadata"]["resourceVersion"])

        def done() -> bool:
            found = apps.get(name, namespace_of(app))
            if found is None:
                return True
            later = int(found["metadata"]["resourceVersion"]) > asked
            return later and REFRESH not in (found["metadata"].get("annotations") or {})

        try:
            async with asyncio.timeout(_REFRESH_PATIENCE):
                await apps.wait_for(done)
        except TimeoutError:
            raise Refused("Unknown", "application refresh deadline exceeded") from None
        found = apps.get(name, namespace_of(app))
        if found is None:
            raise Refused("NotFound", f'applications.argoproj.io "{name}" not found')
        return found

    # changing

    async def _create(self, call: Call) -> Obj:
        body = call.body()
        name = str((body.get("metadata") or {}).get("name") or "")
        self._server.enforce(call, "applications", "create", f"{project_name(body)}/{name}")
        namespace = self._server.controller.settings.namespace
        meta = {**(body.get("metadata") or {}), "namespace": namespace}
        return await self._server.controller.ctx.api.create(APPLICATIONS, {**body, "metadata": meta})

    async def _patch(self, call: Call, name: str) -> Obj:
        body = call.body()
        app = await self._fresh(call, name, "update", body)
        kind = str(body.get("patchType") or "json")
        types = {
            "json": "application/json-patch+json",
            "": "application/json-patch+json",
            "merge": "application/merge-patch+json",
        }
        if kind not in types:
            raise Refused("InvalidArgument", f"Patch type '{kind}' is not supported")
        try:
            patch = json.loads(str(body.get("patch") or ""))
        except ValueError as error:
            raise Refused("InvalidArgument", f"error decoding json patch: {error}") from None
        api = self._server.controller.ctx.api
        return await api.patch(APPLICATIONS, name, patch, namespace_of(app), content_type=types[kind])

    async def _put_spec(self, call: Call, name: str) -> Obj:
        app = self._found(call, name, "update")
        api = self._server.controller.ctx.api
        patch = [{"op": "replace", "path": "/spec", "value": call.body()}]
        found = await api.patch(
            APPLICATIONS, name, patch, namespace_of(app), content_type="application/json-patch+json"
        )
        return spec_of(found)

    async def _delete(self, call: Call, name: str) -> Obj:
        app = self._found(call, name, "delete")
        api = self._server.controller.ctx.api
        if call.request.param("cascade", "true") != "false":
            finalizers = [*(app["metadata"].get("finalizers") or ()), "resources-finalizer.argocd.argoproj.io"]
            patch = {"metadata": {"finalizers": sorted(set(finalizers))}}
            await api.patch(APPLICATIONS, name, patch, namespace_of(app))
        await api.delete(APPLICATIONS, name, namespace_of(app))
        return {}

    async def _sync(self, call: Call, name: str) -> Obj:
        body = call.body()
        app = await self._fresh(call, name, "get", body)
        self._open(app)
        self._server.enforce(call, "applications", "sync", f"{project_name(app)}/{name}")
        manifests, dry_run = body.get("manifests"), bool(body.get("dryRun"))
        if manifests is not None:
            self._server.enforce(call, "applications", "override", f"{project_name(app)}/{name}")
            if automated(app) is not None and not dry_run:
                text = "cannot use local sync when Automatic Sync Policy is enabled unless for dry run"
                raise Refused("FailedPrecondition", text)
        if deleting(app):
            raise Refused("FailedPrecondition", "application is deleting")
        sync: Obj = {"prune": bool(body.get("prune")), "dryRun": dry_run, "manifests": manifests}
        sync |= {"syncStrategy": body.get("strategy"), "resources": body.get("resources")}
        sync["syncOptions"] = (body.get("syncOptions") or {}).get("items") or options_of(app) or None
        sync |= await self._revisions(app, body, resolve=manifests is None)
        retry = body.get("retryStrategy") or policy_of(app).get("retry") or {}
        return await self._operate(app, call, sync, retry, body.get("infos"))

    async def _revisions(self, app: Obj, body: Obj, *, resolve: bool) -> Obj:
        """What is synced to. A revision that is not the target's is refused under automated sync (``resolveRevision``)."""
        server = self._server.controller.server
        sources = sources_of(app)
        if several(app):
            given = body.get("revisions") or []
            places = body.get("sourcePositions") or []
            wanted = [str(each.get("targetRevision") or "") for each in sources]
            for place, revision in zip(places, given, strict=False):
                wanted[int(place) - 1] = str(revision)
        else:
            wanted = [str(body.get("revision") or sources[0].get("targetRevision") or "")]
        if automated(app) is not None and not body.get("dryRun") and resolve:
            for revision, source in zip(wanted, sources, strict=True):
                target = str(source.get("targetRevision") or "")
                if revision and revision != target:
                    shown = target or "HEAD"
                    raise Refused(
                        "FailedPrecondition", f"Cannot sync to {revision}: auto-sync currently set to {shown}"
                    )
        if resolve:
            try:
                wanted = [await server.resolve(s, r) for s, r in zip(sources, wanted, strict=True)]
            except SourceError as error:
                raise Refused("FailedPrecondition", str(error)) from None
        if several(app):
            return {"sources": spec_of(app)["sources"], "revisions": wanted}
        return {"source": source_of(app), "revision": wanted[0]}

    async def _rollback(self, call: Call, name: str) -> Obj:
        body = call.body()
        number = body.get("id", 0)
        if isinstance(number, bool) or not isinstance(number, int):
            text = f"json: cannot unmarshal {type(number).__name__} into Go struct field ApplicationRollbackRequest.id of type int64"
            raise Refused("InvalidArgument", text)
        config = self._server.controller.configured()
        action = "rollback" if config.get("server.rbac.rollback.enforce.enable") == "true" else "sync"
        app = await self._fresh(call, name, action, body)
        if deleting(app):
            raise Refused("FailedPrecondition", "application is deleting")
        if automated(app) is not None:
            raise Refused("FailedPrecondition", "rollback cannot be initiated when auto-sync is enabled")
        entry = next((each for each in history_of(app) if each["id"] == number), None)
        if entry is None:
            where = f"{namespace_of(app)}/{name}"
            raise Refused("InvalidArgument", f"application {where} does not have deployment with id {number}")
        sync: Obj = {"prune": bool(body.get("prune")), "dryRun": bool(body.get("dryRun"))}
        sync |= {"syncOptions": options_of(app) or None, "syncStrategy": {"apply": {}}}
        sync |= {k: entry.get(k) for k in ("revision", "revisions", "source", "sources")}
        return await self._operate(app, call, sync, {}, None)

    async def _operate(self, app: Obj, call: Call, sync: Obj, retry: Obj, infos: Any) -> Obj:
        """Sets the operation, unless there is one (util/argo/argo.go ``SetAppOperation``)."""
        if app.get("operation"):
            text = "error setting app operation: another operation is already in progress"
            raise Refused("FailedPrecondition", text)
        operation: Obj = {
            "sync": {k: v for k, v in sync.items() if v not in (None, False)},
            "initiatedBy": {"username": call.user},
            "retry": retry,
        }
        if infos:
            operation["info"] = infos
        status = {k: v for k, v in status_of(app).items() if k != "operationState"}
        api = self._server.controller.ctx.api
        try:
            return await api.replace(APPLICATIONS, {**app, "operation": operation, "status": status})
        except ApiException as error:
            if not error.conflict:
                raise
        fresh = await api.get(APPLICATIONS, name_of(app), namespace_of(app))
        return await self._operate(fresh, call, sync, retry, infos)

    def _open(self, app: Obj) -> None:
        """Raises Refused when a window keeps manual syncs out."""
        try:
            allowed = windows.can_sync(self._matching(app), now(), manual=True)
        except windows.WindowError as error:
            raise Refused("PermissionDenied", f"cannot sync: invalid sync window: {error}") from None
        if not allowed:
            raise Refused("PermissionDenied", "cannot sync: blocked by sync window")

    def _matching(self, app: Obj) -> list[Obj]:
        project = self._server.controller.project_of(app) or {}
        return windows.matching((project.get("spec") or {}).get("syncWindows"), app)

    async def _terminate(self, call: Call, name: str) -> Obj:
        app = await self._fresh(call, name, "sync", {})
        if not app.get("operation") or operation_state(app) is None:
            raise Refused("InvalidArgument", "Unable to terminate operation. No operation is in progress")
        patch = {"status": {"operationState": {"phase": "Terminating"}}}
        await self._server.controller.ctx.api.patch(APPLICATIONS, name, patch, namespace_of(app))
        return {}

    # what is in it

    async def _manifests(self, call: Call, name: str) -> Obj:
        """The rendered objects as JSON texts; of Secrets only the names of their keys are told."""
        app = self._found(call, name, "get")
        controller = self._server.controller
        sources = sources_of(app)
        revisions = [call.request.param("revision") or str(each.get("targetRevision") or "") for each in sources]
        if several(app):
            given = call.request.query.get("revisions") or []
            revisions = [*given, *(str(each.get("targetRevision") or "") for each in sources[len(given) :])]
        try:
            made = await controller.server.manifests(
                sources, revisions, release=name, namespace=destination_namespace(app)
            )
        except SourceError as error:
            raise Refused("Unknown", f"error getting manifests: {error}") from None
        around = controller.surroundings(app, controller.project_of(app) or {})
        told = [
            json.dumps(_hidden(around.tracking.marked(obj, around.instance, destination_namespace(app))))
            for each in made
            for obj in each.objects
        ]
        return {
            "manifests": told,
            "namespace": destination_namespace(app),
            "server": (spec_of(app).get("destination") or {}).get("server", ""),
            "revision": made[0].revision if made else "",
            "sourceType": made[0].kind if made else "",
        }

    async def _comparison(self, app: Obj) -> Any:
        controller = self._server.controller
        status = status_of(app).get("sync") or {}
        revisions = status.get("revisions") or [status.get("revision", "")]
        try:
            desired = await controller.desired(app, sources_of(app), revisions, multiple=several(app))
        except OSError:
            desired = Desired(sources_of(app), revisions, several(app))
        return await compare(app, desired, controller.surroundings(app, controller.project_of(app) or {}))

    async def _managed(self, call: Call, name: str) -> Obj:
        app = self._found(call, name, "get")
        items = []
        for item in (await self._comparison(app)).managed:
            live, target = _hidden(item.live), _hidden(item.target)
            items.append(
                {
                    "group": item.key.group,
                    "kind": item.key.kind,
                    "namespace": item.key.namespace,
                    "name": item.key.name,
                    "liveState": json.dumps(live),
                    "targetState": json.dumps(target),
                    "modified": item.modified,
                    "resourceVersion": ((item.live or {}).get("metadata") or {}).get("resourceVersion", ""),
                }
            )
        return {"items": items}

    async def _tree(self, call: Call, name: str) -> Obj:
        """What lives, with what it owns: ReplicaSets and pods, and whatever else is watched."""
        app = self._found(call, name, "get")
        controller = self._server.controller
        around = controller.surroundings(app, controller.project_of(app) or {})
        roots = [item.live for item in (await self._comparison(app)).managed if item.live is not None]
        await around.cluster.watch([PODS, REPLICASETS])
        known: list[tuple[Resource, Obj]] = [(r, o) for r in around.cluster.watched for o in around.cluster.all(r)]
        nodes: list[Obj] = []
        level: list[tuple[Obj, list[Obj]]] = [(root, []) for root in roots]
        seen = {root["metadata"]["uid"] for root in roots}
        while level:
            nodes += [_node(obj, parents) for obj, parents in level]
            parents_by_uid = {obj["metadata"]["uid"]: obj for obj, _ in level}
            level = []
            for _, obj in known:
                owners = [r for r in obj["metadata"].get("ownerReferences") or () if r.get("uid") in parents_by_uid]
                if owners and obj["metadata"]["uid"] not in seen:
                    seen.add(obj["metadata"]["uid"])
                    level.append((obj, [_reference(parents_by_uid[r["uid"]]) for r in owners]))
        return {"nodes": nodes}

    def _windows(self, call: Call, name: str) -> Obj:
        app = self._found(call, name, "get")
        matching = self._matching(app)
        try:
            active = [each for each in matching if windows.active(each, now())]
            can = windows.can_sync(matching, now(), manual=True)
        except windows.WindowError as error:
            raise Refused("Unknown", f"invalid sync windows: {error}") from None
        shown = [{k: each.get(k) for k in ("kind", "schedule", "duration", "manualSync")} for each in matching]
        return {
            "activeWindows": [s for s, w in zip(shown, matching, strict=True) if w in active],
            "assignedWindows": shown,
            "canSync": can,
        }

    async def _metadata(self, call: Call, name: str, revision: str) -> Obj:
        app = self._found(call, name, "get")
        server = self._server.controller.server
        url = str(sources_of(app)[0]["repoURL"])
        try:
            await server.repositories.tree(url, revision, server.credentials(url))
            author, date, message = await server.repositories.log(url, revision)
        except GitError as error:
            raise Refused("Unknown", str(error)) from None
        return {"author": author, "date": date, "message": message}


def _selector(text: str) -> Obj:
    """``a=b,c!=d,e`` as a label selector; empty: everything."""
    expressions = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        if "!=" in part:
            key, _, value = part.partition("!=")
            expressions.append({"key": key, "operator": "NotIn", "values": [value]})
        elif "=" in part:
            key, _, value = part.replace("==", "=").partition("=")
            expressions.append({"key": key, "operator": "In", "values": [value]})
        else:
            operator = "DoesNotExist" if part.startswith("!") else "Exists"
            expressions.append({"key": part.lstrip("!"), "operator": operator})
    return {"matchExpressions": expressions}


def _hidden(obj: Obj | None) -> Obj | None:
    """A Secret without its values (gitops-engine/pkg/diff/diff.go ``HideSecretData``)."""
    if obj is None or obj.get("kind") != "Secret" or group_of(obj):
        return obj
    found = dict(obj)
    for key in ("data", "stringData"):
        if found.get(key):
            found[key] = dict.fromkeys(found[key], _HIDDEN)
    annotations = dict(found["metadata"].get("annotations") or {})
    if "kubectl.kubernetes.io/last-applied-configuration" in annotations:
        annotations["kubectl.kubernetes.io/last-applied-configuration"] = _HIDDEN
        found["metadata"] = {**found["metadata"], "annotations": annotations}
    return found


def _reference(obj: Obj) -> Obj:
    meta = obj["metadata"]
    found = {"kind": obj["kind"], "name": meta["name"], "uid": meta.get("uid", "")}
    return found | {k: v for k, v in (("group", group_of(obj)), ("namespace", meta.get("namespace"))) if v}


def _node(obj: Obj, parents: list[Obj]) -> Obj:
    health = resource_health(obj)
    found = {
        **_reference(obj),
        "version": version_of(obj),
        "resourceVersion": obj["metadata"].get("resourceVersion", ""),
        "createdAt": obj["metadata"].get("creationTimestamp"),
    }
    if parents:
        found["parentRefs"] = parents
    if health is not None:
        found["health"] = {"status": health[0]} | ({"message": health[1]} if health[1] else {})
    return found
