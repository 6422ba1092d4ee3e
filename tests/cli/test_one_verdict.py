# SPDX-License-Identifier: Apache-2.0
"""One verdict everywhere: what `diagnose` calls broken is not healthy by `verify` or `status`, and `run` finds something to do.

All states of the table are brought about side by side, each in a namespace of its own, and every command is asked of each.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

from kubetwin.process import Twin

Kubectl = Callable[..., str]
SETTLED = 25.0
"""Seconds until what was done shows in the cluster: rollouts give up after ten."""


def deployment(
    name: str = "web", replicas: int = 2, image: str = "registry.local/web:1.0", **pod: Any
) -> dict[str, Any]:
    container = {"name": "app", "image": image, "ports": [{"name": "http", "containerPort": 8080}]}
    container["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    container |= pod.pop("container", {})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 10,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **pod}},
        },
    }


def daemonset() -> dict[str, Any]:
    obj = deployment()
    for field in ("replicas", "progressDeadlineSeconds"):
        del obj["spec"][field]
    return {**obj, "kind": "DaemonSet"}


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def ingress(backend: str = "web") -> dict[str, Any]:
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}}
    rules = [{"host": f"{backend}.example.com", "http": {"paths": [path]}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "front"},
        "spec": {"rules": rules},
    }


def cronjob() -> dict[str, Any]:
    args = ["scale", "deployment/web", "--replicas=0"]
    pod = {"containers": [{"name": "k", "image": "registry.local/kubectl:1", "args": args}], "restartPolicy": "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "night"},
        "spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }


CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cfg"}, "data": {"A": "1"}}
CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
READS = {"container": {"envFrom": [{"configMapRef": {"name": "cfg"}}]}}
SERVED = (deployment(), service(), ingress())
SCALE = ("scale", "deployment/web", "--replicas=0")
PORT = '[{"op":"replace","path":"/spec/ports/0/targetPort","value":9999}]'
BACKEND = '[{"op":"replace","path":"/spec/rules/0/http/paths/0/backend/service/name","value":"nobody"}]'
ACCOUNT = '{"spec":{"template":{"spec":{"serviceAccountName":"nobody"}}}}'


@dataclass(frozen=True)
class State:
    """``objects`` are there first, and ready; then kubectl does ``then``. ``stopped``: neither broken nor healthy."""

    objects: tuple[dict[str, Any], ...]
    then: tuple[tuple[str, ...], ...] = ()
    broken: bool = False
    stopped: bool = False


STATES: dict[str, State] = {
    "all-is-well": State(SERVED),
    "scaled-to-nothing-and-asked": State(SERVED, (SCALE,), broken=True),
    "scaled-to-nothing-and-not-asked": State((deployment(), service()), (SCALE,), stopped=True),
    "made-with-nothing": State((deployment(replicas=0), service(), ingress())),
    "scaled-by-a-schedule": State((*SERVED, cronjob()), (SCALE,)),
    "configmap-gone": State((CONFIG, deployment(**READS)), (("delete", "configmap", "cfg"),), broken=True),
    "selector-changed": State(
        SERVED, (("patch", "service", "web", "-p", '{"spec":{"selector":{"app":"wbe"}}}'),), broken=True
    ),
    "port-changed": State(SERVED, (("patch", "service", "web", "--type=json", "-p", PORT),), broken=True),
    "backend-changed": State(SERVED, (("patch", "ingress", "front", "--type=json", "-p", BACKEND),), broken=True),
    "part-to-come": State((deployment(), service(), ingress("later"))),
    "service-of-elsewhere": State(
        (deployment(), {**service("db"), "spec": {"type": "ExternalName", "externalName": "db.example.net"}})
    ),
    "bad-image": State(
        SERVED, (("set", "image", "deployment/web", "app=registry.local/web:2.0-missing"),), broken=True
    ),
    "crashing": State(
        SERVED, (("set", "image", "deployment/web", "app=registry.local/web:2.0-crash-exit3"),), broken=True
    ),
    "account-that-is-not-there": State((daemonset(),), (("patch", "daemonset", "web", "-p", ACCOUNT),), broken=True),
    "claim-that-is-not-there": State((), (("apply", json.dumps(deployment(volumes=[CLAIM]))),), broken=True),
}


@pytest.fixture(scope="module")
def kubectl(twin: Twin, tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    home = tmp_path_factory.mktemp("kubectl")

    def call(*arguments: str, stdin: str = "") -> str:
        command = [str(tools["kubectl"]), "--kubeconfig", str(twin.kubeconfig), *arguments]
        done = subprocess.run(
            command, env={"HOME": str(home)}, input=stdin, capture_output=True, text=True, check=True, timeout=300
        )
        return done.stdout

    return call


@pytest.fixture(scope="module")
def states(kubectl: Kubectl) -> Iterator[None]:
    """All of them, side by side."""

    def bring_about(name: str) -> None:
        state = STATES[name]
        kubectl("create", "namespace", name)
        for obj in state.objects:
            kubectl("-n", name, "apply", "-f", "-", stdin=json.dumps(obj))
        for obj in state.objects:
            if obj["kind"] in ("Deployment", "DaemonSet"):
                kubectl(
                    "-n", name, "rollout", "status", f"{obj['kind'].lower()}/{obj['metadata']['name']}", "--timeout=90s"
                )
        for step in state.then:
            if step[0] == "apply":
                kubectl("-n", name, "apply", "-f", "-", stdin=step[1])
            else:
                kubectl("-n", name, *step)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(bring_about, STATES))
    time.sleep(SETTLED)
    yield
    kubectl("delete", "namespace", "--wait=false", *STATES)


@pytest.mark.parametrize("name", STATES)
@pytest.mark.usefixtures("states")
def test_four_commands_say_the_same(backout: Shell, name: str) -> None:
    state = STATES[name]
    diagnosed = backout("diagnose", "-n", name, "-o", "json")
    verified = backout("verify", "-n", name, "--soak", "1", "-o", "json")
    status = backout("status", "-n", name, "-o", "json")
    ran = backout("run", "-n", name, "--yes", "--dry-run", "-o", "json")
    said = {
        "diagnose": diagnosed.document["healthy"],
        "verify": verified.document["items"][0]["outcome"] == "recovered",
        "status": all(row.get("healthy") is not False for row in status.document["items"][0]["targets"]),
        "run": ran.document.get("error", {}).get("code") == "nothing-to-do",
    }
    failed = [check for check in verified.document["items"][0]["checks"] if check["status"] != "pass"]
    assert said == dict.fromkeys(said, not state.broken), (diagnosed.document["problems"], failed, ran.out)
    assert (diagnosed.code, verified.code, status.code) == ((10, 7, 0) if state.broken else (0, 0, 0))
    assert ran.code in ((0, 4, 5) if state.broken else (5,)), ran.out
    stopped = [row for row in status.document["items"][0]["targets"] if row.get("stopped")]
    assert bool(stopped) == state.stopped == bool(diagnosed.document["items"][0].get("stopped"))
    assert all(row["healthy"] is None for row in stopped)
