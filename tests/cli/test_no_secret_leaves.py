# SPDX-License-Identifier: Apache-2.0
"""Random tokens are planted wherever clusters and configurations hold secrets; every command runs in every format and
language; none of the tokens is in what they print, or in any file but the encrypted ones.

A failure names the command and the place where the token was planted, never the token.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import secrets
import socket
import subprocess
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from backout_shell import Answer, Shell

import canary_forms
from kubetwin.process import Twin

CHART = Path(__file__).parent / "secretive"
NS = "secretive"
FORMATS = (("-o", "text", "-v"), ("-o", "json"), ("-o", "yaml"))
FORMS = canary_forms.forms()
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Canaries:
    """The tokens by where they were planted, and all forms in which they could come out."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}
        self._plain: dict[str, str] = {}

    def plant(self, where: str, token: str = "") -> str:
        """A new token."""
        # Beside hexadecimal digits there are letters of either case: no filter for digests hides it by chance.
        token = token or "Zq" + secrets.token_hex(10) + "xW"
        self._plain[where] = token
        self.watch(token, where)
        return token

    def watch(self, secret: str, where: str) -> None:
        """Looks out for a secret that was there before."""
        raw = secret.encode()
        self._forms[raw] = where
        self._forms[raw.hex().encode()] = f"{where}, as hexadecimal digits"
        for once in self._encodings(raw):
            self._forms[once] = f"{where}, as base64"
            for twice in self._encodings(once):
                self._forms[twice] = f"{where}, as base64 of base64"

    @staticmethod
    def _encodings(raw: bytes) -> Iterator[bytes]:
        """What of its base64 is the same whatever stands before and behind it."""
        for before in range(3):
            whole = base64.b64encode(b"\0" * before + raw)
            start = -(-before * 4 // 3)
            yield whole[start : (before + len(raw)) * 4 // 3]

    def found(self, content: bytes) -> set[str]:
        """Where the tokens in ``content`` had been planted."""
        return {where for form, where in self._forms.items() if form in content}

    def hide(self, text: str) -> str:
        """``text`` without the tokens, for the message of a failing test."""
        for form, where in self._forms.items():
            text = text.replace(form.decode(), f"<{where}>")
        return text

    def __len__(self) -> int:
        return len(self._plain)

    def table(self, leaks: list[str]) -> str:
        """Where tokens were planted, how many, and how many came out."""
        places = Counter(re.split(r"[:,]", where)[0] for where in self._plain)
        found = {where for where in self._plain if any(where in leak for leak in leaks)}
        out = Counter(re.split(r"[:,]", where)[0] for where in found)
        rows = [f"{place:<48} {count:>7} {out[place]:>5}" for place, count in sorted(places.items())]
        head = f"{'planted in':<48} {'planted':>7} {'found':>5}"
        return "\n".join([head, *rows, f"{'all':<48} {len(self):>7} {len(found):>5}"])

    def check(self, planted: set[str]) -> None:
        """The test itself works: every token is found in a text that holds it, in each form."""
        for where, token in self._plain.items():
            for form in (token, token.encode().hex(), base64.b64encode(b'{"a' + token.encode() + b'"}').decode()):
                found = self.found(f"x{form}x".encode())
                assert found, f"{where} is not found"
                assert all(name.startswith(where) for name in found)
        assert set(self._plain) >= planted


class World:
    """A namespace full of tokens, and the command line."""

    def __init__(self, shell: Shell, helm: Any, kubectl: Any) -> None:
        self.shell, self.helm, self.kubectl = shell, helm, kubectl
        self.canaries = Canaries()
        self.copies = {
            mark: self.canaries.plant(f"the value of a Secret, copied elsewhere, {mark}") for mark in ("good", "bad")
        }
        self.leaks: list[str] = []
        self.seconds: dict[tuple[str, ...], float] = {}

    def __call__(self, *arguments: str, codes: tuple[int, ...] = (0,), **environment: str) -> Answer:
        """Runs a command, and looks at what it printed."""
        began = time.monotonic()
        answer = self.shell(*arguments, **environment)
        self.seconds[arguments] = time.monotonic() - began
        shown = " ".join(arguments)
        for stream, text in (("stdout", answer.out), ("stderr", answer.err)):
            self.leaks += [f"`backout {shown}` printed ({stream}): {where}" for where in self._found(text.encode())]
        if answer.code not in codes:
            hidden = self.canaries.hide(answer.err or answer.out)
            self.leaks.append(f"`backout {shown}` ended with code {answer.code}: {hidden[-600:]}")
        return answer

    def _found(self, content: bytes) -> set[str]:
        return self.canaries.found(content)

    def all_of(self, *commands: tuple[str, ...], codes: tuple[int, ...] = (0, 5, 7, 10)) -> None:
        """Runs reading commands in all formats, several at a time; every other one in Korean."""
        calls = [
            (*arguments, *form, *(("--lang", "ko") if (number + turn) % 2 else ()))
            for number, arguments in enumerate(commands)
            for turn, form in enumerate(FORMATS)
        ]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda call: self(*call, codes=codes), calls))

    def files(self) -> None:
        """Looks into every file of the home: state, captures, plans, archives, logs, left-overs."""
        for path in self.shell.home.rglob("*"):
            if path.is_file() and path.name not in ("backout.yaml", "values.yaml", "identity.age"):
                content = path.read_bytes()
                found = self._found(content)
                for unpack in (gzip.decompress, zlib.decompress):
                    try:
                        found |= self._found(unpack(content))
                    except (OSError, zlib.error, EOFError):
                        continue
                place = path.relative_to(self.shell.home)
                self.leaks += [f"the file {place} holds: {where}" for where in found]

    def apply(self, *objects: dict[str, Any]) -> None:
        """As users do, so that kubectl leaves its annotation."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-n", NS, "-f", "-", stdin=json.dumps(document))


@pytest.fixture
def world(backout: Shell, twin: Twin, helm: Any, tools: dict[str, Path], tmp_path: Path) -> World:
    (tmp_path / "tmp").mkdir()
    backout.environment |= {"TMPDIR": str(tmp_path / "tmp"), "XDG_STATE_HOME": str(tmp_path / "state")}

    def kubectl(*arguments: str, stdin: str = "") -> str:
        return subprocess.run(
            [
                str(tools["kubectl"]),
                "--kubeconfig",
                str(twin.kubeconfig),
                "--cache-dir",
                str(tmp_path.parent / "kc"),
                *arguments,
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path.parent)},
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        ).stdout

    made = World(backout, helm, kubectl)
    for user in json.loads(twin.kubeconfig.read_text())["users"]:
        made.canaries.watch(user["user"]["token"], "the bearer token of the kubeconfig")
    return made


def plain(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def by_hand(plant: Any, mark: str) -> list[dict[str, Any]]:
    """Objects that people write; called again it is the bad change, with other tokens."""
    return [
        plain("Secret", "data", data={"blob": base64.b64encode(plant(f"Secret data, {mark}").encode()).decode()}),
        plain("Secret", "string-data", stringData={"blob": plant(f"Secret stringData, {mark}")}),
        plain(
            "Secret",
            "tls",
            type="kubernetes.io/basic-auth",
            stringData={"username": "jane", "password": plant(f"Secret of another type, {mark}")},
        ),
        plain(
            "Secret",
            "noted",
            stringData={"a": "1"},
            metadata={"annotations": {"example.org/last-password": plant(f"Secret annotation, {mark}")}},
        ),
        plain(
            "ConfigMap",
            "urls",
            data={
                "one": f"https://jane:{plant(f'ConfigMap URL, {mark}')}@example.org/x",
                "odd": f"https://jane:a/b@{plant(f'ConfigMap URL with odd letters, {mark}')}@example.org/x",
                "hook": f"https://hooks.slack.com/services/T0/B0/{plant(f'webhook, {mark}')}",
                "many": f"a: {mark}\nurl: amqp://jane:{plant(f'ConfigMap text with a URL, {mark}')}@mq:5672/x\nb: 2\n",
                "json": json.dumps({"mark": mark, "apiKey": plant(f"ConfigMap JSON, {mark}")}, indent=1),
                "objstore.yaml": f"type: S3\nconfig:\n  bucket: {mark}\n  secret_key: {plant(f'objstore.yaml, {mark}')}\n",
            },
        ),
        plain(
            "Service",
            "outside",
            spec={"type": "ExternalName", "externalName": f"{mark}.example.org"},
            metadata={
                "annotations": {
                    "example.org/health": f"http://probe:{plant(f'Service annotation with a URL, {mark}')}@h/"
                }
            },
        ),
    ]


def values(world: World, mark: str, tag: str) -> list[str]:
    names = ("inSecret", "inUrl", "inPair", "inArgument", "inNextArgument", "inVariable", "inNotes", "unused")
    given = {name: world.canaries.plant(f"Helm value {name}, {mark}") for name in names} | {"tag": tag}
    path = world.shell.home / "values.yaml"
    path.write_text(json.dumps(given))
    return ["-n", NS, "-f", str(path)]


def form(world: World, place: str, name: str) -> str:
    """A text of that form with a token of its own."""
    canary = world.canaries.plant(f"{place}: {name}", canary_forms.token())
    return FORMS[name].format(t=canary)


def by_forms(prefix: str) -> list[str]:
    return [name for name in FORMS if name.startswith(prefix)]


def web(world: World, mark: str, image: str, causes: list[str]) -> dict[str, Any]:
    """A Deployment that nobody manages, with secrets in whatever it shows."""
    texts, shapes = by_forms("text: "), by_forms("shape: ")
    plain_texts = [name for name in texts if ", " not in name]
    env = [
        {"name": f"SETTING_{number}", "value": form(world, f"variable, {mark}", name)}
        for number, name in enumerate(plain_texts)
    ]
    copy = world.copies[mark]
    env += [{"name": "MODE", "value": copy}, {"name": "OTHER", "value": canary_forms.base64_of(copy)}]
    args = [form(world, f"argument, {mark}", name) for name in shapes if name.endswith("in a sentence")]
    notes = {
        f"example.org/note-{number}": form(world, f"annotation, {mark}", name)
        for number, name in enumerate(name for name in shapes if name.endswith("in quotes"))
    }
    cause = "; ".join(form(world, f"change cause, {mark}", name) for name in causes)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "annotations": {"kubernetes.io/change-cause": cause}},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "progressDeadlineSeconds": 5,
            "template": {
                "metadata": {"labels": {"app": "web"}, "annotations": notes},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "web", "image": image, "args": args, "env": env}],
                },
            },
        },
    }


def a_config(world: World, mark: str) -> dict[str, Any]:
    """A ConfigMap with secrets where none belong."""
    return plain(
        "ConfigMap",
        "careless",
        data={
            f"key-{number}": form(world, f"ConfigMap, {mark}", name)
            for number, name in enumerate(name for name in by_forms("text: ") if "failed" in name)
        },
    )


def events_and_logs(world: World) -> None:
    """What programs and kubelets say."""
    plant = world.canaries.plant
    lines = [
        f"dial postgres://app:{plant('log, URL')}@db:5432/app: connection refused",
        f"config: password={plant('log, pair')} user=app",
        json.dumps({"level": "error", "token": plant("log, JSON")}),
        f"GET /x Authorization: Bearer {plant('log, bearer')}",
    ]
    lines += [form(world, "log", name) for name in by_forms("text: ") if "after a time" in name][:15]
    lines += [f"got {world.copies['bad']} instead"]
    world.kubectl(
        "apply",
        "-f",
        "-",
        stdin=json.dumps(
            plain(
                "ConfigMap",
                "secretive-logs",
                metadata={"namespace": "kube-system", "labels": {"twin.backout.dev/fault-rule": "true"}},
                data={"fault": "crash", "namespace": NS, "log": "\n".join(lines), "image": "*:2-crash"},
            )
        ),
    )


def break_it(world: World) -> None:
    """The bad deployment, and bad changes by hand."""
    events_and_logs(world)
    world.helm("upgrade", "app", str(CHART), *values(world, "bad", "2-crash"))
    commands = by_forms("command: ")
    bad = web(world, "bad", "registry.example/web:2-crash", commands[18:])
    world.apply(*by_hand(world.canaries.plant, "bad"), a_config(world, "bad"), bad)
    end = time.monotonic() + 240
    while not (crashed := [pod for pod in pods(world) if crashes(pod)]):
        assert time.monotonic() < end, "no pod crashed"
        time.sleep(0.2)
    pod = crashed[0]
    said = f"connection to https://jane:{world.canaries.plant('event')}@registry.example failed"
    said += "".join(f"; {form(world, 'event', name)}" for name in by_forms("text: ")[:6])
    world.kubectl(
        "create",
        "-n",
        NS,
        "-f",
        "-",
        stdin=json.dumps(
            plain(
                "Event",
                "app.1",
                message=said,
                reason="FailedMount",
                type="Warning",
                source={"component": "kubelet"},
                involvedObject={
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "namespace": NS,
                    "name": pod["metadata"]["name"],
                    "uid": pod["metadata"]["uid"],
                },
                firstTimestamp=pod["metadata"]["creationTimestamp"],
                lastTimestamp=pod["metadata"]["creationTimestamp"],
            )
        ),
    )


def pods(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(world.kubectl("get", "pods", "-n", NS, "-l", "app=app", "-o", "json"))[
        "items"
    ]
    return found


def crashes(pod: dict[str, Any]) -> bool:
    return any(status.get("restartCount") for status in pod["status"].get("containerStatuses", ()))


@pytest.mark.timeout(900)  # a hundred processes; a minute on two idle cores
def test_no_secret_leaves(world: World) -> None:
    home, canaries = world.shell.home, world.canaries
    git = canaries.plant("git URL")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        (home / "backout.yaml").write_text(
            json.dumps(
                {
                    "verify": {"soak": 1, "timeout": 60},
                    "stacks": {
                        "all": {
                            "namespace": NS,
                            "git": {
                                "url": f"https://jane:{git}@127.0.0.1:{closed.getsockname()[1]}/x.git",
                                "branch": "main",
                            },
                        }
                    },
                }
            )
        )
        world.helm("install", "app", str(CHART), "--create-namespace", *values(world, "good", "1"))
        good = web(world, "good", "registry.example/web:1", by_forms("command: ")[:18])
        copies = [
            plain("Secret", f"copied-{mark}", stringData={"value": world.copies[mark]}) for mark in ("good", "bad")
        ]
        world.apply(*copies, *by_hand(canaries.plant, "good"), a_config(world, "good"), good)
        for name in ("app", "web"):
            world.kubectl("wait", "-n", NS, f"deployment/{name}", "--for=condition=Available", "--timeout=240s")
        world("snapshot", "create", "--tag", "before", "-m", "before the upgrade")
        world("snapshot", "create", "--git-tag", "v1", "-o", "json", codes=(5,))
        for line in (home / "data" / "identity.age").read_text().splitlines():
            if line.startswith("AGE-SECRET-KEY"):
                canaries.watch(line, "the key of the snapshots")
        break_it(world)
        world.all_of(
            ("status",),
            ("history", "helm/app"),
            ("history", "deployment/app"),
            ("changes",),
            ("diagnose",),
            ("plan",),
            ("plan", "helm/app"),
            ("history", "deployment/web", "-v"),
            ("plan", "deployment/web"),
            ("plan", "configmap/urls"),
            ("plan", "configmap/careless"),
            ("plan", "secret/data"),
            ("verify",),
            ("doctor", "helm/app"),
            ("snapshot", "list"),
            ("snapshot", "show", "before", "--objects"),
            ("snapshot", "diff", "before"),
            ("snapshot", "verify", "--read-data"),
            ("snapshot", "key", "show"),
            ("snapshot", "prune", "--keep-last", "9", "--dry-run"),
            ("snapshot", "restore", "before", "--dry-run"),
        )
        world("snapshot", "restore", "before", "secret/none", "--dry-run", "-o", "json", codes=(4,))
        world("snapshot", "restore", "before", "--dry-run", "--include-owned", "--partial", codes=(0, 8))
        world("snapshot", "create", "--tag", "incident", "-o", "yaml")
        world.all_of(("snapshot", "diff", "before", "incident"))
        world("plan", "--out", "plan.yaml", "helm/app")
        world("run", "plan.yaml", "--dry-run")
        world("run", "plan.yaml", "--yes", "-v")
        run = world("runs", "-o", "json").document["items"][0]["id"]
        world("plan", "--out", "web.yaml", "deployment/web")
        world("run", "deployment/web", "--yes", "-v", codes=(0, 7))
        world("show", "latest", "-v")
        world.files()  # while the log of the database is still there
        world("undo", "latest", "--yes", "-v", codes=(0, 7))
        world("snapshot", "restore", "before", "--kind", "Secret", "--yes", "--partial")
        world("snapshot", "restore", "before", "--yes", "-o", "json")
        world.all_of(("runs",), ("show", run), ("report", run))
        world.all_of(("report", run, "--lang", "ko"), ("plan", "helm/app", "--to", "1", "--lang", "ko"))
        world("report", run, "--out", "report.md")
        world("undo", run, "--yes", "-o", "json")
        world("resume", run, codes=(5,))  # it is over
        deadline = time.monotonic() + 120
        while world("diagnose", codes=(0, 7, 10)).code != 10 and time.monotonic() < deadline:
            time.sleep(1)  # what was bad has to fail again first
        world("run", "--yes", "-o", "json")
        world("snapshot", "export", "archive.tar", "--all", "-o", "yaml")
        world("snapshot", "import", "archive.tar")
        world("snapshot", "prune", "--keep-last", "1", "--yes")
        world("snapshot", "key", "rotate", "--identity", "-o", "json")
    places_that_are_refused(world)
    world.files()
    canaries.check({"log, URL", "event", "git URL", "Helm value inNotes, bad", "Secret data, good"})
    print("slowest:", sorted(((round(s, 1), " ".join(c)) for c, s in world.seconds.items()), reverse=True)[:10])
    print(canaries.table(world.leaks))
    assert len(canaries) >= 200
    leaks = sorted(set(world.leaks))
    assert not leaks, "\n".join(leaks)


def places_that_are_refused(world: World) -> None:
    """Credentials where none belong, and storage that does not answer."""
    home, plant = world.shell.home, world.canaries.plant
    for config in (
        {"snapshots": {"repository": "s3://bucket/x", "endpoint": f"https://jane:{plant('S3 endpoint')}@127.0.0.1:1"}},
        {"snapshots": {"repository": f"s3://jane:{plant('S3 bucket')}@bucket/x"}},
        {"stacks": {"a": {"namespace": NS, "git": {"url": f"http://jane:{plant('plain http')}@h/x"}}}},
        {"state": f"postgresql://jane:{plant('state')}@h/x"},
        {"snapshots": {"repository": "s3://bucket/x", "endpoint": "http://127.0.0.1:1", "timeout": 1}},
    ):
        (home / "backout.yaml").write_text(json.dumps(config))
        keys = {"AWS_ACCESS_KEY_ID": plant("S3 key"), "AWS_SECRET_ACCESS_KEY": plant("S3 secret")}
        command = ("runs",) if "state" in config else ("snapshot", "list")
        for form in FORMATS[:2]:
            world(*command, *form, codes=(1, 3), **keys)


def test_the_forms_of_a_token_are_found(world: World) -> None:
    token = world.canaries.plant("here")
    for content in (
        token,
        quote(token),
        base64.b64encode(token.encode()).decode(),
        token.encode().hex(),
        base64.b64encode(base64.b64encode(f'{{"x": "{token}"}}'.encode())).decode(),
    ):
        assert world.canaries.found(f"some {content} text".encode()), "not found"
    assert not world.canaries.found(b"nothing")
