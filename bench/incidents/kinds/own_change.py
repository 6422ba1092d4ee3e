# SPDX-License-Identifier: Apache-2.0
"""The workload's own template was changed, and can't run."""

from __future__ import annotations

from bench.incidents.kinds.common import OWN, newer, scene, set_env, set_image
from bench.incidents.objects import main, pod
from bench.incidents.situation import Draw, Situation, kind
from kubetwin.client import Obj


@kind(OWN, 6)
def image_that_crashes(draw: Draw, number: int) -> Situation:
    found = scene(draw, number)
    words = draw.choice(("crash", "crash-exit3", "crash-exit137", "oom", "exit0"))
    bad = newer(found.obj(), words, draw)
    return found.situation(found.expected(found.of, "image", bad.rpartition(":")[2]), found.change(set_image(bad)))


@kind(OWN, 6)
def image_that_is_not_there(draw: Draw, number: int) -> Situation:
    found = scene(draw, number + 1)
    bad = newer(found.obj(), draw.choice(("missing", "missing", "denied")), draw)
    return found.situation(found.expected(found.of, "image", bad.rpartition(":")[2]), found.change(set_image(bad)))


@kind(OWN)
def image_that_never_gets_ready(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment", "statefulset"))
    bad = newer(found.obj(), draw.choice(("unready", "unlive")), draw)
    expected = found.expected(found.of, "image", bad.rpartition(":")[2])
    if "unlive" in bad:
        main(found.obj())["livenessProbe"] = {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 5}
    return found.situation(expected, found.change(set_image(bad)), wait=30)


@kind(OWN)
def command(draw: Draw, number: int) -> Situation:
    found = scene(draw, number)
    words = draw.choice((["/bin/servr"], ["sh", "-c", "echo starting; exec /srv/runn"], ["/app/start", "--now"]))

    def change(obj: Obj) -> None:
        main(obj)["command"] = words

    fault = draw.choice(("runerror", "crash-exit127", "crash-exit2"))
    return found.situation(found.expected(found.of, "command"), found.change(change, fault=fault))


@kind(OWN)
def arguments(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, args=["--listen=:8080", "--workers=4"])
    flag = draw.choice(("--worker=8", "--listen=8080", "--cache.sise=10"))

    def change(obj: Obj) -> None:
        main(obj)["args"] = [*main(obj)["args"], flag]

    log = f'level=error msg="unknown flag {flag.partition("=")[0]}"'
    return found.situation(found.expected(found.of, "args"), found.change(change, fault="crash-exit2", log=log))


@kind(OWN, 6)
def environment(draw: Draw, number: int) -> Situation:
    called = draw.choice(("DB_HOST", "KAFKA_BROKERS", "CACHE_URL", "LISTEN"))
    found = scene(draw, number, env=[{"name": called, "value": "first:1234"}, {"name": "LANG", "value": "C"}])
    log = f'fatal: {called}: cannot parse address "frist:"'
    fault = {"fault": "crash", "log": draw.choice((log, ""))}
    return found.situation(found.expected(found.of, called), found.change(set_env(called, "frist:"), **fault))


@kind(OWN)
def environment_from_nothing(draw: Draw, number: int) -> Situation:
    found = scene(draw, number)
    missing = f"{found.app}-env-{draw.randint(10, 99)}"
    source = draw.choice(("configMapRef", "secretRef"))

    def change(obj: Obj) -> None:
        main(obj)["envFrom"] = [{source: {"name": missing}}]

    return found.situation(found.expected(found.of, missing), found.change(change))


@kind(OWN)
def readiness_probe(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment", "statefulset"))
    port = draw.choice((9999, 8081, 80))

    def change(obj: Obj) -> None:
        main(obj)["readinessProbe"]["httpGet"]["port"] = port

    return found.situation(
        found.expected(found.of, "readinessProbe", str(port)), found.change(change, fault="unready"), wait=30
    )


@kind(OWN)
def liveness_probe(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment", "daemonset"))
    port = draw.choice((9999, 8081))

    def change(obj: Obj) -> None:
        main(obj)["livenessProbe"] = {"tcpSocket": {"port": port}, "periodSeconds": 3, "failureThreshold": 2}

    return found.situation(found.expected(found.of, "livenessProbe"), found.change(change, fault="unlive"), wait=30)


@kind(OWN, 6)
def memory_limit(draw: Draw, number: int) -> Situation:
    limits = {"limits": {"memory": "256Mi"}, "requests": {"memory": "32Mi"}}
    found = scene(draw, number, resources=limits)

    def change(obj: Obj) -> None:
        main(obj)["resources"] = {"limits": {"memory": draw_limit}, "requests": {"memory": "8Mi"}}

    draw_limit = draw.choice(("12Mi", "16Mi"))
    return found.situation(found.expected(found.of, "memory", draw_limit), found.change(change, fault="oom"))


@kind(OWN)
def init_container(draw: Draw, number: int) -> Situation:
    found = scene(draw, number)
    called = draw.choice(("migrate", "wait-for-db", "fetch-assets"))
    words = draw.choice(("crash-exit1", "missing", "crash-exit5"))

    def change(obj: Obj) -> None:
        pod(obj)["initContainers"] = [{"name": called, "image": f"registry.local/{called}:1.0-{words}"}]

    return found.situation(found.expected(found.of, called), found.change(change))


@kind(OWN)
def sidecar_on_a_taken_port(draw: Draw, number: int) -> Situation:
    found = scene(draw, number)
    called = draw.choice(("metrics", "proxy", "log-shipper"))

    def change(obj: Obj) -> None:
        pod(obj)["containers"].append({"name": called, "image": f"registry.local/{called}:1.2"})

    log = "listen tcp :8080: bind: address already in use"
    step = found.change(change, fault="crash", log=log, container=called)
    return found.situation(found.expected(found.of, called), step)


@kind(OWN)
def service_account_that_is_not_there(draw: Draw, number: int) -> Situation:
    found = scene(draw, number)
    missing = f"{found.app}-runner"

    def change(obj: Obj) -> None:
        pod(obj)["serviceAccountName"] = missing

    return found.situation(found.expected(found.of, missing), found.change(change))


@kind(OWN)
def pull_secret_that_is_not_there(draw: Draw, number: int) -> Situation:
    found = scene(draw, number)
    missing = draw.choice(("regcred-new", "pull-2026", "harbor-robot"))
    image = newer(found.obj())

    def change(obj: Obj) -> None:
        pod(obj)["imagePullSecrets"] = [{"name": missing}]
        main(obj)["image"] = image

    return found.situation(found.expected(found.of, "image|imagePullSecrets"), found.change(change, fault="denied"))
