# SPDX-License-Identifier: Apache-2.0
"""Where a content comes from, and what it means for an object to hold it. Holds secrets: never print one.

A snapshot says exactly what an object was. A manifest (of a release, or as it was applied) says what its author wrote:
defaults, what the cluster chooses, and labels of others are no difference then (`backout.kube.intent`).
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from backout.changes.authors import Author, authors
from backout.cluster.port import ClusterReader, Object
from backout.errors import NotFoundError, PreconditionFailed
from backout.helm.manifest import Key, entries
from backout.helm.records import Record, Records
from backout.kube.defaults import CHOSEN, fill
from backout.kube.diff import render
from backout.kube.intent import drift
from backout.kube.names import HELM_NAMESPACE, HELM_RELEASE, LAST_APPLIED, MANAGED_BY
from backout.kube.resources import OBJECT_RESOURCES
from backout.kube.sanitise import sanitise
from backout.mechanisms.common.kept import FromSnapshot
from backout.mechanisms.objects.kinds import KINDS
from backout.model.change import FieldChange
from backout.model.message import Message, msg
from backout.model.target import ObjectRef
from backout.snapshots.desired import equal, update
from backout.snapshots.repository import Repository


class FromRelease(msgspec.Struct, frozen=True, tag="release", tag_field="from", forbid_unknown_fields=True):
    """What the manifest of a revision says of the object; ``namespace`` is the release's."""

    release: str
    namespace: str
    revision: int

    @property
    def label(self) -> Message:
        """For people."""
        return msg("revision {number} of {release}", number=self.revision, release=f"helm/{self.release}")


class FromApplied(msgspec.Struct, frozen=True, tag="applied", tag_field="from", forbid_unknown_fields=True):
    """What whoever applied the live object last said of it, as the note of `kubectl apply` has it."""

    @property
    def label(self) -> Message:
        """For people."""
        return msg("its last kubectl apply")


Origin = FromSnapshot | FromRelease | FromApplied


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says that an object should be, and since when. Holds secrets: never print it."""

    origin: FromRelease | FromApplied
    content: Object
    since: datetime | None


class Wanted(msgspec.Struct, frozen=True):
    """A content that an object is to have. ``exact``: nothing else beside it; else it is what a manifest says."""

    content: Object
    exact: bool = True

    def held_by(self, live: Object) -> bool:
        """Whether the cluster holds it: what the cluster itself gives out (addresses) does not count."""
        if self.exact:
            return equal(update(self.body(live), live), live)
        return not strayed(self.content, live)

    def body(self, live: Object | None) -> Object:
        """What leads there from ``live``, before `update` adds what belongs to the cluster."""
        if self.exact:
            return self.content if live is None else with_given(self.content, live)
        return merged(self.content, live) if live is not None else self.content


def with_given(content: Object, live: Object) -> Object:
    """With the names of tokens that the cluster wrote into this very account: those of a former one are of no use."""
    if content["kind"] != "ServiceAccount":
        return content
    given = {"secrets": live["secrets"]} if live.get("secrets") else {}
    return {**{key: value for key, value in content.items() if key != "secrets"}, **given}


def strayed(manifest: Object, live: Object) -> tuple[FieldChange, ...]:
    """What somebody changed past a manifest: ``before`` as that says, ``after`` as it is live."""
    kind, writers = KINDS[str(live["kind"])], authors(live)

    def counts(field: FieldChange) -> bool:
        said = field.before is not None or bool(field.lines)
        if field.path.startswith("metadata"):
            return said and field.path.startswith(("metadata.labels", "metadata.annotations"))
        return said or not kind.open or _by_hand(writers, field.path)

    return tuple(field for field in drift(manifest, live) if counts(field))


_HANDS = ("kubectl", "oc", "k9s", "Mozilla")
"""How managers begin that are people at a command line or in a browser: dashboards write as that."""


def _by_hand(writers: Sequence[Author], path: str) -> bool:
    """Whether a person set the field: what a person added to what a manifest says is taken back, what a program did is not."""
    return any(author.manager.startswith(_HANDS) for author in writers if author.owns(path))


def merged(manifest: Object, live: Object) -> Object:
    """``live`` with what the manifest says of it; of what that does not say, labels and notes stay, and in kinds that
    others add to, everything that no person added."""
    kind, wanted = KINDS[str(live["kind"])], stored(manifest)
    fill(wanted, *_group_kind(live))
    if live["kind"] == "Service":
        _keep_given(wanted.setdefault("spec", {}), live.get("spec") or {})
    body = sanitise(live)
    for part in ("labels", "annotations"):
        both = {**(body["metadata"].get(part) or {}), **((manifest.get("metadata") or {}).get(part) or {})}
        if both:
            body["metadata"][part] = both
    writers = authors(live)
    for field in kind.content:
        said = wanted.get(field)
        if kind.open:
            said = _both(said, _without_added(said, body.get(field), field, writers))
        if said is None:
            body.pop(field, None)
        else:
            body[field] = said
    return body


def _group_kind(obj: Object) -> tuple[str, str]:
    group, slash, _ = str(obj["apiVersion"]).partition("/")
    return (group if slash else ""), str(obj["kind"])


def _keep_given(spec: dict[str, Any], live: dict[str, Any]) -> None:
    """What the cluster gave to a Service, where its manifest does not ask for something else."""
    for path in CHOSEN["", "Service"]:
        field = path.removeprefix("spec.")
        if "." not in field and field in live:
            spec.setdefault(field, live[field])
    given = {(port.get("port"), port.get("protocol")): port.get("nodePort") for port in live.get("ports") or ()}
    for port in spec.get("ports") or ():
        number = given.get((port.get("port"), port.get("protocol")))
        if number and spec.get("type") != "ClusterIP":
            port.setdefault("nodePort", number)


def _without_added(said: Any, there: Any, field: str, writers: Sequence[Author]) -> Any:
    """What is there, without what people added to it."""
    if isinstance(there, dict):
        keys = said if isinstance(said, dict) else {}
        return {key: v for key, v in there.items() if key in keys or not _by_hand(writers, render((field, key)))}
    if isinstance(there, list):
        items = said if isinstance(said, list) else []
        return [item for item in there if item in items or not _by_hand(writers, _place(field, item))]
    return there


def _place(field: str, item: Any) -> str:
    name = item.get("name") if isinstance(item, dict) else item
    return render((field, ("list", (("name", name),))))


def _both(said: Any, there: Any) -> Any:
    if said is None or there is None:
        return there if said is None else said
    if isinstance(said, dict) and isinstance(there, dict):
        return {**there, **said}
    if isinstance(said, list) and isinstance(there, list):
        return [*said, *(item for item in there if item not in said)]
    return said


def stored(manifest: Object) -> Object:
    """A manifest as the API server stores it: text of a Secret that was given plain is encoded."""
    found = copy.deepcopy(manifest)
    plain = found.pop("stringData", None)
    if plain:
        coded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        found["data"] = {**(found.get("data") or {}), **coded}
    return found


def of_release(manifest: Object, ref: ObjectRef, origin: FromRelease) -> Object:
    """An object of a manifest as Helm makes it: with the marks that it is found by."""
    found = stored(manifest)
    meta = found["metadata"] = dict(found.get("metadata") or {})
    meta["namespace"] = ref.namespace
    meta["labels"] = {**(meta.get("labels") or {}), MANAGED_BY: "Helm"}
    marks = {HELM_RELEASE: origin.release, HELM_NAMESPACE: origin.namespace}
    meta["annotations"] = {**(meta.get("annotations") or {}), **marks}
    return found


async def manifest_object(records: Records, record: Record, ref: ObjectRef) -> Object | None:
    """The object in the manifest of one revision, in whichever version of the API; None where that has none.

    Raises:
        RevisionNotFound, TooLarge, Invalid: it can't be read.
    """
    release = await records.load(record)
    key = Key(ref.api_version.partition("/")[0] if "/" in ref.api_version else "", ref.kind, ref.namespace, ref.name)
    found = (entry.object for entry in entries(release.manifest, {ref.kind}) if entry.key(records.namespace) == key)
    return next(found, None)


async def load(
    cluster: ClusterReader, origin: Origin, ref: ObjectRef, *, in_force: bool = False
) -> tuple[Wanted, Repository | None]:
    """Reads a content where it comes from; ``in_force``: a revision must still be the newest of its release. With it the
    repository of a snapshot, closed: it still names contents.

    Raises:
        RepositoryNotFound, RepositoryDamaged: the snapshot's repository is another one, or can't be read.
        PreconditionFailed: the release went on.
        NotFoundError: the release, or the object in it, is gone.
    """
    if isinstance(origin, FromSnapshot):
        content, repository = await origin.load()
        return Wanted(content), repository
    if isinstance(origin, FromApplied):
        return await _of_applied(cluster, ref), None
    records = Records(cluster, origin.namespace)
    history = await records.history(origin.release)
    if in_force and (history[-1].revision != origin.revision or history[-1].status != "deployed"):
        raise PreconditionFailed(
            "helm/{release} went on after the plan was made.",
            release=origin.release,
            expected="revision {number}, deployed",
            found="revision {newest}, {status}",
            number=origin.revision,
            newest=history[-1].revision,
            status=history[-1].status,
            hint="Plan anew.",
        )
    record = next((one for one in history if one.revision == origin.revision), None)
    manifest = await manifest_object(records, record, ref) if record is not None else None
    if manifest is None:
        raise NotFoundError(
            "Revision {number} of helm/{release} does not hold {object} any more.",
            number=origin.revision,
            release=origin.release,
            object=str(ref),
            hint="Plan anew.",
        )
    return Wanted(of_release(manifest, ref, origin), exact=False), None


def applied(live: Object) -> Declared | None:
    """What the note of the last apply says; None where it has none, or in another version of the API.

    Of what somebody changed since, `managedFields` tell who and where, but not what was there before
    (kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config, "How apply calculates differences").
    """
    try:
        found = json.loads((live["metadata"].get("annotations") or {}).get(LAST_APPLIED) or "null")
    except ValueError:
        return None
    meta = found.get("metadata") if isinstance(found, dict) else None
    if not isinstance(meta, dict) or any(found.get(key) != live[key] for key in ("apiVersion", "kind")):
        return None
    if meta.get("name") != live["metadata"]["name"]:
        return None
    path = f'metadata.annotations["{LAST_APPLIED}"]'
    since = next((author.at for author in authors(live) if author.owns(path)), None)
    content = stored({**found, "metadata": {**meta, "namespace": live["metadata"]["namespace"]}})
    return Declared(origin=FromApplied(), content=content, since=since)


async def _of_applied(cluster: ClusterReader, ref: ObjectRef) -> Wanted:
    live = await cluster.get(OBJECT_RESOURCES[ref.kind], ref.name, ref.namespace)
    says = applied({**live, "apiVersion": ref.api_version, "kind": ref.kind})
    if says is None:
        raise NotFoundError("{object} has no note of a kubectl apply any more.", object=str(ref), hint="Plan anew.")
    return Wanted(says.content, exact=False)
