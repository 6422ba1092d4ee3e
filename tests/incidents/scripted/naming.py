# SPDX-License-Identifier: Apache-2.0
"""Was the cause named?"""

import shlex

from scripted.header import hit, items_of


def ref(o):
    return f"{o.get('kind', '')}/{o.get('name', '')}" if o else ""


def blame_text(p, with_target):
    """What a problem says of its cause, in lower case: cause, suspect, actor, fields (not the whole object where it was created)."""
    s = p.get("suspect") or {}
    out = [
        (p.get("cause") or {}).get("text") or "",
        (s.get("summary") or {}).get("text") or "",
        s.get("actor") or "",
        ref(s.get("target")),
    ]
    out += [ref(t) for t in s.get("touches") or []]
    if s.get("revision"):
        out.append(f"revision {s['revision']}")
    fields = s.get("fields") or []
    if not any(f.get("path", "").endswith("metadata.name") and f.get("before") is None for f in fields):
        out += [f"{f.get('path')} {f.get('before')} {f.get('after')}" for f in fields]
    if with_target:
        out.append(ref(p.get("target")))
    return " \n ".join(str(x) for x in out).lower()


def named(head, diag):
    if diag is None:
        return "error", "diagnose gave no JSON"
    problems = diag.get("problems") or []
    sure = [p for p in problems if p.get("confidence") in ("likely", "certain")]
    if head.get("BROKEN") == "no":
        return (
            ("right", "")
            if not problems
            else ("wrong", "false alarm: " + str((problems[0].get("cause") or {}).get("text")))
        )
    for p in sure:
        for e in head["NOT_BLAMED"]:
            for w in items_of(e):
                if hit(shlex.quote(w), blame_text(p, False)):
                    return "wrong", f"blames {w} ({p['confidence']})"
    if head.get("BROKEN") == "unseen" or not head["NAMES"] and head["OUTCOME"] != "nothing":
        return "-", ""
    if not problems:
        return "silent", ""
    if head["OUTCOME"] == "nothing":
        for p in sure:
            if p.get("suspect") and not any(
                hit(shlex.quote(w), blame_text(p, True)) for w in items_of(head.get("MAY_BLAME", ""))
            ):
                return "wrong", f"blames {(p['suspect'].get('summary') or {}).get('text')} ({p['confidence']})"
        return "right", ""
    met = [e for e in head["NAMES"] if any(hit(e, blame_text(p, True)) for p in sure)]
    if len(met) == len(head["NAMES"]):
        return "right", ""
    if met:
        return "unknown", f"{len(met)} of {len(head['NAMES'])} causes named"
    for p in sure:
        return "wrong", f"says: {(p.get('cause') or {}).get('text')} ({p['confidence']})"
    return "unknown", ""


def certain(head, diag):
    """How many problems were called certain, and those of them that were not so, in words."""
    found = [p for p in (diag or {}).get("problems") or [] if p.get("confidence") == "certain"]
    if head.get("BROKEN") == "unseen" or not head["NAMES"] and head["OUTCOME"] != "nothing" and not head.get("BROKEN"):
        return len(found), []
    allowed = [shlex.quote(w) for w in items_of(head.get("MAY_BLAME", ""))]
    wrong = [
        p
        for p in found
        if (p.get("suspect") or head.get("BROKEN") == "no")
        and not any(hit(e, blame_text(p, True)) for e in [*head["NAMES"], *allowed])
    ]
    return len(found), [f"{ref(p.get('target'))}: {(p.get('cause') or {}).get('text')}" for p in wrong]
