# SPDX-License-Identifier: Apache-2.0
"""Where requests go: Services and Ingresses that lead nowhere or elsewhere, by upgrades, by hand, by labels of pods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench.incidents.kinds.common import NETWORK, Scene, scene, set_env
from bench.incidents.objects import ingress, main, make, secret, service, workload
from bench.incidents.situation import HELM, Draw, Expected, Situation, kind
from bench.incidents.steps import Edit, Fails, New, Settled, Upgrade
from kubetwin.client import Obj

PROGRAM = ("deployment",)
Change = Callable[[Obj], None]


def or_refused(expected: Expected) -> Expected:
    """Where nothing holds what it was, saying what did it is enough."""
    return replace(expected, outcomes=(*expected.outcomes, "refused"))


def fronted(draw: Draw, number: int, **spec: object) -> Scene:
    """A program behind a Service and an Ingress; every third change is made past its release."""
    found = scene(draw, number, shapes=PROGRAM)
    if number % 3 == 2:
        found.actor = draw.hand()
    found.objects.append(ingress(found.app, found.app, **spec))
    return found


def first_port(wrong: object, field: str = "targetPort") -> Change:
    """Sets a field of the first port of a Service."""

    def change(obj: Obj) -> None:
        obj["spec"]["ports"][0][field] = wrong

    return change


@kind(NETWORK, 6)
def service_that_nobody_saved(draw: Draw, number: int) -> Situation:
    """The selector or a port of a Service, without any snapshot."""
    found = fronted(draw, number)

    def select(obj: Obj) -> None:
        obj["spec"]["selector"] = {"app": f"{found.app}-next"}

    field, change = draw.choice((("selector", select), ("targetPort", first_port(draw.choice((9999, 81))))))
    of = f"service/{found.app}"
    expected = found.expected(of, field)
    expected = expected if found.actor == HELM else or_refused(expected)
    return found.situation(expected, Edit(of, change, found.actor), snapshot=False)


@kind(NETWORK, 6)
def name_of_a_port(draw: Draw, number: int) -> Situation:
    """A Service that points to a port by a name that no container has."""
    found = fronted(draw, number)
    for obj in found.objects:
        if obj["kind"] == "Service" and obj["metadata"]["name"] == found.app:
            first_port("http")(obj)
    wrong = draw.choice(("web", "https", "http-main"))
    of = f"service/{found.app}"
    return found.situation(found.expected(of, "targetPort", wrong), Edit(of, first_port(wrong), found.actor))


@kind(NETWORK, 6)
def port_that_is_asked_for(draw: Draw, number: int) -> Situation:
    """A Service's own port is another one: its Ingress, or a program, asks for the one that it had."""
    found = fronted(draw, number)
    if number % 2:
        found.objects = [obj for obj in found.objects if obj["kind"] != "Ingress"]
        caller = found.obj(f"deployment/{found.neighbours[0]}")
        set_env("UPSTREAM_URL", f"http://{found.app}:8080/api")(caller)
    of = f"service/{found.app}"
    wrong = draw.choice((80, 8081, 9000))
    return found.situation(found.expected(of, "port", str(wrong)), Edit(of, first_port(wrong, "port"), found.actor))


@kind(NETWORK, 6)
def bad_service_and_a_later_upgrade(draw: Draw, number: int) -> Situation:
    """The revision after the one that broke it is innocent, and has it as well."""
    found = scene(draw, number, shapes=PROGRAM, release=True)
    found.objects.append(ingress(found.app, found.app))

    def select(obj: Obj) -> None:
        obj["spec"]["selector"] = {"app": f"{found.app}-blue"}

    field, change = draw.choice((("selector", select), ("targetPort", first_port(9999))))
    other = f"deployment/{found.neighbours[0]}"
    later = Edit(other, set_env("FEATURE_X", "on"), HELM)
    of, kept = f"service/{found.app}", number % 2 == 0
    expected = found.expected(of, field, innocent=(other,))
    return found.situation(
        expected if kept else or_refused(expected),
        Edit(of, change, HELM),
        later,
        Settled(),
        rest=(other,),
        snapshot=kept,
    )


@kind(NETWORK, 6)
def host_of_an_ingress(draw: Draw, number: int) -> Situation:
    found = fronted(draw, number)
    wrong = draw.choice((f"{found.app}.exmaple.com", f"{found.app}.internal", f"www.{found.app}.example.org"))

    def change(obj: Obj) -> None:
        obj["spec"]["rules"][0]["host"] = wrong

    of = f"ingress/{found.app}"
    return found.situation(found.expected(of, wrong), Edit(of, change, found.actor))


@kind(NETWORK, 6)
def certificate_of_an_ingress(draw: Draw, number: int) -> Situation:
    """TLS names a Secret that is not there, or is left out."""
    called, host = "site-tls", "shop.example.com"
    found = fronted(draw, number, tls=[{"hosts": [host], "secretName": called}])
    for obj in found.objects:
        if obj["kind"] == "Ingress":
            obj["spec"]["rules"][0]["host"] = host
    found.objects.insert(0, secret(called, "kubernetes.io/tls", **{"tls.crt": "a", "tls.key": "b"}))
    wrong = draw.choice(("site-tls-2026", "wildcard-tls", ""))

    def change(obj: Obj) -> None:
        if wrong:
            obj["spec"]["tls"][0]["secretName"] = wrong
        else:
            obj["spec"].pop("tls")

    of = f"ingress/{found.app}"
    return found.situation(found.expected(of, "tls*|spec.tls*"), Edit(of, change, found.actor))


@kind(NETWORK, 6)
def port_of_an_ingress(draw: Draw, number: int) -> Situation:
    found = fronted(draw, number)
    wrong = draw.choice((80, 8000, 9090))

    def change(obj: Obj) -> None:
        obj["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = {"number": wrong}

    of = f"ingress/{found.app}"
    return found.situation(found.expected(of, str(wrong)), Edit(of, change, found.actor))


@kind(NETWORK, 6)
def backend_that_nobody_saved(draw: Draw, number: int) -> Situation:
    found = fronted(draw, number)
    wrong = f"{found.app}-{draw.choice(('v2', 'canary', 'svc'))}"

    def change(obj: Obj) -> None:
        obj["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = wrong

    of = f"ingress/{found.app}"
    expected = found.expected(of, wrong)
    expected = expected if found.actor == HELM else or_refused(expected)
    return found.situation(expected, Edit(of, change, found.actor), snapshot=False)


@kind(NETWORK, 6)
def service_dropped_by_an_upgrade(draw: Draw, number: int) -> Situation:
    """A revision without the Service that an Ingress of somebody else, or a StatefulSet, still names."""
    found = scene(draw, number, shapes=("deployment", "statefulset"), release=True)
    if found.of.startswith("deployment"):
        found.objects.append(ingress(found.app, found.app))
    of = f"service/{found.app}"
    return found.situation(found.expected(of, found.app), Upgrade(found.release, drops=(of,)), snapshot=number % 3 != 0)


@kind(NETWORK, 6)
def labels_of_pods(draw: Draw, number: int) -> Situation:
    """Pods lost the label that their Service selects by, and are well."""
    found = scene(draw, number, shapes=PROGRAM)
    label = draw.choice(("tier", "role", "component"))
    found.obj()["spec"]["template"]["metadata"]["labels"][label] = "front"
    for obj in found.objects:
        if obj["kind"] == "Service" and obj["metadata"]["name"] == found.app:
            obj["spec"]["selector"] = {label: "front", "app": found.app}
    wrong = draw.choice(("", "frontend"))

    def change(obj: Obj) -> None:
        labels = obj["spec"]["template"]["metadata"]["labels"]
        labels.pop(label)
        if wrong:
            labels[label] = wrong

    return found.situation(found.expected(found.of, f"labels.{label}"), found.change(change), Settled())


@kind(NETWORK, 6)
def pods_that_join_another_service(draw: Draw, number: int) -> Situation:
    """Pods got the label by which a Service selects others."""
    found = scene(draw, number, shapes=PROGRAM)
    theirs = f"deployment/{found.neighbours[0]}"
    found.obj(theirs)["spec"]["template"]["metadata"]["labels"]["tier"] = "api"
    for obj in found.objects:
        if obj["kind"] == "Service" and obj["metadata"]["name"] == found.neighbours[0]:
            obj["spec"]["selector"] = {"tier": "api"}

    def change(obj: Obj) -> None:
        obj["spec"]["template"]["metadata"]["labels"]["tier"] = "api"

    return found.situation(found.expected(found.of, "labels.tier"), found.change(change), Settled())


@kind(NETWORK, 6)
def name_of_elsewhere(draw: Draw, number: int) -> Situation:
    """A Service that stands for a name elsewhere; somebody changed the name, and a program that asks it may fail."""
    found = scene(draw, number, shapes=PROGRAM)
    called = draw.choice(("database", "mail", "billing-api"))
    right = f"{called}.prod.example.net"
    spec = {"type": "ExternalName", "externalName": right}
    found.objects.append(make("service", called, spec=spec))
    main(found.obj())["env"] = [{"name": "UPSTREAM", "value": f"http://{called}:8080"}]
    wrong = draw.choice((f"{called}.prd.example.net", f"{called}-old.example.net", "localhost"))
    fails = number % 3 == 0

    def change(obj: Obj) -> None:
        obj["spec"]["externalName"] = wrong

    of = f"service/{called}"
    actor = HELM if fails and found.release else draw.hand()
    found.actor = actor
    log = f"dial tcp: lookup {wrong}: no such host"
    after = (Fails(found.of, "crash", log, until=of),) if fails else ()
    return found.situation(found.expected(of, "externalName", innocent=(found.of,)), Edit(of, change, actor), *after)


@kind(NETWORK, 6)
def service_that_became_a_name(draw: Draw, number: int) -> Situation:
    """A Service before pods was made one that stands for a name elsewhere."""
    found = scene(draw, number, shapes=PROGRAM)
    found.objects.append(ingress(found.app, found.app))
    found.actor = draw.hand()

    def change(obj: Obj) -> None:
        obj["spec"] = {"type": "ExternalName", "externalName": f"{found.app}.staging.example.net"}

    of = f"service/{found.app}"
    return found.situation(found.expected(of, "externalName|type"), Edit(of, change, found.actor))


@kind(NETWORK, 6)
def readiness_elsewhere(draw: Draw, number: int) -> Situation:
    """A readiness probe on a port or path that does not answer: the pods run, and stand behind nothing."""
    found = scene(draw, number, shapes=("deployment", "statefulset", "daemonset"), replicas=1)
    field, wrong = draw.choice((("port", 9999), ("path", "/ready-v2"), ("port", "admin")))

    def change(obj: Obj) -> None:
        main(obj)["readinessProbe"]["httpGet"][field] = wrong

    # Until its deadline is over, a rollout is under way.
    return found.situation(found.expected(found.of, "readinessProbe"), found.change(change, fault="unready"), wait=40)


@kind(NETWORK, 6)
def policy_of_the_release(draw: Draw, number: int) -> Situation:
    """An upgrade, or a hand, narrows a NetworkPolicy: the program can't reach what it needs any more."""
    found = scene(draw, number, shapes=("deployment", "statefulset"))
    called = f"{found.app}-traffic"
    spec = {"podSelector": {"matchLabels": {"app": found.app}}, "policyTypes": ["Egress"], "egress": [{}]}
    found.objects.append(make("networkpolicy", called, spec=spec))

    def change(obj: Obj) -> None:
        obj["spec"]["egress"] = [{"ports": [{"protocol": "TCP", "port": 53}]}]

    log = draw.choice(("dial tcp 10.96.0.20:5432: i/o timeout", "fatal: connect to database: connection timed out"))
    of = f"networkpolicy/{called}"
    expected = found.expected(of, called, innocent=(found.of,))
    expected = expected if found.actor == HELM else or_refused(expected)
    return found.situation(expected, Edit(of, change, found.actor), Fails(found.of, "crash", log, until=of))


@kind(NETWORK, 6)
def endpoints_by_hand(draw: Draw, number: int) -> Situation:
    """Endpoints that people wrote for a Service without a selector lead elsewhere since somebody edited them."""
    found = scene(draw, number, shapes=PROGRAM)
    called = draw.choice(("legacy-db", "mainframe", "old-ldap"))
    found.objects.append(service(called, 8080, selector=None))
    found.objects[-1]["spec"].pop("selector")
    main(found.obj())["env"] = [{"name": "UPSTREAM", "value": f"http://{called}:8080"}]
    piece = make(
        "endpointslice",
        f"{called}-1",
        addressType="IPv4",
        ports=[{"name": "http", "port": 8080, "protocol": "TCP"}],
        endpoints=[{"addresses": ["192.0.2.10"], "conditions": {"ready": True}}],
    )
    piece["metadata"]["labels"] = {"kubernetes.io/service-name": called}
    hand = draw.hand()
    wrong = draw.choice(("192.0.2.99", "10.9.9.9"))

    def change(obj: Obj) -> None:
        obj["endpoints"][0]["addresses"] = [wrong]

    of = f"endpointslice/{called}-1"
    expected = Expected(((of, "endpoints", "kubectl*" if found.release else of),), ("refused",), innocent=(found.of,))
    return found.situation(expected, Edit(of, change, hand), before=(New(piece),))


@kind(NETWORK, 6)
def selects_two_by_an_upgrade(draw: Draw, number: int) -> Situation:
    """A selector that two programs share: by upgrade, by hand past it, or of nobody's; with and without a snapshot."""
    found = scene(draw, number, shapes=PROGRAM)
    if number % 3 == 2:
        found.actor = draw.hand()
    other = workload("deployment", draw.name(), "registry.local/other:1.0", replicas=1)
    found.objects.append(other)
    for obj in (found.obj(), other):
        obj["spec"]["template"]["metadata"]["labels"]["part-of"] = "suite"

    def change(obj: Obj) -> None:
        obj["spec"]["selector"] = {"part-of": "suite"}

    of = f"service/{found.app}"
    kept = number < 4
    expected = found.expected(of, "selector")
    expected = expected if kept or found.actor == HELM else or_refused(expected)
    return found.situation(expected, Edit(of, change, found.actor), snapshot=kept)
