# SPDX-License-Identifier: Apache-2.0
"""One reading of an application and its repository, and the way back to each revision that it was prepared for. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.errors import RefusedError, RevisionNotFound
from backout.git.revert import Back
from backout.git.words import short, shown
from backout.mechanisms.git.history import Seen
from backout.mechanisms.git.params import API_VERSION, KIND, PushParams, SyncParams, reverse_digest, state_of
from backout.mechanisms.git.planning import Planned, names
from backout.mechanisms.port import Draft, unprepared, wire
from backout.model.change import Changes, FieldChange, ObjectChange
from backout.model.message import Message, few, msg
from backout.model.part import Access, Check, Compensation, Risk, Step
from backout.model.plaintext import one_line
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target

PUSH, SYNC, SYNCED = "git.push", "git.await-sync", "git-synced"
PUSH_TIME, SYNC_TIME = 300.0, 600.0


class GitReading(msgspec.Struct, frozen=True, kw_only=True):
    """See `mechanisms.port.Reading`."""

    target: Target
    seen: Seen
    revisions: tuple[Revision, ...]
    planned: dict[str, Planned | RefusedError]

    def between(self, earlier: Revision | None, later: Revision) -> tuple[ObjectChange, ...]:
        """The files that the commits after ``earlier`` up to ``later`` touched, without what is in them."""
        end = self._at(later)
        start = self._at(earlier) + 1 if earlier is not None else end
        paths = {touched.path: touched.status for one in self.seen.commits[start : end + 1] for touched in one.touched}
        fields = [FieldChange(path=shown(path), lines=(status,)) for path, status in sorted(paths.items())]
        return (ObjectChange(ref=self._ref, action="update", fields=tuple(fields)),)

    def draft(self, revision: Revision) -> Draft:
        """The commit that goes back, its push, and the wait until Argo CD has brought it to the cluster.

        Raises:
            RefusedError: it can't be done, or Argo CD would not take it up by itself.
        """
        self._at(revision)
        found = self.planned.get(revision.names[0])
        if found is None:
            raise unprepared(self.target, f"revision {revision.number}")
        if isinstance(found, RefusedError):
            raise found
        self._require_sync()
        access = tuple(
            Access(verb, "argoproj.io", "applications", self.target.namespace) for verb in ("get", "list", "patch")
        )
        notes = (self._note(),)
        return Draft(
            steps=(self._push(revision, found, access), self._sync(found, access)),
            changes=Changes(objects=(ObjectChange(ref=self._ref, action="update", fields=found.files, notes=notes),)),
            risks=self._risks(found),
            checks=(self._check(found),),
            access=access,
        )

    def present_checks(self) -> tuple[Check, ...]:
        """That it is at the newest commit of what it is made of."""
        place = self.seen.place
        return (self._checked(SyncParams(**self._named, url=place.url, branch=place.branch, wanted=self.seen.present)),)

    @property
    def _ref(self) -> ObjectRef:
        return ObjectRef(API_VERSION, KIND, self.target.name, self.target.namespace, self.seen.app["metadata"]["uid"])

    @property
    def _named(self) -> dict[str, Any]:
        return {"api_version": API_VERSION, "kind": KIND, "name": self.target.name, "namespace": self.target.namespace}

    def _at(self, revision: Revision) -> int:
        if (found := self.seen.find(revision)) is None:
            raise RevisionNotFound(
                "{url} has no commit {commit} on {branch} any more.",
                url=self.seen.place.url,
                commit=revision.status,
                branch=self.seen.place.branch,
                hint="`backout history {target}` names those that there are.",
                target=str(self.target),
            )
        return found

    def _require_sync(self) -> None:
        """
        Raises:
            RefusedError: nobody would bring a commit to the cluster.
        """
        if self.seen.app["metadata"].get("deletionTimestamp"):
            raise RefusedError("{target} is being deleted.", target=str(self.target), hint="Wait, then make it again.")
        automated = ((self.seen.app.get("spec") or {}).get("syncPolicy") or {}).get("automated")
        if not isinstance(automated, dict) or automated.get("enabled") is False:
            raise RefusedError(
                "{target} is not synced automatically, so a commit would change nothing by itself.",
                target=str(self.target),
                expected="spec.syncPolicy.automated",
                hint="Turn that on; or revert the commit, and sync it by hand.",
            )

    def _push(self, revision: Revision, found: Planned, access: tuple[Access, ...]) -> Step:
        place, drafted = self.seen.place, found.drafted
        forward = PushParams(
            **self._named,
            url=place.url,
            branch=place.branch,
            planned=drafted.onto,
            sources=place.sources,
            digest=drafted.digest,
            leaves=state_of(drafted.changes),
            back=found.back,
            cause=_cause(found),
        )
        backward = msgspec.structs.replace(
            forward,
            digest=reverse_digest(drafted.changes),
            leaves=state_of(drafted.changes, before=True),
            back=Back(),
            cause="",
            undoes="push",
        )
        words = {"branch": place.branch, "url": place.url, "revision": short(revision.names[0])}
        title = (
            msg("Take back {commits} on {branch} of {url}", commits=_commits(found), **words)
            if found.taken
            else msg("Make the files of the application as in {revision} on {branch} of {url}", **words)
        )
        return Step(
            id="push",
            action=PUSH,
            target=self.target,
            title=title,
            params=wire(forward),
            precondition={"head": drafted.onto},
            effect=msg("A new commit, never forced; Argo CD brings it to the cluster."),
            compensation=Compensation(PUSH, wire(backward), access),
            timeout=PUSH_TIME,
        )

    def _sync(self, found: Planned, access: tuple[Access, ...]) -> Step:
        backward = msgspec.structs.replace(self._params(found), wanted=state_of(found.drafted.changes, before=True))
        return Step(
            id="sync",
            action=SYNC,
            target=self.target,
            title=msg("Wait until Argo CD has synced that commit to {target}", target=str(self.target)),
            params=wire(self._params(found)),
            precondition={"uid": self._ref.uid},
            compensation=Compensation(SYNC, wire(backward), access),
            timeout=SYNC_TIME,
        )

    def _params(self, found: Planned) -> SyncParams:
        place = self.seen.place
        wanted = state_of(found.drafted.changes)
        return SyncParams(**self._named, url=place.url, branch=place.branch, wanted=wanted, since=found.drafted.onto)

    def _check(self, found: Planned) -> Check:
        return self._checked(self._params(found))

    def _checked(self, params: SyncParams) -> Check:
        title = msg("{target} is synced to the repository as it is to be, and healthy", target=str(self.target))
        return Check(code=SYNCED, target=self.target, title=title, params=wire(params))

    def _note(self) -> Message:
        return msg(
            "These are files of {url} ({branch}), which it is made from.",
            url=self.seen.place.url,
            branch=self.seen.place.branch,
        )

    def _risks(self, found: Planned) -> tuple[Risk, ...]:
        risks = []
        if found.others:
            text = msg("The same commit reaches other applications: {names}.", names=few(names(found.others), 10))
            risks.append(Risk(code="reaches-others", message=text, needs_approval=True))
        if not self.seen.others_read:
            text = msg("Not every application could be listed: others may be made of the same files.")
            risks.append(Risk(code="others-unread", message=text, needs_approval=True))
        if found.strays:
            text = msg(
                "These files go back too, which no application is made of: {files}.", files=few(found.strays, 10)
            )
            risks.append(Risk(code="strays", message=text))
        if found.conflict is not None:
            text = msg(
                "The commits can't be taken back one by one ({files} changed since): all files of the application become what they were.",
                files=str(found.conflict.arguments["files"]),
            )
            risks.append(Risk(code="restores-paths", message=text, needs_approval=True))
        if found.pointers:
            text = msg("Of these files Git holds pointers alone (LFS): {files}.", files=few(found.pointers, 10))
            risks.append(Risk(code="pointers", message=text))
        if modules := [one.path for one in found.drafted.changes if one.submodule]:
            text = msg("These are submodules; they point to another commit again: {paths}.", paths=few(modules, 10))
            risks.append(Risk(code="submodules", message=text))
        if self.seen.inputs.remote:
            text = msg(
                "It is made from these places as well, which stay as they are: {places}.",
                places=few(self.seen.inputs.remote, 5),
            )
            risks.append(Risk(code="remote", message=text))
        if self.seen.inputs.unread:
            text = msg("What these lead to could not be read: {files}.", files=few(self.seen.inputs.unread, 5))
            risks.append(Risk(code="unread", message=text))
        return tuple(risks)


def _commits(found: Planned) -> Message:
    return few([f"{short(one.sha)} “{one_line(one.subject)[:60]}”" for one in found.taken], 3)


def _cause(found: Planned) -> str:
    return "" if not found.taken else one_line(found.taken[0].subject)[:120]
