# SPDX-License-Identifier: Apache-2.0
"""Two causes at once; one cause that others suffer from; and something loud that is not the cause."""

from __future__ import annotations

from bench.incidents.kinds.common import SEVERAL, newer, scene, set_env, set_image
from bench.incidents.objects import configmap, mount_configmap, workload
from bench.incidents.situation import HELM, Draw, Expected, Situation, kind
from bench.incidents.steps import Edit, Fails, New, Restart, Settled, Step, Wait
from kubetwin.client import Obj


@kind(SEVERAL, 6)
def two_programs_two_actors(draw: Draw, number: int) -> Situation:
    """One of a release by Helm, one of nobody's by hand."""
    found = scene(draw, 0, shapes=("deployment", "statefulset")[number % 2 :], quiet=number % 3 == 0)
    own = draw.name()
    lone = workload("deployment", own, draw.image(own), replicas=2)
    bad, worse = newer(found.obj(), "crash-exit3", draw), newer(lone, draw.choice(("oom", "missing")), draw)
    found.before.insert(0, Settled())
    found.before.insert(0, New(lone))
    expected = Expected(
        (
            (f"helm/{found.release}", "image", bad.rpartition(":")[2]),
            (f"deployment/{own}", "image", worse.rpartition(":")[2]),
        ),
        ("recovered",),
    )
    faults: list[Step] = [found.change(set_image(bad)), Edit(f"deployment/{own}", set_image(worse), draw.hand())]
    return found.situation(expected, *faults, wait=15)


@kind(SEVERAL)
def two_bad_changes_in_a_row(draw: Draw, number: int) -> Situation:
    """Both of the same workload; the pods show what the second one did."""
    found = scene(draw, number, shapes=("deployment",))
    first, second = newer(found.obj(), "crash-exit3", draw), newer(found.obj(), "missing", draw)
    tag = second.rpartition(":")[2]
    faults: list[Step] = [found.change(set_image(first)), Wait(6), found.change(set_image(second))]
    words = ("image", f"{tag}|{first.rpartition(':')[2]}")
    return found.situation(found.expected(found.of, *words), *faults, wait=15)


@kind(SEVERAL)
def image_and_service(draw: Draw, number: int) -> Situation:
    """A bad image of one program, and a wrong port of another one's Service."""
    found = scene(draw, 1, shapes=("deployment",), quiet=True)
    other = f"service/{found.neighbours[0]}"
    bad = newer(found.obj(), "crash-exit2", draw)

    def change(obj: Obj) -> None:
        obj["spec"]["ports"][0]["targetPort"] = 9999

    expected = Expected(((found.of, "image", bad.rpartition(":")[2]), (other, "targetPort")), ("recovered",))
    return found.situation(expected, found.change(set_image(bad)), Edit(other, change, draw.hand()))


@kind(SEVERAL, 6)
def cascade_from_a_configuration(draw: Draw, number: int) -> Situation:
    """A database can't load what was written; two programs that need it end, too."""
    found = scene(draw, number, shapes=("statefulset", "deployment"), args=["--db.config-file=/etc/db/db.yaml"])
    called = f"{found.app}-conf"
    found.objects.insert(0, configmap(called, **{"db.yaml": "buffers: 128\n"}))
    mount_configmap(found.obj(), called, "/etc/db")
    found.actor = draw.hand() if number % 3 else found.actor

    def change(obj: Obj) -> None:
        obj["data"]["db.yaml"] = "buffers: [128\n"

    of = f"configmap/{called}"
    others = [f"deployment/{other}" for other in found.neighbours]
    log = f"dial tcp: connect to {found.app}:8080: connection refused"
    suffer: list[Step] = [Fails(other, "crash", log, until=of) for other in others]
    owner = (f"{of}|helm/{found.release}",) if found.actor == HELM else (of, "kubectl*") if found.release else (of,)
    outcomes = ("recovered", "approval") if found.past_helm else ("recovered",)
    expected = Expected(((*owner, "db.yaml"),), outcomes, ("takeover",), innocent=tuple(others))
    return found.situation(expected, Edit(of, change, found.actor), Wait(1), Restart(found.of), Wait(4), *suffer)


@kind(SEVERAL)
def cascade_from_an_image(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment", "statefulset"))
    bad = newer(found.obj(), "crash-exit3", draw)
    others = [f"deployment/{other}" for other in found.neighbours]
    log = f"dial tcp: connect to {found.app}:8080: connection refused"
    suffer: list[Step] = [Fails(other, "crash", log, until=found.of) for other in others]
    expected = found.expected(
        found.of, "image", bad.rpartition(":")[2], innocent=tuple(others) if not found.release else ()
    )
    return found.situation(expected, found.change(set_image(bad)), Wait(5), *suffer, wait=15)


@kind(SEVERAL)
def loud_canary(draw: Draw, number: int) -> Situation:
    """A new program that never worked, and an edit that broke an old one."""
    found = scene(draw, number, shapes=("deployment",), env=[{"name": "DB", "value": "db:5432"}], quiet=True)
    canary = f"{draw.name()}-canary"
    loud = workload("deployment", canary, f"registry.local/{canary}:0.0.1-missing", replicas=1)
    log = "fatal: parse DB: missing port"
    expected = found.expected(found.of, "DB")
    faults: list[Step] = [New(loud), found.change(set_env("DB", "db"), fault="crash", log=log)]
    made = found.situation(expected, *faults, unready=(f"deployment/{canary}",))
    made.partly = True
    return made


@kind(SEVERAL)
def change_and_outage(draw: Draw, number: int) -> Situation:
    """A bad image of one program; another one's dependency is down, and its own change is innocent."""
    found = scene(draw, 1, shapes=("deployment",), quiet=True)
    other = f"deployment/{found.neighbours[0]}"
    found.before += [Edit(other, set_env("LOG_LEVEL", "debug"), draw.hand()), Settled(), Wait(65)]
    bad = newer(found.obj(), "crash-exit3", draw)
    expected = Expected(((found.of, "image", bad.rpartition(":")[2]),), ("recovered",), innocent=(other,))
    outage = Fails(other, "crash", "dial tcp 10.20.30.40:6379: connect: connection refused")
    made = found.situation(expected, outage, found.change(set_image(bad)), unready=(other,))
    made.partly = True
    return made
