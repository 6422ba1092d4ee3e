#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plays incidents on an embedded cluster, lets Backout diagnose and run, and scores what it did. Standard library only."""

import argparse
import concurrent.futures as cf
import fnmatch
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from scripted.case import Case
from scripted.header import read_header
from scripted.results import score, table

HERE = os.path.dirname(os.path.abspath(__file__))


def tool(name):
    """A program by its variable, beside this Python, among the project's tools (`.tools`), or on the PATH."""
    if os.environ.get(name.upper()):
        found = shutil.which(os.environ[name.upper()])
        return os.path.abspath(found) if found else None
    pattern = {"helm": "helm-4*", "helm3": "helm-3*", "kubectl": "kubectl-*"}.get(name)
    folder = os.environ.get("BACKOUT_TOOLS_DIR") or os.path.join(HERE, "..", "..", ".tools")
    kept = [f for f in (os.listdir(folder) if pattern and os.path.isdir(folder) else []) if fnmatch.fnmatch(f, pattern)]
    if kept:
        return os.path.abspath(os.path.join(folder, max(kept)))
    beside = os.path.join(os.path.dirname(sys.executable), name)
    found = beside if os.access(beside, os.X_OK) else shutil.which(name)
    return os.path.abspath(found) if found else None


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument(
        "--context", help="context of an embedded cluster in $KUBECONFIG (default: one is started, and ended)"
    )
    a.add_argument("--jobs", type=int, default=1)
    a.add_argument("--only", action="append", help="glob on case names, repeatable, or several with commas")
    a.add_argument("--soak", type=int, default=5, help="seconds that a run watches before its verdict")
    a.add_argument("--out", help="folder for logs and results (default: a temporary one)")
    a.add_argument("--json", action="store_true")
    a.add_argument("--keep", action="store_true", help="leave the namespaces")
    a.add_argument("--list", action="store_true")
    a.add_argument("--shard", default="1/1", help="I/N: every Nth case, beginning with the Ith")
    for t in ("named", "outcome"):
        a.add_argument(f"--min-{t}", type=int)
    for t in ("harm", "false"):
        a.add_argument(f"--max-{t}", type=int)
    o = a.parse_args()
    globs = [g for x in o.only or ["*"] for g in x.split(",")]
    paths = [
        os.path.join(HERE, "cases", f)
        for f in sorted(os.listdir(os.path.join(HERE, "cases")))
        if f.endswith(".sh") and any(fnmatch.fnmatch(f[:-3], g if "*" in g else g + "*") for g in globs)
    ]
    i, n = map(int, o.shard.split("/"))
    paths = paths[i - 1 :: n]
    if o.list:
        for p in paths:
            h = read_header(p)
            print(f"{os.path.basename(p)[:-3]:<44} {h['OUTCOME']:<28} {h.get('FAULT')}")
        return 0
    for name in ("backout", "helm", "kubectl"):
        found = tool(name)
        if not found:
            sys.exit(f"{name} is not on the PATH (or set ${name.upper()})")
        setattr(o, name, found)
    if helm3 := tool("helm3"):
        os.environ["HELM3"] = helm3
    o.out = os.path.abspath(o.out or tempfile.mkdtemp(prefix="incidents-"))
    os.makedirs(o.out, exist_ok=True)
    o.kubeconfig = os.path.abspath(os.environ["KUBECONFIG"]) if os.environ.get("KUBECONFIG") else None
    twin = None
    if not o.context and o.kubeconfig:
        o.context = subprocess.run(
            [o.kubectl, "config", "current-context"], capture_output=True, text=True, timeout=30
        ).stdout.strip()
    if not o.context or not o.kubeconfig:
        twin = tempfile.mkdtemp(prefix="incidents-twin-")
        tenv = dict(os.environ, HOME=twin, XDG_STATE_HOME=twin + "/state", BACKOUT_TWIN_DIR=twin + "/twin")
        subprocess.run(
            [o.backout, "twin", "up", "--clusters", "1", "--directory", twin + "/twin"],
            env=tenv,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            check=True,
            timeout=120,
        )
        o.kubeconfig, o.context = twin + "/twin/kubeconfig", "cluster-01"
        print(f"started an embedded cluster, pid {open(twin + '/twin/pid').read().strip()}", file=sys.stderr)
    rs, cases = [], [Case(p, o) for p in paths]

    def show(r):
        rs.append(r)
        if not o.json:
            print(table([r]).split("\n")[1], flush=True)

    try:
        if not o.json:
            print(f"{len(cases)} cases, logs in {o.out}\n" + table([]), flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        ex = cf.ThreadPoolExecutor(o.jobs)
        try:
            for f in cf.as_completed([ex.submit(c.play) for c in cases if c.head.get("ALONE") != "yes"]):
                show(f.result())
        finally:
            ex.shutdown(wait=False, cancel_futures=True)
        for c in cases:
            if c.head.get("ALONE") == "yes":
                show(c.play())
    finally:
        if twin:
            try:
                pid = int(open(twin + "/twin/pid").read())
            except (OSError, ValueError):
                pid = None
            subprocess.run(
                [o.backout, "twin", "down", "--directory", twin + "/twin"],
                env=tenv,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                timeout=60,
            )
            if pid:
                try:
                    os.kill(pid, 0)
                    os.kill(pid, signal.SIGTERM)
                except OSError:
                    pass
            shutil.rmtree(twin, ignore_errors=True)
    s = score(rs)
    doc = {"score": s, "cases": sorted(rs, key=lambda r: r["case"])}
    json.dump(doc, open(o.out + "/score.json", "w"), indent=1, ensure_ascii=False)
    open(o.out + "/score.txt", "w").write(table(rs) + "\n" + s["line"] + "\n")
    print(json.dumps(doc, indent=1, ensure_ascii=False) if o.json else "\n" + s["line"])
    missed = [
        f"{t}: {s[t]}, wanted at {w} {v}"
        for t, v, w, bad in (
            ("named", o.min_named, "least", lambda x, v: x < v),
            ("outcome", o.min_outcome, "least", lambda x, v: x < v),
            ("harm", o.max_harm, "most", lambda x, v: x > v),
            ("false", o.max_false, "most", lambda x, v: x > v),
        )
        if v is not None and bad(s[t], v)
    ]
    for m in missed:
        print("missed: " + m, file=sys.stderr)
    return 1 if missed or s["not_set_up"] else 0


if __name__ == "__main__":
    sys.exit(main())
