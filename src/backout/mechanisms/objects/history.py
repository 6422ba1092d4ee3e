# SPDX-License-Identifier: Apache-2.0
"""What one object was over time, as the snapshots of its namespace hold it, what is declared, and what it is now.

Equal contents that follow each other are one revision. A revision is good when a good snapshot holds its content; that
of an archive from elsewhere never makes anything good. Of an object that somebody changed or deleted past its Helm
release, what the revision in force says is one as well, unless a good snapshot is younger than that; of one that was changed
since its last `kubectl apply`, what that says, which is good where no snapshot proves another one good. That there was none
is a revision of kinds that may be taken away again. What only the cluster holds comes last, as the one in force.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec

from backout.changes.authors import written_at
from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import NoGoodRevision, ObjectNotFound, RefusedError
from backout.kube.resources import OBJECT_RESOURCES
from backout.kube.sanitise import sanitise
from backout.mechanisms.common.kept import FromSnapshot, Held, held, proven, unproven
from backout.mechanisms.objects.content import Declared, FromApplied, FromRelease, Origin, Wanted, applied
from backout.mechanisms.objects.helm import is_of_release, release_says
from backout.mechanisms.objects.kinds import KINDS, require_known
from backout.model.message import Message, msg
from backout.model.revision import Revision
from backout.model.snapshot import Entry, Snapshot
from backout.model.target import OBJECTS, ObjectRef, Target
from backout.snapshots.collect import encode
from backout.snapshots.repository import Repository

ABSENT = "absent"
"""The digest of an object that does not exist."""


class ContentRevision(msgspec.Struct, frozen=True, kw_only=True):
    """One content that the object had, and the snapshots in a row that hold it, oldest first. Holds secrets.

    ``digest`` names the content under the repository's present key; ``address`` is where it is found. ``snapshots`` are
    none for what only the cluster, or the release, holds; ``content`` is None when the object does not exist.
    """

    number: int
    digest: str
    address: str = ""
    content: Object | None
    snapshots: tuple[Snapshot, ...] = ()
    entry: Entry | None = None
    created: datetime | None = None
    declared: FromRelease | FromApplied | None = None

    @property
    def key(self) -> str:
        """Names it among the contents of its object."""
        return f"{self.number}:{self.digest}"

    @property
    def kept(self) -> bool:
        """Whether it is held somewhere else than in the cluster."""
        return bool(self.snapshots) or self.declared is not None

    @property
    def good_snapshots(self) -> list[Snapshot]:
        """Those that prove it good."""
        return [one for one in self.snapshots if one.vouches]

    def origin(self, repository: str) -> Origin | None:
        """Where a step finds it again; None for what only the cluster holds."""
        if self.declared is not None:
            return self.declared
        if not self.snapshots or not self.address:
            return None
        snapshot = (self.good_snapshots or list(self.snapshots))[-1]
        return FromSnapshot(repository, snapshot.id, self.address)

    @property
    def wanted(self) -> Wanted | None:
        """The content, and how an object is held against it; None for one that does not exist."""
        return None if self.content is None else Wanted(self.content, exact=self.declared is None)


class ObjectHistory(msgspec.Struct, frozen=True, kw_only=True):
    """An object with all of its past, as read at one time. Holds secrets: never print it."""

    ref: ObjectRef
    resource: Resource
    live: Object | None
    past: tuple[ContentRevision, ...]
    good: frozenset[str]
    repository: str = ""
    found: str = ""
    """What `found_as` says of ``live``."""

    def found_for(self, origin: Origin | None) -> str:
        """What a step expects to find: where its content comes from a repository, under the key of that."""
        return self.found if isinstance(origin, FromSnapshot) else found_as(self.live, None)

    @property
    def current(self) -> ContentRevision:
        """What is in force."""
        return self.past[-1]

    def find(self, revision: Revision) -> ContentRevision | None:
        """The revision of that number, if it still has that content; else the newest one with it."""
        same = [entry for entry in self.past if entry.digest == revision.digest]
        return next((entry for entry in same if entry.number == revision.number), same[-1] if same else None)


def ref_of(target: Target) -> ObjectRef:
    """The object that a target names.

    Raises:
        RefusedError: it is none that is put back from a snapshot.
    """
    require_known(target)
    if target.kind not in OBJECTS:
        raise RefusedError(
            "{target} is not put back from snapshots.",
            target=str(target),
            expected="one of {known}",
            known=", ".join(OBJECTS),
        )
    api_version, kind = OBJECTS[target.kind]
    return ObjectRef(api_version, kind, target.name, target.namespace)


def resource_of(ref: ObjectRef) -> Resource:
    """How the API serves a kind of object."""
    return OBJECT_RESOURCES[ref.kind]


async def read(cluster: ClusterReader, target: Target) -> ObjectHistory:
    """Reads the object, and its past in the configured repository.

    Raises:
        ObjectNotFound: it does not exist, and neither a snapshot nor a release holds it.
        RefusedError: its kind does not go back on its own.
        KeyMissing, WrongKey, RepositoryDamaged, StorageError: there is a repository, and it can't be read.
    """
    ref = ref_of(target)
    resource = resource_of(ref)
    live, past, good, repository = await _read(cluster, ref, resource)
    says = await release_says(cluster, ref, live, [one.content for one in past if one.content is not None])
    if says is None and live is not None and not is_of_release(live):
        says = applied(live)
    past = _with_declared(past, says, live, repository)
    present = _present(live, past, repository)
    if live is None and all(one.content is None for one in past):
        raise ObjectNotFound(
            "There is no {target} in {namespace}, and no snapshot holds it.",
            target=str(target),
            namespace=target.namespace,
            hint="`backout snapshot list -n {namespace}` says which snapshots there are.",
        )
    if not past or past[-1] is not present:
        past = [*past, present]
    uid = live["metadata"]["uid"] if live is not None else ""
    return ObjectHistory(
        ref=msgspec.structs.replace(ref, uid=uid),
        resource=resource,
        live=live,
        past=tuple(past),
        good=frozenset(good | {one.digest for one in past if _declared_good(one, good)}),
        repository=repository.id if repository else "",
        found=found_as(live, repository),
    )


async def _read(
    cluster: ClusterReader, ref: ObjectRef, resource: Resource
) -> tuple[Object | None, list[ContentRevision], set[str], Repository | None]:
    live, (repository, found) = await asyncio.gather(live_object(cluster, resource, ref), held(cluster, ref))
    digests = _digests(repository, found) if repository is not None else {}
    past: list[ContentRevision] = []
    good: set[str] = set()
    for one in found:
        snapshot, entry, content = one.snapshot, one.entry, one.content
        if entry is None and not _says_absent(snapshot, ref):
            continue
        digest = digests[entry.address] if entry is not None else ABSENT
        if snapshot.vouches:
            # That there was none is good for as long as no later one knows better: it may have been made on purpose.
            good = good - {ABSENT} | {digest}
        if past and past[-1].digest == digest:
            # The newest has the addresses that the cluster gave last.
            past[-1] = msgspec.structs.replace(
                past[-1],
                address=entry.address if entry is not None else "",
                content=content,
                entry=entry,
                snapshots=(*past[-1].snapshots, snapshot),
            )
        else:
            past.append(
                ContentRevision(
                    number=len(past) + 1,
                    digest=digest,
                    address=entry.address if entry is not None else "",
                    content=content,
                    snapshots=(snapshot,),
                    entry=entry,
                    created=snapshot.taken_at,
                )
            )
    return live, past, good, repository


def _says_absent(snapshot: Snapshot, ref: ObjectRef) -> bool:
    """Whether that a snapshot does not hold an object is a state to go back to: it looked for such ones, and what was made
    since may be taken away again."""
    group = ref.api_version.partition("/")[0] if "/" in ref.api_version else ""
    return KINDS[ref.kind].removable and not any(
        one.ref.kind in (ref.kind, "*")
        and one.ref.name in ("", ref.name)
        and (one.ref.api_version.partition("/")[0] if "/" in one.ref.api_version else "") == group
        for one in snapshot.skipped
    )


def _declared_good(entry: ContentRevision, good: set[str]) -> bool:
    """What the revision in force of a release says is what its owner wants. What somebody applied by hand since all was well
    may be what broke it, so that a snapshot which proves another content good is believed rather."""
    return isinstance(entry.declared, FromRelease) or (isinstance(entry.declared, FromApplied) and not good - {ABSENT})


def _with_declared(
    past: list[ContentRevision], says: Declared | None, live: Object | None, repository: Repository | None
) -> list[ContentRevision]:
    """With what the release or the last apply says, where that is neither what is live nor what is known already."""
    if says is None or (live is not None and Wanted(says.content, exact=False).held_by(live)):
        return past
    newest = max((s.taken_at for one in past for s in one.good_snapshots), default=None)
    if newest is not None and (says.since is None or newest >= says.since):
        # What was so when all was well is not asked for again.
        return past
    digest = repository.address(encode(says.content)) if repository is not None else f"{says.origin.label}"
    found = ContentRevision(
        number=len(past) + 1, digest=digest, content=says.content, created=says.since, declared=says.origin
    )
    return [*past, found]


def found_as(live: Object | None, repository: Repository | None) -> str:
    """What a step expects to find, without telling what it is."""
    if live is None:
        return ABSENT
    return _plain_digest(live) if repository is None else repository.address(encode(sanitise(live)))


def _plain_digest(live: Object) -> str:
    """Without a key, a digest of a Secret would tell what is in it: its version in the store is named instead."""
    if live["kind"] in ("Secret", "ConfigMap"):
        return f"version {live['metadata'].get('resourceVersion', '')}"
    return hashlib.sha256(encode(sanitise(live))).hexdigest()


async def live_object(cluster: ClusterReader, resource: Resource, ref: ObjectRef) -> Object | None:
    """The object as it is, with its kind; None when it does not exist."""
    try:
        found = await cluster.get(resource, ref.name, ref.namespace)
    except ObjectNotFound:
        return None
    return {"apiVersion": ref.api_version, "kind": ref.kind, **found}


def _digests(repository: Repository, found: list[Held]) -> dict[str, str]:
    """Address → digest under the present key: a rotated key gives equal contents other addresses."""
    contents = {one.entry.address: one.content for one in found if one.entry is not None and one.content is not None}
    return {address: _digest(repository, content) for address, content in contents.items()}


def _digest(repository: Repository, content: Object) -> str:
    """Of what counts. What the cluster gives to a Service or an account does not (see `Wanted.held_by`): one that was made
    anew has others, and is the same revision all the same."""
    if content["kind"] == "ServiceAccount":
        content = {key: value for key, value in content.items() if key != "secrets"}
    if content["kind"] != "Service":
        return repository.address(encode(content))
    given = {"clusterIP", "clusterIPs", "healthCheckNodePort"}
    spec = content.get("spec") or {}
    kept = {key: value for key, value in spec.items() if key not in given}
    if spec.get("clusterIP") == "None":
        kept["clusterIP"] = "None"
    return repository.address(encode({**content, "spec": kept}))


def _present(live: Object | None, past: list[ContentRevision], repository: Repository | None) -> ContentRevision:
    """What is in force: the last of ``past`` itself where the cluster still holds that, else one of its own."""
    number = len(past) + 1
    if live is None:
        if past and past[-1].content is None:
            return past[-1]
        return ContentRevision(number=number, digest=ABSENT, content=None)
    same = next((one for one in reversed(past) if one.wanted is not None and one.wanted.held_by(live)), None)
    if same is not None and same is past[-1]:
        return same
    if same is not None:
        return msgspec.structs.replace(same, number=number, snapshots=(), created=written_at(live))
    plain = sanitise(live)
    digest = _digest(repository, plain) if repository is not None else _plain_digest(live)
    return ContentRevision(number=number, digest=digest, content=plain, created=written_at(live))


def revisions(seen: ObjectHistory, more: tuple[Message, ...] = (), *, stale: str = "") -> list[Revision]:
    """All of them, oldest first; ``more`` is told of the one in force, which is not settled while readers are
    ``stale``: going to it once more restarts them."""
    found = [_revision(seen, entry, more if entry is seen.current else ()) for entry in seen.past]
    if stale:
        why = msg(
            "{readers} began to run before it was written last, and may work with what it held then.", readers=stale
        )
        found[-1] = msgspec.structs.replace(found[-1], settled=False, reasons=(*found[-1].reasons, why))
    return found


def _revision(seen: ObjectHistory, entry: ContentRevision, more: tuple[Message, ...]) -> Revision:
    current = entry is seen.current
    good = entry.digest in seen.good
    # The last one is told of, and it is the one that a plan writes from.
    names = [s.id for s in sorted(entry.snapshots, key=lambda s: s.vouches)]
    names += [tag for snapshot in entry.snapshots if not snapshot.imported_from for tag in snapshot.tags]
    return Revision(
        number=entry.number,
        digest=entry.digest,
        created=entry.created,
        status=_status(entry, current=current),
        current=current,
        goodness="good" if good else "unknown",
        reasons=(_reason(seen, entry, good=good), *more),
        names=tuple(dict.fromkeys(names)),
    )


def _status(entry: ContentRevision, *, current: bool) -> str:
    if entry.content is None:
        return "missing"
    return "in force" if current else ""


def _reason(seen: ObjectHistory, entry: ContentRevision, *, good: bool) -> Message:
    if isinstance(entry.declared, FromRelease):
        return msg("{source}, which is in force, says so.", source=entry.declared.label)
    if entry.declared is not None:
        return msg("It was applied so last; what was changed since is not in that.")
    same = [other for other in seen.past if other.digest == entry.digest]
    holders = [snapshot for other in same for snapshot in other.good_snapshots]
    if entry.content is None:
        if good and holders:
            return msg(
                "It did not exist in snapshot {id}, which was taken while everything was healthy.", id=holders[-1].short
            )
        return msg("It does not exist now.") if entry is seen.current else msg("It did not exist then.")
    if good:
        return proven(holders[-1])
    if not entry.snapshots and not seen.repository:
        return msg("There are no snapshots.")
    return unproven(entry.snapshots)


def no_good_snapshot(target: Target, revisions: Sequence[Revision]) -> NoGoodRevision:
    """The error where no snapshot says what the object should be."""
    reasons = [str(reason) for revision in reversed(revisions) for reason in revision.reasons]
    others = any(not revision.current for revision in revisions)
    return NoGoodRevision(
        "No good snapshot holds {target}, so Backout does not know what it should be.",
        target=str(target),
        expected="a snapshot that was taken while everything was healthy",
        found="{reasons}",
        reasons=" ".join(dict.fromkeys(reasons)),
        namespace=target.namespace,
        hint="`backout history {target}` says what is known of it; --to REVISION names one all the same. Once it is "
        "mended: `backout snapshot create -n {namespace}`."
        if others
        else "Nothing holds another content of it: make it what it should be from where it comes. Once it is mended: "
        "`backout snapshot create -n {namespace}`.",
    )
