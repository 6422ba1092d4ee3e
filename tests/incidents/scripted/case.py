# SPDX-License-Identifier: Apache-2.0
"""One case: its baseline, its fault, what Backout does, and the cleaning."""

import datetime
import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time

from scripted.header import read_header
from scripted.judging import judge
from scripted.naming import certain, named, ref
from scripted.state import KINDS, State, changed

CASE_S = 225  # seconds that one case may take, and 15 more for its cleaning


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
        r = {
            "case": self.name,
            "fault": H.get("FAULT"),
            "outcome_wanted": H["OUTCOME"],
            "healthy": H.get("BROKEN") == "no",
        }
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
            r["certain"], r["falsely_certain"] = certain(H, diag)
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
            judge(self, r, ways, rc, approved, first_wrote, said, d[1], base, broken, after, may_fail)
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
