# SPDX-License-Identifier: Apache-2.0
"""Holds an operation to the policy: when it may begin, how much it may do at once, who else has to say yes. Pure.

It is held to what it does, not to what it says of itself: a plan that was edited and sealed again meets all of this, wherever
it is carried out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

import msgspec

from backout.errors import FrozenError, OverLimitError
from backout.model.message import Message, msg, of_error
from backout.model.operation import Operation
from backout.model.part import Part, Risk
from backout.model.policy import DAYS, FreezeSettings, PolicySettings, moment
from backout.model.selector import parse_selector
from backout.model.settings import Settings, StackSettings

FAR = timedelta(days=8)


class Policy:
    """The policy of a configuration, with the labels of clusters and the stacks that it speaks of."""

    def __init__(self, settings: Settings) -> None:
        self.settings: PolicySettings = settings.policy
        self._labels: Mapping[str, Mapping[str, str]] = {name: one.labels for name, one in settings.clusters.items()}
        self._stacks: Mapping[str, StackSettings] = settings.stacks

    # when

    def require_time(self, parts: Iterable[Part], now: datetime) -> None:
        """
        Raises:
            FrozenError: one of their clusters is in a freeze window.
        """
        for cluster in dict.fromkeys(part.scope.cluster for part in parts):
            for window in self.settings.freeze:
                if not self._chosen(window.clusters, cluster):
                    continue
                if (until := ends(window, now)) is not None:
                    raise FrozenError(
                        "Nothing is begun on {cluster} now: {name}, until {until}.",
                        cluster=cluster,
                        name=window.name or msg("policy.freeze of the configuration"),
                        until=until.strftime("%Y-%m-%d %H:%M %Z"),
                        hint="Wait until then; or, where it can't wait: --override-freeze REASON (it is recorded and shown).",
                    )

    # how much

    def require_size(self, operation: Operation) -> None:
        """
        Raises:
            OverLimitError: it does more at once than it may.
        """
        limits, clusters = self.settings.limits, operation.clusters
        if limits.clusters is not None and len(clusters) > limits.clusters:
            raise _over("clusters", msg("clusters"), len(clusters), limits.clusters)
        deleted = len(_deleted(operation))
        if limits.deletions is not None and deleted > limits.deletions:
            raise _over("deletions", msg("objects that are deleted"), deleted, limits.deletions)
        if limits.share:
            self._require_share(operation, int(limits.share.rstrip("%")))
        if limits.namespaces:
            self._require_namespaces(operation, limits.namespaces)

    def _require_share(self, operation: Operation, percent: int) -> None:
        for name, stack in self._stacks.items():
            everywhere = set(stack.clusters or self._labels)
            here = {part.scope.cluster for part in operation.parts if part.scope.namespace == stack.namespace}
            most = max(1, math.floor(len(everywhere) * percent / 100))
            if len(here & everywhere) > most:
                what = msg("clusters of stack {stack}", stack=name)
                raise _over("share", what, len(here & everywhere), most)

    def _require_namespaces(self, operation: Operation, allowed: Sequence[str]) -> None:
        spaces = {part.scope.namespace for part in operation.parts}
        spaces |= {change.ref.namespace for part in operation.parts for change in part.changes.effective} - {""}
        if foreign := sorted(name for name in spaces if not any(fnmatchcase(name, one) for one in allowed)):
            raise OverLimitError(
                "The operation acts in {names}, where policy allows none.",
                names=", ".join(foreign),
                expected="namespaces {allowed}",
                allowed=", ".join(allowed),
                hint="policy.limits.namespaces in the configuration lists them.",
            )

    # who

    def people(self, operation: Operation) -> int:
        """So many people have to say yes."""
        return max(
            (
                rule.people
                for rule in self.settings.rules
                if any(self._concerns(rule, part) for part in operation.parts)
            ),
            default=0,
        )

    def _concerns(self, rule: object, part: Part) -> bool:
        from backout.model.policy import ApprovalSettings

        assert isinstance(rule, ApprovalSettings)
        actions = {step.action for step in part.steps}
        kinds = not rule.steps or any(
            action == kind or action.startswith(f"{kind}.") for kind in rule.steps for action in actions
        )
        deletes = not rule.deletes or bool(_deleted_by(part))
        return kinds and deletes and self._chosen(rule.clusters, part.scope.cluster)

    def _chosen(self, selector: str, cluster: str) -> bool:
        """A cluster that the configuration does not know has no labels."""
        return not selector or all(term.holds(self._labels.get(cluster, {})) for term in parse_selector(selector))

    # told with a plan

    def told(self, operation: Operation, now: datetime) -> tuple[Risk, ...]:
        """What stands in its way, or would now."""
        found: list[Risk] = []
        for code, look in (("freeze", self.require_time), ("limit", None)):
            try:
                if look is not None:
                    look(operation.parts, now)
                else:
                    self.require_size(operation)
            except (FrozenError, OverLimitError) as error:
                found.append(Risk(code=f"policy-{code}", message=_refused(error)))
        if people := self.people(operation):
            found.append(
                Risk(
                    code="policy-approval",
                    message=msg("By policy, other people have to approve it first: {count}.", count=people),
                )
            )
        return tuple(found)


def with_risks(operation: Operation, risks: Sequence[Risk]) -> Operation:
    """The operation with these risks of each of its parts (which are alike then, where they were), and not sealed any more."""
    parts = tuple(msgspec.structs.replace(part, risks=(*part.risks, *risks)) for part in operation.parts)
    return msgspec.structs.replace(operation, parts=parts)


def ends(window: FreezeSettings, now: datetime) -> datetime | None:
    """When the window that is open at ``now`` closes, in its own zone; None where it is not open."""
    here = now.astimezone(window.place)
    if not window.days:
        begin, end = moment(window.from_), moment(window.to)
        assert begin is not None and end is not None
        begin, end = begin.replace(tzinfo=window.place), end.replace(tzinfo=window.place)
        return end if begin <= now < end else None
    until: datetime | None = None
    # A day that adjoins one goes on with it: Saturday and Sunday end on Monday.
    for day in range(-1, 8):
        date = (here + timedelta(days=day)).date()
        if DAYS[date.weekday()] not in window.days:
            continue
        begin = _at(date, window.from_ or "00:00", window)
        end = _at(date, window.to or "24:00", window)
        if end <= begin:
            end = _at(date + timedelta(days=1), window.to, window)
        open_at = until or now
        if begin <= open_at.astimezone(UTC) < end.astimezone(UTC) or (until is not None and begin == until):
            until = end
    return until


def _at(date: object, clock: str, window: FreezeSettings) -> datetime:
    hours, minutes = map(int, clock.split(":"))
    day = datetime.fromisoformat(str(date)) + timedelta(days=hours // 24)
    return day.replace(hour=hours % 24, minute=minutes, tzinfo=window.place)


def _deleted(operation: Operation) -> set[tuple[str, ...]]:
    return {found for part in operation.parts for found in _deleted_by(part)}


def _deleted_by(part: Part) -> set[tuple[str, ...]]:
    refs = [change.ref for change in part.changes.objects if change.action == "delete"]
    refs += [ref for step in part.steps for ref in step.destroys]
    return {(part.scope.cluster, ref.kind, ref.namespace, ref.name) for ref in refs}


def _over(key: str, what: Message, found: int, most: int) -> OverLimitError:
    return OverLimitError(
        "The operation is larger than policy allows at once: {count} {what}.",
        what=what,
        count=found,
        most=most,
        key=key,
        expected="at most {most}",
        hint="Make smaller ones, one after the other. The limit is policy.limits.{key} in the configuration.",
    )


def _refused(error: FrozenError | OverLimitError) -> Message:
    return msg("By policy it would be refused: {why}", why=of_error(error))
