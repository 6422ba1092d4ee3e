# SPDX-License-Identifier: Apache-2.0
"""Programs that call one another: who fails and says so, who does not answer, and what was changed in between."""

from __future__ import annotations

from bench.incidents.kinds.common import (
    CONFIGURATION,
    LIMITS,
    NETWORK,
    OUTSIDE,
    OWN,
    SEVERAL,
    Scene,
    newer,
    scene,
    set_image,
)
from bench.incidents.objects import main, make, secret
from bench.incidents.situation import Draw, Expected, Situation, kind
from bench.incidents.steps import Edit, Fails, Kill, New, Scale, Settled, Step, Wait
from kubetwin.client import Obj

SERVED = ("deployment", "statefulset")


def _misses(draw: Draw, backend: str) -> str:
    """Last words of who calls it."""
    return draw.choice(
        (
            f"fatal: dial tcp {backend}:8080: i/o timeout",
            f'level=error msg="request failed" err="Get http://{backend}/v1: context deadline exceeded"',
            f"rpc error: code = Unavailable desc = {backend}:8080: connection reset by peer",
        )
    )


def _caller(draw: Draw, number: int) -> tuple[Scene, str]:
    """A program that had an innocent change while it served well, and a neighbour that it calls."""
    found = scene(draw, number, shapes=("deployment",))
    found.before += [Edit(found.of, set_image(newer(found.obj())), found.actor), Settled(), Wait(15)]
    return found, found.neighbours[0]


@kind(NETWORK)
def backend_that_was_shut_off(draw: Draw, number: int) -> Situation:
    """A policy keeps everybody from a backend that is ready; its caller ends."""
    found, backend = _caller(draw, number)
    called = draw.choice(("isolate", f"{backend}-deny", "zero-trust"))
    selector = draw.choice(
        (
            {"matchLabels": {"app": backend}},
            {"matchExpressions": [{"key": "app", "operator": "In", "values": [backend]}]},
        )
    )
    types = draw.choice((["Ingress"], ["Ingress", "Egress"]))
    policy = make("networkpolicy", called, spec={"podSelector": selector, "policyTypes": types})
    of = f"networkpolicy/{called}"
    innocent = (found.of, f"deployment/{backend}", f"service/{backend}")
    expected = Expected(((of,),), ("recovered", "approval", "refused"), ("deletes", "takeover"), innocent=innocent)
    return found.situation(
        expected, New(policy, draw.hand()), Fails(found.of, "crash", _misses(draw, backend), until=of)
    )


@kind(NETWORK)
def service_that_stays_on_its_node(draw: Draw, number: int) -> Situation:
    """Requests from other nodes are dropped, though all pods of the Service are ready."""
    found, backend = _caller(draw, number)

    def change(obj: Obj) -> None:
        obj["spec"]["internalTrafficPolicy"] = "Local"

    of = f"service/{backend}"
    innocent = (found.of, f"deployment/{backend}")
    expected = Expected(
        ((of, "internalTrafficPolicy"),), ("recovered", "approval", "refused"), ("takeover",), innocent=innocent
    )
    faults: list[Step] = [Edit(of, change, draw.hand()), Fails(found.of, "crash", _misses(draw, backend), until=of)]
    return found.situation(expected, *faults)


@kind(SEVERAL)
def backend_that_ends_and_its_callers(draw: Draw, number: int) -> Situation:
    """The callers' words name who does not answer; its Service got another affinity, and its pods a policy of egress, without harm."""
    memory = {"requests": {"memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    found = scene(draw, number, shapes=("deployment",), resources=memory)
    little = draw.choice(("8Mi", "12Mi"))

    def affinity(obj: Obj) -> None:
        obj["spec"]["sessionAffinity"] = "ClientIP"

    def change(obj: Obj) -> None:
        main(obj)["resources"] = {"requests": {"memory": little}, "limits": {"memory": little}}

    hand, of = draw.hand(), f"service/{found.app}"
    egress = {"podSelector": {"matchLabels": {"app": found.app}}, "policyTypes": ["Egress"], "egress": [{}]}
    found.before += [Edit(of, affinity, hand), New(make("networkpolicy", "egress-as-ever", spec=egress), hand), Wait(3)]
    others = [f"deployment/{other}" for other in found.neighbours]
    innocent = (of, "networkpolicy/egress-as-ever", *others)
    faults: list[Step] = [found.change(change, fault="oom"), Wait(2)]
    faults += [Fails(other, "crash", _misses(draw, found.app), until=found.of) for other in others]
    return found.situation(found.expected(found.of, "memory", little, innocent=innocent), *faults, rest=(of,))


@kind(OUTSIDE)
def backend_outside_with_a_good_one_inside(draw: Draw, number: int) -> Situation:
    """What is called by name here is well and was changed without harm; what is down is somewhere else."""
    found, backend = _caller(draw, number)
    found.before += [
        Edit(f"deployment/{backend}", set_image(newer(found.obj(f"deployment/{backend}"))), found.actor),
        Settled(),
    ]
    found.before.append(Wait(12))
    innocent = (found.of, f"deployment/{backend}", f"service/{backend}")
    expected = Expected((), ("nothing",), innocent=innocent)
    log = f"ready: {backend}:8080 answers\nfatal: dial tcp 10.20.30.40:5432: connect: connection refused"
    return found.situation(expected, Fails(found.of, "crash", log))


@kind(LIMITS)
def limit_that_a_namespace_gives(draw: Draw, number: int) -> Situation:
    """A LimitRange gives pods that are made from now on a limit that their template does not name: too little memory."""
    found = scene(draw, number, shapes=SERVED)
    called, little = draw.choice(("defaults", "tenant-defaults", "guardrails")), draw.choice(("16Mi", "24Mi"))
    given = {"type": "Container", "default": {"memory": little}, "defaultRequest": {"memory": little}}
    of = f"limitrange/{called}"
    innocent = (found.of, *((f"helm/{found.release} went to revision",) if found.release else ()))
    expected = Expected(((of,),), ("recovered", "approval", "refused"), ("deletes", "takeover"), innocent=innocent)
    new = New(make("limitrange", called, spec={"limits": [given]}), draw.hand())
    return found.situation(expected, new, Wait(1.5), Kill(found.app), Fails(found.of, "oom", until=of), wait=16)


@kind(CONFIGURATION)
def password_that_was_rotated_rightly(draw: Draw, number: int) -> Situation:
    """The Secret holds the new one, and the database wants it; pods that run since before have the old one, and can't serve."""
    found = scene(draw, number, shapes=SERVED)
    found.objects.append(secret(f"{found.app}-db", password="old"))
    source = {"secretKeyRef": {"name": f"{found.app}-db", "key": "password"}}
    main(found.obj())["env"] = [{"name": "DB_PASSWORD", "valueFrom": source}]
    of = f"secret/{found.app}-db"

    def change(obj: Obj) -> None:
        obj["data"] = secret("x", password="new")["data"]

    expected = Expected((), ("nothing",), innocent=(of, found.of))
    return found.situation(expected, Edit(of, change, draw.hand()), Wait(6), Fails(found.of, "unready"), wait=16)


@kind(OWN)
def image_between_two_scales(draw: Draw, number: int) -> Situation:
    """Scaled to 0, changed, scaled up: the rollout was complete without a single pod."""
    found = scene(draw, number, shapes=("deployment",), release=number % 2 == 0, actor=draw.hand())
    count = int(found.obj()["spec"]["replicas"])
    bad = newer(found.obj(), draw.choice(("missing", "crash", "crash-exit3")))
    faults: list[Step] = [Scale(found.of, 0), Wait(2), found.change(set_image(bad)), Wait(2), Scale(found.of, count)]
    return found.situation(found.expected(found.of, "image", bad.rpartition(":")[2]), *faults)
