# SPDX-License-Identifier: Apache-2.0
"""The rights that the releases of a namespace need beyond those of ordinary charts: by the kinds that they hold, and the namespaces in
which they have them (kube-prometheus-stack has Services in kube-system)."""

from __future__ import annotations

from backout.cluster.port import ClusterReader
from backout.errors import BackoutError
from backout.helm.manifest import entries
from backout.helm.records import Records
from backout.kube.groups import custom
from backout.model.part import Access

WRITE = ("get", "create", "patch", "delete")
WATCH = ("list", "watch")


async def held_access(reader: ClusterReader, namespace: str) -> set[Access]:
    """To write each kind, and to watch what operators carry out. Releases that can't be read are left out: `doctor` asks for the
    right to read them, too."""
    found: set[Access] = set()
    if not namespace:
        return found
    records = Records(reader, namespace)
    kinds: set[tuple[str, str, str]] = set()
    try:
        names = sorted({name for _, name in await records.releases()})
    except BackoutError:
        return found
    for name in names:
        try:
            release = await records.load(await records.head(name))
            kinds |= {
                (entry.api_version, entry.kind, entry.namespace(namespace)) for entry in entries(release.manifest)
            }
        except BackoutError:
            continue
    for api_version, kind, there in sorted(kinds):
        try:
            resource = await reader.resource(api_version, kind)
        except BackoutError:
            continue
        place = there if resource.namespaced else ""
        verbs = (*WRITE, *WATCH) if custom(api_version) else WRITE
        found |= {Access(verb, resource.group, resource.plural, place) for verb in verbs}
    return found
