# SPDX-License-Identifier: Apache-2.0
"""Stacks in which nothing is broken, and much looks as if: each is drawn from noises that are common in real clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.incidents.kinds.common import Scene, newer, role, scene, set_env, set_image
from bench.incidents.objects import (
    configmap,
    encoded,
    ingress,
    main,
    make,
    mount_configmap,
    pod,
    secret,
    service,
    workload,
)
from bench.incidents.situation import Draw, Expected, Situation
from bench.incidents.steps import (
    Cordon,
    Edit,
    Evicted,
    Fails,
    Gone,
    Kill,
    Mends,
    New,
    Restart,
    Scale,
    Settled,
    Step,
    Upgrade,
    Wait,
    Warned,
    own_nodes,
)
from bench.incidents.world import World
from kubetwin.client import Obj

HEALTHY = "nothing is broken"
COUNT = 500
MOST = 5
"""Noises in one stack."""

Noise = Callable[[Scene, Draw], list[Step]]
"""Adds to the scene what is so from the beginning, and returns what happens then."""
NOISES: dict[str, Noise] = {}
PAST_HELM = ("autoscaler-at-work", "configmap-edited-and-well", "key-that-nobody-reads-was-removed")
"""An upgrade after them would end in a conflict, or undo them."""


def noise(make_it: Noise) -> Noise:
    """Registers one."""
    NOISES[make_it.__name__.replace("_", "-")] = make_it
    return make_it


def stacks(seed: int, count: int) -> list[Situation]:
    """``count`` healthy stacks of two to five noises; every noise comes again and again."""
    found = []
    names = sorted(NOISES)
    for number in range(count):
        text = f"{seed}/healthy/{number}"
        draw = Draw(text)
        # The first one goes around, so that none is left out.
        chosen = [names[number % len(names)], *draw.sample(names, draw.randint(1, MOST - 1))]
        chosen = sorted(dict.fromkeys(chosen), key=lambda name: name in PAST_HELM)
        seen = scene(draw, number, shapes=("deployment", "statefulset", "deployment", "daemonset"), quiet=True)
        steps = [step for each in chosen for step in NOISES[each](seen, draw)]
        steps.sort(key=lambda step: isinstance(step, _Last))
        made = seen.situation(Expected((), ("nothing",), broken=False), *steps, wait=draw.choice((0.5, 4.0, 8.0)))
        made.kind, made.area, made.number, made.seed = "healthy", HEALTHY, number, text
        made.told, made.snapshot = ", ".join(chosen), number % 3 != 0
        found.append(made)
    return found


# the past


@noise
def crashed_once_and_runs(found: Scene, draw: Draw) -> list[Step]:
    """Restarts, a while ago: what ended twice within seconds, as on a busy machine it may, runs for much longer since."""
    return [Fails(found.of, "crash-after2s"), Wait(4), Mends(), Settled(), Wait(12)]


@noise
def bad_revision_that_was_repaired(found: Scene, draw: Draw) -> list[Step]:
    bad = newer(found.obj(), draw.choice(("crash-exit3", "missing")))
    good = str(main(found.obj())["image"])
    if found.release:
        return [Settled(), _BadThenRolledBack(found.of, found.release, bad), Kill(found.app), Settled()]
    hand = draw.hand()
    return [
        Edit(found.of, set_image(bad), hand),
        Wait(4),
        Edit(found.of, set_image(good), hand),
        Kill(found.app),
        Settled(),
    ]


@noise
def many_good_upgrades(found: Scene, draw: Draw) -> list[Step]:
    steps: list[Step] = []
    for level in ("debug", "info", "warn"):
        steps += [Edit(found.of, set_env("LOG_LEVEL", level), found.actor), Settled()]
    return steps


@noise
def evicted_leftover(found: Scene, draw: Draw) -> list[Step]:
    return [
        Settled(),
        Evicted(
            found.neighbours[0],
            draw.choice(("The node was low on resource: memory.", "Pod ephemeral local storage usage exceeds")),
        ),
    ]


@noise
def completed_job(found: Scene, draw: Draw) -> list[Step]:
    spec = {"containers": [{"name": "job", "image": "registry.local/migrate:1.0"}], "restartPolicy": "Never"}
    found.objects.append(make("job", f"migrate-{draw.randint(1, 9)}", spec={"template": {"spec": spec}}))
    return [Wait(2)]


@noise
def job_that_needed_two_tries(found: Scene, draw: Draw) -> list[Step]:
    spec = {"containers": [{"name": "job", "image": "registry.local/import:1.0"}], "restartPolicy": "OnFailure"}
    return [New(make("job", "import", spec={"template": {"spec": spec}})), Wait(2)]


# under way


@noise
def rollout_under_way(found: Scene, draw: Draw) -> list[Step]:
    """New pods need longer than one looks."""
    called = draw.name()
    obj = workload("deployment", called, f"registry.local/{called}:1.0", replicas=2)
    obj["spec"]["progressDeadlineSeconds"] = 600
    found.objects.append(obj)
    image = f"registry.local/{called}:1.1-slow{draw.choice((60, 90))}s"
    return [_Last(Edit(f"deployment/{called}", set_image(image), found.actor))]


@noise
def autoscaler_at_work(found: Scene, draw: Draw) -> list[Step]:
    called = found.neighbours[0]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": called}
    spec = {"minReplicas": 1, "maxReplicas": 6, "scaleTargetRef": target}
    found.objects.append(make("horizontalpodautoscaler", called, spec=spec))
    return [Scale(f"deployment/{called}", draw.randint(3, 4), "kube-controller-manager"), Settled()]


@noise
def restart_by_hand(found: Scene, draw: Draw) -> list[Step]:
    return [Restart(f"deployment/{found.neighbours[0]}"), Settled()]


@noise
def pods_replaced(found: Scene, draw: Draw) -> list[Step]:
    return [Kill(found.app, 1), Settled()]


# on purpose


@noise
def scaled_to_nothing_since_ever(found: Scene, draw: Draw) -> list[Step]:
    called = draw.name()
    found.objects += [workload("deployment", called, draw.image(called), replicas=0), service(called)]
    return []


@noise
def paused_without_a_change(found: Scene, draw: Draw) -> list[Step]:
    called = draw.name()
    obj = workload("deployment", called, draw.image(called), replicas=0 if draw.random() < 0.5 else 1)
    found.objects.append(obj)

    def pause(changed: Obj) -> None:
        changed["spec"]["paused"] = True

    return [Edit(f"deployment/{called}", pause, draw.hand())]


@noise
def suspended_schedule(found: Scene, draw: Draw) -> list[Step]:
    template = {"containers": [{"name": "job", "image": "registry.local/report:1.0"}], "restartPolicy": "Never"}
    spec = {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": template}}}}
    found.objects.append(make("cronjob", "report", spec=spec))
    return []


@noise
def schedule_that_never_ran(found: Scene, draw: Draw) -> list[Step]:
    template = {"containers": [{"name": "job", "image": "registry.local/yearly:1.0"}], "restartPolicy": "Never"}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": template}}}}
    found.objects.append(make("cronjob", "yearly", spec=spec))
    return []


@noise
def node_drained_of_nothing(found: Scene, draw: Draw) -> list[Step]:
    return [_CordonOwn()]


# objects that look odd and are not


@noise
def service_without_selector(found: Scene, draw: Draw) -> list[Step]:
    found.objects.append(make("service", "legacy", spec={"ports": [{"port": 443, "targetPort": 8443}]}))
    return []


@noise
def external_name(found: Scene, draw: Draw) -> list[Step]:
    found.objects.append(make("service", "db", spec={"type": "ExternalName", "externalName": "db.example.com"}))
    return []


@noise
def headless_service(found: Scene, draw: Draw) -> list[Step]:
    called = f"{found.app}-peers"
    spec = {
        "clusterIP": "None",
        "selector": {"app": found.app},
        "ports": [{"port": 7000}],
        "publishNotReadyAddresses": True,
    }
    found.objects.append(make("service", called, spec=spec))
    return []


@noise
def service_for_what_is_not_here_yet(found: Scene, draw: Draw) -> list[Step]:
    found.objects.append(service(f"{found.app}-v2"))
    return []


@noise
def optional_references(found: Scene, draw: Draw) -> list[Step]:
    called = draw.name()
    obj = workload("deployment", called, draw.image(called), replicas=1)
    main(obj)["envFrom"] = [{"configMapRef": {"name": "overrides", "optional": True}}]
    found.objects.append(obj)
    return []


@noise
def unused_objects(found: Scene, draw: Draw) -> list[Step]:
    found.objects += [configmap("unused", a="b"), secret("old-password", password="x")]
    return []


@noise
def claim_that_nobody_mounts(found: Scene, draw: Draw) -> list[Step]:
    access = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    spec = {"storageClassName": draw.choice(("standard", "standard-wait")), **access}
    found.objects.append(make("persistentvolumeclaim", "old-data", spec=spec))
    return []


@noise
def zero_values(found: Scene, draw: Draw) -> list[Step]:
    """As charts print them: fields at the value that they have anyway."""
    called = draw.name()
    obj = workload("deployment", called, draw.image(called), replicas=1)
    pod(obj).update(
        hostNetwork=False, hostPID=False, nodeSelector={}, tolerations=[], securityContext={}, initContainers=[]
    )
    main(obj).update(env=[], resources={}, command=[], tty=False)
    main(obj)["readinessProbe"]["initialDelaySeconds"] = 0
    obj["spec"]["minReadySeconds"] = 0
    found.objects.append(obj)
    return []


@noise
def plain_ingress(found: Scene, draw: Draw) -> list[Step]:
    found.objects.append(ingress(found.neighbours[0], found.neighbours[0]))
    return []


@noise
def quota_with_room(found: Scene, draw: Draw) -> list[Step]:
    found.objects.insert(0, make("resourcequota", "team", spec={"hard": {"pods": "60", "configmaps": "40"}}))
    return []


@noise
def limits_that_fit(found: Scene, draw: Draw) -> list[Step]:
    limit = {"type": "Container", "default": {"memory": "256Mi"}, "defaultRequest": {"memory": "16Mi"}}
    return [New(make("limitrange", "defaults", spec={"limits": [limit]})), Kill(found.app, 1), Settled()]


@noise
def policy_that_lets_in(found: Scene, draw: Draw) -> list[Step]:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    return [New(make("networkpolicy", "allow-all", spec=spec), draw.hand())]


@noise
def disruption_budget_at_its_limit(found: Scene, draw: Draw) -> list[Step]:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": found.app}}}
    found.objects.append(make("poddisruptionbudget", found.app, spec=spec))
    return [Warned(f"poddisruptionbudget/{found.app}", "CalculateExpectedPodCountFailed", "Failed to calculate")]


# events, and edits without an effect


@noise
def warnings_in_events(found: Scene, draw: Draw) -> list[Step]:
    words = (
        ("PolicyViolation", "policy require-requests/check: validation error: CPU requests are required"),
        ("DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted"),
        ("FailedGetResourceMetric", "failed to get cpu utilization: unable to get metrics for resource cpu"),
        ("InvalidDiskCapacity", "invalid capacity 0 on image filesystem"),
        ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
    )
    reason, message = draw.choice(words)
    return [Warned(f"deployment/{found.neighbours[0]}", reason, message)]


@noise
def edit_that_changes_nothing(found: Scene, draw: Draw) -> list[Step]:
    def touch(obj: Obj) -> None:
        obj["metadata"].setdefault("annotations", {})["looked-at"] = "by on-call"

    return [Edit(found.of, touch, draw.hand())]


@noise
def configmap_edited_and_well(found: Scene, draw: Draw) -> list[Step]:
    found.objects.insert(0, configmap("tuning", **{"app.yaml": "workers: 4\n"}))
    mount_configmap(found.obj(), "tuning", "/etc/tuning")

    def tune(obj: Obj) -> None:
        obj["data"]["app.yaml"] = "workers: 8\n"

    return [Edit("configmap/tuning", tune, draw.hand()), Restart(found.of), Settled()]


@noise
def secret_rotated_and_picked_up(found: Scene, draw: Draw) -> list[Step]:
    found.objects.insert(0, secret("login", password="old"))
    ref = {"secretKeyRef": {"name": "login", "key": "password"}}
    main(found.obj()).setdefault("env", []).append({"name": "PASSWORD", "valueFrom": ref})

    def rotate(obj: Obj) -> None:
        obj["data"]["password"] = encoded("new")

    return [Edit("secret/login", rotate, found.actor), Restart(found.of), Settled()]


@noise
def key_that_nobody_reads_was_removed(found: Scene, draw: Draw) -> list[Step]:
    found.objects.insert(0, configmap("flags", used="1", stale="2"))
    ref = {"configMapKeyRef": {"name": "flags", "key": "used"}}
    main(found.obj()).setdefault("env", []).append({"name": "FLAG", "valueFrom": ref})

    def prune(obj: Obj) -> None:
        del obj["data"]["stale"]

    return [Edit("configmap/flags", prune, draw.hand())]


@noise
def hand_edit_that_does_well(found: Scene, draw: Draw) -> list[Step]:
    return [Edit(f"deployment/{found.neighbours[0]}", set_env("TUNED", "yes"), draw.hand()), Settled()]


@noise
def program_removed_with_its_service(found: Scene, draw: Draw) -> list[Step]:
    called = draw.name()
    extra = [workload("deployment", called, draw.image(called), replicas=1), service(called)]
    found.objects += extra
    if found.release:
        return [Settled(), Upgrade(found.release, drops=(f"deployment/{called}", f"service/{called}")), Wait(1)]
    return [Settled(), Gone(f"deployment/{called}"), Gone(f"service/{called}"), Wait(1)]


@noise
def program_added(found: Scene, draw: Draw) -> list[Step]:
    called = draw.name()
    extra = (workload("deployment", called, draw.image(called), replicas=1), service(called))
    if found.release:
        return [Upgrade(found.release, brings=extra), Settled()]
    return [*(New(obj) for obj in extra), Settled()]


@noise
def account_with_rights(found: Scene, draw: Draw) -> list[Step]:
    found.objects = [make("serviceaccount", "reader"), *role("reader", "reader"), *found.objects]
    pod(found.obj())["serviceAccountName"] = "reader"
    return []


class _CordonOwn:
    """A node is cordoned; what runs there goes on."""

    async def do(self, world: World) -> None:
        await Cordon(own_nodes(world)[0]).do(world)


@dataclass(frozen=True, slots=True)
class _BadThenRolledBack:
    """`helm upgrade` to an image that fails, and `helm rollback` to what was before."""

    of: str
    release: str
    bad: str

    async def do(self, world: World) -> None:
        good = str(main(world.wanted(self.of)[1])["image"])
        await Edit(self.of, set_image(self.bad)).do(world)
        await Wait(4).do(world)
        await world.call_helm("rollback", self.release)
        set_image(good)(world.wanted(self.of)[1])


@dataclass(frozen=True, slots=True)
class _Last:
    """Begins when all else has settled."""

    step: Step

    async def do(self, world: World) -> None:
        await self.step.do(world)


# what is so on purpose


@noise
def ingress_for_a_part_to_come(found: Scene, draw: Draw) -> list[Step]:
    called = draw.name()
    found.objects.append(ingress(f"{called}-later", called))
    return []


@noise
def service_of_elsewhere(found: Scene, draw: Draw) -> list[Step]:
    """One that stands for a name elsewhere, and one whose endpoints people wrote."""
    called = draw.name()
    spec = {"type": "ExternalName", "externalName": f"{called}.example.net"}
    bare = service(f"{called}-old", 8080)
    bare["spec"].pop("selector")
    found.objects += [make("service", f"{called}-ext", spec=spec), bare]
    return []


@noise
def stopped_by_a_schedule(found: Scene, draw: Draw) -> list[Step]:
    """A CronJob of nobody's stops a program of nobody's in front of which an Ingress stands."""
    called = draw.name()
    args = ["kubectl", "scale", f"deployment/{called}", "--replicas=0"]
    template = {
        "containers": [{"name": "k", "image": "registry.local/kubectl:1", "args": args}],
        "restartPolicy": "Never",
    }
    job = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": template}}}}
    program = workload("deployment", called, draw.image(called), replicas=1)
    made = (program, service(called), ingress(called, called), make("cronjob", f"{called}-night", spec=job))
    return [*(New(obj) for obj in made), Settled(), Scale(f"deployment/{called}", 0, "kubectl")]


@noise
def stopped_and_not_asked(found: Scene, draw: Draw) -> list[Step]:
    called = draw.name()
    program = workload("deployment", called, draw.image(called), replicas=1)
    return [New(program), New(service(called)), Settled(), Scale(f"deployment/{called}", 0, "kubectl")]


@noise
def canary_beside_a_program(found: Scene, draw: Draw) -> list[Step]:
    """Pods of a second program behind the Service of the first, as canaries stand."""
    called = draw.name()
    program = workload("deployment", called, draw.image(called), replicas=1)
    canary = workload("deployment", f"{called}-canary", draw.image(called), replicas=1)
    for obj in (program, canary):
        obj["spec"]["template"]["metadata"]["labels"]["serves"] = called
    return [New(program), New(service(called, selector={"serves": called})), Settled(), New(canary), Settled()]


@noise
def selector_with_one_label_more(found: Scene, draw: Draw) -> list[Step]:
    """A selector that was narrowed, and matches the same pods."""
    called = draw.name()
    program = workload("deployment", called, draw.image(called), replicas=1)
    program["spec"]["template"]["metadata"]["labels"]["tier"] = "front"

    def narrow(obj: Obj) -> None:
        obj["spec"]["selector"] = {"app": called, "tier": "front"}

    return [New(program), New(service(called)), Settled(), Edit(f"service/{called}", narrow, draw.hand())]
