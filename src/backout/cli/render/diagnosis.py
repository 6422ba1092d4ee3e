# SPDX-License-Identifier: Apache-2.0
"""The answer to "what broke?", as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backout.cli.render.changes import field_line, quoted
from backout.cli.render.screen import Screen, paint
from backout.model.change import FieldChange
from backout.model.diagnosis import ConsumedBy, Diagnosis, Problem
from backout.model.evidence import Symptom

SHOWN_PODS = 3
LABEL = 7
"""Columns of "Changed"; what belongs to it is indented as far."""
SHOWN_READERS = 4
SHOWN_CONSIDERED = 3
NEAR = 90
"""Characters that are shown of a long value."""
HOW = {
    "volume": "files",
    "projected": "files",
    "subPath": "a file that stays as it is",
    "env": "variables",
    "pullSecret": "pulls images with it",
    "tls": "certificate",
    "backend": "backend",
    "args": "arguments",
    "configmap": "configuration",
}
LOOKED = {"pods": "{count} pods", "workloads": "{count} workloads", "releases": "{count} releases"}


def show_diagnoses(screen: Screen, found: Sequence[Diagnosis]) -> None:
    """A cluster after the other."""
    for number, diagnosis in enumerate(found):
        if number:
            screen.line()
        show_diagnosis(screen, diagnosis)


def show_diagnosis(screen: Screen, diagnosis: Diagnosis) -> None:
    """One block a problem; one line when all is well."""
    looked = ", ".join(
        screen.say(LOOKED.get(name, "{count} {name}"), count=count, name=name)
        for name, count in diagnosis.looked_at.items()
    )
    where = diagnosis.namespace or screen.say("all namespaces")
    screen.line(paint(f"{diagnosis.cluster} · {where}", "head") + paint(f"   {looked}", "dim"))
    for problem in diagnosis.problems:
        screen.line()
        show_problem(screen, problem, namespaced=not diagnosis.namespace)
    for blind in diagnosis.blind:
        screen.line(f"{screen.mark('unknown')} {screen.say(blind)}")
    for unread in diagnosis.unread:
        screen.line(f"{screen.mark('unknown')} {screen.say(unread)}")
    for stopped in diagnosis.stopped:
        screen.line(f"{screen.mark('warn')} {screen.say(stopped.message)}")
    for going in diagnosis.under_way:
        screen.line(f"{screen.mark('unknown')} {screen.say(going.message)}")
    if diagnosis.problems:
        return
    if diagnosis.blind:
        screen.told("Nothing broken was seen, but not everything could be looked at.")
    elif not diagnosis.healthy:
        screen.told("Nothing broken was seen, but too few pods serve while that goes on: look again when it has ended.")
    elif diagnosis.under_way:
        screen.line(f"{screen.mark('good')} {screen.say('Nothing is broken so far.')}")
    else:
        screen.line(f"{screen.mark('good')} {screen.say('Nothing is broken.')}")


def show_problem(screen: Screen, problem: Problem, *, namespaced: bool = False) -> None:
    """Symptoms with evidence, then the cause and why it is believed."""
    title = str(problem.target) + (f" -n {problem.target.namespace}" if namespaced else "")
    screen.line(f"{screen.mark('bad')} {paint(title, 'bad')}   {screen.say(problem.cause)}")
    if problem.serving is not None and problem.desired is not None:
        screen.told("{serving} of {desired} pods serve.", 4, serving=problem.serving, desired=problem.desired)
    for symptom in problem.symptoms:
        _symptom(screen, symptom)
    suspect = problem.suspect
    if suspect is not None:
        screen.line()
        screen.line(f"{screen.label('Changed', LABEL)}{screen.ago(suspect.at)}: {screen.say(suspect.summary)}", 4)
        for field in suspect.fields[:8]:
            screen.line(field_line(screen, _near(field)), 13)
        if len(suspect.fields) > 8:
            screen.told("… and {more} more fields", 13, more=len(suspect.fields) - 8)
    if problem.readers:
        readers = [_consumed(screen, consumer) for consumer in problem.readers[:SHOWN_READERS]]
        more = len(problem.readers) - SHOWN_READERS
        screen.line(f"{screen.label('Readers', LABEL)}{readers[0]}", 4)
        for reader in readers[1:]:
            screen.line(reader, 13)
        if more > 0:
            screen.told("… and {more} more", 13, more=more)
    if problem.why:
        screen.line(f"{screen.label('Certainty', LABEL)}{screen.say(problem.confidence)}", 4)
        for reason in problem.why:
            screen.line(f"· {screen.say(reason)}", 13)
    _doubts(screen, problem)
    for note in problem.notes:
        screen.line(f"{screen.mark('warn')} {screen.say(note)}", 4)
    if problem.mechanism and (problem.mechanism != "objects" or problem.snapshot):
        command = f"backout run {problem.target} -n {problem.target.namespace}"
        screen.line(paint(f"→ {screen.command(command, problem.target.cluster)}", "dim"), 4)


def _doubts(screen: Screen, problem: Problem) -> None:
    """What speaks against the suspect, and the other changes that were thought of."""
    for reason in problem.against:
        screen.told("· against it: {reason}", 13, reason=screen.say(reason))
    for number, other in enumerate(problem.considered[:SHOWN_CONSIDERED]):
        label = screen.label("Or not", LABEL) if not number else " " * (LABEL + 2)
        screen.line(paint(f"{label}{screen.ago(other.change.at)}: {screen.say(other.change.summary)}", "dim"), 4)
        for reason in other.against:
            screen.line(paint("· " + screen.say("against it: {reason}", reason=screen.say(reason)), "dim"), 13)
        if not other.against:
            for said in [screen.say(reason) for reason in other.why] or [screen.say("nothing rules it out")]:
                screen.line(paint("· " + screen.say("for it: {reason}", reason=said), "dim"), 13)


def _near(field: FieldChange) -> FieldChange:
    """Of two long texts, where they begin to differ; the lines of a text stand with the evidence."""
    before, after = field.before, field.after
    if field.secret or max(len(text) if isinstance(text, str) else 0 for text in (before, after)) <= NEAR:
        return field
    at = 0
    if isinstance(before, str) and isinstance(after, str):
        pairs = enumerate(zip(before, after, strict=False))
        at = next((i for i, (one, other) in pairs if one != other), min(len(before), len(after)))
    return FieldChange(field.path, _cut(before, at), _cut(after, at), field.secret)


def _cut(text: Any, at: int) -> Any:
    if not isinstance(text, str):
        return text
    begin = max(0, at - NEAR // 3)
    end = begin + NEAR
    return ("…" if begin else "") + text[begin:end].strip() + ("…" if len(text.rstrip()) > end else "")


def _consumed(screen: Screen, consumer: ConsumedBy) -> str:
    """``statefulset/thanos-receive (receive: /etc/thanos)``."""
    how = HOW.get(consumer.how, consumer.how)
    where = ": ".join(part for part in (consumer.container, consumer.path or ", ".join(consumer.keys)) if part)
    return f"{consumer.ref} ({screen.say(how)}{', ' + where if where else ''})"


def _symptom(screen: Screen, symptom: Symptom) -> None:
    since = screen.say("since {when}", when=screen.ago(symptom.since)) if symptom.since else ""
    screen.line()
    screen.line(f"{paint(symptom.code, 'bad')}  {screen.say(symptom.message)}  {paint(since, 'dim')}".rstrip(), 4)
    if symptom.pods:
        shown = ", ".join(symptom.pods[:SHOWN_PODS])
        more = len(symptom.pods) - SHOWN_PODS
        screen.line(shown + (screen.say(" and {more} more", more=more) if more > 0 else ""), 6)
    for evidence in symptom.evidence:
        screen.line(paint(f"{evidence.source}: ", "dim") + screen.say(evidence.message), 6)
        for line in evidence.data.get("lines", ()):
            screen.line(quoted(str(line)), 8)
