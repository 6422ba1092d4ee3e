# SPDX-License-Identifier: Apache-2.0
"""The answer to "what broke?", as text."""

from __future__ import annotations

from backout.cli.views.changes import field_line
from backout.cli.views.page import Page, paint
from backout.model.evidence import Diagnosis, Problem, Symptom

SHOWN_PODS = 3
LABEL = 7
"""Columns of "Changed"; what belongs to it is indented as far."""
LOOKED = {"pods": "{count} pods", "workloads": "{count} workloads", "releases": "{count} releases"}


def show_diagnosis(page: Page, diagnosis: Diagnosis) -> None:
    """One block a problem; one line when all is well."""
    looked = ", ".join(
        page.say(LOOKED.get(name, "{count} {name}"), count=count, name=name)
        for name, count in diagnosis.looked_at.items()
    )
    where = diagnosis.namespace or page.say("all namespaces")
    page.line(paint(f"{diagnosis.cluster} · {where}", "head") + paint(f"   {looked}", "dim"))
    for problem in diagnosis.problems:
        page.line()
        show_problem(page, problem, namespaced=not diagnosis.namespace)
    for blind in diagnosis.blind:
        page.line(f"{page.mark('unknown')} {page.say(blind)}")
    if diagnosis.healthy:
        page.line(f"{page.mark('good')} {page.say('Nothing is broken.')}")
    elif not diagnosis.problems:
        page.told("Nothing broken was seen, but not everything could be looked at.")


def show_problem(page: Page, problem: Problem, *, namespaced: bool = False) -> None:
    """Symptoms with evidence, then the cause and why it is believed."""
    title = str(problem.target) + (f" -n {problem.target.namespace}" if namespaced else "")
    page.line(f"{page.mark('bad')} {paint(title, 'bad')}   {page.say(problem.cause)}")
    if problem.serving is not None and problem.desired is not None:
        page.told("{serving} of {desired} pods serve.", 4, serving=problem.serving, desired=problem.desired)
    for symptom in problem.symptoms:
        _symptom(page, symptom)
    suspect = problem.suspect
    if suspect is not None:
        page.line()
        page.line(f"{page.label('Changed', LABEL)}{page.ago(suspect.at)}: {page.say(suspect.summary)}", 4)
        for field in suspect.fields[:8]:
            page.line(field_line(page, field), 13)
        if len(suspect.fields) > 8:
            page.told("… and {more} more fields", 13, more=len(suspect.fields) - 8)
    if problem.why:
        page.line(f"{page.label('Certainty', LABEL)}{page.say(problem.confidence)}", 4)
        for reason in problem.why:
            page.line(f"· {page.say(reason)}", 13)
    for note in problem.notes:
        page.line(f"{page.mark('warn')} {page.say(note)}", 4)
    if problem.mechanism:
        page.line(paint(f"→ backout run {problem.target} -n {problem.target.namespace}", "dim"), 4)


def _symptom(page: Page, symptom: Symptom) -> None:
    since = page.say("since {when}", when=page.ago(symptom.since)) if symptom.since else ""
    page.line()
    page.line(f"{paint(symptom.code, 'bad')}  {page.say(symptom.message)}  {paint(since, 'dim')}".rstrip(), 4)
    if symptom.pods:
        shown = ", ".join(symptom.pods[:SHOWN_PODS])
        more = len(symptom.pods) - SHOWN_PODS
        page.line(shown + (page.say(" and {more} more", more=more) if more > 0 else ""), 6)
    for evidence in symptom.evidence:
        page.line(paint(f"{evidence.source}: ", "dim") + page.say(evidence.message), 6)
        for line in evidence.data.get("lines", ()):
            page.line(paint("│ ", "dim") + str(line), 8)
