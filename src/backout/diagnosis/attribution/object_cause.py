# SPDX-License-Identifier: Apache-2.0
"""The problem of one object: who changed what of it and when, since when that shows, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from backout.changes.authors import authors
from backout.cluster.port import ClusterReader, Object
from backout.diagnosis.attribution.faults import Fault
from backout.diagnosis.evidence.baseline import Expected, contents
from backout.diagnosis.evidence.nearness import SKEW, SOON
from backout.errors import BackoutError
from backout.kube.diff import diff_objects
from backout.kube.intent import drift
from backout.mechanisms import registry
from backout.model.change import FieldChange, LedgerEntry
from backout.model.diagnosis import Confidence
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, distinct, msg
from backout.model.target import ObjectRef, Target

CODE = "ImmutableReplaced"
SHOWN_LINES = 20
_PARTS = {"Service": ("spec",), "Ingress": ("spec",)}


def shown(expected: Expected | None, live: Object | None) -> tuple[tuple[FieldChange, ...], tuple[Evidence, ...]]:
    """What differs from what it should hold: short values as fields, longer texts as lines; never values of Secrets."""
    from backout.snapshots.diff import describe

    if expected is None or live is None:
        return (), ()
    if not expected.good and live["kind"] in _PARTS:
        # A manifest leaves out what the API server fills in.
        return tuple(field for field in drift(expected.content, live) if field.path.startswith("spec")), ()
    before, after = _comparable(expected.content), _comparable(live)
    _, texts = describe(before, after)
    evidence = tuple(
        Evidence(
            source="snapshot",
            ref=_ref(live),
            data={"lines": list(text.lines[:SHOWN_LINES])},
            message=msg("{path} against {source}:", path=text.path, source=expected.source),
        )
        for text in texts
    )
    return diff_objects(before, after), evidence


def set_by_hand(fault: Fault) -> tuple[FieldChange, ...]:
    """Where nothing says what it was: the fields in question that its last writer set, as they are."""
    if fault.live is None or not fault.fields or fault.written is None or fault.before is not None:
        return ()
    mine = [author for author in authors(fault.live) if author.manager == fault.written.manager]
    live = diff_objects({"spec": {}}, {"kind": fault.ref.kind, "spec": fault.live.get("spec") or {}})
    return tuple(
        msgspec.structs.replace(field, before=None)
        for field in live
        if re.search(rf"^spec\.({fault.fields})", field.path) and any(one.owns(field.path) for one in mine)
    )


def _ref(obj: Object) -> ObjectRef:
    return ObjectRef(obj["apiVersion"], obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace", ""))


def _comparable(obj: Object) -> Object:
    """Without what the cluster gives out."""
    kind = str(obj["kind"])
    if kind in _PARTS:
        spec = {key: value for key, value in (obj.get("spec") or {}).items() if key not in ("clusterIP", "clusterIPs")}
        return {"apiVersion": obj["apiVersion"], "kind": kind, "metadata": {"name": "_"}, "spec": spec}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "_"}, **contents(obj)}


def replaced(fault: Fault) -> Symptom | None:
    """An immutable object that holds other content than it should was deleted and made anew: nobody can change one."""
    expected = fault.baseline.expected(fault.ref)
    if expected is None or fault.live is None or fault.meta is None or not expected.content.get("immutable"):
        return None
    if not fault.baseline.changed(fault.ref, fault.live):
        return None
    born = fault.meta.creation_timestamp
    text = msg(
        "it is immutable, and holds something else than in {source}: it was deleted and made anew",
        source=expected.source,
    )
    evidence = Evidence(source="object", ref=fault.ref, at=born, message=msg("the object of today was created then"))
    return Symptom(code=CODE, ref=fault.ref, message=text, since=born, evidence=(evidence,))


def keys_of(fields: Iterable[FieldChange], fault: Fault) -> list[str]:
    """What changed, in words as short as can be: keys of the data, or fields of the spec."""
    if _kept(fault):
        paths = [field.path.removeprefix("binaryData").removeprefix("data").strip(".") for field in fields]
        found = [path.removeprefix('["').removesuffix('"]') for path in paths]
    else:
        found = sorted((field.path.removeprefix("spec.") for field in fields), key=_weight)
    if not found and fault.written is not None:
        found = list(fault.written.keys)
    return list(dict.fromkeys(found))


def _weight(path: str) -> bool:
    """What sends traffic elsewhere first: the rest often only follows from that."""
    return not path.startswith(("selector", "type", "rules", "defaultBackend", "tls")) and "targetPort" not in path


def _kept(fault: Fault) -> bool:
    return fault.ref.kind in ("ConfigMap", "Secret")


def cause(fault: Fault, symptoms: Sequence[Symptom], fields: Sequence[FieldChange]) -> Message:
    """One sentence: what shows, and what somebody did to the object."""
    codes = ", ".join(dict.fromkeys(symptom.code for symptom in symptoms if symptom.code != CODE)) or CODE
    if fault.missing:
        return msg("{codes}: {object} does not exist any more", codes=codes, object=str(fault.ref))
    if fault.written is None:
        keys = keys_of(fields, fault)
        if keys:
            return msg("{codes}; {keys} were changed, by whom is not recorded", codes=codes, keys=", ".join(keys[:3]))
        return msg("{codes}; who changed {object} is not recorded", codes=codes, object=str(fault.ref))
    who = fault.written.manager
    if any(symptom.code == CODE for symptom in symptoms):
        return msg("{codes} since {manager} made it anew with other content", codes=codes, manager=who)
    keys = keys_of(fields, fault)
    if not keys:
        return msg("{codes} since {manager} changed it", codes=codes, manager=who)
    more = ", …" if len(keys) > 3 else ""
    return msg("{codes} since {manager} changed {keys}", codes=codes, manager=who, keys=", ".join(keys[:3]) + more)


def confidence(fault: Fault, since: datetime | None) -> tuple[Confidence, tuple[Message, ...]]:
    """How sure it is that the object is the cause, with the reasons."""
    proofs = {finding.proof.text: finding.proof for finding in fault.findings if finding.proof is not None}
    why = list(proofs.values())[:3]
    direct = any(finding.direct for finding in fault.findings)
    expected = fault.before
    if fault.missing:
        known = expected is not None or fault.baseline.seen(fault.ref) is not None
        return ("certain" if known and direct else "likely" if direct else "possible"), tuple(why)
    late = False
    if fault.written is not None and since is not None:
        seconds = int((since - fault.written.at).total_seconds())
        late = seconds > SOON.total_seconds()
        if late:
            why.append(msg("It began {seconds} s after that change, which is long.", seconds=seconds))
        elif seconds >= -SKEW.total_seconds():
            why.append(msg("It began {seconds} s after that change.", seconds=max(0, seconds)))
        else:
            why.append(msg("The first sign of it is older than the last change of it."))
    if expected is None:
        why.append(msg("What it held before is not known: there is no snapshot of it."))
        return ("likely" if direct else "possible"), tuple(why)
    why.append(msg("It holds something else than in {source}.", source=expected.source))
    if not direct:
        return ("possible" if late or against_of(fault) else "likely"), tuple(why)
    return ("certain" if expected.good and not late else "likely"), tuple(why)


def against_of(fault: Fault) -> tuple[Message, ...]:
    """What speaks for another cause of all that it is blamed for."""
    blamed = [finding for finding in fault.findings if finding.moved]
    if not blamed or not all(finding.against for finding in blamed):
        return ()
    return distinct(message for finding in blamed for message in finding.against)


def notes(fault: Fault) -> list[Message]:
    """What a reader has to know beside it."""
    found: list[Message] = [fault.baseline.note] if fault.baseline.note is not None else []
    if fault.missing:
        found.append(msg("Who deleted it is recorded nowhere in the cluster."))
        snapshot = fault.baseline.seen(fault.ref)
        if snapshot is not None:
            found.append(
                msg(
                    "It was there last in snapshot {id}, taken at {at}.",
                    id=snapshot.short,
                    at=snapshot.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
                )
            )
    key = (fault.ref.kind, fault.ref.name)
    there = fault.baseline.installed.get(key)
    if fault.baseline.kept(fault.ref) is None and fault.baseline.note is None:
        found.append(
            msg(
                "No good snapshot holds it; revision {number} of {release} has it.",
                number=there.revision,
                release=str(there.release),
            )
            if there is not None
            else msg("No good snapshot holds it, so there is nothing to go back to.")
        )
    return found


def suspect(fault: Fault, target: Target, fields: tuple[FieldChange, ...]) -> LedgerEntry | None:
    """The last write of the object as an entry of the ledger; None for one that is gone: nothing tells when it went."""
    written = fault.written
    if written is None:
        return None
    if fields:
        summary = msg("{manager} changed {object}", manager=written.manager, object=str(fault.ref))
    elif written.born:
        summary = msg("{manager} created {object}", manager=written.manager, object=str(fault.ref))
    else:
        keys = ", ".join(written.keys[:3])
        summary = (
            msg("{manager} wrote {keys} of {object}", manager=written.manager, keys=keys, object=str(fault.ref))
            if keys
            else msg("{manager} wrote {object}", manager=written.manager, object=str(fault.ref))
        )
    return LedgerEntry(
        at=written.at,
        source="managedfields",
        target=target,
        actor=written.manager,
        summary=summary,
        touches=(fault.ref,),
        fields=fields,
    )


async def revision_in_force(cluster: ClusterReader, target: Target) -> int | None:
    """The number of what the object is now among its revisions; None where it has none."""
    try:
        reading = await registry.get("objects").read(cluster, target)
    except BackoutError:
        return None
    return next((revision.number for revision in reversed(reading.revisions) if revision.current), None)
