# SPDX-License-Identifier: Apache-2.0
"""What one live workload proves for or against the revisions that described it. Pure.

The proofs, strongest first:

- Pods made from a template run it now and are ready without a recent crash (or are failing).
- ``status.currentRevision`` of a StatefulSet moves only when every pod has the new template and is ready
  (kubernetes pkg/controller/statefulset/stateful_set_control.go); so what it names was reached, and what came after it
  was not.
- An OrderedReady set begins to replace pods only while all of them are ready.
- A Deployment whose earlier pods still serve was never taken over by the templates that came after them.
- A Deployment with strategy Recreate that lost its availability the moment a revision began had it until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from backout.helm.workloads import Workload
from backout.kube.templates import Templates
from backout.mechanisms.common.evidence import Generation, LivePod, LiveWorkload
from backout.model.message import Message, msg
from backout.model.settled import settled

AT_ONCE = timedelta(seconds=60)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """When a revision was in force; ``ended`` is None for the newest."""

    number: int
    started: datetime | None
    ended: datetime | None


class Finding(msgspec.Struct, frozen=True):
    """Good or bad, and how one knows."""

    good: bool
    message: Message


Versions = Sequence[Workload | None]
Verdicts = dict[tuple[int, str], Finding]


def findings(seen: LiveWorkload, versions: Versions, spans: Sequence[Span]) -> Verdicts:
    """Findings by (revision, key of the workload in it); what is not there is not known."""
    case = _Case(seen, versions, spans)
    # Later rules only fill what the stronger ones left open.
    case.pods()
    if seen.kind == "StatefulSet":
        case.reached()
        case.began_to_replace()
    if seen.kind == "Deployment":
        case.still_serving()
        case.availability()
    return case.verdicts


class _Case:
    def __init__(self, seen: LiveWorkload, versions: Versions, spans: Sequence[Span]) -> None:
        self.seen, self.versions, self.spans = seen, versions, spans
        self.verdicts: Verdicts = {}
        templates = Templates({w.template_digest: w.template for w in versions if w is not None})
        self.match = {g.name: templates.best_match(g.template) for g in seen.generations}
        self.keys: dict[str, set[str]] = {}
        for version in versions:
            if version is not None:
                self.keys.setdefault(version.template_digest, set()).add(version.key)

    def pods(self) -> None:
        """What the pods that exist now say of the template that they were made from."""
        steady: dict[str, list[str]] = {}
        failing: dict[str, list[tuple[str, str]]] = {}
        for pod in self.seen.pods:
            digest = self.match.get(pod.generation)
            key = self._key_in_force(digest) if pod.failing else None
            key = key or self._key_of(digest, pod.created)
            if key is None:
                continue
            if pod.failing:
                failing.setdefault(key, []).append((pod.name, pod.failing))
            elif pod.steady and (not self._is_fresh(pod) or settled(pod.ready_since, self.seen.at)):
                steady.setdefault(key, []).append(pod.name)
        label = self.seen.label
        for key, pods in failing.items():
            name, reason = sorted(pods)[0]
            self._put(
                key,
                False,
                msg(
                    "Pods of {workload} made from it fail now: {count} ({pod}: {reason}).",
                    count=len(pods),
                    workload=label,
                    pod=name,
                    reason=reason,
                ),
            )
        for key, names in steady.items():
            self._put(
                key,
                True,
                msg("Pods of {workload} made from it are ready now: {count}.", count=len(names), workload=label),
            )

    def reached(self) -> None:
        """A StatefulSet's currentRevision, and the revisions that came after it without ever replacing it."""
        current = self._generation(self.seen.current_revision)
        if current is None:
            return
        key = self._only_key(self.match.get(current.name))
        first = min((g.created for g in self.seen.generations if g.created), default=None)
        if key and first and current.created and current.created > first:
            self._put(
                key,
                True,
                msg(
                    "Every pod of {workload} reached it and was ready (status.currentRevision names it).",
                    workload=self.seen.label,
                ),
            )
        for later in self.seen.generations:
            came_after = later.order > current.order and _after(later.created, current.created)
            if not came_after or self._is_newest(later.name):
                continue
            key = self._only_key(self.match.get(later.name))
            if key:
                self._put(
                    key,
                    False,
                    msg(
                        "{workload} never got all of its pods to it: status.currentRevision is still that of before.",
                        workload=self.seen.label,
                    ),
                )

    def began_to_replace(self) -> None:
        """The first revision of an OrderedReady set is currentRevision from birth; that it was left says more."""
        current = self._generation(self.seen.current_revision)
        if current is None or not self.seen.ordered:
            return
        key = self._only_key(self.match.get(current.name))
        newer = [pod for pod in self.seen.pods if pod.generation and pod.generation != current.name]
        if key and newer and self.seen.update_revision != current.name:
            self._put(
                key,
                True,
                msg(
                    "{workload} went on to replace pods that ran it, which an ordered set does only while all are ready.",
                    workload=self.seen.label,
                ),
            )

    def still_serving(self) -> None:
        """Templates that came after the ReplicaSet that still serves never took over from it."""
        serving = [g for g in self.seen.generations if g.ready and not self._is_newest(g.name)]
        if not serving or self.seen.recreate:
            return
        oldest = min(serving, key=lambda generation: generation.order)
        for later in self.seen.generations:
            if later.order <= oldest.order or later.ready or self._is_newest(later.name):
                continue
            key = self._only_key(self.match.get(later.name))
            if key and _after(later.created, oldest.created):
                self._put(
                    key,
                    False,
                    msg(
                        "{workload} never got enough ready pods of it to let the earlier ones go; those still serve.",
                        workload=self.seen.label,
                    ),
                )

    def availability(self) -> None:
        """When availability was lost at the start of a revision, the one before had it, and none after it has."""
        since = self.seen.unavailable_since
        if since is None or (self.seen.created and since - self.seen.created < timedelta(seconds=5)):
            return
        for index, span in enumerate(self.spans):
            version = self.versions[index]
            if version is None or span.started is None:
                continue
            if span.started > since:
                self._put_one(
                    span.number,
                    version.key,
                    False,
                    msg("{workload} was unavailable all the time that it was in force.", workload=self.seen.label),
                )
            following = self.spans[index + 1] if index + 1 < len(self.spans) else None
            began = following.started if following and self.seen.recreate else None
            if began and timedelta(0) <= since - began <= AT_ONCE:
                self._put(
                    version.key,
                    True,
                    msg("{workload} was available until the next revision began.", workload=self.seen.label),
                )

    def _generation(self, name: str) -> Generation | None:
        return next((g for g in self.seen.generations if g.name == name), None)

    def _is_newest(self, name: str) -> bool:
        """True for the template that the workload wants now: its rollout may simply not be over."""
        if self.seen.update_revision:
            return name == self.seen.update_revision
        newest = max(self.seen.generations, key=lambda generation: generation.order, default=None)
        return newest is not None and newest.name == name

    def _is_fresh(self, pod: LivePod) -> bool:
        """True for a pod of the template that is wanted now, born in the newest revision."""
        began = self.spans[-1].started if self.spans else None
        older = began is not None and pod.created is not None and pod.created < began
        return self._is_newest(pod.generation) and not older

    def _only_key(self, digest: str | None) -> str | None:
        keys = self.keys.get(digest or "", set())
        return next(iter(keys)) if len(keys) == 1 else None

    def _key_of(self, digest: str | None, created: datetime | None) -> str | None:
        """The key that a pod of template ``digest`` speaks for: with several, that of the revision it was born in."""
        if digest is None:
            return None
        if (only := self._only_key(digest)) is not None:
            return only
        if created is None:
            return None
        for version, span in zip(self.versions, self.spans, strict=True):
            if version is None or version.template_digest != digest or span.started is None:
                continue
            if span.started <= created and (span.ended is None or created < span.ended):
                return version.key
        return None

    def _key_in_force(self, digest: str | None) -> str | None:
        """The key of the newest revision where that has the template: what fails now does so with what is around it now."""
        newest = self.versions[-1] if self.versions else None
        return newest.key if newest is not None and newest.template_digest == digest else None

    def _put(self, key: str, good: bool, message: Message) -> None:
        for version, span in zip(self.versions, self.spans, strict=True):
            if version is not None and version.key == key:
                self._put_one(span.number, key, good, message)

    def _put_one(self, number: int, key: str, good: bool, message: Message) -> None:
        self.verdicts.setdefault((number, key), Finding(good, message))


def _after(later: datetime | None, earlier: datetime | None) -> bool:
    return later is not None and earlier is not None and later > earlier
