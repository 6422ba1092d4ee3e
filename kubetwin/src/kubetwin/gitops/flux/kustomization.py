# SPDX-License-Identifier: Apache-2.0
"""kustomize-controller: builds the manifests of a source, applies them, prunes, and waits for health.

Facts: kustomize-controller internal/controller/kustomization_controller.go (``reconcile``, ``apply``, ``checkHealth``, ``prune``),
api/v1/kustomization_types.go, fluxcd/pkg ssa/manager_apply.go. Server-side apply with the manager ``kustomize-controller``, so that a field
that Git has is set back at every interval, and what others added stays. Not there: decryption, CEL, other clusters, service
accounts.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.base import Context
from kubetwin.gitops.cluster import Applier, Cluster
from kubetwin.gitops.documents import Key, ManifestError, identity, is_crd_of, version_of
from kubetwin.gitops.flux.artifacts import Artifact, Artifacts
from kubetwin.gitops.flux.base import FluxController, Outcome
from kubetwin.gitops.flux.kstatus import kstatus
from kubetwin.gitops.flux.resources import (
    KUSTOMIZATIONS,
    KUSTOMIZE,
    SOURCES,
    FluxSettings,
    interval_of,
    is_ready,
    reference,
    spec_of,
)
from kubetwin.gitops.render import Wanted, inside, render
from kubetwin.informer import key_of
from kubetwin.kinds import CONFIGMAPS, SECRETS
from kubetwin.meta import annotations_of, labels_of, name_of, namespace_of

MANAGER = "kustomize-controller"
_FIRST = ("Namespace", "CustomResourceDefinition", "ClusterRole", "PriorityClass", "StorageClass", "IngressClass")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-=])([^}]*))?\}")


class Superseded(Exception):
    """A newer reconciliation is asked for: nothing is waited for any more."""


class KustomizationController(FluxController):
    """``spec.suspend`` leaves everything as it is, also what was edited by hand."""

    name = "kustomization"
    component = "kustomize-controller"
    user_agent = "kustomize-controller"
    resource = KUSTOMIZATIONS
    retried = False

    def __init__(self, ctx: Context, artifacts: Artifacts, settings: FluxSettings) -> None:
        self.cluster = Cluster(ctx.api.as_component(self.user_agent), ctx.informers)
        self._waiting: set[asyncio.Event] = set()
        self.cluster.on_change(lambda resource, old, new: self._wake())
        super().__init__(ctx, artifacts, settings)

    def setup(self) -> None:
        super().setup()
        self.config, self.secrets = self.inform(CONFIGMAPS), self.inform(SECRETS)

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    def uses(self, obj: Obj) -> list[tuple[str, str]]:
        kind, namespace, name = reference(obj, spec_of(obj).get("sourceRef") or {})
        return [(kind, f"{namespace}/{name}")]

    async def reconcile(self, obj: Obj, status: Obj) -> Outcome:
        spec = spec_of(obj)
        kind, namespace, name = reference(obj, spec.get("sourceRef") or {})
        retry = interval_of(obj, "retryInterval", interval_of(obj))
        resource = SOURCES.get(kind)
        if resource is None or self.inform(resource).get(name, namespace) is None:
            self.mark(
                obj, status, "Ready", "False", "ArtifactFailed", f'{kind}.source.toolkit.fluxcd.io "{name}" not found'
            )
            return Outcome(after=retry)
        artifact = self.artifacts.get(kind, f"{namespace}/{name}")
        if artifact is None:
            wait = self.settings.dependency_interval
            self.mark(
                obj, status, "Ready", "False", "ArtifactFailed", f"Source artifact not found, retrying in {wait:g}s"
            )
            return Outcome(after=wait)
        waiting = self._dependency(obj, artifact)
        if waiting:
            self.mark(obj, status, "Ready", "False", "DependencyNotReady", waiting)
            return Outcome(after=self.settings.dependency_interval)
        try:
            await self._apply(obj, status, artifact)
        except Superseded:
            self.mark(obj, status, "Ready", "False", "HealthCheckCanceled", "New reconciliation triggered")
            return Outcome(observed=False, after=0.01)
        except _Failed as failed:
            self.mark(obj, status, "Ready", "False", failed.reason, str(failed))
            self.recorder.event(obj, "Warning", failed.reason, str(failed))
            return Outcome(after=retry)
        self.mark(obj, status, "Ready", "True", "ReconciliationSucceeded", f"Applied revision: {artifact.revision}")
        return Outcome()

    def _dependency(self, obj: Obj, artifact: Artifact) -> str:
        """Which dependency is not ready; empty when all are."""
        for ref in spec_of(obj).get("dependsOn") or ():
            namespace, name = ref.get("namespace") or namespace_of(obj), str(ref["name"])
            found = self.objects.get(name, namespace)
            if found is None:
                return f"dependency '{namespace}/{name}' not found"
            if not is_ready(found):
                return f"dependency '{namespace}/{name}' is not ready"
            same = reference(found, spec_of(found)["sourceRef"]) == reference(obj, spec_of(obj)["sourceRef"])
            if same and (found.get("status") or {}).get("lastAppliedRevision") != artifact.revision:
                return f"dependency '{namespace}/{name}' revision is not up to date"
        return ""

    async def _apply(self, obj: Obj, status: Obj, artifact: Artifact) -> None:
        """From the artifact to the cluster. Raises _Failed or Superseded."""
        self.mark(obj, status, "Ready", "Unknown", "Progressing", "Reconciliation in progress")
        self.mark(
            obj, status, "Reconciling", "True", "Progressing", f"Building manifests for revision {artifact.revision}"
        )
        status["lastAttemptedRevision"] = artifact.revision
        await self.write_status(obj, status)
        before = list((status.get("inventory") or {}).get("entries") or ())
        applied = await self._write(obj, await self._built(obj, artifact))
        status["inventory"] = {"entries": [_entry(each) for each in applied]}
        # What is not written down would be forgotten if waiting for health never ends.
        gone = [each for each in before if each["id"] not in {e["id"] for e in status["inventory"]["entries"]}]
        left = await self._prune(obj, gone) if spec_of(obj).get("prune") else []
        status["inventory"]["entries"] += left
        if left:
            raise _Failed("PruneFailed", f"{left[0]['id']} could not be deleted")
        await self._healthy(obj, status, applied, artifact)
        status["lastAppliedRevision"] = artifact.revision

    # building

    async def _built(self, obj: Obj, artifact: Artifact) -> list[Obj]:
        spec = spec_of(obj)
        path = str(spec.get("path") or "./").removeprefix("./").removeprefix("/").rstrip("/") or "."
        try:
            inside(artifact.folder, path)
        except ManifestError as error:
            raise _Failed("ArtifactFailed", f"kustomization path not found: {error}") from error
        options: Obj = {k: spec[k] for k in ("namePrefix", "nameSuffix", "patches", "components") if spec.get(k)}
        if spec.get("targetNamespace"):
            options["namespace"] = spec["targetNamespace"]
        for key, name in (("labels", "commonLabels"), ("annotations", "commonAnnotations")):
            if (spec.get("commonMetadata") or {}).get(key):
                options[name] = spec["commonMetadata"][key]
        if spec.get("images"):
            options["images"] = [_image(each) for each in spec["images"]]
        source: Obj = {"path": path, "kustomize": options} if options else {"path": path}
        if not options and not _has_kustomization(artifact, path):
            source["directory"] = {"recurse": True}
        try:
            found = await render(self.artifacts.programs, Wanted(artifact.folder, source))
        except ManifestError as error:
            raise _Failed("BuildFailed", f"kustomize build failed: {error}") from error
        post = spec.get("postBuild")
        return [_substituted(each, self._variables(obj, post)) for each in found] if post else found

    def _variables(self, obj: Obj, post: Obj) -> dict[str, str]:
        values: dict[str, str] = {}
        for ref in post.get("substituteFrom") or ():
            kind = str(ref.get("kind"))
            found = (self.config if kind == "ConfigMap" else self.secrets).get(str(ref.get("name")), namespace_of(obj))
            if found is None and not ref.get("optional"):
                raise _Failed("BuildFailed", f"post build failed: {kind} '{ref.get('name')}' not found")
            for key, value in ((found or {}).get("data") or {}).items():
                values[key] = value if kind == "ConfigMap" else base64.b64decode(value).decode(errors="replace")
        return values | {k: str(v) for k, v in (post.get("substitute") or {}).items()}

    # applying

    async def _write(self, obj: Obj, objects: list[Obj]) -> list[Obj]:
        """Definitions and what all others stand on first, then the rest; the objects as they are now."""
        marks = {f"{KUSTOMIZE}/name": name_of(obj), f"{KUSTOMIZE}/namespace": namespace_of(obj)}
        first = [each for each in objects if each["kind"] in _FIRST]
        rest = [each for each in objects if each["kind"] not in _FIRST]
        applied: list[Obj] = []
        for stage in (first, rest):
            for each in stage:
                meta = each["metadata"]
                target = {**each, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **marks}}}
                applied.append(await self._one(obj, target))
            for each in stage:
                if is_crd_of(each):
                    await self._served(each)
        return applied

    async def _one(self, obj: Obj, target: Obj) -> Obj:
        key = identity(target)
        named = f"{key.kind}/{key.namespace}/{key.name}" if key.namespace else f"{key.kind}/{key.name}"
        resource = await self.cluster.resource(target["apiVersion"], target["kind"])
        if resource is None:
            text = f'no matches for kind "{key.kind}" in version "{target["apiVersion"]}"'
            raise _Failed("ReconciliationFailed", f"{named} dry-run failed: {text}")
        if resource.namespaced and not key.namespace:
            raise _Failed(
                "ReconciliationFailed",
                f"{named} namespace not specified: the server could not find the requested resource",
            )
        await self.cluster.watch([resource])
        live = self.cluster.get(resource, key.name, key.namespace)
        notes = annotations_of(target)
        mode = notes.get(f"{KUSTOMIZE}/ssa") or (annotations_of(live).get(f"{KUSTOMIZE}/ssa") if live else "")
        off = {notes.get(f"{KUSTOMIZE}/reconcile"), annotations_of(live).get(f"{KUSTOMIZE}/reconcile") if live else ""}
        if live is not None and (mode in ("IfNotPresent", "Ignore") or "disabled" in off):
            return live
        how = Applier(MANAGER, server_side=True)
        try:
            if live is not None and not await self.cluster.drifted(resource, target, live, how):
                return live
            made = await self.cluster.apply(resource, target, live, how)
        except ApiException as error:
            if error.code == 422 and live is not None and spec_of(obj).get("force"):
                await self.cluster.delete(resource, live, propagation="Background", wait=True)
                made = await self.cluster.apply(resource, target, None, how)
            else:
                raise _Failed("ReconciliationFailed", f"{named} dry-run failed: {error.message or error}") from error
        self.recorder.event(obj, "Normal", "Progressing", f"{named} {'created' if live is None else 'configured'}")
        return {"apiVersion": target["apiVersion"], "kind": target["kind"], **made}

    async def _served(self, definition: Obj) -> None:
        spec = definition["spec"]
        version = next((v["name"] for v in spec.get("versions") or () if v.get("served")), "")
        for _ in range(100):
            if await self.cluster.resource(f"{spec['group']}/{version}", spec["names"]["kind"]) is not None:
                return
            await asyncio.sleep(0.05)

    async def _prune(self, obj: Obj, entries: list[Obj]) -> list[Obj]:
        """Deletes what is no longer there; the entries of what could not be deleted."""
        left = []
        for entry in entries:
            try:
                await self._delete(obj, entry)
            except (ApiException, OSError):
                left.append(entry)
        return left

    async def _delete(self, obj: Obj, entry: Obj) -> None:
        key = _key(entry)
        resource = await self.cluster.resource(f"{key.group}/{entry['v']}" if key.group else str(entry["v"]), key.kind)
        if resource is None:
            return
        await self.cluster.watch([resource])
        live = self.cluster.get(resource, key.name, key.namespace)
        if live is None or labels_of(live).get(f"{KUSTOMIZE}/name") != name_of(obj):
            return
        if labels_of(live).get(f"{KUSTOMIZE}/namespace") != namespace_of(obj):
            return
        notes = annotations_of(live)
        if "disabled" in (notes.get(f"{KUSTOMIZE}/prune"), notes.get(f"{KUSTOMIZE}/reconcile")):
            return
        await self.cluster.delete(resource, live, propagation="Background")
        self.recorder.event(obj, "Normal", "Progressing", f"{key.kind}/{key.namespace}/{key.name} deleted")

    # health

    async def _healthy(self, obj: Obj, status: Obj, applied: list[Obj], artifact: Artifact) -> None:
        """Waits for what was applied (``wait``), or for what ``healthChecks`` name."""
        spec = spec_of(obj)
        keys = [identity(each) for each in applied] if spec.get("wait") else []
        for each in [] if spec.get("wait") else spec.get("healthChecks") or ():
            group = str(each.get("apiVersion") or "").rpartition("/")[0]
            keys.append(
                Key(group, str(each["kind"]), str(each.get("namespace") or namespace_of(obj)), str(each["name"]))
            )
        if not keys:
            return
        patience = interval_of(obj, "timeout", interval_of(obj))
        self.mark(
            obj, status, "Reconciling", "True", "Progressing", f"Running health checks for revision {artifact.revision}"
        )
        self.mark(obj, status, "Healthy", "Unknown", "Progressing", "Running health checks")
        await self.write_status(obj, status)
        try:
            async with asyncio.timeout(patience):
                while pending := self._pending(keys):
                    if self.queue.wanted(key_of(obj)):
                        raise Superseded
                    if failed := [text for text, state in pending if state == "Failed"]:
                        raise _Failed("HealthCheckFailed", f"health check failed: {', '.join(failed)}")
                    await self._something_changed(key_of(obj))
        except TimeoutError:
            left = ", ".join(f"{text} status: '{state}'" for text, state in self._pending(keys))
            self.mark(obj, status, "Healthy", "False", "HealthCheckFailed", "timed out")
            raise _Failed(
                "HealthCheckFailed", f"health check failed after {patience:g}s: timeout waiting for: [{left}]"
            ) from None
        except _Failed as failed:
            self.mark(obj, status, "Healthy", "False", "HealthCheckFailed", str(failed))
            raise
        self.mark(obj, status, "Healthy", "True", "Succeeded", "Health check passed")

    def _pending(self, keys: list[Key]) -> list[tuple[str, str]]:
        """What is not current yet, with its state."""
        found = []
        for key in keys:
            resource = self.cluster.watched_as(key)
            live = self.cluster.get(resource, key.name, key.namespace) if resource is not None else None
            state = kstatus({"kind": key.kind, **live})[0] if live is not None else "NotFound"
            if state != "Current":
                found.append((f"{key.kind}/{key.namespace}/{key.name}", state))
        return found

    async def _something_changed(self, key: str) -> None:
        """Until an object changed, a newer reconciliation is asked for, or half a second is over."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await event.wait()
        finally:
            self._waiting.discard(event)

    # the end

    async def deleted(self, obj: Obj) -> bool:
        """Takes along what it made, if it prunes and is not suspended."""
        kept = spec_of(obj).get("suspend") or spec_of(obj).get("deletionPolicy") == "Orphan"
        if spec_of(obj).get("prune") and not kept:
            await self._prune(obj, ((obj.get("status") or {}).get("inventory") or {}).get("entries") or [])
        return True


class _Failed(Exception):
    """A reconciliation failed; ``reason`` is that of its condition."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def _entry(obj: Obj) -> Obj:
    """An entry of the inventory: ``namespace_name_group_kind`` (colons of names doubled underscores)."""
    key = identity(obj)
    return {"id": f"{key.namespace}_{key.name.replace(':', '__')}_{key.group}_{key.kind}", "v": version_of(obj)}


def _key(entry: Obj) -> Key:
    namespace, rest = str(entry["id"]).split("_", 1)
    name, group, kind = rest.rsplit("_", 2)
    return Key(group, kind, namespace, name.replace("__", ":"))


def _image(image: Obj) -> str:
    new = f"{image.get('newName') or image['name']}"
    if image.get("digest"):
        return f"{image['name']}={new}@{image['digest']}"
    return f"{image['name']}={new}:{image['newTag']}" if image.get("newTag") else f"{image['name']}={new}"


def _has_kustomization(artifact: Artifact, path: str) -> bool:
    names = ("kustomization.yaml", "kustomization.yml", "Kustomization")
    return any((artifact.folder / path / name).is_file() for name in names)


def _substituted(obj: Obj, values: dict[str, str]) -> Obj:
    """``${name}``, ``${name:=default}`` and ``${name:-default}`` in every text; objects may refuse it by a mark."""
    marks = {**annotations_of(obj), **labels_of(obj)}
    if marks.get(f"{KUSTOMIZE}/substitute") == "disabled":
        return obj

    def filled(value: object) -> object:
        if isinstance(value, str):
            return _VARIABLE.sub(lambda m: values.get(m[1]) or m[3] or "" if m[2] else values.get(m[1], ""), value)
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        return [filled(each) for each in value] if isinstance(value, list) else value

    result = filled(obj)
    assert isinstance(result, dict)
    return result
