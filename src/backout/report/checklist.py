# SPDX-License-Identifier: Apache-2.0
"""The runbook's checklist, ticked by evidence alone; what is not ticked says why."""

from __future__ import annotations

from typing import NamedTuple

from backout.mechanisms import registry
from backout.mechanisms.port import Mechanism
from backout.report.facts import Facts
from backout.report.writer import Writer, escape

DONE = ("changed", "already", "earlier")
"""The states of a step whose effect is there."""


class Item(NamedTuple):
    """One line: ticked or not, and the evidence or the reason."""

    done: bool
    text: str
    why: str


def checklist(page: Writer, facts: Facts) -> None:
    """Before, rollback, verification, after."""
    page.heading(page.say("Checklist"))
    for title, items in (
        (page.say("Before"), _before(page, facts)),
        (page.say("Rollback"), _rollback(page, facts)),
        (page.say("Verification"), _verification(page, facts)),
        (page.say("After"), _after(page, facts)),
    ):
        page.line(f"**{title}**")
        page.line()
        for item in items:
            why = f" — {item.why}" if item.why else ""
            page.bullet(f"[{'x' if item.done else ' '}] {item.text}{why}")
        page.line()


def _before(page: Writer, facts: Facts) -> list[Item]:
    codes = sorted({symptom.code for symptom in facts.symptoms})
    captured = facts.capture
    return [
        Item(
            bool(codes),
            page.say("Type of the problem known"),
            escape(", ".join(codes)) if codes else page.say("no diagnosis belongs to this run"),
        ),
        Item(
            captured is not None,
            page.say("State backed up (objects and release records)"),
            page.say("{count} objects, encrypted", count=captured.data.get("objects", "?"))
            if captured
            else page.say("nothing was captured in this run"),
        ),
        Item(
            False, page.say("Volumes backed up (PVC snapshots)"), page.say("not part of this run: it changes no volume")
        ),
        Item(
            bool(facts.part.revision.number),
            page.say("Target revision known"),
            page.say("revision {number}", number=facts.part.revision.number),
        ),
    ]


def _rollback(page: Writer, facts: Facts) -> list[Item]:
    complete = bool(facts.steps) and all(fact.state in DONE for fact in facts.steps)
    left = page.say("not all steps were done")
    foreign = page.say("not part of this run")
    used = registry.get(facts.part.mechanism)

    def line(one: Mechanism) -> Item:
        text = page.say(one.words.line(facts.part.target.kind))
        if one.name == used.name:
            return Item(complete, text, "" if complete else left)
        covered = used.words.covers.get(one.name)
        return Item(False, text, page.say(covered) if covered else foreign)

    lines = {one.words.place: line(one) for one in registry.every()}
    lines[50] = Item(
        False, page.say("Volumes and data restored"), page.say("not part of this run: it changes no volume")
    )
    return [*(lines[place] for place in sorted(lines)), *_told(page, facts, left)]


def _told(page: Writer, facts: Facts, left: str) -> list[Item]:
    """Steps that have a line of their own."""
    found: dict[str, bool] = {}
    for fact in facts.steps:
        kind = registry.known_step_kind(fact.step.action)
        if kind is not None and kind.told:
            found[kind.told] = found.get(kind.told, True) and fact.state in DONE
    return [Item(done, page.say(text), "" if done else left) for text, done in found.items()]


def _verification(page: Writer, facts: Facts) -> list[Item]:
    def item(text: str, *codes: str) -> Item:
        holds = facts.holds(*codes)
        if holds is None:
            return Item(False, text, page.say("not measured in this run"))
        if not holds and "fail" not in facts.checks(*codes):
            return Item(False, text, page.say("could not be measured"))
        return Item(holds, text, "" if holds else page.say("a check does not hold, see above"))

    return [
        item(page.say("Pods running and ready"), "workload-ready", "pods-ready"),
        item(page.say("No new restarts"), "no-new-restarts"),
        item(page.say("PVCs Bound"), "pvc-bound"),
        item(page.say("Services have ready addresses"), "endpoints"),
        item(page.say("Remote write connected"), "remote-write"),
        item(page.say("Metric queries answer"), "promql"),
        item(page.say("S3 upload works"), "object-storage"),
    ]


def _after(page: Writer, facts: Facts) -> list[Item]:
    confident = any(problem.confidence in ("certain", "likely") for problem in facts.problems)
    return [
        Item(
            bool(facts.logs),
            page.say("Logs collected"),
            page.say("excerpts above: {count}", count=len(facts.logs))
            if facts.logs
            else page.say("no log lines belong to this run"),
        ),
        Item(
            confident,
            page.say("Cause documented"),
            page.say("see “Cause”") if confident else page.say("the cause is not certain enough to count"),
        ),
        Item(False, page.say("Prevention decided"), page.say("for people to decide; a proposal is below")),
        Item(False, page.say("Re-deployment planned"), page.say("for people to decide; a proposal is below")),
    ]
