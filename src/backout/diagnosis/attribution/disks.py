# SPDX-License-Identifier: Apache-2.0
"""What explains a failure by the claims that pods mount: gone, going, not bound, of a volume of others, or empty."""

from __future__ import annotations

from datetime import datetime

import msgspec

from backout.cluster.port import PVCS, Object
from backout.diagnosis.attribution.circumstances import Circumstance, codes_of, gone, kinds_of, last_write
from backout.diagnosis.attribution.failures import RUNNING, Kind
from backout.diagnosis.attribution.hypotheses import Situation
from backout.diagnosis.detectors.claims import claims_of_workload
from backout.diagnosis.evidence.namespace import VOLUMES, Namespace
from backout.model.message import few, msg
from backout.model.target import ObjectRef


async def claims(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """A claim that the pods mount went away, or is not bound."""
    if not kinds_of(situation) & {Kind.VOLUME, Kind.MOUNT}:
        return None
    live = await namespace.claims()
    for name in sorted(claims_of_workload(situation.history)):
        if name not in live and (await namespace.objects(PVCS)).readable:
            return await gone(
                situation, namespace, "v1", "PersistentVolumeClaim", name, msg("The pods keep their data in it.")
            )
        claim = live.get(name)
        if claim is not None and claim["metadata"].get("deletionTimestamp"):
            return _going(situation, namespace, claim)
        if claim is not None and (claim.get("status") or {}).get("phase") != "Bound":
            if (taken := await _taken_volume(situation, namespace, claim)) is not None:
                return taken
            change = await last_write(situation, namespace, claim)
            if change is not None:
                return Circumstance(
                    key=str(change.target),
                    change=change,
                    confidence="likely",
                    cause=msg("{codes}: {what}", codes=codes_of(situation), what=change.summary),
                    why=(msg("The pods wait for it, and it is not bound."),),
                )
            said = next(
                (e.message.text for f in situation.failures for e in f.symptom.evidence if e.ref.name == name), ""
            )
            return Circumstance(
                key=f"persistentvolumeclaim/{name}",
                confidence="unknown",
                cause=msg("{codes}: persistentvolumeclaim/{name} is not bound", codes=codes_of(situation), name=name),
                notes=(msg("Look at the claim and its storage class: {said}", said=said or name),),
            )
    return None


async def _taken_volume(situation: Situation, namespace: Namespace, claim: Object) -> Circumstance | None:
    """A claim that asks for one volume by its name, which is not there, or belongs to another claim: also to one of this name that
    was deleted, since a volume is bound to a uid (pkg/controller/volume/persistentvolume)."""
    wanted, volumes = str((claim.get("spec") or {}).get("volumeName") or ""), await namespace.objects(VOLUMES)
    if not wanted or not volumes.readable:
        return None
    volume = next((one for one in volumes.items if one["metadata"]["name"] == wanted), None)
    holder = ((volume or {}).get("spec") or {}).get("claimRef") or {}
    if volume is not None and holder.get("uid") in (None, "", claim["metadata"].get("uid")):
        return None
    ref = ObjectRef("v1", "PersistentVolumeClaim", claim["metadata"]["name"], namespace.name)
    same = (holder.get("namespace"), holder.get("name")) == (namespace.name, ref.name)
    if volume is None:
        cause = msg(
            "{codes}: {object} asks for the volume {volume}, which does not exist",
            codes=codes_of(situation),
            object=str(ref),
            volume=wanted,
        )
    elif same:
        cause = msg(
            "{codes}: {object} was made anew, and the volume {volume} that it asks for belongs to the one that was deleted",
            codes=codes_of(situation),
            object=str(ref),
            volume=wanted,
        )
    else:
        cause = msg(
            "{codes}: {object} asks for the volume {volume}, which belongs to another claim: {other}",
            codes=codes_of(situation),
            object=str(ref),
            volume=wanted,
            other=f"{holder.get('namespace')}/{holder.get('name')}",
        )
    return Circumstance(
        key=str(ref),
        confidence="likely",
        cause=cause,
        why=(msg("The pods wait for it, and it is not bound."),),
        notes=(
            msg(
                "Its data is in that volume. Once you are sure that this claim is to have it: "
                "kubectl patch pv {volume} --type json -p '{patch}'",
                volume=wanted,
                patch='[{"op": "remove", "path": "/spec/claimRef/uid"}]',
            )
            if same
            else msg("Look at the claim, and at who named that volume."),
        ),
    )


def _going(situation: Situation, namespace: Namespace, claim: Object) -> Circumstance:
    """A claim that somebody deleted, and that is there until no pod uses it: new pods can't have it any more."""
    meta = claim["metadata"]
    ref = ObjectRef("v1", "PersistentVolumeClaim", meta["name"], namespace.name)
    why = [msg("It was deleted at {at}, and waits for the pods that use it.", at=str(meta["deletionTimestamp"]))]
    if meta.get("finalizers"):
        why.append(msg("What holds it: {names}.", names=", ".join(map(str, meta["finalizers"]))))
    return Circumstance(
        key=str(ref),
        confidence="likely",
        cause=msg("{codes}: {object} was deleted, and is being taken away", codes=codes_of(situation), object=str(ref)),
        why=tuple(why),
        notes=(
            msg("Who deleted it is recorded nowhere in the cluster."),
            msg(
                "A deletion can't be taken back. As long as a pod uses it, its data is there: copy it before that pod ends."
            ),
        ),
    )


async def emptied(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """Pods that end, all of them with claims that were made anew since all was well, so that their disks are empty; those of the
    same workload that kept theirs are well."""
    history, baseline = situation.history, await namespace.baseline()
    templates = (history.obj.get("spec") or {}).get("volumeClaimTemplates") or ()
    if not kinds_of(situation) & RUNNING or baseline.good is None or not templates or not history.failing:
        return None
    names = [str((one.get("metadata") or {}).get("name")) for one in templates]
    live, anew = await namespace.claims(), []
    for pod in history.failing:
        mine = [f"{name}-{pod.metadata.name}" for name in names]
        fresh = [
            name
            for name in mine
            if name in live
            and ("PersistentVolumeClaim", name) in baseline.entries
            and msgspec.convert(live[name]["metadata"]["creationTimestamp"], datetime) > baseline.good.taken_at
        ]
        if not fresh:
            return None
        anew += fresh
    policy = (history.obj["spec"].get("persistentVolumeClaimRetentionPolicy") or {}).get("whenScaled")
    claims = few([f"persistentvolumeclaim/{name}" for name in anew])
    why = [
        msg("Snapshot {id} has claims of these names that are older: what they held is gone.", id=baseline.good.short)
    ]
    if history.marks and any(mark.ready_since is not None for mark in history.marks):
        why.append(msg("Pods of it that kept their claims are ready."))
    return Circumstance(
        key=f"emptied:{history.key}",
        confidence="likely",
        cause=msg(
            "{codes}: {claims} were made anew and are empty; {object} lets claims go when it is scaled down "
            "(persistentVolumeClaimRetentionPolicy.whenScaled: Delete)",
            codes=codes_of(situation),
            claims=claims,
            object=str(history.ref),
        )
        if policy == "Delete"
        else msg("{codes}: {claims} were made anew and are empty", codes=codes_of(situation), claims=claims),
        why=tuple(why),
        notes=(
            msg(
                "No way back brings what was on a disk: restore its volume from a backup, or let the program join anew."
            ),
        ),
    )
