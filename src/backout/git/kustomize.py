# SPDX-License-Identifier: Apache-2.0
"""What a kustomization or a chart reads besides its own folder. Pure: content in, names out.

Fields: kubernetes-sigs/kustomize api/types/kustomization.go (Kustomization), api/types/helmchartargs.go (HelmChart),
api/types/kvpairsources (``files``, ``envs``); which names are remote: api/internal/git/repospec.go. Charts: helm's
Chart.yaml ``dependencies[].repository`` with ``file://``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from backout.model.yamltext import Unbounded, load

FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""How kustomize calls them, in the order in which it looks (api/konfig)."""
CHART = "Chart.yaml"
_REMOTE = re.compile(
    r"^(?:[a-zA-Z][\w+.-]*(?:://|::)|[\w.-]+@[\w.-]+[:/]|github\.com[/:]|[\w-]+(?:\.[\w-]+)+/.+//)|\?(?:.*&)?(?:ref|version)="
)
_LISTS = ("resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators")
_GENERATORS = ("configMapGenerator", "secretGenerator")


class References(msgspec.Struct, frozen=True):
    """What one file names: ``local`` paths as they stand there (files or folders), ``remote`` places outside, and folders
    that count as a whole. ``problem``: why it can't be read, so that what it names is not known."""

    local: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    remote: tuple[str, ...] = ()
    problem: str = ""


def of_kustomization(content: bytes) -> References:
    """What a kustomization file names."""
    try:
        found = load(content)
    except (Unbounded, RecursionError) as error:
        return References(problem=str(error) or "it is nested too deeply")
    except Exception as error:  # whatever a parser says of bytes that are no YAML
        return References(problem=f"it is no YAML ({type(error).__name__})")
    if not isinstance(found, dict):
        return References(problem="it is no mapping")
    names = [name.strip() for name in _names(found) if name.strip()]
    local = [name for name in names if not _is_remote(name)]
    return References(
        local=tuple(dict.fromkeys(local)),
        folders=tuple(dict.fromkeys(_chart_folders(found))),
        remote=tuple(dict.fromkeys([*(name for name in names if _is_remote(name)), *_chart_repositories(found)])),
    )


def of_chart(content: bytes) -> References:
    """What a chart's ``Chart.yaml`` names: charts beside it, and repositories."""
    try:
        found = load(content)
    except Exception as error:  # as above
        return References(problem=f"it is no YAML ({type(error).__name__})")
    folders, remote = [], []
    for one in _dicts(found, "dependencies"):
        place = one.get("repository")
        if isinstance(place, str) and place.startswith("file://"):
            folders.append(place.removeprefix("file://"))
        elif isinstance(place, str) and place:
            remote.append(place)
    return References(folders=tuple(dict.fromkeys(folders)), remote=tuple(dict.fromkeys(remote)))


def _names(found: dict[Any, Any]) -> Iterator[str]:
    for key in _LISTS:
        yield from (name for name in _strings(found.get(key)) if not _inline(name))
    for patch in _dicts(found, "patches"):
        yield from _strings([patch.get("path")])
    yield from (name for name in _strings(found.get("patchesStrategicMerge")) if not _inline(name))
    for patch in _dicts(found, "patchesJson6902"):
        yield from _strings([patch.get("path")])
    for replacement in _dicts(found, "replacements"):
        yield from _strings([replacement.get("path")])
    openapi = found.get("openapi")
    if isinstance(openapi, dict):
        yield from _strings([openapi.get("path")])
    for key in _GENERATORS:
        for generator in _dicts(found, key):
            yield from (name.partition("=")[2] or name for name in _strings(generator.get("files")))
            yield from _strings(generator.get("envs"))
            yield from _strings([generator.get("env")])
    for chart in _dicts(found, "helmCharts"):
        yield from _strings([chart.get("valuesFile")])
        yield from _strings(chart.get("additionalValuesFiles"))
    for chart in _dicts(found, "helmChartInflationGenerator"):
        yield from _strings([chart.get("values")])


def _chart_folders(found: dict[Any, Any]) -> Iterator[str]:
    """Where charts lie that are inflated: ``chartHome/name`` (``charts`` by default), or ``chartHome/name-version/name``."""
    settings = found.get("helmGlobals")
    home = settings.get("chartHome") if isinstance(settings, dict) else None
    home = home if isinstance(home, str) and home else "charts"
    for chart in _dicts(found, "helmCharts"):
        name, version = chart.get("name"), chart.get("version")
        if isinstance(name, str) and name:
            yield f"{home}/{name}"
            if isinstance(version, str | int | float):
                yield f"{home}/{name}-{version}"
    for chart in _dicts(found, "helmChartInflationGenerator"):
        name, own = chart.get("chartName"), chart.get("chartHome")
        if isinstance(name, str) and name:
            yield f"{own if isinstance(own, str) and own else 'charts'}/{name}"


def _chart_repositories(found: dict[Any, Any]) -> Iterator[str]:
    for key, field in (("helmCharts", "repo"), ("helmChartInflationGenerator", "chartRepoUrl")):
        for chart in _dicts(found, key):
            yield from _strings([chart.get(field)])


def _is_remote(name: str) -> bool:
    """A place outside of the repository: an URL, ``git@host:…``, or with ``?ref=`` of one, as kustomize takes them."""
    return _REMOTE.search(name) is not None


def _inline(name: str) -> bool:
    """A manifest written where a name may stand."""
    return "\n" in name or name.lstrip().startswith(("{", "- op"))


def _strings(found: Any) -> Iterator[str]:
    yield from (one for one in found if isinstance(one, str) and one) if isinstance(found, list) else ()


def _dicts(found: Any, key: str) -> Iterator[dict[Any, Any]]:
    inner = found.get(key) if isinstance(found, dict) else None
    yield from (one for one in inner if isinstance(one, dict)) if isinstance(inner, list) else ()
