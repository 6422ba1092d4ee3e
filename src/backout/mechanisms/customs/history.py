# SPDX-License-Identifier: Apache-2.0
"""What a custom resource said over time: by the templates that its pods were made from, and by the snapshots of its namespace.

Where it keeps templates (a Rollout, a CloneSet), those are its revisions, with their numbers; what the last good snapshot holds is
one more where it is none of them. Else each content in a row of snapshots is one. What was applied last is one where somebody
changed it since. What only the cluster holds comes last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from backout.changes.authors import written_at
from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import NoGoodRevision, ObjectNotFound
from backout.helm.customs import CustomResource
from backout.kube.custom_status import CustomHealth, CustomState, custom_health
from backout.kube.names import HELM_RELEASE
from backout.kube.templates import images
from backout.mechanisms.common.evidence import Evidence, gather
from backout.mechanisms.common.kept import FromSnapshot, held, proven, unproven
from backout.mechanisms.common.made import Child, children_of
from backout.mechanisms.customs.body import applied_to, body_of, digest, template_of, with_replicas_of, with_template
from backout.mechanisms.customs.params import FromApplied, FromTemplate, Origin
from backout.mechanisms.customs.templates import KeptTemplate, kept_templates
from backout.model.message import Message, msg
from backout.model.revision import Goodness, Revision
from backout.model.snapshot import Snapshot
from backout.model.target import ObjectRef, Target


class SaidRevision(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the resource said. Holds secrets: never print it. ``origin`` is None for what only the cluster holds."""

    number: int
    digest: str
    body: Object
    origin: Origin | None = None
    created: datetime | None = None
    snapshots: tuple[Snapshot, ...] = ()
    kept: KeptTemplate | None = None

    @property
    def vouching(self) -> list[Snapshot]:
        """The good snapshots that hold it."""
        return [one for one in self.snapshots if one.vouches]


class SaidHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A custom resource with all of its past, as read at one time. Holds secrets."""

    live: Object
    resource: Resource
    past: tuple[SaidRevision, ...]
    current: SaidRevision
    health: CustomHealth
    children: tuple[Child, ...] = ()
    failing: tuple[str, ...] = ()
    """Pods that fail, of workloads that are made of it."""

    @property
    def ref(self) -> ObjectRef:
        """The resource."""
        return ObjectRef.of(self.live)

    def find(self, revision: Revision) -> SaidRevision | None:
        """The revision of that number, if it still says that; else the newest one that does."""
        same = [one for one in self.past if one.digest == revision.digest]
        return next((one for one in same if one.number == revision.number), same[-1] if same else None)


async def resource_of(reader: ClusterReader, target: Target) -> Resource:
    """How the cluster serves the kind that a target names.

    Raises:
        ObjectNotFound: it does not.
    """
    plain, _, group = target.kind.partition(".")
    for served in (await reader.catalogue()).kinds:
        resource = served.resource
        if resource.group == group and plain in (resource.kind.lower(), resource.plural):
            return resource
    raise ObjectNotFound(
        "The cluster does not serve the kind {kind}.",
        kind=target.kind,
        hint="Its CustomResourceDefinition may have been removed: `kubectl api-resources` lists the kinds.",
    )


async def read(reader: ClusterReader, target: Target) -> SaidHistory:
    """Reads the resource, what it said before, and how what it makes is.

    Raises:
        ObjectNotFound: it does not exist, or its kind is not served.
        KeyMissing, WrongKey, RepositoryDamaged, StorageError: there is a repository, and it can't be read.
    """
    resource = await resource_of(reader, target)
    try:
        found = await reader.get(resource, target.name, target.namespace if resource.namespaced else "")
    except ObjectNotFound as error:
        raise ObjectNotFound(
            "There is no {target} in {namespace}.",
            target=str(target),
            namespace=target.namespace,
            hint="`backout snapshot list -n {namespace}` says which snapshots there are; `backout snapshot restore` puts it back.",
        ) from error
    live = {**found, "apiVersion": resource.api_version, "kind": resource.kind}
    ref = ObjectRef(resource.api_version, resource.kind, target.name, target.namespace)
    now = await reader.server_time()
    kept, said, (children, evidence) = await asyncio.gather(
        kept_templates(reader, live, now), _said(reader, ref), _made(reader, ref, now)
    )
    past, current = _past(live, kept, said)
    failing = [pod.name for child in children for pod in _pods(evidence, child) if pod.failing]
    return SaidHistory(
        live=live,
        resource=resource,
        past=tuple(past),
        current=current,
        health=custom_health(live),
        children=children,
        failing=tuple(sorted([*failing, *(name for one in kept for name in one.failing)])),
    )


def _pods(evidence: Evidence, child: Child) -> Sequence[Any]:
    seen = evidence.workloads.get(child.id)
    return seen.pods if seen is not None else ()


async def _made(reader: ClusterReader, ref: ObjectRef, now: datetime) -> tuple[tuple[Child, ...], Evidence]:
    own = CustomResource(api_version=ref.api_version, kind=ref.kind, name=ref.name, namespace=ref.namespace, key="")
    children = (await children_of(reader, [own])).get(own.id, ())
    if not children:
        return (), Evidence()
    return children, await gather(reader, {child.id for child in children}, now)


class Said(msgspec.Struct, frozen=True):
    """What one snapshot holds of the resource, and where a step finds that."""

    snapshot: Snapshot
    content: Object
    origin: FromSnapshot


async def _said(reader: ClusterReader, ref: ObjectRef) -> list[Said]:
    """What each snapshot that has it holds of it, oldest first."""
    repository, found = await held(reader, ref)
    return [
        Said(one.snapshot, one.content, FromSnapshot(repository.id, one.snapshot.id, one.entry.address))
        for one in found
        if repository is not None and one.entry is not None and one.content is not None
    ]


def _past(live: Object, kept: Sequence[KeptTemplate], said: Sequence[Said]) -> tuple[list[SaidRevision], SaidRevision]:
    if kept:
        past = _by_templates(live, kept, said)
    else:
        past = _by_snapshots(said)
    past = _with_applied(past, live)
    own = digest(body_of(live))
    current = next((one for one in reversed(past) if one.digest == own), None)
    if current is None or (not kept and current is not past[-1]):
        number = max((one.number for one in past), default=0) + 1
        origin = current.origin if current is not None else None
        current = SaidRevision(
            number=number, digest=own, body=body_of(live), origin=origin, created=written_at(live), snapshots=()
        )
        past.append(current)
    return past, current


def _with_applied(past: list[SaidRevision], live: Object) -> list[SaidRevision]:
    """With what was applied last, where that is neither what is live nor what is known already, and no older than when a snapshot
    says that all was well."""
    if HELM_RELEASE in (live["metadata"].get("annotations") or {}) or (found := applied_to(live)) is None:
        return past
    body, since = found
    name = digest(body)
    newest = max((one.taken_at for said in past for one in said.vouching), default=None)
    if name == digest(body_of(live)) or any(one.digest == name for one in past):
        return past
    if newest is not None and (since is None or newest >= since):
        return past
    number = max((one.number for one in past), default=0) + 1
    return [*past, SaidRevision(number=number, digest=name, body=body, origin=FromApplied(), created=since)]


def _by_templates(live: Object, kept: Sequence[KeptTemplate], said: Sequence[Said]) -> list[SaidRevision]:
    found = []
    for one in kept:
        body = with_template(live, one.template)
        name = digest(body)
        same = [other for other in said if _says(other.content, live) == name]
        origin: Origin = FromTemplate(one.kind, one.name)
        if same:
            # As it was written, without the defaults that a ReplicaSet has.
            origin = same[-1].origin
            body = with_replicas_of(body_of(same[-1].content), live)
        found.append(
            SaidRevision(
                number=one.number,
                digest=name,
                body=body,
                origin=origin,
                created=one.created,
                snapshots=tuple(other.snapshot for other in same),
                kept=one,
            )
        )
    good = next((one for one in reversed(said) if one.snapshot.vouches), None)
    if good is not None:
        name = _says(good.content, live)
        if all(one.digest != name for one in found) and name != digest(body_of(live)):
            found.append(
                SaidRevision(
                    number=max(one.number for one in found) + 1,
                    digest=name,
                    body=with_replicas_of(body_of(good.content), live),
                    origin=good.origin,
                    created=good.snapshot.taken_at,
                    snapshots=(good.snapshot,),
                )
            )
    return found


def _says(content: Object, live: Object) -> str:
    """What a snapshot holds, with as many replicas as there are to be now: those are no part of a template."""
    return digest(with_replicas_of(body_of(content), live))


def _by_snapshots(said: Sequence[Said]) -> list[SaidRevision]:
    past: list[SaidRevision] = []
    for one in said:
        body = body_of(one.content)
        name = digest(body)
        if past and past[-1].digest == name:
            snapshots = (*past[-1].snapshots, one.snapshot)
            past[-1] = msgspec.structs.replace(past[-1], snapshots=snapshots, origin=one.origin)
        else:
            past.append(
                SaidRevision(
                    number=len(past) + 1,
                    digest=name,
                    body=body,
                    origin=one.origin,
                    created=one.snapshot.taken_at,
                    snapshots=(one.snapshot,),
                )
            )
    return past


def revisions(seen: SaidHistory) -> list[Revision]:
    """All of them, oldest first."""
    return [_revision(seen, one) for one in seen.past]


def _revision(seen: SaidHistory, one: SaidRevision) -> Revision:
    current = one is seen.current
    goodness, reason = _judged(seen, one, current=current)
    template = template_of(one.body)
    names = [snapshot.id for snapshot in one.snapshots]
    names += [tag for snapshot in one.snapshots if not snapshot.imported_from for tag in snapshot.tags]
    return Revision(
        number=one.number,
        digest=one.digest,
        created=one.created,
        status=_status(one, current=current),
        images=tuple(images(template)) if template is not None else (),
        current=current,
        settled=not current or not seen.live["metadata"].get("deletionTimestamp"),
        goodness=goodness,
        reasons=(reason,),
        names=tuple(dict.fromkeys(names)),
    )


def _status(one: SaidRevision, *, current: bool) -> str:
    if one.kept is None:
        return "in force" if current else ""
    pods = f"{one.kept.ready} of {one.kept.pods} pods ready" if one.kept.pods else "no pods"
    return f"in force, {pods}" if current else pods


def _judged(seen: SaidHistory, one: SaidRevision, *, current: bool) -> tuple[Goodness, Message]:
    kept = one.kept
    if kept is not None and kept.failing:
        return "bad", msg("Pods made from it fail now: {pods}.", pods=", ".join(kept.failing[:3]))
    if current and kept is None and seen.failing and not one.vouching:
        return "bad", msg("Pods that are made of it fail now: {pods}.", pods=", ".join(seen.failing[:3]))
    if current and seen.health.state is CustomState.FAILED and not one.vouching and not (kept and kept.steady):
        return "bad", msg("Its operator says: {why}", why=seen.health.message or seen.health.reason)
    if one.vouching:
        return "good", proven(one.vouching[-1])
    if kept is not None and kept.steady:
        return "good", msg("Pods made from it are ready now: {count}.", count=kept.steady)
    if kept is not None and kept.stable and not current:
        return "good", msg("Its controller calls it the stable one: it was rolled out wholly.")
    if isinstance(one.origin, FromApplied):
        said = msg("It was applied so last; what was changed since is not in that.")
        proof = any(other.vouching or (other.kept and other.kept.steady) for other in seen.past)
        # What somebody applied since all was well may be what broke it.
        return ("unknown" if proof else "good"), said
    if kept is not None:
        return "unknown", msg("Nothing in the cluster says whether pods made from it were ever all ready.")
    return "unknown", unproven(one.snapshots)


def no_good_revision(target: Target, found: Sequence[Revision]) -> NoGoodRevision:
    """The error where nothing says what the resource should say. That another one may be named is said only where there is one."""
    reasons = [str(reason) for revision in reversed(found) for reason in revision.reasons]
    others = any(not revision.current for revision in found)
    return NoGoodRevision(
        "Nothing good is known of what {target} said before, so none was chosen.",
        target=str(target),
        expected="a snapshot that was taken while everything was healthy, or a template whose pods were ready",
        found="{reasons}",
        reasons=" ".join(dict.fromkeys(reasons)),
        namespace=target.namespace,
        hint="`backout history {target}` says what is known of it; --to REVISION names one all the same."
        if others
        else "Take the field back by hand, as `backout diagnose` names it. Once it is mended: "
        "`backout snapshot create -n {namespace}`.",
    )
