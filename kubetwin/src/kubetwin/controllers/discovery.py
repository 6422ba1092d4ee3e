# SPDX-License-Identifier: Apache-2.0
"""Which resources a server has, for the loops that work on all of them (garbage collector, namespaces)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kubetwin.client import Api, ApiException, Obj, Resource

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
_NEEDED = frozenset(("list", "watch", "delete"))


@dataclass(frozen=True, slots=True)
class Discovered:
    resource: Resource
    verbs: frozenset[str]

    @property
    def collectable(self) -> bool:
        return self.verbs >= _NEEDED


async def discover(api: Api) -> list[Discovered]:
    """Every resource in its group's preferred version, without subresources."""
    found: list[Discovered] = []
    for path in ("/api", "/apis"):
        document = await api.request("GET", path, accept=_AGGREGATED)
        if document.get("kind") == "APIGroupDiscoveryList":
            found.extend(_from_aggregated(document))
        else:
            found.extend(await _from_plain(api, path, document))
    return found


def _from_aggregated(document: Obj) -> Iterable[Discovered]:
    for group in document.get("items") or ():
        seen: set[str] = set()
        name = (group.get("metadata") or {}).get("name") or ""
        for version in group.get("versions") or ():
            for item in version.get("resources") or ():
                if item["resource"] in seen or "responseKind" not in item:
                    continue
                seen.add(item["resource"])
                resource = Resource(
                    name,
                    version["version"],
                    item["resource"],
                    item["responseKind"]["kind"],
                    item.get("scope") == "Namespaced",
                )
                yield Discovered(resource, frozenset(item.get("verbs") or ()))


async def _from_plain(api: Api, path: str, document: Obj) -> list[Discovered]:
    groups = (
        [("", ["v1"])]
        if path == "/api"
        else [(g["name"], [g["preferredVersion"]["version"]]) for g in document.get("groups") or ()]
    )
    out: list[Discovered] = []
    for group, versions in groups:
        for version in versions:
            root = f"/apis/{group}/{version}" if group else f"/api/{version}"
            try:
                listing = await api.request("GET", root)
            except ApiException:
                # One broken group must not hide the others.
                continue
            for item in listing.get("resources") or ():
                if "/" not in item["name"]:
                    resource = Resource(group, version, item["name"], item["kind"], bool(item.get("namespaced")))
                    out.append(Discovered(resource, frozenset(item.get("verbs") or ())))
    return out


def of_crd(crd: Obj) -> Resource | None:
    """The resource of an established CustomResourceDefinition, in a served version."""
    spec = crd["spec"]
    conditions = (crd.get("status") or {}).get("conditions") or ()
    if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
        return None
    served = [v["name"] for v in spec.get("versions") or () if v.get("served")]
    if not served:
        return None
    stored = [v["name"] for v in spec["versions"] if v.get("storage") and v.get("served")]
    version = (stored or served)[0]
    return Resource(
        spec["group"], version, spec["names"]["plural"], spec["names"]["kind"], spec.get("scope") == "Namespaced"
    )
