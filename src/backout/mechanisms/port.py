# SPDX-License-Identifier: Apache-2.0
"""What every way back has in common. One module (or folder) a mechanism; all are held to one contract suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from backout.cluster.port import Cluster, ClusterReader, Object
from backout.errors import PlanChanged, RefusedError
from backout.model.change import Changes, ObjectChange
from backout.model.measured import Measured
from backout.model.message import Message
from backout.model.part import Access, Check, Risk, Step
from backout.model.revision import Revision
from backout.model.skip import Skip
from backout.model.target import ObjectRef, Target
from backout.snapshots.capture import Capture, CaptureStore


class StepContext(Protocol):
    """What an effect gets beside its step. ``again``: an earlier attempt began it, so that somebody resumed the run since."""

    cluster: Cluster
    run: str
    again: bool

    async def guard(self) -> None:
        """Call right before each write: confirms the lease.

        Raises:
            LeaseLost: write nothing more.
        """

    def within(self, refs: Iterable[ObjectRef]) -> None:
        """Call before writing what the parameters of the step do not name, such as the objects of a manifest.

        Raises:
            RefusedError: one of them is out of the reach of the plan.
        """

    def progress(self, message: Message, **data: Any) -> None:
        """Tells the front ends what is going on."""


class StepOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step did. ``changed`` is False when the effect was there already. JSON only, nothing secret."""

    changed: bool
    message: Message
    data: dict[str, Any] = {}


P = TypeVar("P", bound=msgspec.Struct)
P_co = TypeVar("P_co", bound=msgspec.Struct, covariant=True)


@dataclass(frozen=True, slots=True)
class StepOf(Generic[P_co]):
    """A step with its parameters as the type that its action declares."""

    step: Step
    params: P_co

    @property
    def target(self) -> Target:
        """See `Step`."""
        return self.step.target

    @property
    def precondition(self) -> dict[str, Any]:
        """See `Step`."""
        return self.step.precondition

    @property
    def timeout(self) -> float:
        """See `Step`; seconds."""
        return self.step.timeout


Effect = Callable[[StepContext, Step], Awaitable[StepOutcome]]
"""Look, act only if the effect is absent, confirm. Can be killed at any instant and called again."""


@dataclass(frozen=True, slots=True)
class CheckOf(Generic[P_co]):
    """A check with its parameters as the type that its code declares."""

    check: Check
    params: P_co

    @property
    def target(self) -> Target:
        """See `Check`."""
        return self.check.target


@dataclass(frozen=True, slots=True)
class Measure(Generic[P]):
    """Measures checks of one code, once. ``ask`` raises errors of the house where that can't be done: the check is
    unknown then."""

    ask: Callable[[CheckOf[P], ClusterReader], Awaitable[Measured]]
    params: type[P]

    async def __call__(self, check: Check, reader: ClusterReader) -> Measured:
        """
        Raises:
            PlanChanged: the parameters are not those of the code.
            BackoutError: it can't be measured.
        """
        return await self.ask(CheckOf(check, typed(self.params, check.code, check.params)), reader)


def typed(kind: type[P], name: str, params: dict[str, Any]) -> P:
    """Parameters as they stand in a plan, strictly: nothing missing, nothing that is not known.

    Raises:
        PlanChanged: they are not those of the action or the check called ``name``.
    """
    try:
        return msgspec.convert(params, kind)
    except msgspec.ValidationError as error:
        raise PlanChanged(
            "The parameters of {name} are not as this version knows them: {problem}.",
            name=name,
            problem=str(error),
            hint="the plan was made by another version of Backout, or edited; make it again",
        ) from error


Prepare = Callable[[Sequence[Revision]], Sequence[Revision]]
"""The planning choice, pure: given all revisions, judged, those that drafts will be asked of."""


def nothing(revisions: Sequence[Revision]) -> Sequence[Revision]:
    """Prepares no draft: for whoever wants the revisions alone."""
    return ()


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a target is read.

    ``hooks``: whether what the way back itself runs (Helm's hooks) is to run. ``present``: read as well what checks of
    the state in force now need. ``skip``: what is to be left as it is. ``coming``: objects that other plans of the same run put
    back before. ``blamed``: what a diagnosis names as broken, or as changed by hand before it broke.
    """

    hooks: bool = True
    present: bool = False
    skip: tuple[Skip, ...] = ()
    coming: tuple[ObjectRef, ...] = ()
    blamed: tuple[ObjectRef, ...] = ()


PLAIN = Options()
"""Hooks run, and nobody asks for checks of the present state."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The way back to one revision.

    ``steps`` in order, with preconditions as they were read; ``changes`` object by object; ``risks`` that the reader
    must know before saying yes; ``checks`` to measure afterwards; ``access``: every right that the steps need. ``skipped``: objects
    that it leaves as they are because that was asked for, and how; ``unskippable``: those of which it can't, and why. ``waiting``:
    workloads whose pods fail now and that no step replaces, though they may need what goes back.
    """

    steps: tuple[Step, ...]
    changes: Changes
    risks: tuple[Risk, ...]
    checks: tuple[Check, ...]
    access: tuple[Access, ...]
    skipped: tuple[tuple[ObjectRef, Message], ...] = ()
    unskippable: tuple[tuple[ObjectRef, Message], ...] = ()
    waiting: tuple[ObjectRef, ...] = ()


class Reading(Protocol):
    """What one target was when it was read, once. Immutable, and pure: nothing here asks the cluster again, so that
    what a plan holds does not depend on when, in which order or how often it is asked."""

    @property
    def target(self) -> Target:
        """What was read."""

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """All known revisions, oldest first, each judged good, bad or unknown with reasons."""

    def between(self, earlier: Revision | None, later: Revision) -> tuple[ObjectChange, ...]:
        """What changed from ``earlier`` (None: from nothing) to ``later``, as recorded; not looking at what is live.

        Raises:
            RevisionNotFound: one of them can't be had any more.
        """

    def draft(self, revision: Revision) -> Draft:
        """The way back to a revision that was prepared.

        Raises:
            RefusedError: going back would do harm, or can't work; says why and what to do instead.
            RevisionNotFound: it can't be had any more.
            LookupError: it was not prepared, which is a mistake of the caller.
        """

    def present_checks(self) -> tuple[Check, ...]:
        """What can be measured of the state in force now.

        Raises:
            LookupError: it was not read for that (`Options.present`), which is a mistake of the caller.
        """


class CaptureSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which capture a step reads: of which run, and the digest that was recorded with it."""

    run: str
    digest: str

    def load(self) -> Capture:
        """
        Raises:
            CaptureError: it is missing, or damaged.
        """
        return CaptureStore().load(self.run, self.digest)


@dataclass(frozen=True, slots=True)
class Undoing:
    """What the way back of a run is drafted from: the run, what it was pointed at, and what it had captured.

    ``name`` and ``digest`` are those of the capture.
    """

    run: str
    target: Target
    captures: CaptureStore
    name: str
    digest: str

    def captured(self) -> Capture:
        """The state before the run.

        Raises:
            CaptureError: it can't be read.
        """
        return self.captures.load(self.name, self.digest)

    @property
    def source(self) -> CaptureSource:
        """How a step names that capture."""
        return CaptureSource(run=self.name, digest=self.digest)


Checked = tuple[Check, ...]


def always(target: Target, params: msgspec.Struct) -> bool:
    """For parameters that name an object: that is held to the reach of the plan by itself."""
    return True


def unasked(step: StepOf[Any]) -> Iterable[str]:
    """For steps of which none needs an explicit yes by itself."""
    return ()


def no(params: msgspec.Struct) -> bool:
    """For steps that end no pod that serves."""
    return False


def yes(params: msgspec.Struct) -> bool:
    """For steps that do, whatever their parameters."""
    return True


def unsaid(params: msgspec.Struct) -> str:
    """For steps whose parameters say nothing of the whole content."""
    return ""


@dataclass(frozen=True, slots=True)
class StepKind(Generic[P]):
    """What there is to know of the steps of one action.

    ``act``: the effect (see `Effect`), which gets its parameters as ``params``. ``writes``: every object that a step
    may change, delete or make, by its parameters alone; what it changes by other programs is in the diff of its plan.
    ``inverse`` drafts a step of this action that takes another one back: from the parameters of that one's
    compensation to those of the new step, with what has to be measured afterwards (None: they say everything already).
    ``speaks_of``: whether parameters that name what they act on name the target. ``undone_last``: taken back after all
    else. ``remains``: what people must know where such a step was done and nothing takes it back. ``told``: its line in
    the checklist of a report (a template), where it has one. ``waits``: its time is that for which others may take to
    show its effect, which the user may set. ``asks``: codes of the risks that a plan with such a step always asks a yes for;
    ``conditions``: what its precondition always names. ``restores``: the digest of the target's content once such a step is done,
    where its parameters say that. ``replaces``: it ends pods that serve, of the workloads that it writes.
    """

    act: Callable[[StepContext, StepOf[P]], Awaitable[StepOutcome]]
    params: type[P]
    writes: Callable[[Target, P], Iterable[ObjectRef]]
    inverse: Callable[[Undoing, Step, P], tuple[P, Checked]] | None = None
    speaks_of: Callable[[Target, P], bool] = always
    undone_last: bool = False
    remains: Message | None = None
    told: str = ""
    waits: bool = False
    asks: Callable[[StepOf[P]], Iterable[str]] = unasked
    conditions: tuple[str, ...] = ()
    restores: Callable[[P], str] = unsaid
    replaces: Callable[[P], bool] = no

    def read(self, action: str, params: dict[str, Any]) -> P:
        """Parameters as they stand in a plan, strictly: nothing missing, nothing that is not known.

        Raises:
            PlanChanged: they are not those of the action.
        """
        return typed(self.params, action, params)

    async def effect(self, context: StepContext, step: Step) -> StepOutcome:
        """Carries a step out: an `Effect`."""
        return await self.act(context, StepOf(step, self.read(step.action, step.params)))

    def objects(self, action: str, target: Target, params: dict[str, Any]) -> tuple[ObjectRef, ...]:
        """The objects that a step with these parameters writes."""
        return tuple(self.writes(target, self.read(action, params)))

    def reverse(self, undoing: Undoing, step: Step, params: dict[str, Any]) -> tuple[dict[str, Any], Checked]:
        """The parameters of the step of this action that takes ``step`` back, and what to measure afterwards.

        Raises:
            CaptureError: what the run had captured is needed, and can't be had.
        """
        typed = self.read(step.compensation.action if step.compensation else step.action, params)
        if self.inverse is None:
            return wire(typed), ()
        wanted, checks = self.inverse(undoing, step, typed)
        return wire(wanted), checks


def wire(params: msgspec.Struct) -> dict[str, Any]:
    """Parameters as they stand in a plan, which is JSON."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(params))
    return found


class ChoiceRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a way back knows of its revisions beside how good each is.

    ``refusal``: why none of them may be chosen. ``alone``: a single revision may be one to go to. ``hint``: what to do
    where none is proven good (a template with ``{target}``), instead of the usual words.
    """

    refusal: RefusedError | None = None
    alone: bool = False
    hint: str = ""


class ReportWords(msgspec.Struct, frozen=True, kw_only=True):
    """How reports tell of a way back; all are templates for translation.

    ``place``: where its line stands in the checklist, among those of all ways back. ``done``: the line, by the kind of
    the target (or ``""``). ``covers``: by the names of other ways back, the words for what this one does for them.
    ``next_time``: what to see to before the change comes back.
    """

    place: int
    done: dict[str, str]
    covers: dict[str, str] = {}
    next_time: str

    def line(self, kind: str) -> str:
        """The line of the checklist."""
        return self.done.get(kind) or self.done[""]


class Mechanism(Protocol):
    """One way back: how its targets are read, what its steps and checks do, and its words."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]
    """The programs that its steps call, as `backout.tools` knows them."""
    words: ClassVar[ReportWords]

    async def read(
        self, reader: ClusterReader, target: Target, prepare: Prepare = nothing, options: Options = PLAIN
    ) -> Reading:
        """Reads everything once: the revisions, and what drafts of those need that ``prepare`` chooses of them.

        Raises:
            NotFoundError: no such target.
            BackoutError: it can't be read, or what ``prepare`` raises.
        """

    def step_kinds(self) -> Mapping[str, StepKind[Any]]:
        """By the ``action`` of steps, compensations included."""

    def measurements(self) -> Mapping[str, Measure[Any]]:
        """By code, what its checks ask for beside that which `verify` measures for every way back."""

    def rules(self, target: Target, revisions: Sequence[Revision]) -> ChoiceRules:
        """What planning must know before it chooses. Pure."""

    def usual_access(self, namespace: str) -> Iterable[Access]:
        """The rights that plans of targets in a namespace ordinarily need: what `doctor` asks for without a target."""

    async def held_access(self, reader: ClusterReader, namespace: str) -> Iterable[Access]:
        """The rights beyond those that plans for the targets which are there need: of kinds that no other cluster may have."""

    def again_access(self, target: Target, granted: Collection[Access]) -> Iterable[Access]:
        """What is missing in ``granted`` to read the target again, as captures and verdicts do."""

    async def keep(self, reader: ClusterReader, target: Target) -> Sequence[Object]:
        """What a capture must hold beside what the plan changes, destroys and checks.

        Raises:
            AccessDenied: it may not be read, so it could not be put back.
        """

    async def instead(self, reader: ClusterReader, target: Target) -> Sequence[Target]:
        """What was changed or deleted past the target though it is good itself: other targets, whose own ways back may take
        back just that."""

    def undo_risks(self, before: Revision) -> Iterable[Risk]:
        """What must be known before the state of ``before`` is put back by taking a run back."""


def unprepared(target: Target, what: str) -> LookupError:
    """The error for what a reading was not made for."""
    return LookupError(f"{target} was not read for {what}")


def current_revision(revisions: Sequence[Revision]) -> Revision | None:
    """The revision that is in force now."""
    return next((revision for revision in reversed(revisions) if revision.current), None)
