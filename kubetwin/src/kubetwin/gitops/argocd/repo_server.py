# SPDX-License-Identifier: Apache-2.0
"""Argo CD's repo-server: from the sources of an application to its manifests, with what it has cached.

Facts: argo-cd reposerver/repository/repository.go (``GenerateManifest``, ``runRepoOperation``), controller/state.go
(``GetRepoObjs``), util/db/repository_secrets.go (credentials: Secrets with the label ``argocd.argoproj.io/secret-type``).
Manifests of a commit are cached: they are served while Git is away, until the server is restarted (:meth:`RepoServer.restart`).
"""

from __future__ import annotations

import base64
import copy
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubetwin.client import Obj
from kubetwin.gitops.charts import Charts
from kubetwin.gitops.documents import ManifestError
from kubetwin.gitops.git import Credentials, GitError, Repositories
from kubetwin.gitops.programs import Programs
from kubetwin.gitops.render import Wanted, kind_of, render
from kubetwin.meta import labels_of

SECRET_TYPE = "argocd.argoproj.io/secret-type"  # noqa: S105 (the name of a label)
KNOWN_HOSTS = "argocd-ssh-known-hosts-cm"
_CACHED = 128


class SourceError(Exception):
    """The manifests can't be made; the text is what a condition says."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """The objects of one source at one revision."""

    objects: tuple[Obj, ...]
    revision: str
    kind: str
    """``Helm``, ``Kustomize`` or ``Directory``; empty for a source that only others refer to."""


class RepoServer:
    """``secrets`` and ``known_hosts`` give what is in Argo CD's namespace now."""

    def __init__(
        self, directory: Path, programs: Programs, secrets: Callable[[], Iterable[Obj]], known_hosts: Callable[[], str]
    ) -> None:
        self.programs = programs
        self.repositories = Repositories(directory / "git", programs)
        self.charts = Charts(directory / "charts", programs)
        self._secrets = secrets
        self._known_hosts = known_hosts
        self._made: OrderedDict[str, tuple[tuple[Obj, ...], str]] = OrderedDict()

    def restart(self) -> None:
        """Loses the mirrors and all cached manifests."""
        self._made.clear()
        self.repositories.forget()
        self.charts.forget()

    async def resolve(self, source: Obj, revision: str) -> str:
        """The commit, or the version of a chart, that a revision of a source means now.

        Raises:
            SourceError: it can't be found out.
        """
        url = str(source["repoURL"])
        try:
            if source.get("chart"):
                return await self.charts.resolve(url, str(source["chart"]), revision)
            return await self.repositories.resolve(url, revision, self.credentials(url))
        except (GitError, ManifestError) as error:
            raise SourceError(str(error)) from error

    async def manifests(
        self, sources: Sequence[Obj], revisions: Sequence[str], *, release: str, namespace: str, fresh: bool = False
    ) -> list[Manifests]:
        """What the sources come to, each at its revision. ``fresh``: nothing that is cached is taken (a hard refresh).

        Raises:
            SourceError: a repository can't be reached, or what is in it is wrong.
        """
        resolved = [await self.resolve(source, revision) for source, revision in zip(sources, revisions, strict=True)]
        refs = {
            f"{source['ref']}": (str(source["repoURL"]), commit)
            for source, commit in zip(sources, resolved, strict=True)
            if source.get("ref") and not source.get("chart")
        }
        return [
            await self._source(source, commit, refs, release, namespace, fresh)
            for source, commit in zip(sources, resolved, strict=True)
        ]

    async def _source(
        self, source: Obj, commit: str, refs: dict[str, tuple[str, str]], release: str, namespace: str, fresh: bool
    ) -> Manifests:
        if source.get("ref") and not source.get("path") and not source.get("chart"):
            return Manifests((), commit, "")
        plain = {k: v for k, v in source.items() if k != "targetRevision"}
        key = json.dumps([plain, commit, sorted(refs.items()), release, namespace], sort_keys=True)
        known = None if fresh else self._made.get(key)
        if known is None:
            try:
                known = await self._render(source, commit, refs, release, namespace)
            except (GitError, ManifestError) as error:
                raise SourceError(f"failed to generate manifest for source: {error}") from error
            self._made[key] = known
            while len(self._made) > _CACHED:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return Manifests(copy.deepcopy(known[0]), commit, known[1])

    async def _render(
        self, source: Obj, commit: str, refs: dict[str, tuple[str, str]], release: str, namespace: str
    ) -> tuple[tuple[Obj, ...], str]:
        url = str(source["repoURL"])
        if source.get("chart"):
            tree = await self.charts.folder(url, str(source["chart"]), commit)
            source = {**source, "path": ".", "helm": source.get("helm") or {"skipTests": False}}
        else:
            tree = await self.repositories.tree(url, commit, self.credentials(url))
        others = {
            name: await self.repositories.tree(where, at, self.credentials(where)) for name, (where, at) in refs.items()
        }
        wanted = Wanted(tree, source, release, namespace, others=others)
        return tuple(await render(self.programs, wanted)), kind_of(wanted)

    def credentials(self, url: str) -> Credentials:
        """Those of the Secret that names the repository, else of the longest ``repo-creds`` that begins it."""
        best: tuple[int, dict[str, str]] = (0, {})
        for secret in self._secrets():
            kind = labels_of(secret).get(SECRET_TYPE)
            if kind not in ("repository", "repo-creds"):
                continue
            data = {k: base64.b64decode(v).decode(errors="replace") for k, v in (secret.get("data") or {}).items()}
            named = data.get("url", "")
            exact = kind == "repository" and named.removesuffix(".git") == url.removesuffix(".git")
            weight = 1 << 20 if exact else len(named) if kind == "repo-creds" and named and url.startswith(named) else 0
            if weight > best[0] and (exact or data.get("password") or data.get("sshPrivateKey")):
                best = (weight, data)
        data = best[1]
        insecure = "true" in (data.get("insecure"), data.get("insecureIgnoreHostKey"))
        return Credentials(
            data.get("username", ""),
            data.get("password", ""),
            data.get("sshPrivateKey", ""),
            self._known_hosts(),
            insecure,
        )
