# SPDX-License-Identifier: Apache-2.0
"""source-controller: GitRepositories, HelmRepositories and HelmCharts.

Facts: source-controller internal/controller/gitrepository_controller.go, helmrepository_controller.go, helmchart_controller.go. A source
that can't be reached keeps its last artifact. A chart from Git is packaged anew only when its version changes, unless
``reconcileStrategy: Revision``. Not there: OCI registries, buckets, ``spec.include``, ``spec.ignore``, signatures.
"""

from __future__ import annotations

import base64

import yaml

from kubetwin.client import Obj
from kubetwin.controllers.base import Context
from kubetwin.gitops.charts import INDEX_LIMIT, Charts, fetched, newest
from kubetwin.gitops.documents import ManifestError
from kubetwin.gitops.flux.artifacts import Artifact, Artifacts
from kubetwin.gitops.flux.base import FluxController, Outcome
from kubetwin.gitops.flux.resources import (
    GIT_REPOSITORIES,
    HELM_CHARTS,
    HELM_REPOSITORIES,
    OCI_REPOSITORIES,
    SOURCES,
    FluxSettings,
    found_condition,
    reference,
    spec_of,
    unmark,
)
from kubetwin.gitops.git import Credentials, GitError, Repositories
from kubetwin.gitops.render import inside
from kubetwin.informer import key_of
from kubetwin.kinds import SECRETS
from kubetwin.meta import namespace_of


class SourceController(FluxController):
    """What sources share."""

    component = "source-controller"
    user_agent = "source-controller"

    def secret(self, obj: Obj) -> dict[str, str]:
        """The data of the Secret that it refers to; empty when it has none or it is not there."""
        name = (spec_of(obj).get("secretRef") or {}).get("name")
        found = self.inform(SECRETS).get(name, namespace_of(obj)) if name else None
        return {k: base64.b64decode(v).decode(errors="replace") for k, v in ((found or {}).get("data") or {}).items()}

    async def stored(self, obj: Obj, status: Obj, artifact: Artifact, reason: str, message: str) -> Outcome:
        """It is ready, and whoever uses it is told."""
        kind, key = self.resource.kind, key_of(obj)
        known = self.artifacts.get(kind, key)
        before = (status.get("artifact") or {}).get("revision")
        self.artifacts.store(kind, key, artifact, status)
        unmark(status, "FetchFailed", "Stalled")
        self.mark(obj, status, "Ready", "True", reason, message)
        self.mark(obj, status, "ArtifactInStorage", "True", reason, message)
        if known is None or known.revision != artifact.revision or before != artifact.revision:
            self.recorder.event(obj, "Normal", "NewArtifact", message)
            status["observedGeneration"] = obj["metadata"].get("generation", 1)
            unmark(status, "Reconciling")
            await self.write_status(obj, status)
            self.artifacts.announce(kind, key)
        return Outcome()

    def unreachable(self, obj: Obj, status: Obj, reason: str, message: str) -> Outcome:
        """It could not be fetched; what was stored before stays."""
        self.mark(obj, status, "FetchFailed", "True", reason, message)
        return self.fail(obj, status, reason, message)

    async def deleted(self, obj: Obj) -> bool:
        self.artifacts.drop(self.resource.kind, key_of(obj))
        return True


class GitRepositoryController(SourceController):
    """Follows a branch, tag, semver range, ref name or commit."""

    name = "gitrepository"
    resource = GIT_REPOSITORIES

    def __init__(self, ctx: Context, artifacts: Artifacts, settings: FluxSettings) -> None:
        self.repositories = Repositories(artifacts.directory / "git", artifacts.programs)
        super().__init__(ctx, artifacts, settings)

    def setup(self) -> None:
        super().setup()
        self.inform(SECRETS)

    def credentials(self, obj: Obj) -> Credentials:
        """From its Secret: ``username``/``password``, or ``identity`` and ``known_hosts``."""
        data = self.secret(obj)
        return Credentials(
            data.get("username", ""), data.get("password", ""), data.get("identity", ""), data.get("known_hosts", "")
        )

    async def reconcile(self, obj: Obj, status: Obj) -> Outcome:
        url = str(spec_of(obj).get("url") or "")
        credentials = self.credentials(obj)
        try:
            revision = await self._revision(url, spec_of(obj).get("ref") or {}, credentials)
            commit = revision.rpartition("sha1:")[2]
            tree = await self.repositories.tree(url, commit, credentials)
        except GitError as error:
            reason = "failed to checkout and determine revision: unable to clone "
            return self.unreachable(obj, status, "GitOperationFailed", f"{reason}'{url}': {error}")
        message = f"stored artifact for revision '{revision}'"
        return await self.stored(obj, status, Artifact(revision, tree), "Succeeded", message)

    async def _revision(self, url: str, ref: Obj, credentials: Credentials) -> str:
        """``main@sha1:…``; the order of what wins is commit, name, semver, tag, branch."""
        branch = str(ref.get("branch") or "master")
        if ref.get("commit"):
            commit = await self.repositories.resolve(url, str(ref["commit"]), credentials)
            return f"{ref['branch']}@sha1:{commit}" if ref.get("branch") else f"sha1:{commit}"
        if ref.get("name"):
            return f"{ref['name']}@sha1:{await self.repositories.resolve(url, str(ref['name']), credentials)}"
        if ref.get("semver"):
            tags = await self.repositories.tags(url, credentials)
            tag = newest(list(tags), str(ref["semver"]))
            if tag is None:
                raise GitError(f"no match found for semver: {ref['semver']}")
            return f"{tag}@sha1:{tags[tag]}"
        name = str(ref.get("tag") or branch)
        full = f"refs/tags/{name}" if ref.get("tag") else f"refs/heads/{name}"
        return f"{name}@sha1:{await self.repositories.resolve(url, full, credentials)}"


class HelmRepositoryController(SourceController):
    """An index over HTTP, or in a folder (``file:``)."""

    name = "helmrepository"
    resource = HELM_REPOSITORIES

    async def reconcile(self, obj: Obj, status: Obj) -> Outcome:
        url = str(spec_of(obj).get("url") or "")
        if spec_of(obj).get("type") == "oci" or url.startswith("oci:"):
            return self.unreachable(obj, status, "URLInvalid", "OCI registries are not there in an embedded cluster")
        try:
            text = await fetched(url.rstrip("/") + "/index.yaml", INDEX_LIMIT)
        except ManifestError as error:
            return self.unreachable(obj, status, "Failed", f"failed to fetch Helm repository index: {error}")
        folder = self.artifacts.directory / "indexes" / obj["metadata"]["uid"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.yaml").write_bytes(text)
        import hashlib

        revision = f"sha256:{hashlib.sha256(text).hexdigest()}"
        return await self.stored(
            obj, status, Artifact(revision, folder), "Succeeded", f"stored artifact: revision '{revision}'"
        )


class OciRepositoryController(SourceController):
    """Says that no registry can be asked; a pin of its tag can be read and written all the same."""

    name = "ocirepository"
    resource = OCI_REPOSITORIES

    async def reconcile(self, obj: Obj, status: Obj) -> Outcome:
        text = "OCI registries are not there in an embedded cluster"
        return self.unreachable(obj, status, "OCIArtifactPullFailed", text)


class HelmChartController(SourceController):
    """A chart of a HelmRepository by version, or a folder of a GitRepository."""

    name = "helmchart"
    resource = HELM_CHARTS

    def __init__(self, ctx: Context, artifacts: Artifacts, settings: FluxSettings) -> None:
        self.charts = Charts(artifacts.directory / "charts", artifacts.programs)
        super().__init__(ctx, artifacts, settings)

    def uses(self, obj: Obj) -> list[tuple[str, str]]:
        kind, namespace, name = reference(obj, spec_of(obj).get("sourceRef") or {})
        return [(kind, f"{namespace}/{name}")]

    async def reconcile(self, obj: Obj, status: Obj) -> Outcome:
        spec = spec_of(obj)
        kind, namespace, name = reference(obj, spec.get("sourceRef") or {})
        resource = SOURCES.get(kind)
        source = self.inform(resource).get(name, namespace) if resource is not None else None
        if source is None:
            return self.unreachable(
                obj, status, "SourceUnavailable", f"failed to get source: {kind} '{name}' not found"
            )
        artifact = self.artifacts.get(kind, f"{namespace}/{name}")
        if artifact is None:
            told = found_condition(source, "Ready").get("message") or "it has none"
            message = f"no artifact available for {kind} source '{name}': {told}"
            return self.unreachable(obj, status, "NoSourceArtifact", message)
        try:
            if kind == "HelmRepository":
                url = str(spec_of(source).get("url"))
                version = await self.charts.resolve(url, str(spec["chart"]), str(spec.get("version") or "*"))
                folder, label = await self.charts.folder(url, str(spec["chart"]), version), version
            else:
                folder = inside(artifact.folder, str(spec["chart"]).removeprefix("./").removeprefix("/"))
                version = str((yaml.safe_load((folder / "Chart.yaml").read_bytes()) or {}).get("version") or "")
                label = version
                if spec.get("reconcileStrategy") == "Revision":
                    label = f"{version}+{artifact.revision.rpartition(':')[2][:12]}"
                known = self.artifacts.get("HelmChart", key_of(obj))
                if known is not None and known.revision == label:
                    # The same version counts as the same chart, whatever else a commit changed in it.
                    folder = known.folder
        except (ManifestError, OSError, yaml.YAMLError) as error:
            return self.unreachable(obj, status, "ChartPullError", f"chart pull error: {error}")
        status["observedChartName"] = str(spec["chart"])
        status["observedSourceArtifactRevision"] = artifact.revision
        reason = "ChartPullSucceeded" if kind == "HelmRepository" else "ChartPackageSucceeded"
        verb = "pulled" if kind == "HelmRepository" else "packaged"
        told = f"{verb} '{spec['chart']}' chart with version '{label}'"
        return await self.stored(obj, status, Artifact(label, folder), reason, told)
