# SPDX-License-Identifier: Apache-2.0
"""Cause and evidence."""

from __future__ import annotations

from backout.model.change import FieldChange, LedgerEntry
from backout.model.diagnosis import Problem
from backout.model.redaction import HIDDEN
from backout.report.facts import Facts
from backout.report.writer import Writer, code, escape, moment

_LOG_LINES = 20


def cause(page: Writer, facts: Facts) -> None:
    """What broke it, how sure that is, and which change."""
    page.heading(page.say("Cause"))
    if not facts.problems:
        page.line(page.say(facts.part.cause))
        page.line()
        if not facts.undoing:
            page.line(page.say("The rollback was asked for; no diagnosis belongs to this run."))
        return
    for problem in facts.problems:
        page.line(f"**{escape(str(problem.workload or problem.target))}**: {page.say(problem.cause)}")
        page.line()
        page.line(page.say("Confidence: {confidence}.", confidence=_confidence(page, problem)))
        for reason in problem.why:
            page.bullet(page.say(reason))
        page.line()
        suspect = problem.suspect
        if suspect is None:
            page.line(page.say("No change was found that explains it."))
        else:
            page.line(_change(page, suspect))
            for field in suspect.fields[:20]:
                page.bullet(field_line(page, field))
        for note in problem.notes:
            page.bullet(page.say(note))
        page.line()


def _change(page: Writer, suspect: LedgerEntry) -> str:
    at, target, actor = moment(suspect.at), str(suspect.target), suspect.actor or page.say("unknown")
    if suspect.revision is None:
        return page.say("The change: {at} UTC, {target}, by {actor}.", at=at, target=target, actor=actor)
    revision = f"{suspect.previous} → {suspect.revision}" if suspect.previous is not None else suspect.revision
    return page.say(
        "The change: {at} UTC, {target}, revision {revision}, by {actor}.",
        at=at,
        target=target,
        revision=revision,
        actor=actor,
    )


def _confidence(page: Writer, problem: Problem) -> str:
    return {
        "certain": page.say("certain"),
        "likely": page.say("likely"),
        "possible": page.say("possible"),
        "unknown": page.say("unknown"),
    }[problem.confidence]


def evidence(page: Writer, facts: Facts) -> None:
    """What was seen, with the last log lines."""
    page.heading(page.say("Evidence"))
    if not facts.symptoms:
        page.line(page.say("No symptom was recorded with this run."))
        return
    for symptom in facts.symptoms:
        since = page.say(" (since {at} UTC)", at=moment(symptom.since)) if symptom.since else ""
        page.line(f"**{escape(symptom.code)}** {code(str(symptom.ref))}{since}: {page.say(symptom.message)}")
        page.line()
        for seen in symptom.evidence:
            if seen.source != "log":
                when = f"{moment(seen.at)} " if seen.at else ""
                page.bullet(f"{when}{escape(seen.source)} {code(str(seen.ref))}: {page.say(seen.message)}")
        for seen in symptom.evidence:
            lines = [str(line) for line in seen.data.get("lines") or ()]
            if seen.source == "log" and lines:
                page.line()
                page.line(page.say("Last lines of the log of {pod}:", pod=seen.ref.name))
                page.line()
                page.block(lines[-_LOG_LINES:])
        page.line()


def field_line(page: Writer, field: FieldChange) -> str:
    """``spec.replicas``: ``3`` → ``5``; values of Secrets are never shown."""
    if field.lines:
        return f"{code(field.path)}: {page.say('changed lines')}"
    if field.secret:
        return f"{code(field.path)}: {page.say('changed (the value is secret)')}"

    def shown(value: object) -> str:
        if value is None:
            return page.say("absent")
        import msgspec

        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return code(text if len(text) <= 160 else f"{text[:160]}…") or code('""')

    if field.before == field.after == HIDDEN:
        return code(field.path)
    return f"{code(field.path)}: {shown(field.before)} → {shown(field.after)}"
