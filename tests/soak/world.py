# SPDX-License-Identifier: Apache-2.0
"""One embedded cluster, and in it a namespace for each seed: something good, a bad change of it, and a way back by `backout`.

What is true is read from the cluster itself, past the proxy and past Backout.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy import FaultProxy

from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.errors import StateError
from backout.model.run import ENDED, Run
from kubetwin.serving.certs import Identity, new_identity

CHART = Path(__file__).parent / "chart"
IMAGE = "registry.example.com/web"
GOOD, BAD, FIXED = "1.0", "2.0-crash-exit2", "3.0"
"""Tags: what ran well, what crashes, and what a colleague deploys meanwhile."""
SECRET = "canary-9d2f4b1c7e"
"""A value of a Secret that the workload reads; it must come out nowhere."""
PATIENCE = 150.0
"""Seconds in which a run or its resumption must come to an end, whatever fails."""
KINDS = ("workload", "helm", "objects")
TARGETS = {"workload": "deployment/web", "helm": "helm/soaked", "objects": "configmap/settings"}
NEVER_SENT = ("TLS handshake timeout", "connection refused", "connect: ")
"""What kubectl and helm say of a request that no server got."""
CONFIG = "apiVersion: backout.dev/v1\nverify: {soak: 1, timeout: 20}\n"


@dataclass
class Answer:
    """How a program ended; ``code`` is None where it was killed or did not end in time."""

    code: int | None
    out: str
    err: str


@dataclass
class Truth:
    """What is there: ``content`` is what the last change left, ``head`` counts Helm's revisions."""

    content: str
    settings: str
    ready: bool
    head: int
    statuses: tuple[str, ...]
    generation: int
    leases: tuple[str, ...]


@dataclass
class World:
    """One namespace of one seed. ``folder`` holds the state and the keys of a Backout of its own."""

    kubeconfig: Path
    tools: dict[str, Path]
    folder: Path
    kind: str
    seed: int
    identity: Identity = field(default_factory=lambda: new_identity("soak"))

    @property
    def ns(self) -> str:
        return self.folder.name

    @property
    def target(self) -> str:
        return TARGETS[self.kind]

    async def call(self, *words: str, stdin: str = "") -> str:
        """A program that must do what it is told; called again where it never reached the server, as on a machine with too much to
        do."""
        for last in (False, False, True):
            answer = await finished(await started(words, self._environment(), self.folder), stdin=stdin)
            if last or not any(phrase in answer.err for phrase in NEVER_SENT):
                break
        assert answer.code == 0, f"{' '.join(words)}: {answer.err}"
        return answer.out

    async def kubectl(self, *words: str, stdin: str = "") -> str:
        return await self.call(
            str(self.tools["kubectl"]), "--kubeconfig", str(self.kubeconfig), "-n", self.ns, *words, stdin=stdin
        )

    async def helm(self, *words: str) -> str:
        return await self.call(str(self.tools["helm4"]), "--kubeconfig", str(self.kubeconfig), "-n", self.ns, *words)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "BACKOUT_HELM": str(self.tools["helm4"]),
            "BACKOUT_STATE": str(self.folder / "state.db"),
            "BACKOUT_DATA": str(self.folder / "data"),
        }

    async def prepare(self) -> None:
        """Something good that runs, and then the bad change."""
        self.folder.mkdir(parents=True)
        (self.folder / "backout.yaml").write_text(CONFIG)
        await self.kubectl("create", "namespace", self.ns)
        await self.kubectl("create", "secret", "generic", "token", f"--from-literal=token={SECRET}")
        if self.kind == "helm":
            await self.helm("install", "soaked", str(CHART), "--set", f"tag={GOOD}")
        else:
            await self.kubectl("apply", "-f", "-", stdin=json.dumps(_objects()))
        await self.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
        if self.kind == "objects":
            answer = await self.backout("snapshot", "create", "--tag", "well")
            assert answer.code == 0, answer.err
            await self.kubectl("patch", "configmap", "settings", "-p", '{"data":{"mode":"bad"}}')
        else:
            await self.deploy(BAD)

    async def deploy(self, tag: str) -> None:
        """As somebody with kubectl, or with helm, does."""
        if self.kind == "helm":
            await self.helm("upgrade", "soaked", str(CHART), "--set", f"tag={tag}")
        elif self.kind == "workload":
            await self.kubectl("set", "image", "deployment/web", f"web={IMAGE}:{tag}")
        else:
            await self.kubectl("patch", "configmap", "settings", "-p", json.dumps({"data": {"mode": tag}}))

    async def truth(self) -> Truth:
        """What is there now."""
        found = json.loads(await self.kubectl("get", "deployment/web", "configmap/settings", "-o", "json"))["items"]
        deployment = next(item for item in found if item["kind"] == "Deployment")
        settings = next(item for item in found if item["kind"] == "ConfigMap")["data"]["mode"]
        status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
        ready = (
            status.get("observedGeneration") == deployment["metadata"]["generation"]
            and status.get("updatedReplicas") == status.get("readyReplicas") == status.get("replicas") == wanted
        )
        history = json.loads(await self.helm("history", "soaked", "-o", "json")) if self.kind == "helm" else []
        leases = json.loads(await self.kubectl("get", "leases", "-o", "json"))["items"]
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]
        return Truth(
            content=settings if self.kind == "objects" else image,
            settings=settings,
            ready=ready,
            head=len(history),
            statuses=tuple(entry["status"] for entry in history),
            generation=deployment["metadata"]["generation"],
            leases=tuple(item["metadata"]["name"] for item in leases if item["spec"].get("holderIdentity")),
        )

    # backout

    def words(self, *words: str, port: int = 0) -> tuple[str, ...]:
        kubeconfig = self.through(port) if port else self.kubeconfig
        return (sys.executable, "-m", "backout.cli.main", *words, "-n", self.ns, "--kubeconfig", str(kubeconfig))

    def run_words(self) -> tuple[str, ...]:
        to = "well" if self.kind == "objects" else "1"
        codes = ("not-proven-good", "maybe-running", "recreate")
        return ("run", self.target, "--to", to, "--yes", *(w for c in codes for w in ("--approve", c)), "-o", "json")

    async def backout(self, *words: str, port: int = 0) -> Answer:
        return await finished(await self.begin(*words, port=port))

    async def begin(self, *words: str, port: int = 0) -> asyncio.subprocess.Process:
        """Backout in a session of its own, so that it and its children can be stopped together."""
        return await started(self.words(*words, port=port), self._environment(), self.folder)

    def through(self, port: int) -> Path:
        """A kubeconfig that leads to the proxy."""
        config = json.loads(self.kubeconfig.read_text())
        for entry in config["clusters"]:
            entry["cluster"].pop("certificate-authority", None)
            entry["cluster"]["server"] = f"https://127.0.0.1:{port}"
            entry["cluster"]["certificate-authority-data"] = _base64(self.identity.ca)
        path = self.folder / "through-proxy"
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return path

    def proxy(self, rate: float) -> FaultProxy:
        entry = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]
        return FaultProxy(entry["server"], _text(entry["certificate-authority-data"]), self.seed, rate)

    def failed_helms(self) -> int:
        """How many rollbacks by helm ended with an error of helm's own, by what the runs tell: each may have made a record."""
        if not (self.folder / "state.db").exists():
            return 0
        with SqliteRunStore(self.folder / "state.db", create=False) as store:
            texts = [event.message.text for run in store.summaries(-1) for event in store.events(run.id)]
        return sum(text.startswith("helm: Error: ") for text in texts)

    def runs(self) -> list[Run]:
        """What this Backout did, oldest first."""
        if not (self.folder / "state.db").exists():
            return []
        with contextlib.suppress(StateError), SqliteRunStore(self.folder / "state.db", create=False) as store:
            return [store.get(summary.id) for summary in reversed(store.summaries(-1))]
        return []  # it is being made just now

    def unfinished(self) -> list[str]:
        """Runs that are not over, or whose end was recorded by a process that was killed before it let go."""
        if not (self.folder / "state.db").exists():
            return []
        with SqliteRunStore(self.folder / "state.db", create=False) as store:
            return [s.id for s in store.summaries(-1) if s.state not in ENDED or store.owners.unfinished(s.id)]

    def leaks(self) -> list[str]:
        """Files of this Backout in which the secret stands."""
        found = [path for path in self.folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
        return [str(path.relative_to(self.folder)) for path in found]


async def finish(world: World, port: int = 0) -> list[Answer]:
    """Resumes what did not end, as often as it takes; at most four times."""
    answers = []
    for _ in range(4):
        if not (left := world.unfinished()):
            break
        answers.append(await world.backout("resume", left[0], "-o", "json", port=port))
    return answers


def ended_well(run: Run) -> bool:
    return run.state == "recovered"


async def started(words: tuple[str, ...], environment: dict[str, str], folder: Path) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *words, env=environment, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )


async def finished(process: asyncio.subprocess.Process, *, stdin: str = "") -> Answer:
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(stdin.encode())
    except TimeoutError:
        send(process, signal.SIGKILL)
        out, err = await process.communicate()
        return Answer(None, out.decode(), err.decode())
    code = process.returncode
    return Answer(None if code is None or code < 0 else code, out.decode(), err.decode())


def send(process: asyncio.subprocess.Process, number: int, *, children: bool = True) -> None:
    """A signal to a process, and to what it started."""
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if children else os.kill)(process.pid, number)


def helm_children(process: asyncio.subprocess.Process) -> list[int]:
    """The helm programs below a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            group = int(rest.split()[3])
        except (OSError, ValueError, IndexError):
            continue
        if group == process.pid and name.startswith("helm"):
            found.append(int(path.parent.name))
    return found


def _objects() -> dict[str, Any]:
    container = {
        "name": "web",
        "image": f"{IMAGE}:{GOOD}",
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}],
    }
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"mode": "plain"}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec},
        ],
    }


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def _text(data: str) -> str:
    import base64

    return base64.b64decode(data).decode()
