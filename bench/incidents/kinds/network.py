# SPDX-License-Identifier: Apache-2.0
"""Services, Ingresses, policies, rights, accounts, autoscalers and Jobs."""

from __future__ import annotations

from dataclasses import replace

from bench.incidents.kinds.common import NETWORK, newer, role, scene, set_image
from bench.incidents.objects import ingress, main, make, name, pod, secret
from bench.incidents.situation import HELM, Draw, Expected, Situation, kind
from bench.incidents.steps import Anew, Edit, Fails, Gone, JobFailed, Kill, New, Settled, Step, Wait
from kubetwin.client import Obj

SERVED = ("deployment", "statefulset")


def _deleted(of: str, **more: object) -> Expected:
    return Expected(((of,),), ("recovered", "approval"), ("takeover",), **more)  # type: ignore[arg-type]


def _or_refused(expected: Expected) -> Expected:
    """Where there is no release to go back in, saying what did it is enough."""
    return replace(expected, outcomes=(*expected.outcomes, "refused"))


@kind(NETWORK, 6)
def selector_of_a_service(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment",))
    if number % 3 == 0:
        found.actor = draw.hand()
    wrong = draw.choice((f"{found.app}-v2", "web", f"{found.app}x"))

    def change(obj: Obj) -> None:
        obj["spec"]["selector"] = {"app": wrong}

    of = f"service/{found.app}"
    return found.situation(found.expected(of, "selector"), Edit(of, change, found.actor))


@kind(NETWORK, 6)
def port_of_a_service(draw: Draw, number: int) -> Situation:
    found = scene(draw, number + 1, shapes=("deployment",))
    if number % 3 == 1:
        found.actor = draw.hand()
    wrong = draw.choice((9999, 8081, 80))

    def change(obj: Obj) -> None:
        obj["spec"]["ports"][0]["targetPort"] = wrong

    of = f"service/{found.app}"
    return found.situation(found.expected(of, "targetPort", str(wrong)), Edit(of, change, found.actor))


@kind(NETWORK)
def service_that_was_deleted(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment",))
    found.objects.append(ingress(found.app, found.app))
    return found.situation(_deleted(f"service/{found.app}"), Gone(f"service/{found.app}"))


@kind(NETWORK)
def headless_service_that_was_deleted(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("statefulset",))
    return found.situation(_deleted(f"service/{found.app}"), Gone(f"service/{found.app}"))


@kind(NETWORK, 6)
def class_of_an_ingress(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment",))
    found.objects.append(ingress(found.app, found.app))
    wrong = draw.choice(("nginx-internal", "traefik-old", "public"))

    def change(obj: Obj) -> None:
        obj["spec"]["ingressClassName"] = wrong

    of = f"ingress/{found.app}"
    return found.situation(found.expected(of, "ingressClassName"), Edit(of, change, found.actor))


@kind(NETWORK)
def backend_of_an_ingress(draw: Draw, number: int) -> Situation:
    found = scene(draw, number + 1, shapes=("deployment",))
    found.objects.append(ingress(found.app, found.app))
    wrong = f"{found.app}-{draw.choice(('v2', 'green', 'svc'))}"

    def change(obj: Obj) -> None:
        obj["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = wrong

    of = f"ingress/{found.app}"
    return found.situation(found.expected(of, wrong), Edit(of, change, found.actor))


@kind(NETWORK)
def certificate_that_was_deleted(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment",))
    called = f"{found.app}-tls"
    found.objects.append(secret(called, "kubernetes.io/tls", **{"tls.crt": "a", "tls.key": "b"}))
    tls = [{"hosts": [f"{found.app}.example.com"], "secretName": called}]
    found.objects.append(ingress(found.app, found.app, tls=tls))
    return found.situation(_deleted(f"secret/{called}"), Gone(f"secret/{called}"))


@kind(NETWORK, 6)
def policy_that_shuts_out(draw: Draw, number: int) -> Situation:
    """A new NetworkPolicy; the program can't reach what it needs, and ends."""
    found = scene(draw, number, shapes=SERVED)
    called = draw.choice(("default-deny", "lockdown", "deny-egress"))
    hand = draw.hand()
    selector = draw.choice(({}, {"matchLabels": {"app": found.app}}))
    policy = make("networkpolicy", called, spec={"podSelector": selector, "policyTypes": ["Egress"]})
    log = draw.choice(
        (
            "dial tcp 10.96.0.20:5432: i/o timeout",
            "fatal: connect to database: connection timed out",
            "dial tcp: lookup db.prod.svc: i/o timeout",
        )
    )
    of = f"networkpolicy/{called}"
    expected = Expected(((of,),), ("approval",), ("deletes",), innocent=(found.of,))
    return found.situation(expected, New(policy, hand), Fails(found.of, "crash", log, until=of))


@kind(NETWORK, 6)
def policy_that_was_narrowed(draw: Draw, number: int) -> Situation:
    """A NetworkPolicy that let something out does not any more; the program can't reach what it needs, and ends."""
    found = scene(draw, number, shapes=SERVED)
    called = draw.choice((f"{found.app}-egress", "default", "tenant"))
    hand = draw.hand()
    selector = draw.choice(({}, {"matchLabels": {"app": found.app}}))
    ports = [{"ports": [{"port": 5432}, {"port": 53, "protocol": "UDP"}]}]
    spec = {"podSelector": selector, "policyTypes": ["Egress"], "egress": ports}
    found.objects.append(make("networkpolicy", called, spec=spec))

    def change(obj: Obj) -> None:
        obj["spec"]["egress"] = draw.choice(([], [{"ports": [{"port": 443}]}]))

    log = draw.choice(("dial tcp 10.96.0.20:5432: i/o timeout", "fatal: connect to database: connection timed out"))
    of = f"networkpolicy/{called}"
    expected = Expected(((of, "egress|ports"),), ("recovered",), innocent=(found.of,))
    return found.situation(
        expected, Edit(of, change, hand), Fails(found.of, "crash", log, until=of), wait=draw.choice((8, 12, 20))
    )


@kind(NETWORK, 9)
def rights_that_were_taken(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=SERVED)
    account = f"{found.app}-account"
    found.objects = [make("serviceaccount", account), *role(f"{found.app}-reads", account), *found.objects]
    pod(found.obj())["serviceAccountName"] = account
    of = f"{'role' if number % 3 == 2 else 'rolebinding'}/{found.app}-reads"
    who = "system:serviceaccount:shop:" + account
    log = f'pods is forbidden: User "{who}" cannot list resource "pods" in API group ""'
    faults: list[Step] = [Gone(of), Wait(draw.choice((0.0, 3.0))), Fails(found.of, "crash", log, until=of)]
    return found.situation(_deleted(of, innocent=(found.of,)), *faults, wait=draw.choice((8, 12, 20)))


@kind(NETWORK, 6)
def rights_that_were_cut(draw: Draw, number: int) -> Situation:
    found = scene(draw, number + 1, shapes=SERVED)
    account = f"{found.app}-account"
    found.objects = [make("serviceaccount", account), *role(f"{found.app}-reads", account), *found.objects]
    pod(found.obj())["serviceAccountName"] = account
    of, hand = f"role/{found.app}-reads", draw.hand()

    def change(obj: Obj) -> None:
        obj["rules"][0]["verbs"] = draw.choice((["get"], ["get", "watch"], ["create"]))

    log = f'pods is forbidden: User "system:serviceaccount:shop:{account}" cannot list resource "pods" in API group ""'
    expected = Expected(((of, "verbs|rules"),), ("recovered",), innocent=(found.of,))
    return found.situation(
        expected, Edit(of, change, hand), Fails(found.of, "crash", log, until=of), wait=draw.choice((8, 12, 20))
    )


@kind(NETWORK, 6)
def rights_of_a_release_without_a_snapshot(draw: Draw, number: int) -> Situation:
    """A Role or its binding that only the release knows: changed or deleted past it."""
    found = scene(draw, number, shapes=SERVED, release=True, actor=draw.hand())
    account = f"{found.app}-account"
    found.objects = [make("serviceaccount", account), *role(f"{found.app}-reads", account), *found.objects]
    pod(found.obj())["serviceAccountName"] = account
    of = f"{('role', 'role', 'rolebinding')[number % 3]}/{found.app}-reads"

    def change(obj: Obj) -> None:
        obj["rules"][0]["verbs"] = ["get"]

    log = f'pods is forbidden: User "system:serviceaccount:shop:{account}" cannot list resource "pods" in API group ""'
    fault: Step = Edit(of, change, found.actor) if number % 3 == 0 else Gone(of)
    expected = Expected(((of,),), ("recovered",), innocent=(found.of, f"helm/{found.release} went to revision"))
    # No snapshot says that it ran well: it has to for a while.
    return found.situation(expected, Wait(15), fault, Fails(found.of, "crash", log, until=of), snapshot=False)


@kind(NETWORK, 6)
def account_that_was_deleted(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=SERVED)
    account = f"{found.app}-account"
    found.objects.insert(0, make("serviceaccount", account))
    pod(found.obj())["serviceAccountName"] = account
    of = f"serviceaccount/{account}"
    return found.situation(_deleted(of, innocent=(found.of,)), Gone(of), Kill(found.app))


@kind(NETWORK, 6)
def target_of_an_autoscaler(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment",))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": found.app}
    scaler = make(
        "horizontalpodautoscaler", found.app, spec={"minReplicas": 1, "maxReplicas": 5, "scaleTargetRef": target}
    )
    found.objects.append(scaler)
    wrong = f"{found.app}-{draw.choice(('old', 'v1', 'main'))}"

    def change(obj: Obj) -> None:
        obj["spec"]["scaleTargetRef"]["name"] = wrong

    of = f"horizontalpodautoscaler/{found.app}"
    return found.situation(_or_refused(found.expected(of, wrong)), Edit(of, change, found.actor))


@kind(NETWORK, 6)
def schedule_whose_jobs_fail(draw: Draw, number: int) -> Situation:
    """A CronJob got a bad image; its next run fails."""
    found = scene(draw, number, shapes=("deployment",))
    called = draw.choice(("nightly", "cleanup", "export"))
    template = {"containers": [{"name": "job", "image": f"registry.local/{called}:1.0"}], "restartPolicy": "Never"}
    spec = {"backoffLimit": 0, "template": {"spec": template}}
    found.objects.append(make("cronjob", called, spec={"schedule": "* * * * *", "jobTemplate": {"spec": spec}}))
    bad = f"registry.local/{called}:2.0-crash-exit3"

    def change(obj: Obj) -> None:
        obj["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = bad

    of = f"cronjob/{called}"
    expected = _or_refused(found.expected(of, "image", "2.0-crash-exit3"))
    return found.situation(expected, Edit(of, change, found.actor), JobFailed(of), wait=10)


@kind(NETWORK)
def name_of_the_governing_service(draw: Draw, number: int) -> Situation:
    """A StatefulSet that was made anew with the name of a Service that is not there."""
    found = scene(draw, 1, shapes=("statefulset",))
    wrong = f"{found.app}-{draw.choice(('headless', 'hl', 'peers'))}"

    def change(obj: Obj) -> None:
        obj["spec"]["serviceName"] = wrong

    expected = Expected(((found.of, f"serviceName|{wrong}"),), ("recovered", "approval", "refused"), ("recreate",))
    return found.situation(expected, Anew(found.of, change))


@kind(NETWORK)
def service_that_selects_two_programs(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment",), quiet=True)
    for each in found.objects:
        if each["kind"] == "Deployment" and name(f"x/{each['metadata']['name']}") in (found.app, found.neighbours[0]):
            each["spec"]["template"]["metadata"]["labels"]["tier"] = "web"

    def change(obj: Obj) -> None:
        obj["spec"]["selector"] = {"tier": "web"}

    of = f"service/{found.app}"
    faults: list[Step] = [Edit(of, change, found.actor)]
    return found.situation(found.expected(of, "selector"), *faults, wait=15)


@kind(NETWORK)
def upgrade_of_the_caller_not_the_service(draw: Draw, number: int) -> Situation:
    """A caller got an innocent version; the one that it calls got a bad one."""
    found = scene(draw, number, shapes=("deployment",))
    caller = f"deployment/{found.neighbours[0]}"
    actor = found.actor
    bad = newer(found.obj(), "crash-exit4", draw)
    main(found.obj(caller))["env"] = [{"name": "UPSTREAM", "value": f"http://{found.app}:8080"}]
    innocent = Edit(caller, set_image(newer(found.obj(caller))), actor)
    expected = found.expected(found.of, "image", bad.rpartition(":")[2], innocent=(caller,) if actor != HELM else ())
    found.before += [innocent, Settled()]
    return found.situation(expected, found.change(set_image(bad)))
