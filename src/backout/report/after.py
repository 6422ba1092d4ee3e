# SPDX-License-Identifier: Apache-2.0
"""What was noticed and left alone, how to deploy again, how to take it back."""

from __future__ import annotations

from backout.kube.pod_health import IMAGE_REASONS
from backout.locales import N_
from backout.mechanisms import registry
from backout.model.revision import Revision
from backout.report.facts import Facts
from backout.report.writer import Safe, Writer, code, escape, moment


def noticed(page: Writer, facts: Facts) -> None:
    """Risks that were accepted, notes, what was not done."""
    page.heading(page.say("Noticed and left"))
    found = False
    for risk in facts.part.risks:
        page.bullet(page.say(risk.message))
        found = True
    for fact in facts.steps:
        if fact.state in ("not-begun", "cut", "failed"):
            page.bullet(page.say("Not done: {step}", step=page.say(fact.step.title)))
            found = True
    kept = [change for change in facts.part.changes.objects if change.action == "keep" and change.notes]
    for change in kept:
        for note in change.notes:
            page.bullet(f"{code(str(change.ref))}: {page.say(note)}")
            found = True
    if facts.verdict is not None:
        for check in facts.verdict.checks:
            if check.status == "unknown":
                page.bullet(
                    page.say("Not measured: {check} ({why})", check=page.say(check.title), why=page.say(check.measured))
                )
                found = True
    if not found:
        page.line(page.say("Nothing."))


def redeployment(page: Writer, facts: Facts) -> None:
    """How the change that was taken back can come again: a proposal."""
    if facts.undoing:
        return
    page.heading(page.say("Before the change comes back (proposal)"))
    bad = facts.part.current
    steps = [page.say("Correct the cause: {cause}", cause=page.say(facts.part.cause))]
    if bad is not None:
        steps.append(
            page.say(
                "Compare the revision that was taken back ({bad}) with the one in force ({good}).",
                bad=_named(page, bad),
                good=_named(page, facts.part.revision),
            )
        )
    codes = {symptom.code for symptom in facts.symptoms}
    steps += [page.say(advice) for known, advice in _ADVICE if known & codes]
    steps += [
        page.say("Deploy it to a test environment first, and run `backout verify` there over a soak."),
        page.say("Then cluster by cluster: the least important one first, each verified before the next."),
        page.say(registry.get(facts.part.mechanism).words.next_time),
    ]
    for number, step in enumerate(steps, 1):
        page.line(f"{number}. {step}")


_ADVICE: tuple[tuple[frozenset[str], str], ...] = (
    (IMAGE_REASONS, N_("Check that the image and its tag exist in the registry before deploying.")),
    (frozenset({"OOMKilled"}), N_("Measure the memory that the new version needs, and set its limit above it.")),
    (
        frozenset({"CrashLoopBackOff", "Error"}),
        N_("Start the new image once with the same configuration, outside the cluster or as a Job."),
    ),
    (
        frozenset({"CreateContainerConfigError", "MissingReference"}),
        N_("Deploy the ConfigMap or Secret with the key that is missing together with the change."),
    ),
    (frozenset({"NotReady"}), N_("Try the readiness probe against the new version, with its path, port and timing.")),
    (
        frozenset({"SchedulingGated"}),
        N_("Deploy scheduling gates only where the program that takes them away is at work."),
    ),
    (frozenset({"Unschedulable"}), N_("Check that the nodes have room for the new resource requests.")),
)


def _named(page: Writer, revision: Revision) -> Safe:
    extra = ", ".join(part for part in (revision.chart, revision.change_cause, *revision.images[:2]) if part)
    name = page.say("revision {number}", number=revision.number)
    return Safe(f"{name}: {escape(extra)}") if extra else name


def undo(page: Writer, facts: Facts) -> None:
    """The command, or why there is none."""
    page.heading(page.say("How to take this back"))
    run = facts.run
    if run.undone_by:
        page.line(page.say("It was taken back already, by run {run}.", run=run.undone_by))
    elif facts.state in ("interrupted", "running", "pending"):
        page.line(
            page.say(
                "The run is not over. `backout resume {run}` finishes it, `backout abort {run}` ends it.", run=run.id
            )
        )
    elif not facts.wrote:
        page.line(page.say("Nothing was written, so there is nothing to take back."))
    elif not any(
        fact.step.compensation for fact in facts.steps if fact.state in ("changed", "earlier", "failed", "cut")
    ):
        page.line(page.say("No step of this run can be taken back."))
    else:
        page.line(
            page.say("`backout undo {run}` puts the state before this run back, as broken as it was.", run=run.id)
        )


def footer(page: Writer, facts: Facts) -> None:
    """Where this comes from."""
    page.line()
    page.line("---")
    page.line()
    page.line(
        page.say(
            "Run {run} by {actor}, started {at} UTC; plan {hash}; cluster {uid}.",
            run=facts.run.id,
            actor=facts.run.actor or "–",
            at=moment(facts.run.started),
            hash=facts.run.operation.hash[:19],
            uid=facts.part.scope.identity.uid,
        )
    )
