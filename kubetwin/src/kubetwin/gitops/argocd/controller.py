# SPDX-License-Identifier: Apache-2.0
"""The application controller: compares applications with their repositories, and carries out their operations.

Facts: argo-cd controller/appcontroller.go (``needRefreshAppStatus``, ``processAppRefreshQueueItem``, ``persistAppStatus``,
``finalizeApplicationDeletion``). Two kinds of work, as there: a *refresh* compares, and starts automated syncs; an *operation* syncs.
"""

from __future__ import annotations

import copy
import random
import time
from typing import Any

from kubetwin.client import JSON_PATCH, ApiException, Obj, Resource
from kubetwin.controllers.base import Context, Controller
from kubetwin.gitops.argocd import autosync, hooks, windows
from kubetwin.gitops.argocd.application import (
    APPLICATIONS,
    FINALIZER,
    GENERATE_PATHS,
    PROJECTS,
    REFRESH,
    automated,
    condition,
    in_progress,
    instance_name,
    operation_state,
    refresh_requested,
    several,
    source_of,
    sources_of,
    spec_of,
    with_conditions,
)
from kubetwin.gitops.argocd.compare import EVALUATED, Comparison, Desired, Managed, Surroundings, compare
from kubetwin.gitops.argocd.destinations import Destinations
from kubetwin.gitops.argocd.operation import Operations
from kubetwin.gitops.argocd.projects import project_name, refusals
from kubetwin.gitops.argocd.repo_server import KNOWN_HOSTS, RepoServer, SourceError
from kubetwin.gitops.argocd.settings import ArgoSettings
from kubetwin.gitops.argocd.tracking import ANNOTATION, Tracking, parsed
from kubetwin.gitops.cluster import Cluster
from kubetwin.gitops.documents import ManifestError, identity, objects
from kubetwin.gitops.documents import parsed as parsed_yaml
from kubetwin.gitops.merging import merge_patch
from kubetwin.informer import key_of
from kubetwin.kinds import CONFIGMAPS, SECRETS
from kubetwin.meta import annotations_of, deleting, name_of, namespace_of, now, stamp, status_of

RECENT, LATEST, RESOLVE = 1, 2, 3
"""How far a comparison goes: with the revision last seen, with the newest, and with the newest whatever is cached."""


class RepositoryTrouble(Exception):
    """The repository failed a moment ago: passed over for a while."""


class ApplicationController(Controller):
    """``server`` makes the manifests; ``settings`` are the times."""

    name = "argocd-application"
    component = "argocd-application-controller"
    user_agent = "argocd-application-controller"

    def __init__(self, ctx: Context, server: RepoServer, settings: ArgoSettings) -> None:
        self.server = server
        self.settings = settings
        self._requested: dict[str, int] = {}
        self._compared: dict[str, float] = {}
        self._troubles: dict[str, float] = {}
        super().__init__(ctx)

    def setup(self) -> None:
        self.apps = self.inform(APPLICATIONS)
        self.projects = self.inform(PROJECTS)
        self.config = self.inform(CONFIGMAPS)
        self.secrets = self.inform(SECRETS)
        self.own = Cluster(self.ctx.api.as_component(self.user_agent), self.ctx.informers)
        self.destinations = Destinations(self.own, self.own_secrets, self._live_changed, self.user_agent)
        self.operations = Operations(self)
        self.apps.add_handler(self._app_changed)
        self.projects.add_handler(lambda old, new: self._all_again())

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await self.destinations.close()

    # what is configured

    def own_secrets(self) -> list[Obj]:
        """The Secrets of Argo CD's own namespace."""
        return [each for each in self.secrets.all() if namespace_of(each) == self.settings.namespace]

    def known_hosts(self) -> str:
        found = self.config.get(KNOWN_HOSTS, self.settings.namespace) or {}
        return str((found.get("data") or {}).get("ssh_known_hosts") or "")

    def configured(self) -> dict[str, str]:
        """The data of argocd-cm."""
        return dict((self.config.get("argocd-cm", self.settings.namespace) or {}).get("data") or {})

    def project_of(self, app: Obj) -> Obj | None:
        return self.projects.get(project_name(app), self.settings.namespace)

    def surroundings(self, app: Obj, project: Obj) -> Surroundings:
        """What its comparison depends on. Raises KeyError when its cluster is not known."""
        settings = self.configured()
        instance = instance_name(app, self.settings.namespace)
        return Surroundings(self.destinations.of(app), project, Tracking.of(settings), instance, settings)

    # what happens in the cluster

    def _mine(self, app: Obj) -> bool:
        return namespace_of(app) == self.settings.namespace

    def _app_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None or not self._mine(new):
            if old is not None:
                for known in (self._requested, self._compared, self._troubles):
                    known.pop(key_of(old), None)
            return
        key = key_of(new)
        if old is not None and _switched_on(old, new):
            self._requested[key] = max(self._requested.get(key, 0), LATEST)
        self.queue.add(f"refresh/{key}")
        if new.get("operation") or in_progress(new):
            self.queue.add(f"operation/{key}")

    def _all_again(self) -> None:
        for app in self.apps.all():
            self.request(app, LATEST)

    def request(self, app: Obj, level: int, after: float = 0.0) -> None:
        """Asks for a refresh."""
        key = key_of(app)
        self._requested[key] = max(self._requested.get(key, 0), level)
        self.queue.add_after(f"refresh/{key}", after)

    def _live_changed(self, resource: Resource, old: Obj | None, new: Obj | None) -> None:
        """An object of an application changed: it is compared again with the revision last seen."""
        if old is not None and new is not None and _only_noise(old, new):
            return
        key = identity(new or old or {})
        marks = {self._owner(obj) for obj in (old, new) if obj is not None} - {""}
        for app in self.apps.all():
            if not self._mine(app):
                continue
            named = instance_name(app, self.settings.namespace) in marks
            if named or any(
                (r.get("group", ""), r["kind"], r.get("namespace", ""), r["name"]) == key
                for r in status_of(app).get("resources") or ()
            ):
                # A little later: changes of one rollout come in bursts.
                self.request(app, RECENT, 0.05)
                if in_progress(app):
                    self.queue.add_after(f"operation/{key_of(app)}", 0.02)

    def _owner(self, obj: Obj) -> str:
        told = parsed(annotations_of(obj).get(ANNOTATION, ""))
        return told[0] if told else Tracking.of(self.configured()).app_of(obj)

    # one piece of work

    async def sync(self, key: str) -> None:
        kind, _, name = key.partition("/")
        app = self.apps.by_key(name)
        if app is None or not self._mine(app):
            return
        if kind == "operation":
            await self.operations.step(app)
        elif deleting(app) and not in_progress(app):
            await self._finalize(app)
        else:
            await self._refresh(app)

    def _needed(self, app: Obj) -> int:
        """How far to compare; 0 when there is no need."""
        key = key_of(app)
        if refresh_requested(app):
            return RESOLVE
        status = status_of(app)
        compared = (status.get("sync") or {}).get("comparedTo") or {}
        if several(app):
            if compared.get("sources") != spec_of(app)["sources"]:
                return RESOLVE
        elif compared.get("source") != source_of(app):
            return RESOLVE
        last = self._compared.get(key)
        if last is None or time.monotonic() - last >= self.settings.reconciliation or not status.get("reconciledAt"):
            return LATEST
        if compared.get("destination") != spec_of(app).get("destination"):
            return LATEST
        if (compared.get("ignoreDifferences") or []) != (spec_of(app).get("ignoreDifferences") or []):
            return LATEST
        return self._requested.get(key, 0)

    async def _refresh(self, app: Obj) -> None:
        key = key_of(app)
        level = self._needed(app)
        if not level:
            self._later(key)
            return
        hard = refresh_requested(app) == "hard"
        self._requested.pop(key, None)
        status = copy.deepcopy(status_of(app))
        # Whatever comes of it: the next look by the clock is an interval away.
        before = self._compared.get(key)
        self._compared[key] = time.monotonic() if level >= LATEST else before or time.monotonic()
        self._later(key)
        project = self.project_of(app)
        if project is None:
            told = [f"Application referencing project {project_name(app)} which does not exist"]
        else:
            told = refusals(app, project, self.destinations.known())
        evaluated = {"InvalidSpecError", "UnknownError"}
        status["conditions"] = with_conditions(
            status.get("conditions"), [condition("InvalidSpecError", each) for each in told], evaluated
        )
        if told or project is None:
            status["sync"] = {**(status.get("sync") or {}), "status": "Unknown"}
            status["health"] = {**(status.get("health") or {}), "status": "Unknown", "message": ""}
            await self._persist(app, status)
            return
        try:
            found = await self._compare(app, project, level, hard=hard)
        except RepositoryTrouble:
            self.request(app, level, max(0.05, self.settings.repo_error_grace / 2))
            return
        await self._conclude(app, project, status, found, level)

    def _later(self, key: str) -> None:
        wait = self.settings.reconciliation + random.uniform(0, self.settings.jitter)
        last = self._compared.get(key, 0.0)
        self.queue.add_after(f"refresh/{key}", max(0.01, last + wait - time.monotonic()) if last else wait)

    async def _compare(self, app: Obj, project: Obj, level: int, *, hard: bool) -> Comparison:
        status = status_of(app)
        sources, multiple = sources_of(app), several(app)
        revisions = [str(each.get("targetRevision") or "") for each in sources]
        seen = (status.get("sync") or {}).get("revisions") or [(status.get("sync") or {}).get("revision", "")]
        if level == RECENT and len(seen) == len(sources) and all(seen):
            revisions = seen
        local = (((operation_state(app) or {}).get("operation") or {}).get("sync") or {}).get("manifests")
        desired = await self.desired(
            app, sources, revisions, multiple=multiple, local=local, fresh=hard, patient=level < RESOLVE
        )
        return await compare(app, desired, self.surroundings(app, project))

    async def desired(
        self,
        app: Obj,
        sources: list[Obj],
        revisions: list[str],
        *,
        multiple: bool,
        local: list[str] | None = None,
        fresh: bool = False,
        patient: bool = False,
    ) -> Desired:
        """What the repository says at these revisions; ``local`` manifests are taken in its place.

        Raises:
            RepositoryTrouble: it failed a moment ago, and the caller is ``patient``.
        """
        key = key_of(app)
        if local:
            try:
                given = objects([d for text in local for d in parsed_yaml(text, "manifest")], "manifest")
            except ManifestError as error:
                return Desired(sources, revisions, multiple, failure=f"Failed to load local manifests: {error}")
            return Desired(sources, revisions, multiple, local=given)
        instance = instance_name(app, self.settings.namespace)
        namespace = str((spec_of(app).get("destination") or {}).get("namespace") or "")
        try:
            made = await self.server.manifests(
                sources, revisions, release=name_of(app), namespace=namespace, fresh=fresh
            )
        except SourceError as error:
            first = self._troubles.setdefault(key, time.monotonic())
            if patient and time.monotonic() - first <= self.settings.repo_error_grace:
                raise RepositoryTrouble(instance) from error
            return Desired(sources, revisions, multiple, failure=f"Failed to load target state: {error}")
        self._troubles.pop(key, None)
        changes = await self._changes(app, sources, [each.revision for each in made])
        return Desired(sources, revisions, multiple, manifests=made, changes=changes)

    async def _changes(self, app: Obj, sources: list[Obj], commits: list[str]) -> bool:
        """Whether the commits since the last sync touch the paths that the application names; True without that annotation."""
        told = annotations_of(app).get(GENERATE_PATHS)
        last = ((operation_state(app) or {}).get("syncResult")) or {}
        synced = last.get("revisions") or [last.get("revision", "")]
        if not told or len(synced) != len(commits) or any(each.get("chart") for each in sources):
            return True
        for source, older, newer in zip(sources, synced, commits, strict=True):
            paths = [_joined(str(source.get("path") or "."), each.strip()) for each in told.split(";") if each.strip()]
            if older != newer and await self.server.repositories.changed(str(source["repoURL"]), older, newer, paths):
                return True
        return False

    async def _conclude(self, app: Obj, project: Obj, status: Obj, found: Comparison, level: int) -> None:
        """Automated sync, and the new status."""
        matching = windows.matching((project.get("spec") or {}).get("syncWindows"), app)
        try:
            allowed = windows.can_sync(matching, now(), manual=False)
        except windows.WindowError:
            allowed = False
        conditions = with_conditions(status.get("conditions"), found.conditions, EVALUATED)
        if allowed:
            error = await self._auto_sync(app, found)
            conditions = with_conditions(conditions, [error] if error else [], {"SyncError"})
        status["conditions"] = conditions
        if not status.get("reconciledAt") or level >= LATEST:
            status["reconciledAt"] = stamp()
        status["sync"] = found.status
        status["health"] = {**(status.get("health") or {}), "status": found.health, "message": found.health_message}
        status["resources"] = found.resources
        status["resourceHealthSource"] = "appTree"
        status["controllerNamespace"] = self.settings.namespace
        status["summary"] = _summary(found.managed)
        if several(app):
            status["sourceTypes"] = found.kinds
        elif found.kinds:
            status["sourceType"] = found.kinds[0]
        await self._persist(app, status)

    async def _auto_sync(self, app: Obj, found: Comparison) -> Obj | None:
        """Starts an automated sync when there is need; the condition SyncError, if it must not."""
        decision = autosync.decide(app, found.status, found.resources, self.settings, changes=found.changes)
        if decision.again:
            self.request(app, LATEST, decision.again)
        if decision.operation is None:
            return decision.error
        fresh = await self.ctx.api.get(APPLICATIONS, name_of(app), namespace_of(app))
        if fresh.get("operation") or in_progress(fresh) or automated(fresh) is None:
            return None
        patch: Obj = {
            "operation": decision.operation,
            "status": {"operationState": None},
            "metadata": {"resourceVersion": fresh["metadata"]["resourceVersion"]},
        }
        try:
            await self.write.patch(APPLICATIONS, app, patch)
        except ApiException as error:
            if not error.conflict:
                raise
            self.request(app, LATEST)
            return None
        sync = decision.operation["sync"]
        revisions = ", ".join(sync.get("revisions") or [sync.get("revision", "")])
        self.recorder.event(app, "Normal", "OperationStarted", f"Initiated automated sync to '{revisions}'")
        return None

    async def _persist(self, app: Obj, status: Obj) -> None:
        """Writes what changed in the status; the health's time moves with its status alone."""
        before = status_of(app)
        old, new = before.get("health") or {}, status["health"]
        if (before.get("sync") or {}).get("status") != status["sync"].get("status"):
            was = (before.get("sync") or {}).get("status", "")
            text = f"Updated sync status: {was} -> {status['sync'].get('status')}"
            self.recorder.event(app, "Normal", "ResourceUpdated", text)
        if old.get("status") != new.get("status"):
            new["lastTransitionTime"] = stamp()
            text = f"Updated health status: {old.get('status', '')} -> {new.get('status')}"
            because = f" ({new['message']})" if new.get("message") else ""
            self.recorder.event(app, "Normal", "ResourceUpdated", text + because)
        elif "message" in old or "message" in new:
            # It tells what made the health change, not what is now (resourceHealthSource: appTree).
            new["message"] = old.get("message", "")
        if not new.get("message"):
            new.pop("message", None)
        own = {k: v for k, v in status.items() if k not in ("operationState", "history")}
        patch = merge_patch({k: v for k, v in before.items() if k in own}, own)
        if patch:
            await self.write.patch(APPLICATIONS, app, {"status": patch})
        await self._answer_refresh(app)

    async def _answer_refresh(self, app: Obj) -> None:
        """Takes the annotation away that asked for it, once the status says what was found (``persistReconciliationStatus``)."""
        asked = annotations_of(app).get(REFRESH)
        if asked is None:
            return
        path = "/metadata/annotations/" + REFRESH.replace("/", "~1")
        patch = [{"op": "test", "path": path, "value": asked}, {"op": "remove", "path": path}]
        try:
            await self.write.patch(APPLICATIONS, app, patch, content_type=JSON_PATCH)
        except ApiException as error:
            if error.code not in (404, 422):
                raise

    # deletion

    async def _finalize(self, app: Obj) -> None:
        """Deletes what belongs to an application that has the finalizer for it, then lets it go."""
        finalizers = app["metadata"].get("finalizers") or []
        asked = next((each for each in finalizers if each.split("/")[0] == FINALIZER), None)
        if asked is None:
            return
        project = self.project_of(app) or {"metadata": {"name": project_name(app)}, "spec": {}}
        left: list[Managed] = []
        try:
            around = self.surroundings(app, project)
        except (KeyError, StopIteration):
            # Its cluster is not known any more: nothing can be deleted there.
            pass
        else:
            found = await compare(app, Desired(sources_of(app), [], several(app)), around)
            left = [item for item in found.managed if item.live is not None and item.own]
            left = [item for item in left if not hooks.has_option(item.live, hooks.SYNC_OPTIONS, "Delete=false")]
            way = "Background" if asked.endswith("/background") else "Foreground"
            for item in left:
                if item.live is not None and item.resource is not None and not deleting(item.live):
                    await around.cluster.delete(item.resource, item.live, propagation=way)
        if left:
            self.queue.add_after(f"refresh/{key_of(app)}", 0.2)
            return
        kept = [each for each in finalizers if each != asked]
        fresh = await self.ctx.api.get(APPLICATIONS, name_of(app), namespace_of(app))
        if asked in (fresh["metadata"].get("finalizers") or ()):
            patch = [
                {"op": "test", "path": "/metadata/finalizers", "value": fresh["metadata"]["finalizers"]},
                {"op": "replace", "path": "/metadata/finalizers", "value": kept},
            ]
            await self.ctx.api.patch(APPLICATIONS, name_of(app), patch, namespace_of(app), content_type=JSON_PATCH)


def _switched_on(old: Obj, new: Obj) -> bool:
    """Whether automated sync, or its self-heal, was switched on."""
    before, after = automated(old), automated(new)
    if after is None:
        return False
    return before is None or (not before.get("selfHeal") and bool(after.get("selfHeal")))


_NOISE = ("resourceVersion", "managedFields")


def _only_noise(old: Obj, new: Obj) -> bool:
    """Whether nothing changed that a comparison or a health rule would see."""

    def plain(obj: Obj) -> Obj:
        return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k not in _NOISE}}

    return plain(old) == plain(new)


def _summary(managed: list[Managed]) -> Obj:
    images: set[str] = set()
    for item in managed:
        template: Any = ((item.live or {}).get("spec") or {}).get("template")
        pod = (template.get("spec") if isinstance(template, dict) else None) or {}
        if isinstance(pod, dict):
            images |= {str(each.get("image")) for each in pod.get("containers") or () if isinstance(each, dict)}
    return {"images": sorted(images)} if images else {}


def _joined(path: str, given: str) -> str:
    """A path of the annotation: absolute in the repository, or below the application's own."""
    if given.startswith("/"):
        return given[1:] or "."
    parts: list[str] = []
    for each in f"{path}/{given}".split("/"):
        if each == ".." and parts:
            parts.pop()
        elif each not in ("", ".", ".."):
            parts.append(each)
    return "/".join(parts) or "."
