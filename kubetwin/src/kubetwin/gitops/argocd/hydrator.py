# SPDX-License-Identifier: Apache-2.0
"""The source hydrator: renders the dry source of applications and commits the result to the branch that they are synced from.

Facts: argo-cd controller/hydrator/hydrator.go (``ProcessAppHydrateQueueItem``, ``ProcessHydrationQueueItem``, ``hydrate``: all applications
of one dry revision and one branch go together, or none does), commitserver/commit/hydratorhelper.go (files), types.go
(``SourceHydratorStatus``). Not there: message templates, git notes, credentials of their own for writing.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import yaml

from kubetwin.client import JSON_PATCH, ApiException, Obj
from kubetwin.controllers.base import Context, Controller
from kubetwin.gitops.argocd.application import APPLICATIONS, HYDRATE, destination_namespace, spec_of
from kubetwin.gitops.argocd.controller import RESOLVE, ApplicationController
from kubetwin.gitops.argocd.repo_server import SourceError
from kubetwin.gitops.git import GitError, RevisionNotFound
from kubetwin.informer import key_of
from kubetwin.meta import annotations_of, deleting, name_of, namespace_of, stamp, status_of

_AUTHOR = ("Argo CD", "argo-cd@example.com")
_RETRY = 2.0
"""Seconds before a failed hydration is tried again (2 min in a real one)."""
_ATTRIBUTES = "**/README.md linguist-generated=true\n**/hydrator.metadata linguist-generated=true"


class Group(NamedTuple):
    """What is hydrated in one commit."""

    dry_url: str
    dry_revision: str
    url: str
    branch: str


def group_of(app: Obj) -> Group | None:
    """The group of an application; None when it is not hydrated."""
    hydrator = spec_of(app).get("sourceHydrator")
    if not hydrator:
        return None
    dry, sync = hydrator.get("drySource") or {}, hydrator.get("syncSource") or {}
    branch = (hydrator.get("hydrateTo") or {}).get("targetBranch") or sync.get("targetBranch") or ""
    url = sync.get("repoURL") or dry.get("repoURL") or ""
    return Group(str(dry.get("repoURL") or ""), str(dry.get("targetRevision") or "HEAD"), str(url), str(branch))


class HydratorController(Controller):
    """Works over the caches of the application controller; a group is hydrated by one worker at a time."""

    name = "argocd-hydrator"
    component = "argocd-application-controller"
    user_agent = "argocd-application-controller"

    def __init__(self, ctx: Context, applications: ApplicationController) -> None:
        self.applications = applications
        self._looked: dict[str, float] = {}
        super().__init__(ctx)

    def setup(self) -> None:
        self.apps = self.inform(APPLICATIONS)
        self.apps.add_handler(self._changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is not None and group_of(new) is not None:
            asked = HYDRATE in annotations_of(new)
            if old is None or asked or spec_of(old).get("sourceHydrator") != spec_of(new).get("sourceHydrator"):
                self.queue.add(f"app {key_of(new)}")

    async def sync(self, key: str) -> None:
        kind, _, name = key.partition(" ")
        if kind == "group":
            await self._hydrate(Group(*json.loads(name)))
            return
        app = self.apps.by_key(name)
        group = group_of(app) if app is not None else None
        if app is None or group is None or deleting(app):
            return
        self.queue.add_after(key, self.applications.settings.reconciliation)
        if await self._needed(app, group):
            self.queue.add(f"group {json.dumps(group)}")
        elif HYDRATE in annotations_of(app):
            await self._answered(app)

    async def _needed(self, app: Obj, group: Group) -> bool:
        status = status_of(app).get("sourceHydrator") or {}
        operation = status.get("currentOperation") or {}
        if HYDRATE in annotations_of(app) or not operation:
            return True
        if operation.get("sourceHydrator") != spec_of(app)["sourceHydrator"]:
            return True
        if operation.get("phase") == "Failed":
            return time.monotonic() - self._looked.get(key_of(app), 0.0) > _RETRY
        try:
            commit = await self.applications.server.resolve({"repoURL": group.dry_url}, group.dry_revision)
        except SourceError:
            return False
        return bool(commit != status.get("lastComparedDryRevision"))

    async def _hydrate(self, group: Group) -> None:
        """All applications of a group, in one commit."""
        apps = sorted((app for app in self.apps.all() if group_of(app) == group and not deleting(app)), key=name_of)
        started = stamp()
        for app in apps:
            self._looked[key_of(app)] = time.monotonic()
            await self._write(app, {"currentOperation": self._operation(app, "Hydrating", started)})
        dry = ""
        try:
            dry = await self.applications.server.resolve({"repoURL": group.dry_url}, group.dry_revision)
            hydrated = await self._commit(group, apps, dry)
        except (SourceError, GitError) as error:
            text = (
                f"failed to get manifests: {error}" if isinstance(error, SourceError) else f"failed to commit: {error}"
            )
            for app in apps:
                failed = self._operation(app, "Failed", started) | {"message": text, "finishedAt": stamp()}
                failed |= {"drySHA": dry} if dry else {}
                await self._write(app, {"currentOperation": failed} | ({"lastComparedDryRevision": dry} if dry else {}))
                await self._answered(app)
            return
        for app in apps:
            shas = {"drySHA": dry, "hydratedSHA": hydrated, "sourceHydrator": spec_of(app)["sourceHydrator"]}
            done = self._operation(app, "Hydrated", started) | {"finishedAt": stamp(), "message": "", **shas}
            told = {"currentOperation": done, "lastSuccessfulOperation": shas, "lastComparedDryRevision": dry}
            await self._write(app, told)
            await self._answered(app)
            self.applications.request(app, RESOLVE)

    def _operation(self, app: Obj, phase: str, started: str) -> Obj:
        return {"startedAt": started, "phase": phase, "message": "", "sourceHydrator": spec_of(app)["sourceHydrator"]}

    async def _commit(self, group: Group, apps: list[Obj], dry: str) -> str:
        """The commit on the branch that has the manifests of ``dry``; the one that is there when nothing changes."""
        server = self.applications.server
        repositories, credentials = server.repositories, server.credentials(group.url)
        files: dict[str, list[Obj]] = {}
        for app in apps:
            source = dict(spec_of(app)["sourceHydrator"]["drySource"])
            made = await server.manifests([source], [dry], release=name_of(app), namespace=destination_namespace(app))
            path = str(spec_of(app)["sourceHydrator"]["syncSource"].get("path") or ".").strip("/")
            files.setdefault(path, []).extend(made[0].objects)
        parent = ""
        bases = (
            [group.branch, str(spec_of(apps[0])["sourceHydrator"]["syncSource"].get("targetBranch") or "")]
            if apps
            else []
        )
        for branch in bases:
            try:
                parent = parent or await repositories.resolve(group.url, f"refs/heads/{branch}", credentials)
            except RevisionNotFound:
                continue
        with tempfile.TemporaryDirectory(prefix="hydrate-") as made_in:
            work = Path(made_in) / "tree"
            if parent:
                await asyncio.to_thread(shutil.copytree, await repositories.tree(group.url, parent, credentials), work)
            changed = await asyncio.to_thread(_written, work, files, group.dry_url, dry)
            if not changed and parent:
                return parent
            message = f"{dry[:7]}: hydrate\n\nDry-SHA: {dry}\nDry-Repo: {group.dry_url}\n"
            commit = await repositories.commit(group.url, parent, work, message, *_AUTHOR)
        await repositories.push(group.url, commit, group.branch, credentials)
        return commit

    async def _write(self, app: Obj, status: Obj) -> None:
        """Replaces fields of ``status.sourceHydrator`` whole: an operation has no leftovers of the one before."""
        fresh = await self.ctx.api.get(APPLICATIONS, name_of(app), namespace_of(app))
        patch: list[Obj] = [] if "status" in fresh else [{"op": "add", "path": "/status", "value": {}}]
        whole = {**(status_of(fresh).get("sourceHydrator") or {}), **status}
        patch.append({"op": "add", "path": "/status/sourceHydrator", "value": whole})
        await self.write.patch(APPLICATIONS, app, patch, content_type=JSON_PATCH)

    async def _answered(self, app: Obj) -> None:
        """Takes the annotation away that asked for it."""
        asked = annotations_of(app).get(HYDRATE)
        if asked is None:
            return
        path = "/metadata/annotations/" + HYDRATE.replace("/", "~1")
        patch = [{"op": "test", "path": path, "value": asked}, {"op": "remove", "path": path}]
        try:
            await self.write.patch(APPLICATIONS, app, patch, content_type=JSON_PATCH)
        except ApiException as error:
            if error.code not in (404, 422):
                raise


def _written(root: Path, files: dict[str, list[Obj]], url: str, dry: str) -> bool:
    """Writes the files of a hydrated commit; whether any manifest changed."""
    changed = False
    for path, objects in files.items():
        folder = (root / path).resolve()
        if not folder.is_relative_to(root.resolve()):
            raise GitError(f"{path} leads out of the repository")
        folder.mkdir(parents=True, exist_ok=True)
        text = "---\n".join(yaml.safe_dump(each) for each in objects)
        target = folder / "manifest.yaml"
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            continue
        changed = True
        target.write_text(text, encoding="utf-8")
        (folder / "hydrator.metadata").write_text(json.dumps({"repoURL": url, "drySha": dry}, indent=2) + "\n")
        (folder / "README.md").write_text(f"# Manifest Hydration\n\nHydrated from {url} at {dry}.\n")
    if changed:
        (root / "hydrator.metadata").write_text(json.dumps({"repoURL": url, "drySha": dry}, indent=2) + "\n")
        (root / ".gitattributes").write_text(_ATTRIBUTES)
    return changed
