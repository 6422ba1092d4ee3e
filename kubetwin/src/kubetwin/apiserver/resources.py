# SPDX-License-Identifier: Apache-2.0
"""What the server serves: resource types of the built-in groups and of CustomResourceDefinitions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from kubetwin.apiserver import builtin

if TYPE_CHECKING:
    from kubetwin.apiserver.schema import Schema

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource such as ``status`` or ``scale``, with the kind it speaks."""

    name: str
    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]
    foreign: bool = False
    """The kind belongs to another group/version than the resource's own (shown in discovery)."""


@dataclass(frozen=True, slots=True, eq=False)
class ResourceType:
    """One resource in one API version.

    ``storage_group``/``storage_version`` say as what it is stored: two types with the same ``storage_key`` are views of
    the same objects. ``crd_version`` is the entry of a CustomResourceDefinition's ``spec.versions`` for custom
    resources, else None; ``schema`` the structural schema of that version.
    """

    group: str
    version: str
    resource: str
    kind: str
    singular: str
    namespaced: bool
    list_kind: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: dict[str, Subresource] = field(default_factory=dict)
    storage_group: str = ""
    storage_version: str = ""
    selectable: tuple[str, ...] = ()
    crd_version: dict[str, Any] | None = None
    schema: Schema | None = None
    deprecation: str = ""
    """What a warning says to whoever uses this version."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage_api_version(self) -> str:
        return f"{self.storage_group}/{self.storage_version}" if self.storage_group else self.storage_version

    @property
    def storage_key(self) -> tuple[str, str]:
        return (self.storage_group, self.resource)

    @property
    def group_resource(self) -> str:
        """As error messages write it: ``deployments.apps``, ``pods``."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def group_kind(self) -> str:
        """As error messages write it: ``Deployment.apps``, ``Pod``."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def converts(self) -> bool:
        """Objects are stored in another API version than this one."""
        return self.api_version != self.storage_api_version


def version_priority(version: str) -> tuple[int, int, int, str]:
    """A sort key that puts v2 before v1 before v1beta2 before v1alpha1 before other names (as apimachinery does)."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if found is None:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[found[2]]
    return (stage, -int(found[1]), -int(found[3] or 0), version)


class Registry:
    """The resource types of one cluster; :attr:`generation` rises when custom resources come, change or go."""

    def __init__(self) -> None:
        self.generation = 0
        self._types: dict[tuple[str, str, str], ResourceType] = {}
        self._kinds: dict[tuple[str, str], ResourceType] = {}
        self._stored: dict[tuple[str, str], ResourceType] = {}
        for resource_type in builtin_types():
            self._add(resource_type)

    def _add(self, resource_type: ResourceType) -> None:
        self._types[resource_type.group, resource_type.version, resource_type.resource] = resource_type
        self._kinds[resource_type.api_version, resource_type.kind] = resource_type
        if not resource_type.converts:
            self._stored[resource_type.storage_key] = resource_type

    def get(self, group: str, version: str, resource: str) -> ResourceType | None:
        return self._types.get((group, version, resource))

    def for_kind(self, api_version: str, kind: str) -> ResourceType | None:
        return self._kinds.get((api_version, kind))

    def stored(self, storage_key: tuple[str, str]) -> ResourceType | None:
        """The type in which objects of ``storage_key`` are stored."""
        return self._stored.get(storage_key)

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(self._types.values())

    def has_group_version(self, group: str, version: str) -> bool:
        return any(g == group and v == version for g, v, _ in self._types)

    def is_built_in(self, group: str) -> bool:
        """Whether the group is the server's own, not one that only custom resources are in."""
        return any(g == group and found.crd_version is None for (g, _, _), found in self._types.items())

    def replace_custom(self, group: str, resource: str, types: Iterable[ResourceType]) -> None:
        """Serve exactly ``types`` for the custom resource ``resource.group`` (none: stop serving it)."""
        for key in [k for k in self._types if k[0] == group and k[2] == resource]:
            old = self._types.pop(key)
            self._kinds.pop((old.api_version, old.kind), None)
            self._stored.pop(old.storage_key, None)
        for resource_type in types:
            self._add(resource_type)
        self.generation += 1


def _subresource(text: str, group: str, version: str, kind: str) -> Subresource:
    text, _, verbs = text.partition("=")
    name, *rest = text.split(":")
    foreign = len(rest) == 2
    if foreign:
        group, _, version = rest[0].partition("/")
    if rest:
        kind = rest[-1]
    return Subresource(name, group, version, kind, tuple((verbs or "get,patch,update").split(",")), foreign)


@cache
def builtin_types() -> tuple[ResourceType, ...]:
    """The types of :data:`kubetwin.apiserver.builtin.TABLE`, parsed once."""
    out: list[ResourceType] = []
    group = version = ""
    for line in builtin.TABLE.strip().splitlines():
        if line.startswith("@ "):
            group, _, version = line[2:].rpartition("/")
            continue
        resource, kind, scope, *rest = line.split()
        options = dict(item.split("=", 1) for item in rest if not item.startswith("/"))
        subresources = [_subresource(item[1:], group, version, kind) for item in rest if item.startswith("/")]
        storage_group, storage_version, _ = builtin.STORED_AS.get((group, version, resource), (group, version, ""))
        out.append(
            ResourceType(
                group=group,
                version=version,
                resource=resource,
                kind=kind,
                singular=options.get("singular", kind.lower()),
                namespaced=scope == "N",
                list_kind=kind + "List",
                short_names=tuple(options["short"].split(",")) if "short" in options else (),
                categories=tuple(options["in"].split(",")) if "in" in options else (),
                verbs=tuple(options["verbs"].split(",")) if "verbs" in options else ALL_VERBS,
                subresources={s.name: s for s in subresources},
                storage_group=storage_group,
                storage_version=storage_version,
                selectable=builtin.SELECTABLE.get((storage_group, resource), ()),
                deprecation=builtin.DEPRECATED.get((group, version, resource), ""),
            )
        )
    return tuple(out)
