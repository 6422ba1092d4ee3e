# SPDX-License-Identifier: Apache-2.0
"""Title with the outcome, five lines for whoever reads no further, and the timeline."""

from __future__ import annotations

from datetime import datetime, timedelta

from backout.report.facts import Facts
from backout.report.writer import Safe, Writer, moment


def title(page: Writer, facts: Facts) -> None:
    """``# Recovered: helm/thanos went back to revision 2``."""
    target, number = str(facts.part.target), facts.part.revision.number
    state = facts.state
    if facts.undoing and state == "recovered":
        text = page.say(
            "Taken back: {target} has its content from revision {number} again", target=target, number=number
        )
    elif state == "recovered":
        text = page.say("Recovered: {target} is back at revision {number}", target=target, number=number)
    elif state == "not-recovered" and facts.undoing:
        text = page.say(
            "Not taken back: {target} has not its content from revision {number}", target=target, number=number
        )
    elif state == "not-recovered":
        text = page.say(
            "Not recovered: {target} was rolled back to revision {number}, but is not healthy",
            target=target,
            number=number,
        )
    elif state == "unknown":
        text = page.say(
            "Not proven: {target} is at revision {number} again, but not everything could be measured",
            target=target,
            number=number,
        )
    elif state == "failed" and not facts.wrote:
        text = page.say("Refused: {target} was not touched", target=target)
    elif state == "failed":
        text = page.say(
            "Failed: the rollback of {target} to revision {number} is incomplete", target=target, number=number
        )
    elif state == "aborted":
        text = page.say("Aborted: the rollback of {target} to revision {number}", target=target, number=number)
    elif state == "interrupted":
        text = page.say(
            "Interrupted: the rollback of {target} to revision {number} is not finished", target=target, number=number
        )
    else:
        text = page.say("In progress: the rollback of {target} to revision {number}", target=target, number=number)
    page.heading(text, 1)


def summary(page: Writer, facts: Facts) -> None:
    """Five lines: what broke, why, what was done, how it stands, how long it took."""
    part, run = facts.part, facts.run
    page.bullet(
        f"**{page.say('What')}**: "
        + page.say(
            "{target} in namespace {namespace} of cluster {cluster}.",
            target=str(part.target),
            namespace=part.scope.namespace,
            cluster=part.scope.cluster,
        )
        + (f" {_serving(page, facts)}" if _serving(page, facts) else "")
    )
    page.bullet(f"**{page.say('Cause')}**: {page.say(part.cause)}")
    page.bullet(f"**{page.say('Done')}**: {_done(page, facts)}")
    page.bullet(f"**{page.say('Now')}**: {_now(page, facts)}")
    page.bullet(f"**{page.say('Time')}**: {_time(page, facts)}")
    for event in facts.events:
        if event.type in ("approved", "freeze-overridden"):
            page.bullet(f"**{page.say('Policy')}**: {page.say(event.message)}")
    if run.failure is not None:
        page.line()
        page.line(f"> {page.say(run.failure.message)}")
        for label, words in (
            ("Expected", run.failure.expected),
            ("Found", run.failure.found),
            ("Next", run.failure.hint),
        ):
            if words is not None and words.text:
                page.line(f"> {_label(page, label)}: {page.say(words)}")


def _label(page: Writer, name: str) -> str:
    return {"Expected": page.say("Expected"), "Found": page.say("Found"), "Next": page.say("Next")}[name]


def _serving(page: Writer, facts: Facts) -> str:
    for problem in facts.problems:
        if problem.serving is not None and problem.desired:
            if problem.serving:
                return page.say(
                    "{serving} of {desired} pods were still serving.", serving=problem.serving, desired=problem.desired
                )
            return page.say("No pod was serving any more.")
    return ""


def _done(page: Writer, facts: Facts) -> str:
    changed = sum(1 for fact in facts.steps if fact.state in ("changed", "earlier"))
    already = sum(1 for fact in facts.steps if fact.state == "already")
    rest = len(facts.steps) - changed - already
    words = [page.say("{changed} of {all} steps changed something", changed=changed, all=len(facts.steps))]
    if already:
        words.append(page.say("{already} found their result there already", already=already))
    if rest:
        words.append(page.say("{rest} not done", rest=rest))
    return ", ".join(words) + "."


def _now(page: Writer, facts: Facts) -> str:
    verdict = facts.verdict
    if verdict is None:
        if facts.state == "failed" and not facts.wrote:
            return page.say("Nothing was written; the cluster is as it was found.")
        return page.say("Not verified: no check was measured in this run.")
    good = sum(1 for check in verdict.checks if check.status == "pass")
    if facts.undoing:
        return page.say(
            "{good} of {all} checks hold; that the restored state is healthy is not claimed.",
            good=good,
            all=len(verdict.checks),
        )
    watched = page.say("watched for {soak} s", soak=f"{verdict.soak:g}") if verdict.soak else page.say("without a soak")
    return page.say("{good} of {all} checks hold, {watched}.", good=good, all=len(verdict.checks), watched=watched)


def _time(page: Writer, facts: Facts) -> str:
    end = facts.run.ended or facts.judged
    took = page.say(
        "{length} from the start of the rollback to its end", length=page.length(_between(facts.started, end))
    )
    if facts.recovered and facts.first_symptom and not facts.undoing:
        return took + page.say(
            ", {length} from the first symptom to recovery.",
            length=page.length(_between(facts.first_symptom, facts.recovered)),
        )
    return took + "."


def timeline(page: Writer, facts: Facts) -> None:
    """Change → first symptom → detection → rollback → recovered, with what lies between."""
    page.heading(page.say("Timeline (UTC)"))
    rows: list[tuple[datetime, str]] = []
    if facts.suspect is not None:
        rows.append((facts.suspect.at, page.say("The change: {summary}", summary=_summary(page, facts))))
    if facts.first_symptom:
        rows.append((facts.first_symptom, page.say("First symptom")))
    rows.append((facts.detected, page.say("Detected; the plan was made")))
    skipped = {"step-progress", "check", "soak"}
    cut = {fact.step.id for fact in facts.steps if fact.state == "cut"}
    clock = [event for event in facts.events if event.key == "clock"]
    rows += [
        (event.at, page.say(event.message))
        for event in facts.events
        if event.type not in skipped and (event.type != "step-started" or event.step in cut)
    ]
    rows += [(event.at, page.say(event.message)) for event in clock]
    rows.sort(key=lambda row: row[0])
    previous: datetime | None = None
    table = []
    for at, text in rows:
        table.append((moment(at), page.length(_between(previous, at)) if previous else "", text))
        previous = at
    page.table((page.say("time"), page.say("after"), page.say("what")), table)
    page.line()
    spans = [
        (page.say("change to first symptom"), _between(facts.changed_at, facts.first_symptom)),
        (page.say("first symptom to detection"), _between(facts.first_symptom, facts.detected)),
        (page.say("detection to start of the rollback"), _between(facts.detected, facts.started)),
        (page.say("start of the rollback to recovery"), _between(facts.started, facts.recovered)),
    ]
    known = [(name, span) for name, span in spans if span is not None]
    if known:
        page.line("; ".join(f"{name}: {page.length(span)}" for name, span in known) + ".")
    if facts.interruptions:
        page.line()
        page.line(page.say("Interruptions of the run: {count}; it went on after each.", count=facts.interruptions))


def _summary(page: Writer, facts: Facts) -> Safe:
    assert facts.suspect is not None
    # Who is known from managedFields is named by the summary itself.
    named = not facts.suspect.actor or facts.suspect.source == "managedfields"
    actor = "" if named else page.say(" by {actor}", actor=facts.suspect.actor)
    return Safe(page.say(facts.suspect.summary) + actor)


def _between(start: datetime | None, end: datetime | None) -> timedelta | None:
    if start is None or end is None or end < start:
        return None
    return end - start
