# SPDX-License-Identifier: Apache-2.0
"""The applicationset controller: generates applications, keeps them as generated, and rolls them step by step.

Facts: argo-cd applicationset/controllers/applicationset_controller.go (``createOrUpdateInCluster``, ``deleteInCluster``,
``setApplicationSetStatusCondition``), applicationset/utils/createOrUpdate.go (``applyIgnoreDifferences``), utils/utils.go (rendering,
policies). A change of a generated application is written back at the next event, but for what ``ignoreApplicationDifferences``
names; its ``operation`` is left alone. Generators: list, and clusters; templates: plain ``{{name}}`` and, with ``goTemplate``,
``{{.name}}`` without functions.
"""

from __future__ import annotations

import copy
import json
import re
from fnmatch import fnmatchcase
from typing import Any

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.base import Context, Controller
from kubetwin.gitops.argocd import rolling
from kubetwin.gitops.argocd.application import API_VERSION, APPLICATIONS, FINALIZER, REFRESH, SETS
from kubetwin.gitops.argocd.compare import copy_pointer
from kubetwin.gitops.argocd.controller import ApplicationController
from kubetwin.gitops.argocd.projects import IN_CLUSTER, IN_CLUSTER_NAME
from kubetwin.gitops.argocd.repo_server import SECRET_TYPE
from kubetwin.gitops.merging import merge_patch
from kubetwin.informer import key_of
from kubetwin.meta import (
    annotations_of,
    controller_of,
    deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    stamp,
    status_of,
)

SET_REFRESH = "argocd.argoproj.io/application-set-refresh"
_PRESERVED = ("notified.notifications.argoproj.io", REFRESH, "argocd.argoproj.io/hydrate")
_PARAMETER = re.compile(r"\{\{\s*(\.?[A-Za-z0-9_./\[\]-]+)\s*\}\}")


class SetError(ValueError):
    """A set that can't be generated."""


class ApplicationSetController(Controller):
    """Works over the caches of the application controller."""

    name = "argocd-applicationset"
    component = "argocd-applicationset-controller"
    user_agent = "argocd-applicationset-controller"

    def __init__(self, ctx: Context, applications: ApplicationController) -> None:
        self.applications = applications
        super().__init__(ctx)

    def setup(self) -> None:
        self.sets = self.enqueue_on(SETS)
        self.apps = self.inform(APPLICATIONS)
        self.apps.add_handler(self._app_changed)

    def _app_changed(self, old: Obj | None, new: Obj | None) -> None:
        owner = controller_of(new or old or {"metadata": {}})
        if owner is not None and owner["kind"] == "ApplicationSet":
            self.queue.add(f"{namespace_of(new or old or {})}/{owner['name']}")

    async def sync(self, key: str) -> None:
        owner = self.sets.by_key(key)
        if owner is None or namespace_of(owner) != self.applications.settings.namespace:
            return
        if deleting(owner):
            await self._let_go(owner)
            return
        try:
            desired = self.generated(owner)
        except SetError as error:
            await self._status(owner, {}, error=("RenderTemplateParamsError", str(error)))
            self.queue.add_after(key, 3.0)
            return
        status: Obj = {}
        written = desired
        if rolling.strategy_of(owner) is not None:
            statuses, allowed = rolling.progress(
                owner, self._own(owner), desired, lambda app, want: self._differs(owner, app, want)
            )
            status["applicationStatus"] = statuses
            pending = {each["application"] for each in statuses if each["status"] == rolling.PENDING} & allowed
            await self._status(owner, status)
            written = []
            for app in desired:
                held = rolling.held(app)
                live = self.apps.get(name_of(app), namespace_of(owner))
                if name_of(app) in pending and live is not None and not self._started(live, statuses):
                    held = {**held, "operation": rolling.operation(app)}
                written.append(held)
        elif status_of(owner).get("applicationStatus"):
            status["applicationStatus"] = []
        await self._write(owner, written)
        await self._status(owner, status)
        if annotations_of(owner).get(SET_REFRESH) is not None:
            await self.write.patch(SETS, owner, {"metadata": {"annotations": {SET_REFRESH: None}}})

    def _own(self, owner: Obj) -> list[Obj]:
        found = [app for app in self.apps.all() if (controller_of(app) or {}).get("uid") == owner["metadata"]["uid"]]
        return sorted(found, key=name_of)

    def _started(self, live: Obj, statuses: list[Obj]) -> bool:
        """Whether its sync of this transition is asked for already."""
        since = next(each["lastTransitionTime"] for each in statuses if each["application"] == name_of(live))
        state = status_of(live).get("operationState") or {}
        by_set = ((state.get("operation") or {}).get("initiatedBy") or {}).get("username") == rolling.USER
        late = str(state.get("startedAt") or "") >= since
        return bool(live.get("operation")) or (by_set and late and rolling.went_to(state, rolling.revisions_of(live)))

    # generating

    def generated(self, owner: Obj) -> list[Obj]:
        """The applications of a set. Raises SetError."""
        spec = owner.get("spec") or {}
        found: list[Obj] = []
        for generator in spec.get("generators") or ():
            for values in self._parameters(generator):
                found.append(_application(owner, values))
        names = [name_of(app) for app in found]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SetError(f"ApplicationSet {name_of(owner)} contains applications with duplicate name: {twice[0]}")
        return found

    def _parameters(self, generator: Obj) -> list[Obj]:
        if "list" in generator:
            return [dict(each) for each in (generator["list"] or {}).get("elements") or ()]
        if "clusters" in generator:
            wanted = ((generator["clusters"] or {}).get("selector") or {}).get("matchLabels") or {}
            values = {f"values.{k}": v for k, v in ((generator["clusters"] or {}).get("values") or {}).items()}
            labels = {
                each["metadata"]["name"]: labels_of(each)
                for each in self.applications.own_secrets()
                if labels_of(each).get(SECRET_TYPE) == "cluster"
            }
            return [
                {"name": name, "nameNormalized": name, "server": server, **values}
                for name, server in self.applications.destinations.known().items()
                if (not wanted and server == IN_CLUSTER and name == IN_CLUSTER_NAME)
                or (name in labels and all(labels[name].get(k) == v for k, v in wanted.items()))
            ]
        kind = next(iter(generator), "an empty one")
        raise SetError(f"the generator {kind} is not there in an embedded cluster; list and clusters are")

    # writing

    def _differs(self, owner: Obj, live: Obj, wanted: Obj) -> bool:
        """Whether the spec that lives is another than the wanted one, automated sync apart."""
        target = self._respecting(owner, live, rolling.held(wanted))
        return bool(live.get("spec") != target.get("spec"))

    def _respecting(self, owner: Obj, live: Obj, wanted: Obj) -> Obj:
        """The wanted application with the live values of the fields that the set ignores."""
        found = copy.deepcopy(wanted)
        for rule in (owner.get("spec") or {}).get("ignoreApplicationDifferences") or ():
            if rule.get("name") and not fnmatchcase(name_of(live), str(rule["name"])):
                continue
            for pointer in rule.get("jsonPointers") or ():
                copy_pointer(found, live, str(pointer))
        return found

    async def _write(self, owner: Obj, desired: list[Obj]) -> None:
        policy = ((owner.get("spec") or {}).get("syncPolicy") or {}).get("applicationsSync") or "sync"
        live = {name_of(app): app for app in self._own(owner)}
        for wanted in desired:
            found = live.get(name_of(wanted))
            if found is None:
                await self._create(owner, wanted)
            elif policy in ("sync", "create-update"):
                await self._update(owner, found, wanted)
        if policy in ("sync", "create-delete"):
            names = {name_of(app) for app in desired}
            for name, app in live.items():
                if name not in names and not deleting(app):
                    await self.write.delete(APPLICATIONS, app)
                    self.recorder.event(owner, "Normal", "Deleted", f'Deleted Application "{name}"')

    async def _create(self, owner: Obj, wanted: Obj) -> None:
        reference = owner_reference({"apiVersion": API_VERSION, "kind": "ApplicationSet", **owner})
        body = {**wanted, "metadata": {**wanted["metadata"], "ownerReferences": [reference]}}
        body.pop("operation", None)
        try:
            await self.write.create(APPLICATIONS, body)
        except ApiException as error:
            if not error.already_exists:
                raise
            return
        self.recorder.event(owner, "Normal", "created", f'created Application "{name_of(wanted)}"')

    async def _update(self, owner: Obj, found: Obj, wanted: Obj) -> None:
        """Back to what was generated, with a merge patch of the difference."""
        target = self._respecting(owner, found, wanted)
        spec = target["spec"]
        meta = found["metadata"]
        kept = {k: v for k, v in annotations_of(found).items() if k.startswith(_PRESERVED)}
        fields: Obj = {"annotations": {**annotations_of(target), **kept}, "labels": labels_of(target)}
        before: Obj = {"annotations": meta.get("annotations") or {}, "labels": meta.get("labels") or {}}
        patch: Obj = {}
        if changed := merge_patch(before, fields):
            patch["metadata"] = changed
        if changed := merge_patch(found.get("spec") or {}, spec):
            patch["spec"] = changed
        if wanted.get("operation") and not found.get("operation"):
            patch |= {"operation": wanted["operation"], "status": {"operationState": None}}
        if not patch:
            return
        await self.write.patch(APPLICATIONS, found, patch)
        self.recorder.event(owner, "Normal", "updated", f'updated Application "{name_of(wanted)}"')

    async def _status(self, owner: Obj, extra: Obj, error: tuple[str, str] | None = None) -> None:
        seen = self.sets.by_key(key_of(owner)) or owner
        status = {**status_of(seen), **extra}
        good, bad = ("False", "True") if error else ("True", "False")
        reason, text = error or ("ApplicationSetUpToDate", "")
        made = "Successfully generated parameters for all Applications"
        conditions = [
            ("ErrorOccurred", bad, reason, text),
            ("ParametersGenerated", good, "ErrorOccurred" if error else "ParametersGenerated", text or made),
            ("ResourcesUpToDate", good, reason, text or "All applications have been generated successfully"),
        ]
        if rolling.strategy_of(owner) is not None and not error:
            told = rolling.rollout_condition(owner, status.get("applicationStatus") or [])
            conditions.append(("RolloutProgressing", *told))
        known = {each["type"]: each for each in status.get("conditions") or ()}
        new = []
        for kind, value, reason, message in conditions:
            each = {"type": kind, "status": value, "reason": reason, "message": message}
            old = known.get(kind)
            same = old is not None and {k: old.get(k) for k in each} == each
            new.append(old if same else {**each, "lastTransitionTime": stamp()})
        status["conditions"] = new
        status["resources"] = [
            {
                "group": "argoproj.io",
                "version": "v1alpha1",
                "kind": "Application",
                "namespace": namespace_of(app),
                "name": name_of(app),
                "status": (status_of(app).get("sync") or {}).get("status", "Unknown"),
                "health": {"status": (status_of(app).get("health") or {}).get("status", "Unknown")},
            }
            for app in self._own(owner)
        ]
        patch = merge_patch(status_of(seen), status)
        if patch:
            await self.write.patch(SETS, owner, {"status": patch}, subresource="status")

    async def _let_go(self, owner: Obj) -> None:
        finalizers = owner["metadata"].get("finalizers") or []
        if FINALIZER in finalizers:
            kept = [each for each in finalizers if each != FINALIZER]
            await self.write.patch(SETS, owner, {"metadata": {"finalizers": kept or None}})


def _application(owner: Obj, values: Obj) -> Obj:
    """The template with its parameters filled in, and ``templatePatch`` merged over it."""
    spec = owner.get("spec") or {}
    go = bool(spec.get("goTemplate"))
    strict = "missingkey=error" in (spec.get("goTemplateOptions") or ())
    template = _filled(spec.get("template") or {}, values, go=go, strict=strict)
    meta = dict(template.get("metadata") or {})
    if not meta.get("name"):
        raise SetError("the template of the set has no name")
    meta["namespace"] = namespace_of(owner)
    if not (spec.get("syncPolicy") or {}).get("preserveResourcesOnDeletion") and not meta.get("finalizers"):
        meta["finalizers"] = [FINALIZER]
    found: Obj = {
        "apiVersion": API_VERSION,
        "kind": "Application",
        "metadata": meta,
        "spec": template.get("spec") or {},
    }
    if spec.get("templatePatch"):
        try:
            patch = json.loads(_text(str(spec["templatePatch"]), values, go=go, strict=strict))
        except ValueError as error:
            raise SetError(f"templatePatch is no JSON: {error}") from None
        found["spec"] = _merged(found["spec"], patch.get("spec") or {})
        meta["labels"] = {**(meta.get("labels") or {}), **((patch.get("metadata") or {}).get("labels") or {})}
    return found


def _filled(value: Any, values: Obj, *, go: bool, strict: bool) -> Any:
    if isinstance(value, str):
        return _text(value, values, go=go, strict=strict)
    if isinstance(value, dict):
        return {
            _text(k, values, go=go, strict=strict): _filled(v, values, go=go, strict=strict) for k, v in value.items()
        }
    return [_filled(each, values, go=go, strict=strict) for each in value] if isinstance(value, list) else value


def _text(text: str, values: Obj, *, go: bool, strict: bool) -> str:
    def one(match: re.Match[str]) -> str:
        name = match[1]
        if go != name.startswith("."):
            raise SetError(f"{match[0]} is not understood with goTemplate: {str(go).lower()}")
        found: Any = values.get(name.lstrip("."))
        if found is None and "." in name.lstrip("."):
            found = values
            for step in name.lstrip(".").split("."):
                found = found.get(step) if isinstance(found, dict) else None
        if found is None:
            if go and strict:
                raise SetError(f"map has no entry for key {name.lstrip('.')!r}")
            return "<no value>" if go else match[0]
        return str(found)

    return _PARAMETER.sub(one, text)


def _merged(base: Obj, over: Obj) -> Obj:
    out = dict(base)
    for key, value in over.items():
        out[key] = _merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out
