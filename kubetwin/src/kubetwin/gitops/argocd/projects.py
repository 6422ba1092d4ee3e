# SPDX-License-Identifier: Apache-2.0
"""What a project permits. Pure.

Facts: argo-cd util/argo/argo.go (``ValidatePermissions``), pkg/apis/application/v1alpha1/app_project_types.go
(``IsSourcePermitted``, ``isDestinationMatched``, ``IsGroupKindNamePermitted``; ``!`` denies).
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from kubetwin.client import Obj
from kubetwin.gitops.argocd.application import API_VERSION, several, source_of, sources_of, spec_of

DEFAULT = "default"
IN_CLUSTER = "https://kubernetes.default.svc"
IN_CLUSTER_NAME = "in-cluster"


def default_project(namespace: str) -> Obj:
    """The project that every Argo CD makes for itself: everything is permitted."""
    every = [{"group": "*", "kind": "*"}]
    spec = {
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "namespace": "*"}],
        "clusterResourceWhitelist": every,
    }
    meta = {"name": DEFAULT, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "AppProject", "metadata": meta, "spec": spec}


def project_name(app: Obj) -> str:
    return str(spec_of(app).get("project") or DEFAULT)


def refusals(app: Obj, project: Obj, clusters: dict[str, str]) -> list[str]:
    """Why an application may not be what it is; ``clusters`` are the known ones, name → server."""
    found: list[str] = []
    name = project["metadata"]["name"]
    hydrator = spec_of(app).get("sourceHydrator")
    for source in [hydrator.get("drySource") or {}, source_of(app)] if hydrator else sources_of(app):
        if not source.get("repoURL"):
            return ["spec.source.repoURL and either spec.source.path or spec.source.chart are required"]
        bare = not source.get("path") and not source.get("chart") and not source.get("ref")
        if bare and (not several(app) or not source.get("path")):
            return ["spec.source.repoURL and either spec.source.path or spec.source.chart are required"]
        if source.get("chart") and not source.get("targetRevision"):
            return ["spec.source.targetRevision is required if the manifest source is a helm chart"]
        if not source_permitted(project, str(source["repoURL"])):
            found.append(f"application repo {source['repoURL']} is not permitted in project '{name}'")
    destination = spec_of(app).get("destination") or {}
    given, server = destination.get("name") or "", destination.get("server") or ""
    if given and server:
        return [*found, f"application destination can't have both name and server defined: {given} {server}"]
    if not given and not server:
        return [*found, "destination server missing from app spec"]
    if given and given not in clusters:
        return [*found, f"unable to find destination server: there are no clusters with this name: {given}"]
    if server and server.rstrip("/") not in clusters.values():
        return [*found, f'unable to find destination server: cluster "{server}" not found']
    server = server.rstrip("/") or clusters[given]
    given = given or next(each for each, where in clusters.items() if where == server)
    namespace = str(destination.get("namespace") or "")
    if not destination_permitted(project, given, server, namespace):
        shown = destination.get("name") or server
        found.append(
            f"application destination server '{shown}' and namespace '{namespace}' do not match any of the allowed "
            f"destinations in project '{name}'"
        )
    return found


def source_permitted(project: Obj, url: str) -> bool:
    """Whether a repository is one of the project's; a pattern with ``!`` that matches denies it."""
    allowed = False
    for pattern in (project.get("spec") or {}).get("sourceRepos") or ():
        if str(pattern).startswith("!"):
            if _matches(str(pattern)[1:], url):
                return False
        else:
            allowed = allowed or _matches(str(pattern), url)
    return allowed


def destination_permitted(project: Obj, name: str, server: str, namespace: str) -> bool:
    allowed = False
    for item in (project.get("spec") or {}).get("destinations") or ():
        where, place = str(item.get("server") or ""), str(item.get("namespace") or "")
        called = str(item.get("name") or "")
        denied = [p[1:] for p in (where, called) if p.startswith("!")]
        here = (where and _matches(where, server)) or (called and _matches(called, name))
        if any(_matches(each, value) for each in denied for value in (server, name)):
            if _matches(place, namespace):
                return False
        elif here and place.startswith("!"):
            if _matches(place[1:], namespace):
                return False
        elif here and _matches(place, namespace):
            allowed = True
    return allowed


def kind_permitted(project: Obj, group: str, kind: str, name: str, *, namespaced: bool) -> bool:
    """Whether objects of a kind may be managed: namespaced ones unless denied, cluster-wide ones only when allowed."""
    spec = project.get("spec") or {}
    scope = "namespace" if namespaced else "cluster"
    white, black = spec.get(f"{scope}ResourceWhitelist"), spec.get(f"{scope}ResourceBlacklist")

    def listed(items: list[Obj] | None) -> bool:
        return any(
            fnmatchcase(group, str(each.get("group", "")))
            and fnmatchcase(kind, str(each.get("kind", "")))
            and (namespaced or not each.get("name") or fnmatchcase(name, str(each["name"])))
            for each in items or ()
        )

    return (listed(white) or (namespaced and white is None)) and not listed(black)


def _matches(pattern: str, value: str) -> bool:
    return pattern == value or fnmatchcase(_plain(value), _plain(pattern))


def _plain(url: str) -> str:
    return url.lower().removesuffix("/").removesuffix(".git")
