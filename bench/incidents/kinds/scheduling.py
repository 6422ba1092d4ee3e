# SPDX-License-Identifier: Apache-2.0
"""Pods that no node takes, and volumes that are not there."""

from __future__ import annotations

from bench.incidents.kinds.common import SCHEDULING, scene
from bench.incidents.objects import main, make, pod, workload
from bench.incidents.situation import Draw, Expected, Situation, kind
from bench.incidents.steps import Gone, Labelled, New, Scale, Tainted, Wait
from kubetwin.client import Obj

ONE = ("deployment", "statefulset")


@kind(SCHEDULING)
def node_selector(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=ONE)
    key, value = draw.choice((("disktype", "nvme"), ("kubernetes.io/hostname", "node-none"), ("pool", "gpu")))

    def change(obj: Obj) -> None:
        pod(obj)["nodeSelector"] = {key: value}

    return found.situation(found.expected(found.of, "nodeSelector"), found.change(change))


@kind(SCHEDULING)
def affinity(draw: Draw, number: int) -> Situation:
    found = scene(draw, number + 1, shapes=ONE)
    zone = draw.choice(("eu-west-9z", "zone-x", "rack-77"))

    def change(obj: Obj) -> None:
        wanted = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}
        terms = {"nodeSelectorTerms": [{"matchExpressions": [wanted]}]}
        pod(obj)["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}

    return found.situation(found.expected(found.of, "affinity|nodeAffinity"), found.change(change))


@kind(SCHEDULING)
def toleration_was_dropped(draw: Draw, number: int) -> Situation:
    """Its nodes are tainted for it alone, always were; its template no longer tolerates them."""
    found = scene(draw, number, shapes=ONE)
    key = f"only-{found.app}"
    pod(found.obj())["nodeSelector"] = {key: "yes"}
    pod(found.obj())["tolerations"] = [{"key": key, "operator": "Exists"}]

    def change(obj: Obj) -> None:
        pod(obj)["tolerations"] = []

    made = found.situation(found.expected(found.of, "tolerations"), found.change(change))
    made.early = [Labelled(key, 2), Tainted(key, 2)]
    return made


@kind(SCHEDULING)
def larger_than_any_node(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=ONE)
    what, much = draw.choice((("memory", "900Gi"), ("cpu", "96"), ("memory", "512Gi")))

    def change(obj: Obj) -> None:
        main(obj)["resources"] = {"requests": {what: much}}

    return found.situation(found.expected(found.of, what, much), found.change(change))


@kind(SCHEDULING, 6)
def claim_that_is_not_there(draw: Draw, number: int) -> Situation:
    found = scene(draw, number + 1, shapes=ONE)
    claim = f"{found.app}-data-{draw.randint(2, 9)}"

    def change(obj: Obj) -> None:
        main(obj)["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        pod(obj)["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]

    return found.situation(found.expected(found.of, claim), found.change(change))


@kind(SCHEDULING, 6)
def storage_class_that_is_not_there(draw: Draw, number: int) -> Situation:
    """A new program, with a new claim: it never worked, so there is nothing to go back to."""
    found = scene(draw, 1, shapes=("deployment",))
    new, storage = draw.name(), draw.choice(("fast-ssd", "ceph-block", "gp9"))
    access = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = make("persistentvolumeclaim", f"{new}-data", spec={"storageClassName": storage, **access})
    obj = workload("deployment", new, draw.image(new), replicas=1)
    main(obj)["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    pod(obj)["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": f"{new}-data"}}]
    expected = Expected(
        ((f"deployment/{new}|persistentvolumeclaim/{new}-data",),),
        ("refused",),
        told=(storage,),
        innocent=tuple(f"deployment/{other}" for other in (found.app, *found.neighbours)),
    )
    return found.situation(expected, New(claim), New(obj))


@kind(SCHEDULING)
def claim_made_anew_by_hand(draw: Draw, number: int) -> Situation:
    """The claim of one pod of a StatefulSet, with a class that does not exist."""
    found = scene(draw, 1, shapes=("statefulset",), replicas=2)
    template = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    found.obj()["spec"]["volumeClaimTemplates"] = [template]
    main(found.obj())["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    called, storage = f"data-{found.app}-1", draw.choice(("fast-ssd", "ceph-block", "gp9"))
    anew = make("persistentvolumeclaim", called, spec={"storageClassName": storage, **template["spec"]})
    anew["metadata"]["labels"] = {"app": found.app}
    of = f"persistentvolumeclaim/{called}"
    expected = Expected(((of,),), ("refused", "recovered", "approval"), ("recreate",), innocent=(found.of,))
    found.after.clear()
    faults = (*(Scale(found.of, 1), Wait(5.0), Gone(of), Wait(2.0)), *(New(anew, draw.hand()), Scale(found.of, 2)))
    return found.situation(expected, *faults, rest=(of,), unready=(found.of,))
