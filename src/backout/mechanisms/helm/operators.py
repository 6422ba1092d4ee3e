# SPDX-License-Identifier: Apache-2.0
"""The custom resources of a way back, which operators carry out: waiting for them, measuring them, and the rights for that. Pure.

What an operator makes stands in no manifest; it is ready only when the operator has taken up what the target revision says,
and what it made of that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backout.helm.customs import CustomId
from backout.kube.custom_status import CustomState, custom_health
from backout.kube.groups import custom
from backout.kube.services import Maker
from backout.mechanisms.common.operated import Subject, params_of
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.mechanisms.helm.children import Custom
from backout.model.target import ObjectRef

READ = ("get", "list", "watch")
CODE = "custom-resource"


def subjects(analysis: Analysis) -> list[Subject]:
    """Those of which something is made or somebody is to say how they are, and those that the way back changes."""
    found = []
    telling = {item.ref.kind for item in _customs(analysis) if _tells(item) or _made(analysis, item) is not None}
    for item in _customs(analysis):
        made = _made(analysis, item)
        changed = item.live is None or any(not field.path.startswith(("metadata", "status")) for field in item.fields)
        if made is None and not changed:
            continue
        assert item.resource is not None
        children = made.children if made is not None else ()
        answered = made is not None or item.ref.kind in telling
        mute = not answered and _identity(analysis, item) in analysis.mute
        params = params_of(item.ref, item.resource, children, analysis.namespace, changed=changed, answers=not mute)
        found.append(
            Subject(params=params, children=children, changed=changed, waits=bool(children) or (changed and answered))
        )
    return found


def _customs(analysis: Analysis) -> Iterator[Item]:
    for item in analysis.items:
        if item.target is not None and item.resource is not None and custom(item.ref.api_version):
            yield item


def _made(analysis: Analysis, item: Item) -> Custom | None:
    return analysis.customs.get(_identity(analysis, item))


def _identity(analysis: Analysis, item: Item) -> CustomId:
    return item.ref.kind, item.ref.namespace or analysis.namespace, item.ref.name


def _tells(item: Item) -> bool:
    return item.live is not None and custom_health(item.live).state is not CustomState.UNKNOWN


def present(customs: Iterable[Custom], kept: Iterable[tuple[str, str, str]], namespace: str) -> list[Subject]:
    """Those of which something is made now or somebody is to say how they are, of the revision that is in force."""
    mine = set(kept)
    found = []
    for one in customs:
        if one.served is None or one.resource.id not in mine:
            continue
        ref = ObjectRef(one.resource.api_version, one.resource.kind, one.resource.name, one.resource.namespace)
        params = params_of(ref, one.served, one.children, namespace, changed=False)
        found.append(Subject(params=params, children=one.children))
    return found


def makers(customs: Iterable[Custom]) -> list[Maker]:
    """What makes pods of them."""
    return [Maker(child.labels, child.desired) for one in customs for child in one.children]
