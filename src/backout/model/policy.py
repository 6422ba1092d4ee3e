# SPDX-License-Identifier: Apache-2.0
"""``policy`` of the configuration: where nothing is written, when, how much at once, and who else has to say yes."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec

from backout.errors import UsageError
from backout.model.selector import parse_selector

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")
_SHARE = re.compile(r"([1-9]\d?|100)%")
_STEP = re.compile(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)?")


class FreezeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A window in which nothing is begun. With ``days`` every week, from and to a time of day (``16:00``; the whole day without;
    past midnight where ``to`` is not later); without, once, from and to a date and time (``2026-12-24T18:00``). ``zone``: an IANA
    time zone; ``clusters``: a label selector, every cluster without."""

    name: str = ""
    zone: str = "UTC"
    days: tuple[Day, ...] = ()
    from_: str = ""
    to: str = ""
    clusters: str = ""

    def problem(self) -> tuple[str, str]:
        """What is wrong, and what is expected; both empty where nothing is."""
        if _zone(self.zone) is None:
            return f"there is no time zone {self.zone}.", "an IANA name, such as Europe/Berlin"
        if not self.days:
            moments = [moment(text) for text in (self.from_, self.to)]
            if None in moments:
                return (
                    "it needs days, or a beginning and an end.",
                    'from: "2026-12-24T18:00" and to: "2026-12-27T06:00", in quotes',
                )
            if moments[0] >= moments[1]:  # type: ignore[operator]
                return "it ends before it begins.", "to later than from"
        elif any(text and not _CLOCK.fullmatch(text) for text in (self.from_, self.to)):
            return "that is no time of day.", 'such as from: "16:00", in quotes'
        return _selector_problem(self.clusters)

    @property
    def place(self) -> ZoneInfo:
        """The time zone."""
        found = _zone(self.zone)
        assert found is not None
        return found


class ApprovalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many ``people`` have to say yes to an operation that has a part on one of the ``clusters`` (a label selector; any without)
    with one of the ``steps`` (actions such as ``helm.rollback``, or all of one way back: ``helm``; any without), and with
    ``deletes`` one that deletes something."""

    people: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1
    clusters: str = ""
    steps: tuple[str, ...] = ()
    deletes: bool = False

    def problem(self) -> tuple[str, str]:
        """What is wrong, and what is expected."""
        if any(not _STEP.fullmatch(step) for step in self.steps):
            return "that is no kind of step.", "such as helm, helm.rollback or workload.undo"
        return _selector_problem(self.clusters)


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The most that one operation may do: ``clusters`` it acts on, the ``share`` of the clusters of a stack (one at least), objects that it
    deletes (``deletions``), and the ``namespaces`` it acts in (patterns such as ``shop-*``). Without a value there is no limit."""

    clusters: Annotated[int, msgspec.Meta(ge=1)] | None = None
    share: str = ""
    deletions: Annotated[int, msgspec.Meta(ge=0)] | None = None
    namespaces: tuple[str, ...] = ()

    def problem(self) -> tuple[str, str]:
        """What is wrong, and what is expected."""
        if self.share and not _SHARE.fullmatch(self.share):
            return "that is no share.", "1% to 100%"
        return "", ""


class PolicySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is not allowed. ``protected``: namespaces in which nothing is ever written; ``freeze``: when nothing is begun; ``limits``: how
    much at once; ``approvals``: who else has to say yes (a number: so many people to everything), within ``approval_timeout``
    seconds; who submitted counts only with ``self_approval``. ``people``: a person is a user of the machine, or a role of the
    database."""

    protected: tuple[str, ...] = ("kube-system", "kube-public", "kube-node-lease")
    freeze: tuple[FreezeSettings, ...] = ()
    limits: LimitSettings = LimitSettings()
    approvals: Annotated[int, msgspec.Meta(ge=0, le=5)] | tuple[ApprovalSettings, ...] = 0
    self_approval: bool = False
    approval_timeout: Annotated[float, msgspec.Meta(ge=1, le=604800)] = 3600.0
    people: Literal["os-user", "database-role"] = "os-user"

    @property
    def rules(self) -> tuple[ApprovalSettings, ...]:
        """Who has to say yes to what."""
        if isinstance(self.approvals, int):
            return (ApprovalSettings(people=self.approvals),) if self.approvals else ()
        return self.approvals

    def problem(self) -> tuple[list[str], str, str]:
        """The keys that lead to what is wrong, what it is, and what is expected; nothing where nothing is."""
        for number, window in enumerate(self.freeze):
            if (found := window.problem())[0]:
                return ["freeze", str(number)], *found
        for number, rule in enumerate(() if isinstance(self.approvals, int) else self.approvals):
            if (found := rule.problem())[0]:
                return ["approvals", str(number)], *found
        found = self.limits.problem()
        return (["limits"] if found[0] else []), *found


def moment(text: str) -> datetime | None:
    """A date and time without a zone; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is None else None


@lru_cache(64)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; a name may be a path that is none
        return None


def _selector_problem(text: str) -> tuple[str, str]:
    try:
        if text:
            parse_selector(text)
    except UsageError as error:
        return error.message, error.expected
    return "", ""
