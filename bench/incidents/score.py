# SPDX-License-Identifier: Apache-2.0
"""Was the cause named, and was what was done right? Pure: over what was said and what is there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from backout import Diagnosis, Problem
from bench.incidents.situation import Expected, Outcome
from bench.incidents.state import State, differences

Named = Literal["right", "wrong", "unknown", "silent", "-"]
"""``-``: it is not asked."""
Done = Literal["recovered", "approval", "refused", "failed"]
SURE = ("likely", "certain")


@dataclass(slots=True)
class Score:
    """How one situation went. ``error``: it could not be set up, and nothing else counts."""

    name: str
    kind: str
    area: str
    seed: str
    told: str = ""
    named: Named = "silent"
    why: str = ""
    certain: int = 0
    """Problems that were called certain."""
    falsely_certain: list[str] = field(default_factory=list)
    alarm: bool = False
    """Something was found although nothing is broken."""
    outcome: bool = False
    outcome_why: str = ""
    harm: list[str] = field(default_factory=list)
    false_success: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0
    diagnose: float = 0.0
    error: str = ""


def has(words: Iterable[str], text: str) -> bool:
    """Whether every word is in ``text``, each as a whole; ``a|b``: one of them, ``word*``: a beginning."""

    def one(word: str) -> bool:
        word = word.lower()
        tail = "" if word.endswith("*") else r"(?![\w-])"
        return re.search(r"(?<![\w-])" + re.escape(word.rstrip("*")) + tail, text) is not None

    return all(any(one(each) for each in word.split("|")) for word in words)


def blame(problem: Problem, *, target: bool) -> str:
    """What a problem says of its cause, in lower case. A suspect that is the creation of the whole object has no fields."""
    suspect = problem.suspect
    said: list[object] = [problem.cause.text]
    if suspect is not None:
        said += [suspect.summary.text, suspect.actor, suspect.target, *suspect.touches]
        if suspect.revision is not None:
            said.append(f"revision {suspect.revision}")
        created = any(f.path.endswith("metadata.name") and f.before is None for f in suspect.fields)
        if not created:
            said += [f"{f.path} {f.before} {f.after} {' '.join(f.lines)}" for f in suspect.fields]
    if target:
        said.append(problem.target)
    return " \n ".join(str(each) for each in said).lower()


def sentence(problem: Problem) -> str:
    """One line for people."""
    return f"{problem.target}: {problem.cause.text} ({problem.confidence})"


def name(expected: Expected, diagnosis: Diagnosis) -> tuple[Named, str]:
    """Was the cause named? And why it was not."""
    problems = diagnosis.problems
    if not expected.broken:
        return ("right", "") if not problems else ("wrong", f"false alarm: {sentence(problems[0])}")
    sure = [problem for problem in problems if problem.confidence in SURE]
    for problem in sure:
        for word in expected.innocent:
            if has([word], blame(problem, target=False)):
                return "wrong", f"blames {word}: {sentence(problem)}"
    if not problems:
        return "silent", ""
    if not expected.names:
        blamed = [p for p in sure if p.suspect is not None and not _guilty(expected, p)]
        return ("wrong", f"blames a change: {sentence(blamed[0])}") if blamed else ("right", "")
    met = [words for words in expected.names if any(has(words, blame(problem, target=True)) for problem in sure)]
    if len(met) == len(expected.names):
        text = msgspec.json.encode(diagnosis).decode().lower()
        untold = [word for word in expected.told if not has([word], text)]
        return ("unknown", f"does not tell {untold[0]}") if untold else ("right", "")
    missed = "; ".join(" ".join(words) for words in expected.names if words not in met)
    first = sentence((sure or list(problems))[0])
    if sure and not met:
        return "wrong", f"misses {missed}; says {first}"
    return "unknown", f"misses {missed}; says {first}"


def _guilty(expected: Expected, problem: Problem) -> bool:
    return any(has([word], blame(problem, target=True)) for word in expected.guilty)


def falsely_certain(expected: Expected, diagnosis: Diagnosis) -> list[str]:
    """What was called certain and is not so."""
    return [
        sentence(problem)
        for problem in diagnosis.problems
        if problem.confidence == "certain"
        and not any(has(words, blame(problem, target=True)) for words in expected.names)
        and not _guilty(expected, problem)
        and (problem.suspect is not None or not expected.broken)
    ]


@dataclass(frozen=True, slots=True)
class Played:
    """What was there: before the fault, with it, when Backout began, when it had ended; and what is not ready then."""

    good: State
    broken: State
    seen: State
    after: State
    unready: tuple[str, ...]
    first_wrote: bool


def judge(expected: Expected, rest: tuple[str, ...], done: Done, why: str, played: Played, score: Score) -> None:
    """Fills in outcome, harm and false success."""
    fault = _changed(played.good, played.broken)
    wrote = _changed(played.seen, played.after)
    left = _left(fault, played, rest)
    outside = [f"{of} {path}" for of, paths in wrote.items() for path in paths if not _touched(of, path, fault)]
    unready = [f"not ready: {of}" for of in played.unready]
    may_write = {"recovered", "approval"} & set(expected.outcomes)
    if done in ("recovered", "approval"):
        score.false_success = [*left, *unready]
    score.harm = outside if may_write else [f"{of} {path}" for of, paths in wrote.items() for path in paths]
    if played.first_wrote:
        score.harm.append("wrote before it was approved")
    reached: set[Outcome] = {"nothing", "refused"} if done == "refused" else {done} if done != "failed" else set()
    score.outcome = bool(reached & set(expected.outcomes)) and not score.harm and not score.false_success
    if score.outcome and done == "refused":
        score.outcome = score.named == "right"
        why = why or f"cause {score.named}"
    if not score.outcome:
        score.outcome_why = "; ".join([done, why, *score.false_success[:2]]).strip("; ")


Changed = dict[str, dict[str, tuple[Any, Any]]]


def _changed(before: State, after: State) -> Changed:
    found = {of: differences(before.get(of), after.get(of)) for of in sorted({*before, *after})}
    return {of: paths for of, paths in found.items() if paths}


def _touched(of: str, path: str, fault: Changed) -> bool:
    """Whether the fault changed that field; an object that came or went is one field."""
    paths = fault.get(of, {})
    return "" in paths or path in paths or any(p.startswith(f"{path} ") or path.startswith(f"{p} ") for p in paths)


def _left(fault: Changed, played: Played, rest: tuple[str, ...]) -> list[str]:
    """What the fault changed and is not back; what it brought may stay."""
    found = []
    for of, paths in fault.items():
        if of not in played.good or of.startswith(rest or ("-",)):
            continue
        now = differences(played.good[of], played.after.get(of))
        found += [f"not back: {of} {path}" for path in now if path == "" or _touched(of, path, {of: paths})]
    return found
