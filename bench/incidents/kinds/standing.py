# SPDX-License-Identifier: Apache-2.0
"""What lasts as long as what brings it, though no pod fails: no replicas, missing references, accounts that are not there."""

from __future__ import annotations

from bench.incidents.kinds.common import CONFIGURATION, DRIFT, OWN, scene, set_env
from bench.incidents.objects import configmap, ingress, main, pod, secret
from bench.incidents.situation import Draw, Expected, Situation, kind
from bench.incidents.steps import Edit, Gone, New, Scale, Settled, Wait
from kubetwin.client import Obj


@kind(DRIFT, 6)
def scaled_to_nothing_and_asked(draw: Draw, number: int) -> Situation:
    """Of nobody's, without a snapshot: somebody scaled it to 0, and an Ingress or a program asks it."""
    found = scene(draw, number, shapes=("deployment", "statefulset"), release=False)
    if number % 2:
        caller = found.obj(f"deployment/{found.neighbours[0]}")
        set_env("UPSTREAM_URL", f"http://{found.app}:8080/")(caller)
    else:
        found.objects.append(ingress(found.app, found.app))
    expected = Expected(((found.of, "replicas|ScaledToZero"),), ("refused", "recovered"))
    return found.situation(expected, Scale(found.of, 0, draw.hand()), snapshot=False, unready=(found.of,))


@kind(CONFIGURATION, 6)
def reference_that_went_while_pods_run(draw: Draw, number: int) -> Situation:
    """A ConfigMap or Secret is deleted, and nothing fails yet; an innocent change beside it within moments."""
    found = scene(draw, number, shapes=("deployment", "statefulset"))
    called = f"{found.app}-{draw.choice(('env', 'settings', 'access'))}"
    of, obj = draw.choice(
        ((f"configmap/{called}", configmap(called, LEVEL="info")), (f"secret/{called}", secret(called, TOKEN="a")))
    )
    found.objects.insert(0, obj)
    field = "configMapRef" if of.startswith("configmap") else "secretRef"
    main(found.obj())["envFrom"] = [{field: {"name": called}}]
    other = f"deployment/{found.neighbours[0]}"
    beside = Edit(other, set_env("FOO", "bar"), found.actor)
    expected = Expected(((of,),), ("recovered", "approval"), ("takeover",), innocent=(other,))
    return found.situation(expected, beside, Settled(), Gone(of), rest=(other,))


@kind(CONFIGURATION, 6)
def literal_beside_a_reference_that_went(draw: Draw, number: int) -> Situation:
    """A literal variable within a second of the deletion of what the template always read: the object is the cause."""
    found = scene(draw, number + 1, shapes=("deployment",), release=False)
    called = f"{found.app}-cfg"
    of = f"configmap/{called}"
    found.objects.insert(0, configmap(called, A="1"))
    main(found.obj())["envFrom"] = [{"configMapRef": {"name": called}}]
    literal = Edit(found.of, set_env("FOO", draw.choice(("bar", "on", "v2"))), draw.hand())
    # The rollout of the literal goes on once the object is back.
    expected = Expected(((of,),), ("recovered", "approval"), ("takeover",))
    return found.situation(expected, literal, Gone(of), rest=(found.of,), wait=15)


@kind(OWN, 6)
def account_of_daemons_that_is_not_there(draw: Draw, number: int) -> Situation:
    """A DaemonSet's pods are refused: its new ServiceAccount does not exist."""
    found = scene(draw, number, shapes=("daemonset",))
    missing = draw.choice((f"{found.app}-runner", "agents", "node-reader"))

    def change(obj: Obj) -> None:
        pod(obj)["serviceAccountName"] = missing

    expected = found.expected(found.of, missing)
    return found.situation(expected, found.change(change), wait=20)


@kind(OWN, 6)
def way_back_that_needs_what_is_gone(draw: Draw, number: int) -> Situation:
    """A bad image; the template before reads a ConfigMap that went meanwhile, the one before that does not."""
    found = scene(draw, number, shapes=("deployment",), release=False, quiet=True)
    called = f"{found.app}-flags"
    good = str(main(found.obj())["image"])
    bad = f"{good.rpartition(':')[0]}:9.0.0-{draw.choice(('crash-exit3', 'missing'))}"

    def read(obj: Obj) -> None:
        main(obj)["envFrom"] = [{"configMapRef": {"name": called}}]

    def broken(obj: Obj) -> None:
        main(obj)["image"] = bad
        main(obj).pop("envFrom")

    hand = draw.hand()
    found.before += [New(configmap(called, A="1")), Edit(found.of, read, hand), Settled(), Wait(2)]
    expected = Expected(((found.of, "image"),), ("refused", "recovered"))
    return found.situation(
        expected,
        Edit(found.of, broken, hand),
        Gone(f"configmap/{called}"),
        snapshot=False,
        rest=("configmap", found.of),
    )


@kind(DRIFT, 6)
def replicas_alone_past_a_release(draw: Draw, number: int) -> Situation:
    """Scaled to 0 past its release: the number alone goes back."""
    found = scene(draw, number, shapes=("deployment", "statefulset"), release=True, replicas=2)
    hand = draw.hand()
    expected = Expected(
        ((found.of, "replicas"),),
        ("recovered", "approval"),
        ("takeover",),
        innocent=(f"helm/{found.release} went to revision",),
    )
    return found.situation(expected, Scale(found.of, 0, hand), snapshot=number % 2 == 0)
