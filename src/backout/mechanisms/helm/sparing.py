# SPDX-License-Identifier: Apache-2.0
"""What of a release a rollback can leave as it is, and what not. Pure.

Helm writes every object of the revision that it goes to, so none of those can be left out. What that revision lacks is
deleted, unless the live object says ``helm.sh/resource-policy: keep`` (helm pkg/kube/client.go, Update). So an object that
somebody wants to have left out of that gets this mark before, and loses it again when the run is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from backout.kube.names import HELM_KEEP
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.mechanisms.helm.params import KeepParams, KeptObject
from backout.mechanisms.helm.preview import hooks_of
from backout.mechanisms.port import wire
from backout.model.message import Message, msg
from backout.model.part import Access, Check, Compensation, Step
from backout.model.skip import Skip
from backout.model.target import ObjectRef, Target

KEEP = "keep"
DEFINITION = "CustomResourceDefinition"


def spare(analysis: Analysis, skip: Sequence[Skip]) -> Analysis:
    """The analysis in which what is to be left out is kept, where it can be."""
    if not skip:
        return analysis
    meant = [item for item in analysis.items if any(one.means(item.ref) for one in skip)]
    left = {item.ref for item in meant if item.gone and item.live is not None}
    items = tuple(
        msgspec.structs.replace(item, spared=not item.kept, kept=True) if item.ref in left else item
        for item in analysis.items
    )
    return msgspec.structs.replace(analysis, items=items, skip=tuple(skip))


def skipped(analysis: Analysis) -> tuple[tuple[ObjectRef, Message], ...]:
    """What stays, and why it does."""
    found = []
    for item in _meant(analysis):
        if item.spared and _goes_with(item, analysis) is None:
            how = msg(
                "It gets the annotation helm.sh/resource-policy: keep before, and Helm leaves it. No revision has it then."
            )
            found.append((item.ref, how))
        elif item.gone and item.kept and item.live is not None and not item.spared:
            found.append((item.ref, msg("Its annotation helm.sh/resource-policy: keep holds it anyhow.")))
        elif _stays_anyhow(item):
            found.append((item.ref, msg("It can't go back, and stays as it is anyhow.")))
    return tuple(found)


def _stays_anyhow(item: Item) -> bool:
    return bool(item.stays) and not item.fields


def unskippable(analysis: Analysis) -> tuple[tuple[ObjectRef, Message], ...]:
    """What can't be left out, and why."""
    found: list[tuple[ObjectRef, Message]] = []
    for item in _meant(analysis):
        if not item.gone and not _stays_anyhow(item):
            found.append((item.ref, msg("Helm writes every object of the revision that it goes to.")))
        elif item.spared and (other := _goes_with(item, analysis)) is not None:
            why = msg("It goes with {other}, which Helm deletes; leave that out, too.", other=str(other))
            found.append((item.ref, why))
    if analysis.hooks:
        hooks = {(hook.kind, hook.name) for _, hook in hooks_of(analysis.target_release)}
        refs = [ObjectRef("batch/v1", kind, name, analysis.namespace) for kind, name in sorted(hooks)]
        why = msg("It is a hook of the revision that Helm goes to. --no-hooks leaves all of them out.")
        found += [(ref, why) for ref in refs if any(one.means(ref) for one in analysis.skip)]
    return tuple(found)


def _meant(analysis: Analysis) -> Iterable[Item]:
    return (item for item in analysis.items if any(one.means(item.ref) for one in analysis.skip))


def _goes_with(item: Item, analysis: Analysis) -> ObjectRef | None:
    """What the rollback deletes, and takes the object with it: its namespace, or the definition of its kind."""
    group = item.ref.api_version.partition("/")[0]
    for other in analysis.items:
        if not other.gone or other.kept or other.live is None:
            continue
        if other.ref.kind == "Namespace" and other.ref.name == item.ref.namespace:
            return other.ref
        spec = other.live.get("spec") or {}
        if (
            other.ref.kind == DEFINITION
            and spec.get("group") == group
            and (spec.get("names") or {}).get("kind") == item.ref.kind
        ):
            return other.ref
    return None


def spared_items(analysis: Analysis) -> list[Item]:
    """The objects that get the mark."""
    return [item for item in analysis.items if item.spared]


def keep_steps(analysis: Analysis, target: Target) -> list[Step]:
    """One for each object that gets the mark."""
    return [_keep(item, target) for item in spared_items(analysis)]


def _keep(item: Item, target: Target) -> Step:
    assert item.live is not None and item.resource is not None
    former = ((item.live["metadata"].get("annotations")) or {}).get(HELM_KEEP)
    params = KeepParams(**_named(item.ref), uid=item.ref.uid, value=KEEP, former=former)
    back = KeepParams(**_named(item.ref), uid=item.ref.uid, value=former, former=KEEP)
    place = item.ref.namespace
    group, plural = item.resource.group, item.resource.plural
    return Step(
        id=f"keep-{str(item.ref).replace('/', '-')}" + (f"-{place}" if place and place != target.namespace else ""),
        action="helm.keep",
        target=target,
        title=msg("Mark {object} to be kept, as you asked", object=str(item.ref)),
        params=wire(params),
        precondition={"uid": item.ref.uid},
        effect=msg("The annotation helm.sh/resource-policy: keep, which Helm heeds."),
        compensation=Compensation(
            "helm.keep", wire(back), tuple(Access(verb, group, plural, place) for verb in ("get", "patch"))
        ),
        timeout=60.0,
    )


def _named(ref: ObjectRef) -> dict[str, str]:
    return {"api_version": ref.api_version, "kind": ref.kind, "name": ref.name, "namespace": ref.namespace}


def keep_checks(analysis: Analysis, target: Target) -> list[Check]:
    """That what was to stay is there, and is what it was."""
    items = spared_items(analysis)
    if not items:
        return []
    names = ", ".join(str(item.ref) for item in items)
    objects = [wire(KeptObject(**_named(item.ref), uid=item.ref.uid)) for item in items]
    title = msg("What was to be left out is still there: {objects}", objects=names)
    return [Check(code="left-out", target=target, params={"objects": objects}, title=title)]


__all__ = ["keep_checks", "keep_steps", "skipped", "spare", "spared_items", "unskippable"]
