# SPDX-License-Identifier: Apache-2.0
"""Comparing an application's desired state with what lives: sync status, health, and what a sync would work on.

Facts: argo-cd controller/state.go (``CompareAppState``, ``NormalizeTargetObjects``), controller/health.go, gitops-engine/pkg/sync/
reconcile.go, util/argo/normalizers (``ignoreDifferences``). Objects of kinds that an application had or has are looked at for what is
to be pruned. Not there: ``jqPathExpressions`` and ``managedFieldsManagers`` of ``ignoreDifferences``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from kubetwin.client import Obj, Resource
from kubetwin.gitops.argocd import hooks
from kubetwin.gitops.argocd.application import (
    GROUP,
    MANAGER,
    compared_to,
    condition,
    destination_namespace,
    operation_state,
    option,
    options_of,
    spec_of,
)
from kubetwin.gitops.argocd.health import Health, application_health, resource_health, worse
from kubetwin.gitops.argocd.projects import kind_permitted
from kubetwin.gitops.argocd.repo_server import Manifests
from kubetwin.gitops.argocd.tracking import Tracking
from kubetwin.gitops.cluster import Applier, Cluster
from kubetwin.gitops.documents import Key, group_of, identity, version_of
from kubetwin.meta import annotations_of, status_of

IGNORE_HEALTH = "argocd.argoproj.io/ignore-healthcheck"
EVALUATED = {"ComparisonError", "SharedResourceWarning", "RepeatedResourceWarning", "ExcludedResourceWarning"}


@dataclass(slots=True)
class Managed:
    """A target, what lives in its place, or both. ``modified``: applying the target would change what lives."""

    key: Key
    target: Obj | None
    live: Obj | None
    resource: Resource | None = None
    modified: bool = False
    own: bool = True

    @property
    def obj(self) -> Obj:
        found = self.live or self.target
        assert found is not None
        return found


@dataclass(slots=True)
class Comparison:
    """What was found; ``status`` is ``status.sync``, ``resources`` are ``status.resources``."""

    status: Obj
    health: str = "Unknown"
    health_message: str = ""
    managed: list[Managed] = field(default_factory=list)
    hooks: list[Obj] = field(default_factory=list)
    resources: list[Obj] = field(default_factory=list)
    conditions: list[Obj] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    changes: bool = True
    """False: the commits since the last sync touch nothing of this application."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What the repository says, or why it can't be known."""

    sources: list[Obj]
    revisions: list[str]
    multiple: bool
    manifests: list[Manifests] | None = None
    local: list[Obj] | None = None
    failure: str = ""
    changes: bool = True


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a comparison depends on beside the application."""

    cluster: Cluster
    project: Obj
    tracking: Tracking
    instance: str
    """The application's name in tracking marks."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """The data of argocd-cm."""


async def compare(app: Obj, desired: Desired, around: Surroundings) -> Comparison:
    """The comparison. Raises ApiException or OSError when the cluster does not answer."""
    status = {"status": "Unknown", "comparedTo": compared_to(app, desired.sources, desired.multiple)}
    revisions = [each.revision for each in desired.manifests or ()] or desired.revisions
    status |= {"revisions": revisions} if desired.multiple else {"revision": (revisions or [""])[0]}
    found = Comparison(status, changes=desired.changes)
    found.kinds = [each.kind for each in desired.manifests or ()]
    if desired.failure:
        found.conditions.append(condition("ComparisonError", desired.failure))
    objects = desired.local if desired.local is not None else [o for m in desired.manifests or () for o in m.objects]
    targets = await _targets(app, objects, around, found)
    targets = [pair for pair in targets if not hooks.on_delete_only(pair[0])]
    found.hooks = [each for each, _ in targets if hooks.is_hook(each)]
    await _pair(app, targets, around, found)
    await _judge(app, around, found)
    _health(app, around, found)
    return found


async def _targets(
    app: Obj, objects: list[Obj], around: Surroundings, found: Comparison
) -> list[tuple[Obj, Resource | None]]:
    """The objects with namespace and marks; of those that appear twice the last one counts."""
    namespace = destination_namespace(app)
    by_key: dict[Key, list[tuple[Obj, Resource | None]]] = {}
    for number, each in enumerate(objects):
        resource = await around.cluster.resource(str(each["apiVersion"]), str(each["kind"]))
        meta = {k: v for k, v in each["metadata"].items() if k != "namespace"}
        if resource is None or resource.namespaced:
            meta["namespace"] = each["metadata"].get("namespace") or namespace
        obj = around.tracking.marked({**each, "metadata": meta}, around.instance, namespace)
        key = identity(obj)
        if not key.name:
            key = key._replace(name=f"{meta.get('generateName')}{number}")
        by_key.setdefault(key, []).append((obj, resource))
    for key, several in by_key.items():
        if len(several) > 1:
            text = f"Resource {key} appeared {len(several)} times among application resources."
            found.conditions.append(condition("RepeatedResourceWarning", text))
    return [several[-1] for several in by_key.values()]


async def _pair(app: Obj, targets: list[tuple[Obj, Resource | None]], around: Surroundings, found: Comparison) -> None:
    """Every target with what lives in its place, and every other live object with the application's marks."""
    cluster = around.cluster
    resources = {resource for _, resource in targets if resource is not None}
    results = ((operation_state(app) or {}).get("syncResult") or {}).get("resources") or ()
    for each in [*(status_of(app).get("resources") or ()), *results]:
        version = f"{each['group']}/{each['version']}" if each.get("group") else str(each.get("version") or "v1")
        resource = await cluster.resource(version, str(each.get("kind")))
        if resource is not None:
            resources.add(resource)
    await cluster.watch(resources)
    keys = set()
    for target, resource in targets:
        key = identity(target)
        keys.add(key)
        live = cluster.get(resource, key.name, key.namespace) if resource is not None and key.name else None
        if live is not None:
            owner = around.tracking.app_of(live)
            if owner and owner != around.instance:
                text = f"{key.kind}/{key.name} is part of applications {app['metadata'].get('namespace', '')}/"
                text += f"{app['metadata']['name']} and {owner.replace('_', '/')}"
                found.conditions.append(condition("SharedResourceWarning", text))
        if not hooks.is_hook(target):
            found.managed.append(Managed(key, target, live, resource))
    for resource in cluster.watched:
        for live in cluster.all(resource):
            key = identity(live)
            if key in keys or live["metadata"].get("ownerReferences"):
                continue
            if around.tracking.app_of(live) == around.instance:
                keys.add(key)
                found.managed.append(Managed(key, None, live, resource))


async def _judge(app: Obj, around: Surroundings, found: Comparison) -> None:
    """The status of each resource, and of all."""
    how = Applier(MANAGER, option(options_of(app), "ServerSideApply=true"))
    failed = any(each["type"] == "ComparisonError" for each in found.conditions)
    code = "Synced"
    for item in found.managed:
        obj = item.obj
        hook = hooks.is_hook(obj)
        item.own = around.tracking.own(item.live, item.target)
        state: Obj = {"kind": item.key.kind, "name": item.key.name, "version": version_of(obj)}
        state |= {k: v for k, v in (("group", item.key.group), ("namespace", item.key.namespace)) if v}
        if item.target is not None and hooks.wave(item.target):
            state["syncWave"] = hooks.wave(item.target)
        if hook:
            state["hook"] = True
        if item.target is None and item.own:
            state["requiresPruning"] = True
        if item.target is not None and item.live is not None and item.resource is not None:
            target = respecting(app, item.target, item.live, found)
            item.modified = await around.cluster.drifted(item.resource, target, item.live, how)
        counts = not hook and item.own and not (item.target is not None and hooks.skipped(item.target))
        if counts and (item.modified or item.target is None or item.live is None):
            state["status"] = "OutOfSync"
            extra = item.target is None and hooks.has_option(item.live, hooks.COMPARE_OPTIONS, "IgnoreExtraneous")
            code = code if extra else "OutOfSync"
        elif counts:
            state["status"] = "Synced"
        namespaced = item.resource is None or item.resource.namespaced
        permitted = kind_permitted(around.project, item.key.group, item.key.kind, item.key.name, namespaced=namespaced)
        if not permitted or failed:
            state["status"] = "Unknown"
        found.resources.append(state)
    # What a target is compared with may have added an error of its own.
    failed = any(each["type"] == "ComparisonError" for each in found.conditions)
    found.status["status"] = "Unknown" if failed else code
    found.resources.sort(key=lambda r: "/".join(str(r.get(k, "")) for k in ("group", "kind", "namespace", "name")))


def _health(app: Obj, around: Surroundings, found: Comparison) -> None:
    """The worst health of the resources that live; Missing only when none of them does."""
    overall, causes, any_resource, any_live = "Healthy", list[Managed](), False, False
    restored = "resource.customizations.health.argoproj.io_Application" in around.settings
    for item in found.managed:
        if item.target is not None and hooks.skipped(item.target):
            continue
        if item.live is not None and hooks.is_hook(item.live):
            continue
        any_resource = True
        if item.live is None:
            continue
        any_live = True
        if annotations_of(item.live).get(IGNORE_HEALTH) == "true":
            continue
        child = (item.key.group, item.key.kind) == (GROUP, "Application")
        if child and item.live["metadata"].get("uid") == app["metadata"].get("uid"):
            continue
        health: Health | None = resource_health(item.live)
        if health is None and child and restored:
            health = application_health(item.live)
        if health is None or (child and health[0] in ("Missing", "Unknown")):
            continue
        if worse(overall, health[0]):
            overall, causes = health[0], [item]
        elif health[0] == overall != "Healthy":
            causes.append(item)
    if any_resource and not any_live and worse(overall, "Missing"):
        overall, causes = "Missing", []
    found.health = overall
    found.health_message = _causes(causes)


def _causes(causes: list[Managed]) -> str:
    told = []
    for item in causes[:3]:
        key = item.key
        kind = f"{key.group}/{key.kind}" if key.group else key.kind
        told.append(f"{kind}:{key.namespace}/{key.name}" if key.namespace else f"{kind}:{key.name}")
    text = ", ".join(told)
    return f"{text} and {len(causes) - 3} more" if len(causes) > 3 else text


# ignoreDifferences


def respecting(app: Obj, target: Obj, live: Obj, found: Comparison | None = None) -> Obj:
    """The target with the live values of the fields whose differences are ignored."""
    rules = [each for each in spec_of(app).get("ignoreDifferences") or () if _meant(each, target)]
    if not rules:
        return target
    result = copy.deepcopy(target)
    for rule in rules:
        if (rule.get("jqPathExpressions") or rule.get("managedFieldsManagers")) and found is not None:
            text = (
                "ignoreDifferences with jqPathExpressions or managedFieldsManagers is not there in an embedded cluster"
            )
            if not any(each["message"] == text for each in found.conditions):
                found.conditions.append(condition("ComparisonError", text))
        for pointer in rule.get("jsonPointers") or ():
            copy_pointer(result, live, str(pointer))
    return result


def _meant(rule: Obj, obj: Obj) -> bool:
    meta = obj["metadata"]
    return (
        fnmatchcase(group_of(obj), str(rule.get("group", "")))
        and fnmatchcase(str(obj["kind"]), str(rule.get("kind", "")))
        and rule.get("name", "") in ("", meta.get("name"))
        and rule.get("namespace", "") in ("", meta.get("namespace"))
    )


def _steps(pointer: str) -> list[str]:
    return [each.replace("~1", "/").replace("~0", "~") for each in pointer.split("/")[1:]]


def copy_pointer(target: Any, live: Any, pointer: str) -> None:
    """Makes the target have at that place what the live object has there, also nothing."""
    steps = _steps(pointer)
    for step in steps[:-1]:
        below, here = _at(target, step), _at(live, step)
        if below is None and here is not None and isinstance(target, dict):
            below = target[step] = [] if isinstance(here, list) else {}
        if below is None:
            return
        target, live = below, here
    if not steps:
        return
    value = _at(live, steps[-1])
    if isinstance(target, dict):
        if value is None:
            target.pop(steps[-1], None)
        else:
            target[steps[-1]] = copy.deepcopy(value)
    elif isinstance(target, list) and steps[-1].isdigit() and int(steps[-1]) < len(target) and value is not None:
        target[int(steps[-1])] = copy.deepcopy(value)


def _at(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isdigit() and int(step) < len(value):
        return value[int(step)]
    return None
