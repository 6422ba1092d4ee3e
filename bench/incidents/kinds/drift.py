# SPDX-License-Identifier: Apache-2.0
"""Somebody edited by hand what a Helm release, or nobody, owns: fields that were changed, added, taken away."""

from __future__ import annotations

from dataclasses import replace

from bench.incidents.kinds.common import DRIFT, Scene, newer, scene, set_env, set_image
from bench.incidents.objects import configmap, main, mount_configmap, pod
from bench.incidents.situation import Draw, Expected, Situation, kind
from bench.incidents.steps import Anew, Edit, Restart, Scale, Settled, Wait
from kubetwin.client import Obj

ONE = ("deployment", "statefulset")


def _past(draw: Draw, number: int, **more: object) -> Scene:
    """Three of four times a release is edited past Helm; it has two good revisions every other time."""
    shapes = more.pop("shapes", ONE)
    found = scene(draw, number // 2, shapes=shapes, release=number % 4 != 3, actor=draw.hand(), **more)  # type: ignore[arg-type]
    if found.release and number % 2:
        found.before.insert(0, Settled())
        found.before.insert(0, Edit(found.of, set_image(newer(found.obj()))))
    return found


@kind(DRIFT)
def variable_changed(draw: Draw, number: int) -> Situation:
    found = _past(draw, number, env=[{"name": "BROKER", "value": "kafka:9092"}])
    log = "fatal: lookup kafkaa: no such host"
    step = found.change(set_env("BROKER", "kafkaa:9092"), fault="crash", log=log)
    return found.situation(found.expected(found.of, "BROKER"), step)


@kind(DRIFT)
def second_edit_of_the_same_hand(draw: Draw, number: int) -> Situation:
    """The first one rolled out well, and has the same writer."""
    found = _past(draw, number)
    found.before += [
        Settled(),
        Edit(found.of, set_env("GOGC", "90"), found.actor),
        Settled(),
        Wait(draw.choice((12, 25))),
    ]
    bad = newer(found.obj(), draw.choice(("crash", "missing")))
    expected = found.expected(found.of, "image", bad.rpartition(":")[2])
    innocent = replace(expected, innocent=(*expected.innocent, "GOGC"))
    return found.situation(innocent, found.change(set_image(bad)))


@kind(DRIFT)
def variable_added(draw: Draw, number: int) -> Situation:
    found = _past(draw, number)
    called = draw.choice(("JAVA_OPTS", "GOGC", "DEBUG_PORT"))
    step = found.change(set_env(called, "-Xmx9999g"), fault="crash-exit2", log=f"invalid value of {called}")
    return found.situation(found.expected(found.of, called), step)


@kind(DRIFT)
def init_container_added(draw: Draw, number: int) -> Situation:
    found = _past(draw, number)
    called = draw.choice(("debug-init", "perms", "warm-up"))

    def change(obj: Obj) -> None:
        pod(obj)["initContainers"] = [{"name": called, "image": "registry.local/tools:1.0-crash-exit1"}]

    return found.situation(found.expected(found.of, called), found.change(change))


@kind(DRIFT)
def selector_of_nodes_added(draw: Draw, number: int) -> Situation:
    found = _past(draw, number)

    def change(obj: Obj) -> None:
        pod(obj)["nodeSelector"] = {draw_key: "true"}

    draw_key = draw.choice(("dedicated", "ssd", "gpu"))
    return found.situation(found.expected(found.of, "nodeSelector"), found.change(change))


@kind(DRIFT)
def volume_added(draw: Draw, number: int) -> Situation:
    found = _past(draw, number)
    called = draw.choice(("patch-config", "override", "ca-bundle"))

    def change(obj: Obj) -> None:
        mount_configmap(obj, called, "/extra")

    return found.situation(found.expected(found.of, called), found.change(change))


@kind(DRIFT)
def command_overwritten(draw: Draw, number: int) -> Situation:
    found = _past(draw, number)

    def change(obj: Obj) -> None:
        main(obj)["command"] = ["sh", "-c", "tail /dev/zero"]

    return found.situation(found.expected(found.of, "command"), found.change(change, fault="oom"))


@kind(DRIFT)
def field_taken_away(draw: Draw, number: int) -> Situation:
    found = _past(draw, number, args=["--config=/etc/app.ini", "--listen=:8080"])

    def change(obj: Obj) -> None:
        del main(obj)["args"]

    log = "usage: server --config FILE"
    # Who takes a field away leaves no trace of his name.
    expected = replace(found.expected(found.of, "args"), names=((found.of, "args"),))
    return found.situation(expected, found.change(change, fault="crash-exit64", log=log))


@kind(DRIFT)
def container_added(draw: Draw, number: int) -> Situation:
    found = _past(draw, number)
    called = draw.choice(("debug", "tcpdump", "shell"))

    def change(obj: Obj) -> None:
        pod(obj)["containers"].append({"name": called, "image": f"registry.local/{called}:1.0-crash-exit1"})

    return found.situation(found.expected(found.of, called), found.change(change))


@kind(DRIFT)
def image_set_by_hand(draw: Draw, number: int) -> Situation:
    found = _past(draw, number)
    bad = newer(found.obj(), draw.choice(("missing", "crash-exit3")), draw)
    return found.situation(found.expected(found.of, "image", bad.rpartition(":")[2]), found.change(set_image(bad)))


@kind(DRIFT, 6)
def scaled_to_nothing(draw: Draw, number: int) -> Situation:
    found = _past(draw, number, shapes=("deployment",), replicas=2)
    words = (
        (found.of, "replicas|scaled|0")
        if not found.release
        else (f"{found.of}|helm/{found.release}", "replicas|scaled|0")
    )
    outcomes = ("recovered", "approval")
    return found.situation(Expected((words,), outcomes, ("takeover",)), Scale(found.of, 0))


@kind(DRIFT)
def applied_anew(draw: Draw, number: int) -> Situation:
    """Deleted, and created again with a change."""
    found = _past(draw, number, shapes=("deployment",))

    def change(obj: Obj) -> None:
        if number % 2:
            pod(obj)["nodeSelector"] = {"disktype": "nvme"}
        else:
            main(obj)["resources"] = {"requests": {"memory": "700Gi"}}

    words = "nodeSelector" if number % 2 else "memory"
    expected = Expected(((found.of, words),), ("recovered", "approval"), ("takeover",))
    return found.situation(expected, Anew(found.of, change))


@kind(DRIFT)
def configuration_past_helm(draw: Draw, number: int) -> Situation:
    found = _past(draw, number, shapes=("deployment",), args=["--app.config-file=/etc/conf/app.yaml"])
    called = f"{found.app}-conf"
    found.objects.insert(0, configmap(called, **{"app.yaml": "a: 1\n"}))
    mount_configmap(found.obj(), called, "/etc/conf")

    def change(obj: Obj) -> None:
        obj["data"]["app.yaml"] = "a: [1\n"

    of = f"configmap/{called}"
    return found.situation(
        found.expected(of, "app.yaml", innocent=(found.of,)), Edit(of, change, found.actor), Wait(1), Restart(found.of)
    )


@kind(DRIFT)
def paused_half_way(draw: Draw, number: int) -> Situation:
    """A bad image, and somebody pauses the rollout when he sees it: the pause is not what broke it."""
    found = scene(draw, 1, shapes=("deployment",), replicas=3)
    bad = newer(found.obj(), draw.choice(("crash-exit3", "missing")), draw)

    def pause(obj: Obj) -> None:
        obj["spec"]["paused"] = True

    expected = found.expected(found.of, "image", bad.rpartition(":")[2])
    faults = (found.change(set_image(bad)), Wait(5.0), Edit(found.of, pause, "kubectl-rollout"))
    return found.situation(expected, *faults, rest=(found.of,))
