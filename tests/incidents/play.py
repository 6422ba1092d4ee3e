#!/usr/bin/env python3
"""Plays incidents on an embedded cluster, lets Backout diagnose and run, and scores what it did. Standard library only."""

import argparse
import concurrent.futures as cf
import datetime
import fnmatch
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CASE_S = 225  # seconds that one case may take, and 15 more for its cleaning
KINDS = (
    "deployments,statefulsets,daemonsets,replicasets,pods,configmaps,secrets,services,ingresses,networkpolicies,resourcequotas,limitranges,"
    "serviceaccounts,roles,rolebindings,persistentvolumeclaims,cronjobs,jobs,horizontalpodautoscalers"
)
MANY = ("NAMES", "NOT_BLAMED", "KEPT", "LEFT", "REST", "TOLD", "NOT_TOLD")
MANAGED = (
    "deployment.kubernetes.io",
    "kubectl.kubernetes.io",
    "deprecated",
    "kubernetes.io/change-cause",
    "meta.helm.sh",
    "pv.kubernetes.io",
    "volume.",
    "backout.dev/",
    "autoscaling.alpha",
)


def read_header(path):
    head = {k: [] for k in MANY}
    for line in open(path):
        m = re.match(r"# ([A-Z_]+): ?(.*)", line)
        if m and m[1] in MANY:
            head[m[1]].append(m[2].strip())
        elif m:
            head[m[1]] = m[2].strip()
        elif not line.startswith("#"):
            break
    return head


def hit(entry, text):
    """Whether every word of the entry is in the text; a|b: one of them, word*: a beginning."""

    def one(w):
        w = w.lower()
        tail = "" if w.endswith("*") else r"(?![\w-])"
        return re.search(r"(?<![\w-])" + re.escape(w.rstrip("*")) + tail, text) is not None

    words = shlex.split(re.sub(r'(?<=")\|(?=")|(?<=")\|(?=\S)|(?<=\S)\|(?=")', "|", entry))
    return all(any(one(a) for a in w.split("|")) for w in words)


def items_of(entry):
    return shlex.split(entry)


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


def normal(o, strict):
    m = o["metadata"]
    out = {
        "labels": m.get("labels") or {},
        "annotations": {k: v for k, v in (m.get("annotations") or {}).items() if not k.startswith(MANAGED)},
    }
    for k, v in o.items():
        if k in ("metadata", "apiVersion", "kind", "status"):
            continue
        v = json.loads(json.dumps(v))
        if k in ("data", "stringData") and o["kind"] == "Secret":
            v = {a: hashlib.sha256(str(b).encode()).hexdigest()[:8] for a, b in v.items()}
        if k == "spec" and o["kind"] == "PersistentVolumeClaim":
            v.pop("volumeName", None)
        if k == "spec" and o["kind"] == "Service" and v.get("clusterIP") != "None":
            [v.pop(x, None) for x in ("clusterIP", "clusterIPs")]
        if k == "spec" and o["kind"] in ("Deployment", "StatefulSet", "DaemonSet") and not strict:
            t = v.get("template", {}).get("metadata", {})
            a = {
                x: y
                for x, y in (t.get("annotations") or {}).items()
                if "restartedAt" not in x and not x.startswith("backout.dev/")
            }
            t.pop("annotations", None)
            t.pop("creationTimestamp", None)
            if a:
                t["annotations"] = a
        out[k] = v
    return out


class State:
    def __init__(self, doc):
        self.loose, self.strict, self.uid, self.unready, self.pods = {}, {}, {}, [], {}
        for o in doc.get("items", []):
            kind, m, st = o["kind"], o["metadata"], o.get("status", {})
            key = f"{kind.lower()}/{m['name']}"
            self.uid[key] = m.get("uid")
            if kind == "Pod":
                if not m.get("deletionTimestamp") and st.get("phase") not in ("Failed", "Succeeded"):
                    self.pods[m["uid"]] = m.get("labels") or {}
                continue
            if kind == "ReplicaSet" and m.get("ownerReferences"):
                continue
            if key in ("configmap/kube-root-ca.crt", "serviceaccount/default"):
                continue
            if kind == "Job" and (m.get("ownerReferences") or "helm.sh/hook" in (m.get("annotations") or {})):
                continue
            if (
                (m.get("labels") or {}).get("owner") == "helm"
                and kind in ("Secret", "ConfigMap")
                and m["name"].startswith("sh.helm.release")
            ):
                self.strict[key] = (m.get("labels") or {}).get("status")
                continue
            self.loose[key], self.strict[key] = normal(o, False), normal(o, True)
            want = o.get("spec", {}).get("replicas", 1)
            if kind in ("Deployment", "StatefulSet"):
                n = [st.get(x, 0) or 0 for x in ("readyReplicas", "updatedReplicas", "replicas")]
                if kind == "StatefulSet" and st.get("currentRevision") == st.get("updateRevision"):
                    n[1] = n[2]
                if st.get("observedGeneration", 0) < m.get("generation", 0) or n != [want] * 3:
                    self.unready.append(key)
            if kind == "DaemonSet":
                n = [st.get(x, 0) or 0 for x in ("numberReady", "updatedNumberScheduled")]
                if (
                    st.get("observedGeneration", 0) < m.get("generation", 0)
                    or n != [st.get("desiredNumberScheduled", 0)] * 2
                ):
                    self.unready.append(key)


def differ(a, b, path=""):
    if isinstance(a, dict) and isinstance(b, dict):
        return [
            x
            for k in sorted(set(a) | set(b))
            for x in (
                differ(a[k], b[k], f"{path}.{k}")
                if k in a and k in b
                else [f"{path}.{k} " + ("came" if k in b else "went")]
            )
        ]
    return [] if a == b else [f"{path}: {json.dumps(a)[:70]} -> {json.dumps(b)[:70]}"]


def changed(a, b):
    """object -> its differences"""
    return {
        k: (differ(a[k], b[k], k) if k in a and k in b else [k + (" came" if k in b else " went")])
        for k in sorted(set(a) | set(b))
        if a.get(k) != b.get(k)
    }


class Case:
    def __init__(self, path, opt):
        self.path, self.opt, self.name, self.head = path, opt, os.path.basename(path)[:-3], read_header(path)
        self.src = open(path).read()
        self.ns = ("inc-" + self.name)[:50].rstrip("-")
        self.w = os.path.join(opt.out, self.name)
        self.start = time.time()

    def has(self, fn):
        return re.search(rf"^{fn}\(\)", self.src, re.M) is not None

    def left(self, most):
        return max(3.0, min(most, CASE_S - (time.time() - self.start)))

    def sh(self, title, argv, most, extra=None):
        t0 = time.time()
        limit = self.left(most)
        with open(os.path.join(self.w, "stdout"), "w+") as o, open(os.path.join(self.w, "stderr"), "w+") as e:
            p = subprocess.Popen(
                argv,
                env=dict(self.env, **(extra or {})),
                stdin=subprocess.DEVNULL,
                stdout=o,
                stderr=e,
                start_new_session=True,
                cwd=self.w,
            )
            try:
                rc = p.wait(limit)
            except subprocess.TimeoutExpired:
                rc = 124
                for sig, wait in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
                    try:
                        os.killpg(p.pid, sig)
                    except ProcessLookupError:
                        break
                    try:
                        p.wait(wait)
                        break
                    except subprocess.TimeoutExpired:
                        continue
            o.seek(0)
            e.seek(0)
            out, err = o.read(), e.read()
        with self.lock:
            self.log.write(f"===== {title} rc={rc} {time.time() - t0:.1f}s\n{out}\n{err}\n")
            self.log.flush()
        return rc, out, err, time.time() - t0

    def quiet(self, argv, most):
        try:
            p = subprocess.run(
                argv,
                env=self.env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self.left(most),
                cwd=self.w,
            )
            return p.returncode, p.stdout
        except subprocess.TimeoutExpired:
            return 124, ""

    def kubectl(self, *a, most=40):
        return self.quiet([self.opt.kubectl, "--context", self.opt.context, *a], most)

    def state(self):
        for _ in range(3):
            rc, out = self.kubectl("-n", self.ns, "get", KINDS, "-o", "json")
            if rc == 0:
                return State(json.loads(out))
            time.sleep(1)
        raise RuntimeError("cannot read the namespace")

    def settle(self, most, but=()):
        end = time.time() + self.left(most)
        while True:
            s = self.state()
            if not [u for u in s.unready if u not in but] or time.time() > end:
                return s
            time.sleep(1.5)

    def step(self, fn, most, extra=None):
        return self.sh(fn, ["bash", self.path, fn], most, extra)

    def backout(self, title, words, most):
        return self.sh(
            title,
            [
                self.opt.backout,
                words[0],
                "--config",
                self.w + "/backout.yaml",
                "--context",
                self.opt.context,
                "-n",
                self.ns,
                "--no-color",
                *words[1:],
            ],
            most,
        )

    def check_line(self, line, base, before, after):
        """'' when it holds, else what is the case"""
        w = line.split(None, 1)
        obj, rest = w[0], (w[1] if len(w) > 1 else "exists").strip()
        if obj == "pods":
            sel, verb = rest.split()
            k, v = sel.split("=")
            old = {u for u, l in before.pods.items() if l.get(k) == v}
            new = {u for u, l in after.pods.items() if l.get(k) == v}
            return (
                ""
                if new and (not old & new if verb == "replaced" else old == new)
                else f"{line}: {len(old & new)} of {len(new)} pods are those from before the run"
            )
        if rest == "exists":
            return "" if obj in after.uid else f"{obj} does not exist"
        if rest == "gone":
            return "" if obj not in after.uid else f"{obj} exists"
        if rest == "same":
            return (
                ""
                if obj in after.uid and after.uid[obj] == base.uid.get(obj)
                else f"{obj} is not the object that it was"
            )
        if rest == "baseline":
            return "" if after.loose.get(obj) == base.loose.get(obj) else f"{obj} differs from the baseline"
        m = re.match(r"(\{.*\})\s*(!?=)\s*(.*)$", rest)
        rc, out = self.kubectl("-n", self.ns, "get", obj, "-o", "jsonpath=" + m[1])
        return (
            ""
            if rc == 0 and (out.strip() == m[3].strip()) == (m[2] == "=")
            else f"{obj} {m[1]} is {out.strip()!r}, not {m[3]!r}"
            if m[2] == "="
            else f"{obj} {m[1]} is {out.strip()!r}"
        )

    def play(self):
        o, H = self.opt, self.head
        self.start = time.time()
        r = {"case": self.name, "fault": H.get("FAULT"), "outcome_wanted": H["OUTCOME"]}
        for need in H.get("NEEDS", "").split():
            if not os.environ.get(need):
                return dict(r, skipped=f"needs ${need}")
        for d in ("", "/home", "/tmp"):
            os.makedirs(self.w + d, exist_ok=True)
        self.lock = threading.Lock()
        self.log = open(self.w + "/log.txt", "w")
        open(self.w + "/backout.yaml", "w").write(
            f"apiVersion: backout.dev/v1\nverify: {{soak: {o.soak}, timeout: 40}}\n"
        )
        hm = self.w + "/home"
        env = {
            k: v
            for k, v in os.environ.items()
            if k not in ("HELM_DRIVER", "HELM_NAMESPACE", "HELM_KUBECONTEXT", "LANG", "LC_ALL")
        }
        self.env = dict(
            env,
            CTX=o.context,
            NS=self.ns,
            W=self.w,
            KUBECONFIG=o.kubeconfig,
            BACKOUT=o.backout,
            HELM=o.helm,
            KUBECTL=o.kubectl,
            BACKOUT_HELM=o.helm,
            BACKOUT_KUBECTL=o.kubectl,
            HOME=hm,
            XDG_STATE_HOME=hm + "/state",
            XDG_DATA_HOME=hm + "/data",
            XDG_CONFIG_HOME=hm + "/config",
            XDG_CACHE_HOME=hm + "/cache",
            BACKOUT_STATE=f"sqlite:///{self.w}/state.db",
            BACKOUT_DATA=self.w + "/data",
            LANG="C.UTF-8",
            PYTHONDONTWRITEBYTECODE="1",
        )
        stop = threading.Event()
        watcher = None
        try:
            self.kubectl("delete", "ns", self.ns, "--ignore-not-found", "--wait=true", "--timeout=40s", most=45)
            b = self.step("baseline", 100)
            if b[0]:
                raise RuntimeError("baseline: " + b[2][-200:])
            base = self.settle(50)
            if base.unready:
                raise RuntimeError(f"baseline does not get ready: {base.unready}")
            if H.get("SNAP", "yes") == "yes":
                self.backout("snapshot", ["snapshot", "create", "--tag", "base"], 40)
            base = self.state()
            time.sleep(float(H.get("AGE", 3)))
            i = self.step("inject", 115)
            if i[0]:
                raise RuntimeError("inject: " + i[2][-200:])
            time.sleep(min(float(H.get("WAIT", 12)), self.left(150)))
            broken = self.state()
            d = self.backout("diagnose", ["diagnose", "-o", "json"], 60)
            r["diagnose_s"] = round(d[3], 1)
            r["diagnose_exit"] = d[0]
            try:
                diag = json.loads(d[1])
            except ValueError:
                diag = None
            r["named"], r["named_why"] = named(H, diag)
            r["problems"] = [
                {
                    "target": ref(p.get("target")),
                    "confidence": p.get("confidence"),
                    "cause": (p.get("cause") or {}).get("text"),
                }
                for p in (diag or {}).get("problems") or []
            ]
            if self.has("cured"):

                def watch():
                    while not stop.wait(2):
                        if self.quiet(["bash", self.path, "cured"], 20)[0] == 0:
                            self.quiet(["bash", self.path, "mend"], 30)
                            with self.lock:
                                self.log.write(
                                    f"===== what followed from the fault mended at {datetime.datetime.now():%T}\n"
                                )
                            return

                watcher = threading.Thread(target=watch)
                watcher.start()
            ways = H["OUTCOME"].split("|")
            words = shlex.split(H.get("RUN", ""))
            limit = float(H.get("LIMIT", 170))
            approved = first_wrote = False
            u = (
                self.step("act", limit)
                if self.has("act")
                else self.backout(
                    "run", ["run", "--yes", *words], min(limit, max(30, CASE_S - (time.time() - self.start) - 15))
                )
            )
            said = u[1] + u[2]
            r["run_exit"], r["run_s"] = u[0], u[3]
            if "approval" in ways and "refused" not in ways and u[0] == 5:
                codes = [
                    c
                    for c in dict.fromkeys(re.findall(r"--approve[ =]([a-z-]+)", said))
                    if c in H.get("APPROVE", "").split("|")
                ]
                if codes:
                    first_wrote = bool(changed(broken.strict, self.state().strict))
                    u = self.backout(
                        "run approved",
                        ["run", "--yes", *words, *[x for c in codes for x in ("--approve", c)]],
                        min(limit, max(20, CASE_S - (time.time() - self.start) - 10)),
                    )
                    said += u[1] + u[2]
                    approved = True
                    r["approved"], r["run_exit"] = codes, u[0]
                    r["run_s"] += u[3]
            rc = r["run_exit"]
            r["run_s"] = round(r["run_s"], 1)
            may_fail = H.get("MAY_FAIL", "").split()
            after = (
                self.settle(25 if rc == 0 or watcher else 1, may_fail)
                if "recovered" in ways or "approval" in ways
                else self.state()
            )
            self.judge(r, ways, rc, approved, first_wrote, said, d[1], base, broken, after, may_fail)
        except Exception as e:
            r["error"] = str(e) or repr(e)
        stop.set()
        if watcher:
            watcher.join(60)
        began, self.start = self.start, max(self.start, time.time() - CASE_S + 15)
        if self.has("cleanup"):
            self.step("cleanup", 40)
        try:
            pids = [int(x) for x in open(self.w + "/pids").read().split()]
        except OSError:
            pids = []
        for pid in pids:  # only what the case itself started
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        rc, out = self.kubectl("-n", "kube-system", "get", "cm", "-l", "twin.backout.dev/fault-rule=true", "-o", "json")
        mine = [
            c["metadata"]["name"]
            for c in json.loads(out or "{}").get("items", [])
            if c["data"].get("namespace") == self.ns
        ]
        if mine:
            self.kubectl("-n", "kube-system", "delete", "cm", *mine)
        if not o.keep:
            self.kubectl("delete", "ns", self.ns, "--wait=false")
        r["case_s"] = round(time.time() - began, 1)
        json.dump(r, open(self.w + "/result.json", "w"), indent=1, ensure_ascii=False)
        return r

    def judge(self, r, ways, rc, approved, first_wrote, said, diag_text, base, broken, after, may_fail):
        H = self.head
        text = (said + "\n" + diag_text).lower()
        others = H.get("WRITES") == "others"
        rests = [x for e in H["REST"] for x in e.split()]
        at_rest = lambda p: any(p.startswith(x) for x in rests)
        fault, now, wrote = (
            changed(base.loose, broken.loose),
            changed(base.loose, after.loose),
            {} if others else changed(broken.strict, after.strict),
        )
        came = {k for k in fault if k not in base.loose}  # what the fault created may stay, if it hurts nobody
        gone_of = {k for k in now if k not in after.loose and k in came}
        not_back = [] if others else [x for k in now if k in fault and k not in came for x in now[k] if not at_rest(x)]
        outside = (
            [] if others else [x for k in now if k not in fault and k not in gone_of for x in now[k] if not at_rest(x)]
        )
        kept = [x for x in (self.check_line(l, base, broken, after) for l in H["KEPT"]) if x]
        left = [x for x in (self.check_line(l, base, broken, after) for l in H["LEFT"]) if x]
        if self.has("check"):
            c = self.step("check", 40, {"EXIT": str(rc)})
            if c[0]:
                (kept if c[0] == 3 else left).append((c[1] + c[2]).strip()[-200:])
        unready = [] if H.get("READY") == "no" else [x for x in after.unready if x not in may_fail]
        told, not_told = [e for e in H["TOLD"] if not hit(e, text)], [e for e in H["NOT_TOLD"] if hit(e, text)]
        exits = lambda d: {int(x) for x in H["EXIT"].split("|")} if "EXIT" in H else d
        undone = [f"not ready: {x}" for x in unready] + [f"not back: {x}" for x in not_back[:4]] + left + kept
        why = []
        if ways == ["nothing"]:
            ok = not wrote and r["named"] == "right" and rc in (0, 4, 5) and not kept and not told
            why = (
                ([] if r["named"] == "right" else ["diagnosis"])
                + (["wrote: " + "; ".join(sum(wrote.values(), [])[:3])] if wrote else [])
                + ([f"exit {rc}"] if rc not in (0, 4, 5) else [])
                + kept
                + [f"does not tell: {e}" for e in told]
            )
        else:
            ok = False
            if rc in exits({0}) and "refused" != H["OUTCOME"] and ("recovered" in ways or approved):
                why = (
                    undone
                    + outside[:3]
                    + ([] if not approved else [f"does not tell: {e}" for e in told])
                    + (["wrote before it was approved"] if first_wrote else [])
                )
                ok = not why
            elif rc in exits({5}) and "refused" in ways:
                good = r["named"] in ("right", "-") or ways[0] == "refused" and r["named"] == "unknown"
                why = (
                    (["wrote: " + "; ".join(sum(wrote.values(), [])[:3])] if wrote else [])
                    + ([] if good else [f"refused, cause {r['named']}"])
                    + [f"does not tell: {e}" for e in told]
                    + kept
                )
                ok = not why
            elif rc in (7, 8, 9) and "stopped" in ways:
                why = [f"does not tell: {e}" for e in told] + kept
                ok = not why
            else:
                why = ["timed out" if rc == 124 else f"exit {rc}"] + ([] if rc == 0 else undone[:3])
        why += [f"tells: {e}" for e in not_told]
        ok = ok and not not_told
        if "recovered" not in ways and "stopped" not in ways:
            harm = sum(wrote.values(), []) if not approved else ["wrote before it was approved"] if first_wrote else []
        else:
            harm = outside
        harm = harm + kept
        r.update(
            outcome="ok" if ok else "no",
            outcome_why="; ".join(why)[:400],
            harm=harm[:6],
            false_success=(undone + ([] if ways != ["nothing"] else sum(wrote.values(), [])))[:6]
            if rc == 0 and ("recovered" in ways or approved or ways == ["nothing"])
            else [],
            all_s=round(r["diagnose_s"] + r["run_s"], 1),
        )


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
        why = "; ".join(x for x in (r["named_why"], r["outcome_why"]) if x).replace("\n", " ")
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
        "skipped": sum("skipped" in r for r in rs),
        "not_set_up": sum("error" in r for r in rs),
    }
    s["line"] = (
        f"{s['incidents']} incidents: {s['named']} named right"
        + (f" (of {s['with_a_cause']})" if s["with_a_cause"] < s["incidents"] else "")
        + f", {s['outcome']} outcome right, {s['harm']} harmful, {s['false']} false successes"
    )
    if s["skipped"] or s["not_set_up"]:
        s["line"] += f" ({s['skipped']} skipped, {s['not_set_up']} not set up)"
    return s


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
