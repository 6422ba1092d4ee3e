# SPDX-License-Identifier: Apache-2.0
"""Everything that a way back of one object consists of, worked out from one look. Reads only.

The server is asked whether it would take the content; who reads it is found; a hashring is held against its receivers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from backout.cluster.port import ClusterReader
from backout.errors import NothingToDo, RefusedError
from backout.kube.consumers import Consumer
from backout.kube.sanitise import sanitise
from backout.mechanisms.common.owned import Keeper
from backout.mechanisms.objects import dependents, steps
from backout.mechanisms.objects.content import FromRelease, Origin
from backout.mechanisms.objects.hashring import Ring
from backout.mechanisms.objects.helm import HelmSays, helm_says, release_says
from backout.mechanisms.objects.history import ContentRevision, ObjectHistory, resource_of
from backout.mechanisms.objects.kinds import KINDS
from backout.mechanisms.objects.needs import Need
from backout.mechanisms.objects.readers import refuse_unrestartable
from backout.mechanisms.objects.steps import Content
from backout.model.message import Message, msg
from backout.model.part import Access, Step
from backout.model.snapshot import Entry
from backout.model.target import Target
from backout.ownership.owner import owner_of
from backout.ownership.owners import Owned, Owners
from backout.ownership.state import state_of
from backout.snapshots.desired import must_recreate, update
from backout.snapshots.restore_plan import RestoreItem, Work, plan_one


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One way back of one object. ``others`` are readers that are no workloads; ``blind`` what could not be seen.

    ``mute``: programs must be asked afterwards, and this user may not.
    """

    seen: ObjectHistory
    past: ContentRevision
    item: RestoreItem
    content: Content
    owner: Owned
    helm: HelmSays | None
    needs: tuple[Need, ...]
    others: tuple[Consumer, ...]
    ring: Ring
    blind: tuple[Message, ...]
    mute: bool
    steps: tuple[Step, ...]
    keeper: Keeper | None = None
    """Who keeps the object as a source of its own says."""

    @property
    def anew(self) -> bool:
        """Whether the object is deleted and created again."""
        return self.item.action == "recreate"


async def work_out(
    cluster: ClusterReader, target: Target, seen: ObjectHistory, past: ContentRevision, stale: tuple[Need, ...]
) -> Planned:
    """The whole way back to one content; ``stale`` are the readers that `stale_readers` gave.

    Raises:
        NothingToDo: the object holds it already.
        RefusedError: its owner would undo it, the server would not take it, or it would do harm.
    """
    if past is seen.current:
        if not stale:
            raise _holds_it(target, past)
        return await _readers_alone(cluster, target, seen, stale)
    if past.content is None:
        return await _without(cluster, target, seen, past)
    if not past.kept:
        raise _holds_it(target, past)
    owner = await _owner(cluster, seen, past)
    _refuse_owned(target, owner)
    keeper = await _keeper(cluster, seen)
    _refuse_going(target, seen)
    origin = past.origin(seen.repository)
    work = await _tried(cluster, target, seen, past)
    item = work.item
    if item.action == "unchanged":
        raise _holds_it(target, past)
    if not item.writes:
        raise _not_taken(target, seen, item)
    around = await dependents.around(cluster, target, seen, past.content, past, anew=item.action == "recreate")
    content = _content(seen, past, origin, work)
    value, helm, mute = await asyncio.gather(
        _restart_value(cluster), helm_says(cluster, owner, past.content), _mute(cluster, target, around.needs)
    )
    return Planned(
        seen=seen,
        past=past,
        item=item,
        content=content,
        owner=owner,
        keeper=keeper,
        helm=helm,
        needs=around.needs,
        others=around.others,
        ring=around.ring,
        blind=around.blind,
        mute=mute,
        steps=tuple(_steps(target, content, around.needs, around.ring, value)),
    )


async def _without(cluster: ClusterReader, target: Target, seen: ObjectHistory, past: ContentRevision) -> Planned:
    """The way back to where it was not there yet.

    Raises:
        RefusedError: it holds something, or is somebody else's.
    """
    if not KINDS[seen.ref.kind].removable or not past.snapshots or seen.live is None:
        raise RefusedError(
            "{target} did not exist at revision {number}; Backout does not go back to that.",
            target=str(target),
            number=past.number,
            hint="If you want it gone, delete it yourself.",
        )
    owner = await _owner(cluster, seen, seen.current)
    _refuse_owned(target, owner)
    _refuse_going(target, seen)
    if await release_says(cluster, seen.ref, seen.live, ()) is not None:
        raise RefusedError(
            "{target} belongs to {release}, which would make it again.",
            target=str(target),
            release=owner.name,
            hint="Go back by the release: `backout plan {release}`.",
        )
    if seen.live["metadata"].get("finalizers"):
        raise RefusedError(
            "{target} has finalizers, so whoever set them decides when it is gone.",
            target=str(target),
            hint="Ask who set them; delete it yourself if that is right.",
        )
    around = await dependents.around(cluster, target, seen, None, past)
    content = Content(ref=seen.ref, how="delete", origin=None, found=seen.found_for(None))
    value, keeper = await asyncio.gather(_restart_value(cluster), _keeper(cluster, seen))
    return Planned(
        seen=seen,
        past=past,
        item=RestoreItem(ref=seen.ref, action="unchanged"),
        content=content,
        owner=owner,
        keeper=keeper,
        helm=None,
        needs=around.needs,
        others=(),
        ring=Ring(),
        blind=around.blind,
        mute=False,
        steps=tuple(_steps(target, content, around.needs, Ring(), value)),
    )


async def _tried(cluster: ClusterReader, target: Target, seen: ObjectHistory, past: ContentRevision) -> Work:
    """What writing the content would do, by the server's own word."""
    wanted = past.wanted
    assert wanted is not None
    entry = past.entry or Entry(ref=msgspec.structs.replace(seen.ref, uid=""), address="", size=0)
    body = wanted.body(seen.live)
    if not wanted.exact and seen.live is not None and not must_recreate(body, seen.live):
        # What a manifest leaves out is filled in by the server: that is no difference, and not to be shown as one.
        with contextlib.suppress(RefusedError):
            body = sanitise(await cluster.dry_run_replace(update(body, seen.live)))
            body = {"apiVersion": seen.ref.api_version, "kind": seen.ref.kind, **body}
    # What belongs to an owner was refused before; what is left is Helm's, whose objects may be put back.
    return await plan_one(cluster, seen.resource, entry, body, seen.live)


def _not_taken(target: Target, seen: ObjectHistory, item: RestoreItem) -> RefusedError:
    """Why the server would not take it, and for rights that the user lacks what to do."""
    why = item.reason or msg("it is left alone")
    if KINDS[seen.ref.kind].dependents == "rights" and GRANTING in why.text:
        # kubernetes.io/docs/reference/access-authn-authz/rbac, "Privilege escalation prevention and bootstrapping".
        verb, resource = ("escalate", "roles") if seen.ref.kind == "Role" else ("bind", "roles, clusterroles")
        return RefusedError(
            "{target} can't be put back by you: it gives rights that you do not have yourself, and the API server lets nobody "
            "give those. {why}",
            target=str(target),
            why=why,
            expected="a user who has these rights, or may {verb} {resource} in {namespace}",
            verb=verb,
            resource=resource,
            namespace=target.namespace,
            hint="Have somebody who administers the namespace run it: backout run {target} -n {namespace}",
        )
    return RefusedError("{target} can't be put back: {why}", target=str(target), why=why)


GRANTING = "attempting to grant RBAC permissions not currently held"
"""As the API server words it (pkg/registry/rbac/validation: ConfirmNoEscalation)."""


def _refuse_going(target: Target, seen: ObjectHistory) -> None:
    if seen.live is not None and seen.live["metadata"].get("deletionTimestamp"):
        raise RefusedError("{target} is being deleted.", target=str(target), hint="Wait until it is gone, then plan.")


async def _readers_alone(
    cluster: ClusterReader, target: Target, seen: ObjectHistory, needs: tuple[Need, ...]
) -> Planned:
    """The content is back already; who has read another one meanwhile is restarted."""
    for need in needs:
        refuse_unrestartable(target, need)
    past = next(other for other in reversed(seen.past) if other.digest == seen.current.digest and other.snapshots)
    content = Content(ref=seen.ref, how="unchanged", origin=past.origin(seen.repository), found=seen.found)
    value = await _restart_value(cluster)
    return Planned(
        seen=seen,
        past=seen.current,
        content=content,
        owner=Owned(),
        helm=None,
        item=RestoreItem(ref=seen.ref, action="unchanged"),
        needs=needs,
        others=(),
        ring=Ring(),
        blind=(),
        mute=False,
        steps=tuple(step for need in needs for step in steps.of_reader(need, target, content, value)),
    )


def _holds_it(target: Target, past: ContentRevision) -> NothingToDo:
    return NothingToDo(
        "{target} holds the content of revision {number} already.",
        target=str(target),
        number=past.number,
        hint="If something is wrong all the same, name another: `backout history {target}`.",
    )


async def _owner(cluster: ClusterReader, seen: ObjectHistory, past: ContentRevision) -> Owned:
    if seen.live is not None:
        return await Owners(cluster).of(seen.live)
    if isinstance(past.declared, FromRelease):
        return Owned(f"helm/{past.declared.release}", "helm")
    entry = past.entry or next((other.entry for other in reversed(seen.past) if other.entry is not None), None)
    return Owned(entry.owner, entry.owner_kind) if entry is not None else Owned()


async def _keeper(cluster: ClusterReader, seen: ObjectHistory) -> Keeper | None:
    """The controller that would write its own state back, above a Helm release too."""
    if seen.live is None:
        return None
    manager = (
        await owner_of(cluster, {**seen.live, "apiVersion": seen.ref.api_version, "kind": seen.ref.kind})
    ).manager
    return Keeper(manager=manager, state=await state_of(cluster, manager)) if manager is not None else None


async def alternatives(cluster: ClusterReader, seen: ObjectHistory) -> tuple[Message, ...]:
    """Another way back where no snapshot knows one: what the Helm release says that the object belongs to."""
    if seen.live is None:
        return ()
    says = await helm_says(cluster, await _owner(cluster, seen, seen.current), sanitise(seen.live))
    if says is None or says.agrees is not False:
        return ()
    return (
        msg(
            "Revision {number} of helm/{name} has other content for it: `backout plan helm/{name} -n {namespace} "
            "--to {number}` puts that back.",
            number=says.revision,
            name=says.release,
            namespace=seen.ref.namespace,
        ),
    )


def _refuse_owned(target: Target, owner: Owned) -> None:
    """What is made from something else is changed there. A release's own objects, and those that a controller keeps, may be put
    back: the risks say what that means."""
    if owner.kind not in ("operator", "controller"):
        return
    raise RefusedError(
        "{target} is owned by {owner}, which would undo a change of it.",
        target=str(target),
        owner=owner.name,
        expected="an object that nobody else manages",
        found="one that belongs to {owner}",
        hint="Change {owner}, from which it is made.",
    )


def _content(seen: ObjectHistory, past: ContentRevision, origin: Origin | None, work: Work) -> Content:
    body, wanted = work.body or {}, past.content or {}
    ports = {port.get("nodePort") for port in (body.get("spec") or {}).get("ports") or ()}
    lost = [
        port
        for port in (wanted.get("spec") or {}).get("ports") or ()
        if port.get("nodePort") and port["nodePort"] not in ports
    ]
    service = seen.ref.kind == "Service"
    return Content(
        ref=seen.ref,
        how=work.item.action,
        origin=origin,
        found=seen.found_for(origin),
        keep_node_ports=service and work.item.action == "update" and bool(lost),
        new_addresses=service
        and work.item.action == "create"
        and bool((wanted.get("spec") or {}).get("clusterIP") and not (body.get("spec") or {}).get("clusterIP")),
    )


async def _mute(cluster: ClusterReader, target: Target, needs: Sequence[Need]) -> bool:
    """Whether what the programs say is needed as a proof, and can't be had."""
    if not any(need.what == "reload" for need in needs):
        return False
    answers = await cluster.may((Access("get", "", "pods/proxy", target.namespace),))
    return not all(answer.allowed for answer in answers)


async def _restart_value(cluster: ClusterReader) -> str:
    return (await cluster.server_time()).strftime("%Y-%m-%dT%H:%M:%SZ")


def _steps(target: Target, content: Content, needs: Sequence[Need], ring: Ring, value: str) -> list[Step]:
    """Receivers before the ring that names them; readers of an immutable object away before it is made anew."""
    found = [steps.grow(growth, target) for growth in ring.growth]
    found += [steps.scale_away(need, target) for need in needs if need.what == "scale"]
    found.append(steps.restore(content, target, writing(content)))
    for need in needs:
        found += steps.of_reader(need, target, content, value)
    return found


def writing(content: Content) -> tuple[Access, ...]:
    """The rights to put the object back, and to take that back."""
    resource, ref = resource_of(content.ref), content.ref
    verbs = ["get"] if content.how == "unchanged" else ["get", "update"]
    if content.how == "delete":
        verbs = ["get", "delete", "list", "watch", "create"]
    if content.how == "create":
        verbs = ["get", "create", "delete", "list", "watch"]
    if content.how == "recreate":
        verbs = ["get", "create", "update", "delete", "list", "watch"]
    return tuple(Access(verb, resource.group, resource.plural, ref.namespace) for verb in verbs)
