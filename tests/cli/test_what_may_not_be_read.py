# SPDX-License-Identifier: Apache-2.0
"""Each command as a user who may only read, or not even read everything: what is hidden is named, and nothing is called well,
absent or unchanged for want of a right. The table is of users; what must hold of each is one rule."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

from kubetwin.process import Twin

READ = ("get", "list", "watch")
KINDS = {
    "": (
        "pods",
        "pods/log",
        "services",
        "configmaps",
        "secrets",
        "events",
        "persistentvolumeclaims",
        "serviceaccounts",
        "resourcequotas",
        "limitranges",
        "namespaces",
    ),
    "apps": ("deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions"),
    "batch": ("jobs", "cronjobs"),
    "networking.k8s.io": ("ingresses", "networkpolicies"),
    "discovery.k8s.io": ("endpointslices",),
    "autoscaling": ("horizontalpodautoscalers",),
    "policy": ("poddisruptionbudgets",),
    "rbac.authorization.k8s.io": ("roles", "rolebindings"),
}
EVERYTHING = frozenset(kind for kinds in KINDS.values() for kind in kinds)
USERS: dict[str, frozenset[str]] = {
    "reader": frozenset(),
    "nothing": EVERYTHING,
    **{
        f"no-{kind}": frozenset({kind})
        for kind in ("secrets", "configmaps", "events", "pods", "replicasets", "services")
    },
}
"""What each of them may not read."""
LEDGER = frozenset({"secrets", "configmaps", "deployments", "services", "replicasets"})
"""Kinds that changes are read from, of those that are there."""
TEMPLATE = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: "registry.local/web:{{ .Values.tag }}"
        envFrom: [{configMapRef: {name: conf}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a: b}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
SET = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "db"},
    "spec": {
        "serviceName": "db",
        "replicas": 1,
        "selector": {"matchLabels": {"app": "db"}},
        "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {"containers": [{"name": "db", "image": "registry.local/db:1.0"}]},
        },
    },
}


@dataclass
class World:
    """Namespaces with a release, and a kubeconfig for each user."""

    kubectl: Callable[..., str]
    configs: dict[str, Path]
    shell: Shell

    def of(self, user: str) -> Shell:
        environment = {**self.shell.environment, "KUBECONFIG": str(self.configs[user])}
        return Shell(self.shell.home, self.configs[user], environment)


def rules(hidden: frozenset[str]) -> list[dict[str, Any]]:
    found = [
        {"apiGroups": [group], "resources": [kind for kind in kinds if kind not in hidden], "verbs": list(READ)}
        for group, kinds in KINDS.items()
    ]
    return [rule for rule in found if rule["resources"]]


@pytest.fixture(scope="module")
def clusters(twin: Twin, tools: dict[str, Path], helm: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The namespaces and users, made once."""
    folder = tmp_path_factory.mktemp("rights")

    def kubectl(*words: str, stdin: str = "", config: Path = twin.kubeconfig) -> str:
        done = subprocess.run(
            [str(tools["kubectl"]), "--kubeconfig", str(config), *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    chart = folder / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (chart / "templates" / "all.yaml").write_text(TEMPLATE)
    spaces = ("rights-well", "rights-broken")
    for space in spaces:
        helm("install", "shop", str(chart), "-n", space, "--create-namespace", "--set", "tag=1.0", "--wait=legacy")
    helm("upgrade", "shop", str(chart), "-n", spaces[0], "--set", "tag=1.1", "--wait=legacy")
    helm("upgrade", "shop", str(chart), "-n", spaces[1], "--set", "tag=1.1-crash-exit2")
    kubectl("create", "namespace", "rights-quota")
    kubectl("create", "quota", "none", "-n", "rights-quota", "--hard=pods=0")
    kubectl("apply", "-n", "rights-quota", "-f", "-", stdin=json.dumps(SET))
    kubectl("create", "namespace", "rights-users")
    configs = {}
    for user, hidden in USERS.items():
        kubectl("create", "serviceaccount", user, "-n", "rights-users")
        for space in (*spaces, "rights-quota"):
            role = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": user, "namespace": space},
                "rules": rules(hidden),
            }
            kubectl("apply", "-f", "-", stdin=json.dumps(role))
            account = f"--serviceaccount=rights-users:{user}"
            kubectl("create", "rolebinding", user, "-n", space, f"--role={user}", account)
        token = kubectl("create", "token", user, "-n", "rights-users").strip()
        configs[user] = folder / f"{user}.kubeconfig"
        configs[user].write_text(twin.kubeconfig.read_text())
        kubectl("config", "set-credentials", user, f"--token={token}", config=configs[user])
        kubectl("config", "set-context", "--current", f"--user={user}", config=configs[user])
    yield kubectl, configs


@pytest.fixture
def world(clusters: Any, backout: Shell) -> World:
    kubectl, configs = clusters
    return World(kubectl, configs, backout)


def said(text: str, hidden: frozenset[str]) -> set[str]:
    return {kind for kind in hidden if f"{kind} in rights-" in text or f"list {kind}" in text}


@pytest.mark.parametrize("user", USERS)
def test_nothing_is_well_that_may_be_hidden(world: World, user: str) -> None:
    hidden, ask = USERS[user] - {"pods/log"}, world.of(user)
    space = ("-n", "rights-well")
    diagnosis = ask("diagnose", *space, "-o", "json")
    status = ask("status", *space, "-o", "json")
    named = ask("status", "helm/shop", *space, "-o", "json")
    changes = ask("changes", *space, "-o", "json")
    verify = ask("verify", *space, "--soak", "1")
    plan = ask("plan", *space, "-o", "json")
    for answer in (diagnosis, status, named, changes, verify, plan):
        assert "Traceback" not in answer.err and answer.code != 1, answer.out + answer.err
    if not hidden:
        assert (diagnosis.code, status.code, changes.code, verify.code) == (0, 0, 0, 0), diagnosis.out + verify.out
        assert plan.code == 5 and plan.document["error"]["code"] == "nothing-to-do"
        return
    assert (diagnosis.code, status.code, named.code, verify.code) == (7, 7, 7, 7)
    assert not diagnosis.document["healthy"]
    asked = {"pods", "configmaps", "secrets", "events", "services"} | (
        set() if "deployments" in hidden else {"replicasets"}
    )
    assert said(diagnosis.out, hidden) >= hidden & asked
    for answer in (status, named):
        (item,) = answer.document["items"]
        assert item["blind"] and not any(target["healthy"] for target in item["targets"])
        assert all(target["problem"]["text"] for target in item["targets"])
    assert plan.code == 7 and plan.document["error"]["code"] == "not-seen"
    assert changes.code == (7 if hidden & LEDGER else 0) and said(changes.out, hidden) >= hidden & LEDGER
    text = "".join(ask(command, *space).out for command in ("diagnose", "status"))
    for calm in ("Nothing is broken.", "Nothing is deployed here.", "healthy  "):
        assert calm not in text


@pytest.mark.parametrize("user", ["reader", "nothing", "no-secrets", "no-pods"])
def test_what_is_broken_is_found_or_not_known_and_nothing_is_written(world: World, user: str) -> None:
    ask, space = world.of(user), ("-n", "rights-broken")
    assert ask("diagnose", *space).code in (7, 10)
    status = ask("status", *space, "-o", "json").document
    assert not any(target["healthy"] for item in status["items"] for target in item["targets"])
    for words in (("run", "helm/shop", "--to", "1", "--yes"), ("run", "--yes")):
        answer = ask(*words, *space)
        assert answer.code in (5, 7) and "Traceback" not in answer.err, answer.out + answer.err
        assert answer.code == 5 or user in ("nothing", "no-pods")
    error = ask("history", "helm/shop", *space, "-o", "json")
    assert error.code in (0, 5)
    if error.code:
        assert error.document["error"]["code"] == "access-denied"
    doctor = ask("doctor", *space, "-o", "json")
    granted = {
        resource for role in doctor.document["roles"] for rule in role["rules"] for resource in rule["resources"]
    }
    assert doctor.code == 5 and granted >= USERS[user] & {"pods", "secrets", "configmaps", "events", "replicasets"}
    assert ask("snapshot", "create", *space).code == (5 if user == "nothing" else 0)
    assert not json.loads(world.kubectl("get", "lease", *space, "-o", "json"))["items"]
    assert world.kubectl("get", "secret", *space, "-l", "owner=helm,version=3", "-o", "name") == ""


def test_what_only_events_tell_is_not_known_without_them(world: World) -> None:
    """Pods of a StatefulSet that a quota refuses show nowhere else."""
    end = time.monotonic() + 120
    while world.of("reader")("diagnose", "-n", "rights-quota").code != 10:
        assert time.monotonic() < end, "the quota was never seen"
        time.sleep(1)
    assert world.of("no-events")("diagnose", "-n", "rights-quota").code == 7


def test_a_user_who_may_not_ask_for_his_rights_is_told_so(
    world: World, twin: Twin, helm: Any, tools: dict[str, Path]
) -> None:
    """Every cluster lets him, but one may be set up otherwise."""
    binding = json.loads(world.kubectl("get", "clusterrolebinding", "system:basic-user", "-o", "json"))
    admin = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "strong", "namespace": "rights-users"}}
    world.kubectl("apply", "-f", "-", stdin=json.dumps(admin))
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "strong", "namespace": "rights-well"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    }
    world.kubectl("apply", "-f", "-", stdin=json.dumps(role))
    account = "--serviceaccount=rights-users:strong"
    world.kubectl("create", "rolebinding", "strong", "-n", "rights-well", "--role=strong", account)
    token = world.kubectl("create", "token", "strong", "-n", "rights-users").strip()
    config = world.shell.home / "strong.kubeconfig"
    config.write_text(twin.kubeconfig.read_text())
    for words in (("set-credentials", "strong", f"--token={token}"), ("set-context", "--current", "--user=strong")):
        command = [str(tools["kubectl"]), "--kubeconfig", str(config), "config", *words]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    strong = Shell(world.shell.home, config, {**world.shell.environment, "KUBECONFIG": str(config)})
    world.kubectl("delete", "clusterrolebinding", "system:basic-user")
    try:
        for words in (
            ("run", "helm/shop", "--to", "1", "--yes"),
            ("run", "helm/shop", "--to", "1", "--dry-run"),
            ("doctor",),
        ):
            answer = strong(*words, "-n", "rights-well")
            assert answer.code == 5 and "access reviews" in answer.out + answer.err, answer.out + answer.err
        assert json.loads(helm("history", "shop", "-n", "rights-well", "-o", "json"))[-1]["revision"] == 2
    finally:
        kept = {key: binding[key] for key in ("apiVersion", "kind", "roleRef", "subjects")}
        kept["metadata"] = {"name": "system:basic-user"}
        world.kubectl("create", "-f", "-", stdin=json.dumps(kept))
