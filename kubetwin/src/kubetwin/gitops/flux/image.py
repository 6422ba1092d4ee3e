# SPDX-License-Identifier: Apache-2.0
"""image-automation-controller: writes the newest image of a policy into Git, and so promotes it, until it is suspended.

Facts: image-automation-controller internal/controller/imageupdateautomation_controller.go, pkg/update/setters.go (markers
``# {"$imagepolicy": "namespace:name"}``, with ``:tag`` or ``:name``). No registry is scanned in an embedded cluster: what a
policy has as its newest stands in its ``status.latestRef``, and whoever plays the registry writes it there.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from pathlib import Path

from kubetwin.client import Obj
from kubetwin.controllers.base import Context
from kubetwin.gitops.documents import ManifestError
from kubetwin.gitops.flux.artifacts import Artifacts
from kubetwin.gitops.flux.base import FluxController, Outcome
from kubetwin.gitops.flux.resources import (
    GIT_REPOSITORIES,
    IMAGE_POLICIES,
    IMAGE_UPDATES,
    FluxSettings,
    reference,
    spec_of,
)
from kubetwin.gitops.flux.sources import GitRepositoryController
from kubetwin.gitops.git import GitError
from kubetwin.gitops.render import inside
from kubetwin.informer import key_of
from kubetwin.meta import stamp, status_of

_MARKER = re.compile(
    r'^(?P<head>\s*(?:-\s+)?[^#\n]*?:\s+)(?P<value>\S+)(?P<tail>\s*#\s*(?P<mark>\{.*"\$imagepolicy".*\})\s*)$'
)


class ImageUpdateController(FluxController):
    """Commits as the author that the automation names."""

    name = "imageupdateautomation"
    component = "image-automation-controller"
    user_agent = "image-automation-controller"
    resource = IMAGE_UPDATES

    def __init__(
        self, ctx: Context, artifacts: Artifacts, settings: FluxSettings, git: GitRepositoryController
    ) -> None:
        self.git = git
        super().__init__(ctx, artifacts, settings)

    def setup(self) -> None:
        super().setup()
        self.policies = self.inform(IMAGE_POLICIES)
        self.policies.add_handler(self._policy_changed)

    def _policy_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is not None and (old is None or status_of(old).get("latestRef") != status_of(new).get("latestRef")):
            for obj in self.objects.all():
                self.queue.add(key_of(obj))

    async def reconcile(self, obj: Obj, status: Obj) -> Outcome:
        kind, namespace, name = reference(obj, spec_of(obj).get("sourceRef") or {})
        source = self.inform(GIT_REPOSITORIES).get(name, namespace) if kind == "GitRepository" else None
        if source is None:
            return self.fail(obj, status, "SourceUnavailable", f"{kind} '{namespace}/{name}' not found")
        status["lastAutomationRunTime"] = stamp()
        try:
            commit, branch = await self._update(obj, source)
        except (GitError, ManifestError) as error:
            return self.fail(obj, status, "GitOperationFailed", str(error))
        if commit:
            status |= {"lastPushCommit": commit, "lastPushTime": stamp()}
            text = f"pushed commit '{commit[:7]}' to branch '{branch}'"
            self.recorder.event(obj, "Normal", "Succeeded", text)
        self.mark(obj, status, "Ready", "True", "Succeeded", "repository up-to-date")
        return Outcome()

    async def _update(self, obj: Obj, source: Obj) -> tuple[str, str]:
        """The commit that was pushed, and its branch; no commit when nothing was to be done."""
        url, spec = str(spec_of(source).get("url") or ""), spec_of(obj).get("git") or {}
        ref = (spec.get("checkout") or {}).get("ref") or spec_of(source).get("ref") or {}
        branch = str(ref.get("branch") or "master")
        push = str((spec.get("push") or {}).get("branch") or branch)
        credentials = self.git.credentials(source)
        head = await self.git.repositories.resolve(url, f"refs/heads/{branch}", credentials)
        tree = await self.git.repositories.tree(url, head, credentials)
        with tempfile.TemporaryDirectory(dir=self.artifacts.directory, prefix="update-") as made:
            work = Path(made) / "tree"
            await asyncio.to_thread(shutil.copytree, tree, work)
            folder = inside(work, str((spec_of(obj).get("update") or {}).get("path") or ".").removeprefix("./") or ".")
            if not await asyncio.to_thread(self._set, folder):
                return "", push
            commit_spec = spec.get("commit") or {}
            author = commit_spec.get("author") or {}
            message = str(commit_spec.get("messageTemplate") or "Update from image update automation")
            commit = await self.git.repositories.commit(
                url,
                head,
                work,
                message,
                str(author.get("name") or "fluxcdbot"),
                str(author.get("email") or "flux@example.com"),
            )
            await self.git.repositories.push(url, commit, push, credentials)
        return commit, push

    def _set(self, folder: Path) -> bool:
        """Writes the newest images to where markers ask for them; whether anything changed."""
        changed = False
        for path in sorted(folder.rglob("*")):
            if path.suffix not in (".yaml", ".yml") or not path.is_file():
                continue
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
            new = "".join(self._line(line) for line in text.splitlines(keepends=True))
            if new != text:
                path.write_text(new, encoding="utf-8", errors="surrogateescape")
                changed = True
        return changed

    def _line(self, line: str) -> str:
        match = _MARKER.match(line.rstrip("\n"))
        if match is None:
            return line
        try:
            wanted = str(json.loads(match["mark"])["$imagepolicy"])
        except (ValueError, KeyError):
            return line
        namespace, name, *part = wanted.split(":")
        latest = status_of(self.policies.get(name, namespace) or {}).get("latestRef")
        if not latest:
            return line
        image, tag = str(latest.get("name", "")), str(latest.get("tag", ""))
        value = {"tag": tag, "name": image}.get(part[0] if part else "", f"{image}:{tag}")
        return f"{match['head']}{value}{match['tail']}\n"
