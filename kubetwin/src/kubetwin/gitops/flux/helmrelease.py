# SPDX-License-Identifier: Apache-2.0
"""helm-controller: makes releases with the real helm, and brings them back to what a HelmRelease says.

Facts: helm-controller internal/controller/helmrelease_controller.go, internal/reconcile/{state,atomic_release,release,unlock}.go,
internal/action/reset.go, api/v2/{helmrelease_types,condition_types,annotations}.go. A release whose newest record it did not make
is *unmanaged*, and is upgraded again. Not there: tests, service accounts, other clusters, ``postRenderers``, CEL,
``driftDetection.ignore`` with targets.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

import yaml

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.base import Context
from kubetwin.gitops.cluster import Applier, Cluster
from kubetwin.gitops.documents import ManifestError, identity, objects, parsed
from kubetwin.gitops.durations import seconds
from kubetwin.gitops.flux import releases as rel
from kubetwin.gitops.flux.artifacts import Artifact, Artifacts
from kubetwin.gitops.flux.base import FluxController, Outcome
from kubetwin.gitops.flux.helm import Helm
from kubetwin.gitops.flux.resources import (
    FORCED,
    HELM,
    HELM_CHARTS,
    HELM_RELEASES,
    RESET,
    SOURCES,
    FluxSettings,
    found_condition,
    handle_request,
    interval_of,
    is_ready,
    reference,
    spec_of,
    unmark,
)
from kubetwin.gitops.programs import ProgramFailed
from kubetwin.kinds import CONFIGMAPS, SECRETS
from kubetwin.meta import name_of, namespace_of

MANAGER = "helm-controller"
_ACTIONS = 6
"""More actions in one reconciliation than any way through the states takes."""


class HelmReleaseController(FluxController):
    """``spec.suspend`` leaves release and objects as they are."""

    name = "helmrelease"
    component = "helm-controller"
    user_agent = "helm-controller"
    resource = HELM_RELEASES
    observes_failures = False

    def __init__(self, ctx: Context, artifacts: Artifacts, settings: FluxSettings, helm: Helm) -> None:
        self.helm = helm
        self.cluster = Cluster(ctx.api.as_component(self.user_agent), ctx.informers)
        super().__init__(ctx, artifacts, settings)

    def setup(self) -> None:
        super().setup()
        self.secrets, self.config, self.charts = self.inform(SECRETS), self.inform(CONFIGMAPS), self.inform(HELM_CHARTS)

    def uses(self, obj: Obj) -> list[tuple[str, str]]:
        return [self._chart_source(obj)]

    def _chart_source(self, obj: Obj) -> tuple[str, str]:
        ref = spec_of(obj).get("chartRef")
        if ref:
            kind, namespace, name = reference(obj, ref)
            return kind, f"{namespace}/{name}"
        template = ((spec_of(obj).get("chart") or {}).get("spec") or {}).get("sourceRef") or {}
        namespace = str(template.get("namespace") or namespace_of(obj))
        return "HelmChart", f"{namespace}/{namespace_of(obj)}-{name_of(obj)}"

    # one reconciliation

    async def reconcile(self, obj: Obj, status: Obj) -> Outcome:
        await self._chart_template(obj, status)
        for ref in spec_of(obj).get("dependsOn") or ():
            namespace, name = ref.get("namespace") or namespace_of(obj), str(ref["name"])
            found = self.objects.get(name, namespace)
            if found is None or not is_ready(found):
                text = f"dependency '{namespace}/{name}' is not ready"
                self.mark(obj, status, "Ready", "False", "DependencyNotReady", text)
                return Outcome(observed=False, after=self.settings.dependency_interval)
        kind, key = self._chart_source(obj)
        artifact = self.artifacts.get(kind, key)
        if artifact is None:
            resource = SOURCES.get(kind)
            source = self.inform(resource).by_key(key) if resource is not None else None
            told = found_condition(source, "Ready").get("message") if source is not None else ""
            text = f"{kind} '{key}' is not ready: {told or 'latest generation of object has not been reconciled'}"
            self.mark(obj, status, "Ready", "False", "SourceNotReady", text)
            return Outcome(observed=False, after=self.settings.dependency_interval)
        try:
            values = self._values(obj)
            chart = _chart(artifact)
        except (ManifestError, KeyError, OSError) as error:
            return self.fail(obj, status, "ValuesError", str(error))
        if handle_request(obj, status, RESET, "lastHandledResetAt") or self._differs(obj, status, chart, values):
            _clear_failures(status)
        status["storageNamespace"] = self._storage(obj)
        status["lastAttemptedGeneration"] = obj["metadata"].get("generation", 1)
        status["lastAttemptedRevision"] = chart[1]
        status["lastAttemptedConfigDigest"] = rel.digest(values)
        return await self._release(obj, status, artifact, chart, values)

    async def _chart_template(self, obj: Obj, status: Obj) -> None:
        """The HelmChart of ``spec.chart`` (internal/reconcile/helmchart_template.go)."""
        template = (spec_of(obj).get("chart") or {}).get("spec")
        if not template:
            return
        namespace, _, name = self._chart_source(obj)[1].partition("/")
        spec = {k: v for k, v in template.items() if k not in ("valuesFile", "verify")}
        spec.setdefault("interval", spec_of(obj).get("interval"))
        ref = dict(spec.get("sourceRef") or {})
        spec["sourceRef"] = {k: v for k, v in ref.items() if k != "namespace"}
        marks = {f"{HELM}/name": name_of(obj), f"{HELM}/namespace": namespace_of(obj)}
        meta = {"name": name, "namespace": namespace, "labels": marks}
        body: Obj = {"apiVersion": HELM_CHARTS.api_version, "kind": "HelmChart", "metadata": meta, "spec": spec}
        live = self.charts.get(name, namespace)
        if live is None or live.get("spec") != spec:
            made = await self.ctx.api.apply(HELM_CHARTS, body, field_manager=MANAGER, force=True)
            self.charts.observe(made)
            if live is not None:
                # The artifact is that of the earlier wish until the chart was looked at again.
                self.artifacts.drop("HelmChart", f"{namespace}/{name}")
        status["helmChart"] = f"{namespace}/{name}"

    def _differs(self, obj: Obj, status: Obj, chart: tuple[str, str], values: Obj) -> bool:
        """Whether anything is another than at the last attempt (``MustResetFailures``)."""
        return (
            status.get("lastAttemptedGeneration") != obj["metadata"].get("generation", 1)
            or status.get("lastAttemptedRevision") != chart[1]
            or status.get("lastAttemptedConfigDigest") != rel.digest(values)
        )

    def _name(self, obj: Obj) -> str:
        """``spec.releaseName``, else the target namespace and its own name."""
        if spec_of(obj).get("releaseName"):
            return str(spec_of(obj)["releaseName"])
        target = spec_of(obj).get("targetNamespace")
        return f"{target}-{name_of(obj)}" if target else name_of(obj)

    def _target(self, obj: Obj) -> str:
        return str(spec_of(obj).get("targetNamespace") or namespace_of(obj))

    def _storage(self, obj: Obj) -> str:
        return str(spec_of(obj).get("storageNamespace") or self._target(obj))

    def _values(self, obj: Obj) -> Obj:
        """``valuesFrom`` in their order, then ``values``. Raises ManifestError."""
        merged: Obj = {}
        for ref in spec_of(obj).get("valuesFrom") or ():
            kind, name, key = str(ref.get("kind")), str(ref.get("name")), str(ref.get("valuesKey") or "values.yaml")
            found = (self.config if kind == "ConfigMap" else self.secrets).get(name, namespace_of(obj))
            text = ((found or {}).get("data") or {}).get(key)
            if text is None:
                if ref.get("optional"):
                    continue
                raise ManifestError(f"could not find values key '{key}' in {kind} '{namespace_of(obj)}/{name}'")
            if kind == "Secret":
                text = base64.b64decode(text).decode(errors="replace")
            if ref.get("targetPath"):
                _put(merged, str(ref["targetPath"]).split("."), text)
            else:
                merged = _deep(merged, _first(parsed(text, name)))
        return _deep(merged, spec_of(obj).get("values") or {})

    def _records(self, obj: Obj) -> list[Obj]:
        return rel.records(self.secrets.all(), self._storage(obj), self._name(obj))

    # from state to state

    async def _release(self, obj: Obj, status: Obj, artifact: Artifact, chart: tuple[str, str], values: Obj) -> Outcome:
        """Acts until nothing is left to do; each kind of action at most once, a remediation ends it."""
        forced = handle_request(obj, status, FORCED, "lastHandledForceAt")
        done: set[str] = set()
        for _ in range(_ACTIONS):
            known = self._records(obj)
            state, reason = rel.state_of(status.get("history") or [], known[-1] if known else None, chart, values)
            drift = await self._drift(obj, known[-1]) if state == "InSync" else []
            if drift:
                state = "Drifted"
            action = self._action(obj, status, state, reason, forced=forced)
            forced = False
            if action == "stalled":
                return self._stalled(obj, status, state)
            if action == "correct":
                text = f"Cluster state of release {self._full(status)} has drifted from the desired state: {', '.join(drift)}"
                self.mark(obj, status, "Drifted", "True", "DriftDetected", text)
                self.recorder.event(obj, "Warning", "DriftDetected", text)
                if (spec_of(obj).get("driftDetection") or {}).get("mode") != "enabled" or "correct" in done:
                    return Outcome()
                await self._correct(obj, known[-1])
                done.add("correct")
                continue
            if not action:
                self._in_sync(obj, status)
                return Outcome()
            if action in done:
                told = str(found_condition(status, "Ready").get("message", ""))
                self.mark(obj, status, "Reconciling", "True", "ProgressingWithRetry", told)
                return Outcome(observed=False, failed=True)
            done.add(action)
            good = await self._act(obj, status, action, artifact, chart, values)
            if action in ("rollback", "uninstall"):
                exhausted = self._exhausted(obj, status)
                return self._stalled(obj, status, "Failed") if exhausted else Outcome(observed=False, failed=True)
            if not good and action in ("rollback", "uninstall", "unlock"):
                return Outcome(observed=False, failed=True)
        return Outcome(observed=False, failed=True)

    def _action(self, obj: Obj, status: Obj, state: str, reason: str, *, forced: bool) -> str:
        """What a state asks for (``actionForState``): an action, ``stalled``, or nothing."""
        match state:
            case "InSync":
                return "upgrade" if forced else ""
            case "Locked":
                return "unlock"
            case "Absent":
                return "stalled" if self._out_of_retries(obj, status, "install") and not forced else "install"
            case "Unmanaged":
                # What was remembered is of no use any more.
                status["history"] = []
                return "upgrade"
            case "OutOfSync":
                return "stalled" if self._out_of_retries(obj, status, "upgrade") and not forced else "upgrade"
            case "Drifted":
                return "correct"
            case "Failed":
                verb = self._active(status)
                remediation = self._remediation(obj, verb)
                if remediation is None or self._attempts(status, verb) <= 0 or forced:
                    return "upgrade"
                last = remediation.get("remediateLastFailure")
                also_last = (
                    bool(last) if last is not None else verb == "upgrade" and int(remediation.get("retries") or 0) > 0
                )
                if self._exhausted(obj, status) and not also_last:
                    return "stalled"
                strategy = "uninstall" if verb == "install" else str(remediation.get("strategy") or "rollback")
                if strategy == "rollback" and rel.previous_good(status.get("history") or []) is None:
                    return "stalled"
                return strategy
        self.mark(obj, status, "Ready", "False", "StateError", reason)
        return "stalled"

    async def _act(
        self, obj: Obj, status: Obj, action: str, artifact: Artifact, chart: tuple[str, str], values: Obj
    ) -> bool:
        """Runs one action; True when it went well."""
        name, namespace = self._name(obj), self._target(obj)
        options = self._options(obj, action)
        text = f"Running '{action}' action with timeout of {options['seconds']:g}s"
        self.mark(obj, status, "Reconciling", "True", "Progressing", text)
        if action in ("install", "upgrade"):
            status["lastAttemptedReleaseAction"] = action
            self.mark(obj, status, "Ready", "Unknown", "Progressing", text)
        await self.write_status(obj, status)
        marks = name_of(obj), namespace_of(obj)
        target = rel.previous_good(status.get("history") or [])
        problem = ""
        try:
            if action == "install":
                await self.helm.install(name, namespace, artifact.folder, values, marks, options)
            elif action == "upgrade":
                await self.helm.upgrade(name, namespace, artifact.folder, values, marks, options)
            elif action == "rollback":
                assert target is not None
                await self.helm.rollback(name, namespace, int(target["version"]), options)
            elif action == "uninstall":
                await self.helm.uninstall(name, namespace, options)
            else:
                await self._unlock(obj)
        except ProgramFailed as error:
            problem = str(error)
        await self._known(obj)
        status["history"] = rel.observed(
            status.get("history") or [], self._records(obj), action if action != "unlock" else ""
        )
        self._told(obj, status, action, chart, problem, target)
        await self.write_status(obj, status)
        return not problem

    def _told(
        self, obj: Obj, status: Obj, action: str, chart: tuple[str, str], problem: str, target: Obj | None
    ) -> None:
        """Conditions and events of an action."""
        full = f"{self._target(obj)}/{self._name(obj)}"
        if action in ("install", "upgrade"):
            verb = action.capitalize()
            if problem:
                count = "installFailures" if action == "install" else "upgradeFailures"
                status[count] = int(status.get(count) or 0) + 1
                status["failures"] = int(status.get("failures") or 0) + 1
                text = f"Helm {action} failed for release {full} with chart {chart[0]}@{chart[1]}: {problem}"
            else:
                _clear_failures(status)
                text = f"Helm {action} succeeded for release {self._full(status)} with chart {chart[0]}@{chart[1]}"
                unmark(status, "Remediated", "Stalled")
            reason = f"{verb}{'Failed' if problem else 'Succeeded'}"
            self.mark(obj, status, "Released", "False" if problem else "True", reason, text)
        elif action in ("rollback", "uninstall"):
            done = "failed" if problem else "succeeded"
            if action == "rollback" and target is not None:
                what = f"{target['namespace']}/{target['name']}.v{target['version']}"
                what += f" with chart {target['chartName']}@{target['chartVersion']}"
                text = f"Helm rollback to previous release {what} {done}"
            else:
                text = f"Helm uninstall remediation for release {full} {done}"
            text += f": {problem}" if problem else ""
            reason = f"{action.capitalize()}{'Failed' if problem else 'Succeeded'}"
            self.mark(obj, status, "Remediated", "False" if problem else "True", reason, text)
        else:
            return
        # Ready says the last of Remediated and Released; what had to be remediated is never ready.
        good = action in ("install", "upgrade") and not problem
        self.mark(obj, status, "Ready", "True" if good else "False", reason, text)
        self.recorder.event(obj, "Normal" if not problem else "Warning", reason, text)

    def _in_sync(self, obj: Obj, status: Obj) -> None:
        """Nothing left to do: Ready says so also when it was a remediation that led here."""
        status["history"] = rel.truncated(status.get("history") or [])
        latest = (status["history"] or [{}])[0]
        chart = f"{latest.get('chartName')}@{latest.get('chartVersion')}"
        if (
            found_condition(status, "Remediated").get("status") == "True"
            or found_condition(status, "Ready").get("status") != "True"
        ):
            install = str(found_condition(status, "Released").get("reason") or "").startswith("Install")
            verb = "install" if install and not found_condition(status, "Remediated") else "upgrade"
            text = f"Helm {verb} succeeded for release {self._full(status)} with chart {chart}"
            unmark(status, "Remediated", "Stalled")
            for kind in ("Released", "Ready"):
                self.mark(obj, status, kind, "True", f"{verb.capitalize()}Succeeded", text)
        if (spec_of(obj).get("driftDetection") or {}).get("mode") in ("enabled", "warn"):
            self.mark(obj, status, "Drifted", "False", "NoDriftDetected", "No drift detected against the cluster state")

    def _stalled(self, obj: Obj, status: Obj, state: str) -> Outcome:
        verb = self._active(status)
        text = f"Failed to {verb} after {self._attempts(status, verb)} attempt(s)"
        reason = "RetriesExceeded"
        if state == "Failed" and rel.previous_good(status.get("history") or []) is None and verb == "upgrade":
            reason, text = "MissingRollbackTarget", "Failed to perform remediation: missing target release for rollback"
        self.mark(obj, status, "Stalled", "True", reason, text)
        if found_condition(status, "Ready").get("status") != "False":
            self.mark(obj, status, "Ready", "False", reason, text)
        # It is looked at again only when something is changed or asked for.
        return Outcome(after=365 * 86400.0)

    def _full(self, status: Obj) -> str:
        latest = (status.get("history") or [{}])[0]
        return f"{latest.get('namespace')}/{latest.get('name')}.v{latest.get('version')}"

    # remediation

    def _active(self, status: Obj) -> str:
        return str(status.get("lastAttemptedReleaseAction") or "install")

    def _remediation(self, obj: Obj, verb: str) -> Obj | None:
        """That of install or upgrade; there is always one, with no retries unless it says so."""
        found = (spec_of(obj).get(verb) or {}).get("remediation")
        return dict(found or {})

    def _attempts(self, status: Obj, verb: str) -> int:
        return int(status.get(f"{verb}Failures") or 0)

    def _out_of_retries(self, obj: Obj, status: Obj, verb: str) -> bool:
        retries = int((self._remediation(obj, verb) or {}).get("retries") or 0)
        return retries >= 0 and self._attempts(status, verb) > retries

    def _exhausted(self, obj: Obj, status: Obj) -> bool:
        return self._out_of_retries(obj, status, self._active(status))

    def _options(self, obj: Obj, action: str) -> Obj:
        own = spec_of(obj).get(action) or {}
        patience = seconds(own.get("timeout")) or interval_of(obj, "timeout", 300.0)
        limit = spec_of(obj).get("maxHistory")
        return {**own, "seconds": patience, "maxHistory": 5 if limit is None else int(limit)}

    async def _unlock(self, obj: Obj) -> None:
        """A pending release becomes a failed one: whoever was at it is gone."""
        last = self._records(obj)[-1]
        changed = rel.unlocked(last)
        name = f"sh.helm.release.v1.{self._name(obj)}.v{last['version']}"
        patch = {"metadata": {"labels": {"status": "failed"}}, "data": {"release": rel.encoded(changed)}}
        found = await self.ctx.api.patch(SECRETS, name, patch, self._storage(obj))
        self.secrets.observe(found)

    async def _known(self, obj: Obj) -> None:
        """The cache of Secrets as helm left them: nothing is decided on what was before."""
        listed = await self.ctx.api.list(
            SECRETS, self._storage(obj), label_selector=f"owner=helm,name={self._name(obj)}"
        )
        names = set()
        for each in listed["items"]:
            names.add(name_of(each))
            self.secrets.observe(each)
        prefix = f"sh.helm.release.v1.{self._name(obj)}.v"
        for each in self.secrets.all():
            if (
                namespace_of(each) == self._storage(obj)
                and name_of(each).startswith(prefix)
                and name_of(each) not in names
            ):
                self.secrets.observe_deleted(each)

    # drift

    async def _drift(self, obj: Obj, release: Obj) -> list[str]:
        """The objects of the release that are not as it made them; empty when that is not looked for."""
        if (spec_of(obj).get("driftDetection") or {}).get("mode") not in ("enabled", "warn"):
            return []
        found = []
        for target, live, resource in await self._objects(obj, release):
            key = identity(target)
            if live is None or await self.cluster.drifted(resource, target, live, Applier(MANAGER, server_side=True)):
                found.append(f"{key.kind}/{key.namespace}/{key.name} {'removed' if live is None else 'changed'}")
        return found

    async def _correct(self, obj: Obj, release: Obj) -> None:
        for target, live, resource in await self._objects(obj, release):
            await self.cluster.apply(resource, target, live, Applier(MANAGER, server_side=True))

    async def _objects(self, obj: Obj, release: Obj) -> list[tuple[Obj, Obj | None, Any]]:
        found = []
        for each in objects(parsed(str(release.get("manifest") or ""), "manifest"), "manifest"):
            resource = await self.cluster.resource(each["apiVersion"], each["kind"])
            if resource is None:
                continue
            await self.cluster.watch([resource])
            meta = each["metadata"]
            if resource.namespaced:
                meta = {**meta, "namespace": meta.get("namespace") or self._target(obj)}
            target = {**each, "metadata": meta}
            found.append((target, self.cluster.get(resource, meta["name"], meta.get("namespace") or ""), resource))
        return found

    # the end

    async def deleted(self, obj: Obj) -> bool:
        """Uninstalls the release that it made, unless it is suspended; its chart goes, too."""
        if spec_of(obj).get("suspend"):
            return True
        if (obj.get("status") or {}).get("history") and self._records(obj):
            try:
                await self.helm.uninstall(self._name(obj), self._target(obj), self._options(obj, "uninstall"))
            except ProgramFailed as error:
                self.recorder.event(obj, "Warning", "UninstallFailed", str(error))
                return False
        namespace, _, name = str((obj.get("status") or {}).get("helmChart") or "").partition("/")
        if name:
            try:
                await self.ctx.api.delete(HELM_CHARTS, name, namespace)
            except ApiException as error:
                if not error.not_found:
                    raise
        return True


def _chart(artifact: Artifact) -> tuple[str, str]:
    """Name and version of the chart in a folder. Raises OSError or ManifestError."""
    meta = _first(parsed((artifact.folder / "Chart.yaml").read_bytes(), "Chart.yaml"))
    return str(meta.get("name") or ""), str(meta.get("version") or "")


def _first(documents: list[Any]) -> Obj:
    """The map in the first document; empty when there is none."""
    return documents[0] if documents and isinstance(documents[0], dict) else {}


def _clear_failures(status: Obj) -> None:
    for name in ("failures", "installFailures", "upgradeFailures"):
        status.pop(name, None)


def _deep(base: Obj, over: Obj) -> Obj:
    """``over`` merged into ``base``: maps are joined, all else is replaced."""
    out = copy.deepcopy(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = _deep(out[key], value)
        else:
            out[key] = copy.deepcopy(value)
    return out


def _put(values: Obj, path: list[str], text: str) -> None:
    """One value at a dotted path, read as YAML as `--set` would."""
    for step in path[:-1]:
        values = values.setdefault(step, {})
    values[path[-1]] = yaml.safe_load(text)
