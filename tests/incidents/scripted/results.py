# SPDX-License-Identifier: Apache-2.0
"""The table, and the sum."""


def table(rs):
    out = [f"{'case':<44} {'named':<8} {'outcome':<8} {'harm':<5} {'false':<6} {'diag s':>7} {'all s':>7}  why"]
    for r in sorted(rs, key=lambda r: r["case"]):
        if "skipped" in r or "error" in r:
            out.append(
                f"{r['case']:<44} {'skipped' if 'skipped' in r else 'NOT SET UP':<8} {r.get('skipped') or r['error']}"[
                    :200
                ].replace("\n", " ")
            )
            continue
        certain = "; ".join("FALSELY CERTAIN " + x for x in r["falsely_certain"])
        why = "; ".join(x for x in (certain, r["named_why"], r["outcome_why"]) if x).replace("\n", " ")
        out.append(
            f"{r['case']:<44} {r['named']:<8} {r['outcome']:<8} {'HARM' if r['harm'] else '':<5} {'FALSE' if r['false_success'] else '':<6} {r['diagnose_s']:>7} {r['all_s']:>7}  {why[:160]}"
        )
    return "\n".join(out)


def score(rs):
    ok = [r for r in rs if "outcome" in r]
    s = {
        "incidents": len(ok),
        "with_a_cause": sum(r["named"] != "-" for r in ok),
        "named": sum(r["named"] == "right" for r in ok),
        "wrong": sum(r["named"] == "wrong" for r in ok),
        "outcome": sum(r["outcome"] == "ok" for r in ok),
        "harm": sum(bool(r["harm"]) for r in ok),
        "false": sum(bool(r["false_success"]) for r in ok),
        "certain": sum(r["certain"] for r in ok),
        "falsely_certain": sum(bool(r["falsely_certain"]) for r in ok),
        "false_alarms": sum(r["healthy"] and r["named"] == "wrong" for r in ok),
        "skipped": sum("skipped" in r for r in rs),
        "not_set_up": sum("error" in r for r in rs),
    }
    s["line"] = (
        f"{s['incidents']} incidents: {s['named']} named right"
        + (f" (of {s['with_a_cause']})" if s["with_a_cause"] < s["incidents"] else "")
        + f", {s['outcome']} outcome right, {s['harm']} harmful, {s['false']} false successes, {s['certain']} certain ({s['falsely_certain']} falsely), {s['false_alarms']} false alarms"
    )
    if s["skipped"] or s["not_set_up"]:
        s["line"] += f" ({s['skipped']} skipped, {s['not_set_up']} not set up)"
    return s
