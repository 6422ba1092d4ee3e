# SPDX-License-Identifier: Apache-2.0
"""No change did it: a dependency, a node, the registry, the DNS, a certificate. Something innocent was changed before."""

from __future__ import annotations

from bench.incidents.kinds.common import OUTSIDE, Scene, newer, scene, set_env, set_image
from bench.incidents.objects import encoded, main, make, pod, secret
from bench.incidents.situation import HELM, Draw, Expected, Situation, kind
from bench.incidents.steps import Edit, Fails, Kill, Labelled, NodeFails, Restart, Scale, Settled, Step, Tainted, Wait
from kubetwin.client import Obj


def _innocent(draw: Draw, number: int, well: float, *, own: bool = True, **more: object) -> Scene:
    """A change of the program itself (an image, a variable, the replicas) that served well for ``well`` seconds."""
    found = scene(draw, number, shapes=("deployment", "statefulset"), **more)  # type: ignore[arg-type]
    of = found.of if own else f"deployment/{found.neighbours[0]}"

    def more_replicas(obj: Obj) -> None:
        obj["spec"]["replicas"] = obj["spec"]["replicas"] + 1

    change = draw.choice((set_image(newer(found.obj(of))), set_env("LOG_LEVEL", "debug"), more_replicas))
    found.before += [Edit(of, change, found.actor), Settled(), Wait(well)]
    return found


def _expected(found: Scene, *guilty: str, others: tuple[str, ...] = ()) -> Expected:
    innocent = (found.of, *others, *((f"helm/{found.release} went to revision",) if found.release else ()))
    return Expected((), ("nothing",), innocent=innocent, guilty=guilty)


@kind(OUTSIDE, 6)
def dependency_that_is_down(draw: Draw, number: int) -> Situation:
    found = _innocent(draw, number, 65)
    log = draw.choice(
        (
            "fatal: dial tcp 10.20.30.40:5432: connect: connection refused",
            "redis: connection refused",
            'level=error msg="no brokers available" err="dial tcp 10.1.2.3:9092: i/o timeout"',
        )
    )
    return found.situation(_expected(found), Fails(found.of, "crash", log))


@kind(OUTSIDE, 6)
def node_that_fails(draw: Draw, number: int) -> Situation:
    found = _innocent(draw, number, draw.choice((15, 65)), replicas=4)
    label = f"only-{found.app}"
    pod(found.obj())["nodeSelector"] = {label: "yes"}
    made = found.situation(_expected(found, "node/*", "node"), NodeFails(found.app), wait=25)
    made.early = [Labelled(label, 2)]
    return made


@kind(OUTSIDE, 6)
def registry_that_does_not_answer(draw: Draw, number: int) -> Situation:
    found = _innocent(draw, number, draw.choice((10, 65)))
    return found.situation(_expected(found), Fails(found.of, "unreachable"), Kill(found.app))


@kind(OUTSIDE, 6)
def names_that_do_not_resolve(draw: Draw, number: int) -> Situation:
    found = _innocent(draw, number, draw.choice((12, 65)))
    others = [f"deployment/{other}" for other in found.neighbours]
    log = draw.choice(("dial tcp: lookup db.prod.svc.cluster.local: no such host", "getaddrinfo EAI_AGAIN db", ""))
    faults: list[Step] = [Fails(of, "crash", log) for of in (found.of, *others)]
    return found.situation(_expected(found, others=tuple(others)), *faults, wait=16)


@kind(OUTSIDE, 6)
def certificate_that_ran_out(draw: Draw, number: int) -> Situation:
    found = _innocent(draw, number, 65)
    log = draw.choice(
        (
            "x509: certificate has expired or is not yet valid: current time is after 2026-01-01T00:00:00Z",
            "ssl.SSLCertVerificationError: certificate verify failed: certificate has expired",
        )
    )
    return found.situation(_expected(found), Fails(found.of, "crash", log))


@kind(OUTSIDE, 6)
def quota_used_by_others(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment",), replicas=4, quiet=True)
    other = f"deployment/{found.neighbours[0]}"
    total = sum(obj["spec"].get("replicas", 0) for obj in found.objects if obj["kind"] == "Deployment")
    found.objects.insert(0, make("resourcequota", "q", spec={"hard": {"pods": str(total + 2)}}))
    expected = _expected(found, "resourcequota/q", other)
    faults: list[Step] = [Scale(other, found.obj(other)["spec"]["replicas"] + 2), Wait(4), Restart(found.of)]
    return found.situation(expected, *faults)


@kind(OUTSIDE, 6)
def disk_that_is_full(draw: Draw, number: int) -> Situation:
    found = _innocent(draw, number, 65)
    log = draw.choice(
        ("write /data/wal/0007: no space left on device", "ERROR: could not extend file: No space left on device")
    )
    return found.situation(_expected(found), Fails(found.of, "crash", log))


@kind(OUTSIDE, 6)
def password_that_was_rotated_elsewhere(draw: Draw, number: int) -> Situation:
    """The database has a new password; nothing was changed here."""
    found = _innocent(draw, number, 65)
    called = f"{found.app}-db"
    found.objects.insert(0, secret(called, password="old"))
    ref = {"secretKeyRef": {"name": called, "key": "password"}}
    main(found.obj())["env"] = [{"name": "DB_PASSWORD", "valueFrom": ref}]
    log = 'FATAL: password authentication failed for user "app"'
    expected = _expected(found, others=(f"secret/{called}",))
    return found.situation(expected, Fails(found.of, "crash", log))


@kind(OUTSIDE, 6)
def node_that_was_tainted(draw: Draw, number: int) -> Situation:
    found = _innocent(draw, number, draw.choice((10, 65)))
    label = f"only-{found.app}"
    pod(found.obj())["nodeSelector"] = {label: "yes"}
    faults: list[Step] = [Tainted("maintenance", 2), Kill(found.app)]
    made = found.situation(_expected(found, "node/*", "node"), *faults)
    made.early = [Labelled(label, 2)]
    return made


@kind(OUTSIDE, 6)
def secret_rotated_on_purpose(draw: Draw, number: int) -> Situation:
    """Rotated and picked up well; later a dependency goes down. Going back would bring the old password."""
    found = scene(draw, number, shapes=("deployment", "statefulset"))
    called = f"{found.app}-db"
    found.objects.insert(0, secret(called, password="old"))
    ref = {"secretKeyRef": {"name": called, "key": "password"}}
    main(found.obj())["env"] = [{"name": "DB_PASSWORD", "valueFrom": ref}]

    def rotate(obj: Obj) -> None:
        obj["data"]["password"] = encoded("new")

    actor = HELM if found.release else draw.hand()
    found.before += [Edit(f"secret/{called}", rotate, actor), Restart(found.of), Settled(), Wait(65)]
    expected = _expected(found, others=(f"secret/{called}",))
    return found.situation(expected, Fails(found.of, "crash", "dial tcp 10.0.0.9:5432: connect: connection refused"))
