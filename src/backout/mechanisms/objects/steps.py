# SPDX-License-Identifier: Apache-2.0
"""The steps of a way back, as builders. Nothing secret is in them: a content is named by its address. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from backout.kube.workloads import desired, on_delete, ordered
from backout.mechanisms.common import steps as workloads
from backout.mechanisms.common.params import ScaleParams, named
from backout.mechanisms.common.steps import params_of
from backout.mechanisms.objects.content import FromApplied, FromRelease, Origin
from backout.mechanisms.objects.hashring import Growth
from backout.mechanisms.objects.needs import Need
from backout.mechanisms.objects.params import (
    AskAgainParams,
    How,
    PutBackParams,
    ReloadParams,
    RemoveParams,
    ReplacePodsParams,
    RestoreParams,
)
from backout.mechanisms.port import wire
from backout.model.message import Message, msg
from backout.model.part import Access, Compensation, Step
from backout.model.target import ObjectRef, Target

TIMEOUT = 300.0
PATIENCE = 90.0
"""Seconds for which pods may go on failing: nodes look again at what was missing only from time to time."""

PUT_BACK = "objects.put-back"
"""The compensation that reads the capture of the run."""

Until = Literal["gone", "running", ""]


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """Which content is put back, and how: ``found`` is what the object must still hold right before. ``origin`` is None
    where the object is to be gone."""

    ref: ObjectRef
    how: str
    origin: Origin | None
    found: str
    keep_node_ports: bool = False
    new_addresses: bool = False


def restore(content: Content, target: Target, access: tuple[Access, ...]) -> Step:
    """Writes a content, or deletes what was made since all was well."""
    if content.origin is None:
        return _remove(content, target, access)
    ref, base, source = content.ref, params_of(content.ref), content.origin.label
    titles = {
        "create": msg("Create {ref} as {source} has it", ref=str(ref), source=source),
        "update": msg("Put {ref} back as {source} has it", ref=str(ref), source=source),
        "recreate": msg(
            "Delete {ref}, which can't be changed, and create it as {source} has it", ref=str(ref), source=source
        ),
    }
    params = RestoreParams(
        **base,
        how=msgspec.convert(content.how, How),
        origin=content.origin,
        keep_node_ports=content.keep_node_ports,
        new_addresses=content.new_addresses,
    )
    return Step(
        id="restore",
        action="objects.restore",
        target=target,
        title=titles[content.how],
        params=wire(params),
        precondition={"uid": ref.uid, "found": content.found},
        effect=_effect(content),
        compensation=Compensation(PUT_BACK, wire(PutBackParams(**base, written=content.origin)), access),
        destroys=(ref,) if content.how == "recreate" else (),
        timeout=120.0,
    )


def _remove(content: Content, target: Target, access: tuple[Access, ...]) -> Step:
    ref, base = content.ref, params_of(content.ref)
    return Step(
        id="remove",
        action="objects.remove",
        target=target,
        title=msg("Delete {ref}, which was made since all was well", ref=str(ref)),
        params=wire(RemoveParams(**base)),
        precondition={"uid": ref.uid, "found": content.found},
        effect=msg("It is gone, as it was then."),
        compensation=Compensation(PUT_BACK, wire(PutBackParams(**base)), access),
        destroys=(ref,),
        timeout=120.0,
    )


def _effect(content: Content) -> Message:
    if content.new_addresses:
        return msg("It exists again, with what it held then but for its addresses, which others have now.")
    if content.how == "create":
        return msg("It exists again, with exactly what it held then.")
    if content.keep_node_ports:
        return msg("It holds what it held then but for its node ports, which others have now.")
    if isinstance(content.origin, FromRelease | FromApplied):
        return msg(
            "It holds what {source} says: what was changed past that is taken back.", source=content.origin.label
        )
    return msg("It holds exactly what it held then: what was added since is gone.")


def grow(growth: Growth, target: Target) -> Step:
    """More receivers before a ring names them. Taken back after the ring is: the steps of an undo run backwards."""
    ref = ObjectRef("apps/v1", "StatefulSet", growth.name, target.namespace)
    return _scale(
        f"grow-{growth.name}",
        ref,
        target,
        growth.wanted,
        growth.now,
        "running",
        msg(
            "Scale {ref} from {now} to {wanted} pods, which the hashring names",
            ref=str(ref),
            now=growth.now,
            wanted=growth.wanted,
        ),
    )


def scale_away(need: Need, target: Target) -> Step:
    """Ends all pods of a reader, so that its nodes forget the old content."""
    now = desired(need.workload.obj)
    return _scale(
        f"scale-down-{_id(need.ref)}",
        need.ref,
        target,
        0,
        now,
        "gone",
        msg("Scale {ref} from {now} to 0 pods, so that its nodes forget the old content", ref=str(need.ref), now=now),
    )


def scale_back(need: Need, target: Target) -> Step:
    """As many pods as before."""
    wanted = desired(need.workload.obj)
    return _scale(
        f"scale-up-{_id(need.ref)}",
        need.ref,
        target,
        wanted,
        0,
        "",
        msg("Scale {ref} back to {wanted} pods", ref=str(need.ref), wanted=wanted),
    )


def _scale(id: str, ref: ObjectRef, target: Target, to: int, back: int, until: Until, title: Message) -> Step:

    def params(replicas: int, until: Until) -> dict[str, Any]:
        return wire(ScaleParams(**params_of(ref), replicas=replicas, until=until))

    undone: dict[Until, Until] = {"running": "", "gone": "", "": "gone"}
    return Step(
        id=id,
        action="objects.scale",
        target=target,
        title=title,
        params=params(to, until),
        precondition={"uid": ref.uid} if ref.uid else {},
        compensation=Compensation("objects.scale", params(back, undone[until]), _patching(ref)),
        timeout=TIMEOUT,
    )


def restart(need: Need, target: Target, value: str) -> list[Step]:
    """Restarts a reader by its template, and waits until it is ready."""
    ref = need.ref
    found = [workloads.restart(ref, target, need.workload.obj, need.why, value)]
    if on_delete(need.workload.obj):
        found.append(workloads.delete_outdated(ref, target, id=f"delete-outdated-{_id(ref)}"))
    elif ordered(need.workload.obj):
        found.append(workloads.replace_stuck(ref, target, id=f"replace-stuck-{_id(ref)}"))
    return [*found, ready(need, target)]


def replace(need: Need, target: Target, content: ObjectRef, *, every: bool = False) -> Step:
    """Deletes pods that fail over the old content, since their next start may be minutes away; or all of them."""
    ref = need.ref
    title = (
        msg("Delete the pods of {ref}, so that its nodes forget the old content", ref=str(ref))
        if every
        else msg("Replace the failing pods of {ref}, which would otherwise wait for their next start", ref=str(ref))
    )
    return Step(
        id=f"replace-{_id(ref)}",
        action="objects.replace-pods",
        target=target,
        title=title,
        params=wire(ReplacePodsParams(**params_of(ref), every=every, object=named(content))),
        precondition={"uid": ref.uid},
        timeout=TIMEOUT,
    )


def ask_again(need: Need, target: Target, value: str) -> Step:
    """Has the controller of a workload whose pods were refused try again; ``value`` marks it (a time)."""
    ref = need.ref

    def params(value: str | None) -> dict[str, Any]:
        return wire(AskAgainParams(**params_of(ref), value=value))

    return Step(
        id=f"ask-again-{_id(ref)}",
        action="objects.ask-again",
        target=target,
        title=msg("Have {ref} make its pods, which were refused: by itself it tries ever more rarely", ref=str(ref)),
        params=params(value),
        precondition={"uid": ref.uid},
        compensation=Compensation("objects.ask-again", params(None), _patching(ref)),
        timeout=60.0,
    )


def ready(need: Need, target: Target) -> Step:
    """Waits until a reader is ready."""
    return workloads.wait_ready(need.ref, target, id=f"ready-{_id(need.ref)}", patience=PATIENCE)


def reload(need: Need, target: Target, content: Content) -> Step:
    """Waits until the programs say that they have loaded the content from their files."""
    assert content.origin is not None
    ref = need.ref
    return Step(
        id=f"reload-{_id(ref)}",
        action="objects.await-reload",
        target=target,
        title=msg("Wait until {ref} has loaded it from its file; its pods stay as they are", ref=str(ref)),
        params=wire(
            ReloadParams(**params_of(ref), containers=need.containers, object=named(content.ref), origin=content.origin)
        ),
        effect=msg("Every pod of {ref} works with the content that was put back.", ref=str(ref)),
        timeout=TIMEOUT,
    )


def of_reader(need: Need, target: Target, content: Content, value: str) -> list[Step]:
    """What is done for one reader after the content is back."""
    settle = [*([replace(need, target, content.ref)] if need.failing else []), ready(need, target)]
    if need.what == "restart":
        return restart(need, target, value)
    if need.what == "reload":
        return [*([] if need.settled else settle), reload(need, target, content)]
    if need.what == "replace":
        return settle
    if need.what == "retry":
        return [ask_again(need, target, value), ready(need, target)]
    if need.what == "wait":
        return [] if need.settled else [ready(need, target)]
    if need.what == "scale":
        return [scale_back(need, target), ready(need, target)]
    if need.what == "delete-pods":
        return [replace(need, target, content.ref, every=True), ready(need, target)]
    return []


def acting(needs: Sequence[Need]) -> list[Need]:
    """The readers for which something is done."""
    return [need for need in needs if need.what != "none" and not (need.what == "wait" and need.settled)]


def _id(ref: ObjectRef) -> str:
    return f"{ref.kind.lower()}-{ref.name}"


def _patching(ref: ObjectRef) -> tuple[Access, ...]:
    return workloads.writing(ref)
