# SPDX-License-Identifier: Apache-2.0
"""From which Git repositories an application of Argo CD or Flux is made, as its own object says. Pure.

Fields: argo-cd pkg/apis/application/v1alpha1/types.go (ApplicationSource, SourceHydrator), docs/user-guide/multiple_sources.md
(``$ref``), docs/operator-manual/high_availability.md (``manifest-generate-paths``); fluxcd/source-controller
api/v1/gitrepository_types.go (GitRepositoryRef: commit before name, semver, tag, branch; ``master`` by default),
fluxcd/kustomize-controller api/v1/kustomization_types.go, fluxcd/helm-controller api/v2/helmrelease_types.go.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from backout.errors import UsageError
from backout.git.inputs import Application, Source
from backout.git.words import require_path

GENERATED = "argocd.argoproj.io/manifest-generate-paths"
FLUX_BRANCH = "master"
"""What source-controller takes where a GitRepository names nothing."""
_OPEN = re.compile(r"[$*?\[{]")


def of_argocd(obj: Mapping[str, Any], cluster: str = "") -> Application:
    """An ``Application`` with its sources; of one that is hydrated, the *dry* ones: only these are written by people."""
    meta, spec = _dict(obj.get("metadata")), _dict(obj.get("spec"))
    return Application(
        name=f"app/{meta.get('name', '')}",
        cluster=cluster,
        sources=argocd_sources(spec, str(_dict(meta.get("annotations")).get(GENERATED) or "")),
    )


def argocd_sources(spec: Mapping[str, Any], generated: str = "") -> tuple[Source, ...]:
    """The sources of an application's ``spec``; ``generated`` is the annotation ``manifest-generate-paths``."""
    dry = _dict(_dict(spec.get("sourceHydrator")).get("drySource"))
    several = [one for one in spec.get("sources") or () if isinstance(one, dict)]
    given = [dry] if dry else several or [_dict(spec.get("source"))]
    named = {str(one["ref"]): one for one in given if one.get("ref")}
    taken: dict[str, list[str]] = {name: [] for name in named}
    found = []
    for one in given:
        files: list[str] = []
        folders: list[str] = []
        path = _path(one.get("path"))
        for name in _read_by(one):
            ref, slash, rest = name.removeprefix("$").partition("/")
            if name.startswith("$") and slash and ref in named:
                taken[ref].append(rest)
                continue
            _add(name, path, files, folders)
        for folder in [*_strings(_dict(one.get("kustomize")).get("components")), *_libraries(one)]:
            _add(folder, path, folders, folders)
        for folder in generated.split(";") if generated else ():
            _add(folder.strip(), path, folders, folders)
        if one.get("repoURL"):
            found.append((one, path, files, folders))
    return tuple(
        _source(one, path, files, folders, taken.get(str(one.get("ref")), [])) for one, path, files, folders in found
    )


def of_flux(obj: Mapping[str, Any], repository: Mapping[str, Any], cluster: str = "") -> Application:
    """A ``Kustomization``, or a ``HelmRelease`` whose chart lies in Git, with the ``GitRepository`` that it names."""
    meta, spec = _dict(obj.get("metadata")), _dict(obj.get("spec"))
    there = _dict(repository.get("spec"))
    chart = _dict(_dict(spec.get("chart")).get("spec"))
    files: list[str] = []
    folders: list[str] = []
    if obj.get("kind") == "HelmRelease":
        path = _path(chart.get("chart"))
        for name in [*_strings(chart.get("valuesFiles")), *_strings([chart.get("valuesFile")])]:
            _add(name, "", files, folders)  # from the root of the source
    else:
        path = _path(spec.get("path"))
        for name in _strings(spec.get("components")):
            _add(name, path, folders, folders)
    source = Source(
        url=str(there.get("url") or ""),
        revision=flux_revision(_dict(there.get("ref"))),
        path=path,
        files=tuple(files),
        folders=tuple(folders),
    )
    kind = str(obj.get("kind") or "Kustomization").lower()
    return Application(name=f"{kind}/{meta.get('name', '')}", cluster=cluster, sources=(source,) if source.url else ())


def flux_revision(ref: Mapping[str, Any]) -> str:
    """What a GitRepository follows: a branch by its name, anything else as it stands there."""
    for key in ("commit", "name", "semver", "tag"):
        if ref.get(key):
            value = str(ref[key])
            return f"refs/tags/{value}" if key == "tag" else value
    return str(ref.get("branch") or FLUX_BRANCH)


def _source(one: Mapping[str, Any], path: str, files: list[str], folders: list[str], taken: list[str]) -> Source:
    for name in taken:
        _add(name, "", files, folders)
    has_path = bool(one.get("path"))
    return Source(
        url=str(one["repoURL"]),
        revision=str(one.get("targetRevision") or ""),
        path=path,
        files=tuple(dict.fromkeys(files)),
        folders=tuple(dict.fromkeys(folders)),
        chart=str(one.get("chart") or ""),
        # A source with a name and no path gives files to others alone.
        whole=has_path or not one.get("ref"),
    )


def _read_by(one: Mapping[str, Any]) -> Iterator[str]:
    helm = _dict(one.get("helm"))
    yield from _strings(helm.get("valueFiles"))
    for parameter in helm.get("fileParameters") or ():
        yield from _strings([_dict(parameter).get("path")])


def _libraries(one: Mapping[str, Any]) -> Iterator[str]:
    """Folders of a jsonnet library, which count from the root."""
    libraries = _dict(_dict(one.get("directory")).get("jsonnet")).get("libs")
    yield from (f"/{name.lstrip('/')}" for name in _strings(libraries))


def _add(name: str, folder: str, files: list[str], folders: list[str]) -> None:
    """A name as a path from the root. One with a variable or a pattern in it stands for the whole folder before that."""
    if "://" in name or not name:
        return
    path = name if name.startswith("/") else posixpath.join("/", folder, name)
    open_ = _OPEN.search(path)
    if open_ is not None:
        path, files = path[: open_.start()].rpartition("/")[0] or "/", folders
    files.append(posixpath.normpath(path).strip("/"))


def _path(found: Any) -> str:
    try:
        return require_path(posixpath.normpath(str(found))) if found else ""
    except UsageError:
        return ""


def _dict(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _strings(found: Any) -> Iterator[str]:
    yield from (one for one in found if isinstance(one, str) and one) if isinstance(found, list) else ()
