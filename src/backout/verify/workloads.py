# SPDX-License-Identifier: Apache-2.0
"""``workload-ready`` and ``pods-ready``: the rollout is complete by the controller's counters and by every pod.

`backout.kube.rollout` says what that is. Stricter than it in one point: a pod that a partition leaves at another
revision is a failure here, since a check asks for one revision in force.
"""

from __future__ import annotations

from backout.cluster.port import CONTROLLERREVISIONS, REPLICASETS, Object
from backout.kube import projections
from backout.kube.pod_health import health_of
from backout.kube.rollout import Rollout, rollout_with_pods
from backout.kube.workloads import revision_in_force
from backout.mechanisms.common.measuring import namespace_of
from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, listed, passed, unknown
from backout.model.message import msg
from backout.verify.params import OnPods, WorkloadParams
from backout.verify.pods import find_workload, pods_of, selected, terminating, workload_of
from backout.verify.scene import Scene


def workload_ready(check: CheckOf[WorkloadParams], scene: Scene) -> Measured:
    """See the module."""
    wanted = workload_of(check)
    if wanted is None:
        return unknown(msg("the check names no workload"))
    kind, name = wanted
    namespace = namespace_of(check)
    workload = find_workload(scene, kind, name, namespace)
    if workload is None:
        return failed(msg("{kind} {name} does not exist", kind=kind, name=name))
    if wrong := _template(check, workload):
        return wrong
    current = revision_in_force(workload, _revisions(scene, workload, namespace))
    pods = [projections.pod(pod) for pod in pods_of(scene, workload, namespace)]
    found = rollout_with_pods(kind, projections.workload(workload), pods, current)
    if found.reason == "unobserved":
        generation = int(workload["metadata"].get("generation") or 0)
        return failed(
            msg("the controller has not seen generation {generation} yet", generation=generation), generation=generation
        )
    if found.reason == "no-revision":
        return failed(msg("the controller has made no revision for the template yet"))
    pinned = check.params.hash
    if pinned and pinned != current:
        return failed(
            msg("the revision in force is {current}", current=current), msg("revision {pinned}", pinned=str(pinned))
        )
    return _short_of(found, workload, current) or _complete(found, workload, current)


def _template(check: CheckOf[WorkloadParams], workload: Object) -> Measured | None:
    """The images that the template must name."""
    images = check.params.images
    if not images:
        return None
    spec = workload["spec"]["template"]["spec"]
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    if isinstance(images, dict):
        found = {entry["name"]: entry.get("image", "") for entry in containers}
        wrong = [f"{name}={found.get(name, '-')}" for name, image in images.items() if found.get(name) != image]
        expected = [f"{name}={image}" for name, image in images.items() if found.get(name) != image]
    else:
        present = {entry.get("image", "") for entry in containers}
        expected = [str(image) for image in images if image not in present]
        wrong = sorted(present)
    if not expected:
        return None
    return failed(msg("its template says {images}", images=listed(wrong)), msg("{images}", images=listed(expected)))


def _revisions(scene: Scene, workload: Object, namespace: str) -> list[Object]:
    """What may be its revisions; a StatefulSet names its own in its status."""
    if workload["kind"] == "StatefulSet":
        return []
    return scene.objects(REPLICASETS if workload["kind"] == "Deployment" else CONTROLLERREVISIONS, namespace)


def _short_of(found: Rollout, workload: Object, current: str) -> Measured | None:
    """What is missing of a rollout that nobody has to look at again; pods first, since counters can lag."""
    if others := sorted((*found.old, *found.kept)):
        return failed(
            msg(
                "{count} of {desired} pods are of another revision: {pods}{why}",
                count=len(others),
                desired=found.desired,
                pods=listed(others),
                why=_held_back(workload),
            ),
            msg("all of revision {current}", current=current),
            pods=others,
        )
    if found.unready:
        sick = sorted(f"{name} ({word})" for name, word in found.unready)
        return failed(
            msg("{ready} of {desired} pods ready: {pods}", ready=found.ready, desired=found.desired, pods=listed(sick)),
            pods=sick,
        )
    if found.going:
        return failed(
            msg("{count} pods are still terminating: {pods}", count=len(found.going), pods=listed(list(found.going)))
        )
    return None if found.complete else failed(found.why, msg("{desired} ready pods", desired=found.desired))


def _held_back(workload: Object) -> str:
    """Why old pods stay by design: a partition, OnDelete."""
    strategy = workload["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return " (updateStrategy OnDelete)"
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    return f" (partition {partition})" if partition else ""


def _complete(found: Rollout, workload: Object, current: str) -> Measured:
    if workload["spec"].get("paused"):
        words = msg(
            "{ready} of {desired} pods ready, revision {current}; its rollout is paused",
            ready=found.ready,
            desired=found.desired,
            current=current,
        )
    else:
        words = msg(
            "{ready} of {desired} pods ready, revision {current}",
            ready=found.ready,
            desired=found.desired,
            current=current,
        )
    return passed(words, revision=current, ready=found.ready, desired=found.desired)


def pods_ready(check: CheckOf[OnPods], scene: Scene) -> Measured:
    """Every selected pod is Ready; none is a failure, since nothing was proven."""
    pods = [(pod["metadata"]["name"], health_of(pod)) for pod in selected(scene, check) if not terminating(pod)]
    sick = sorted(f"{name} ({found.word})" for name, found in pods if not found.ready)
    if sick:
        return failed(
            msg(
                "{ready} of {desired} pods ready: {pods}",
                ready=len(pods) - len(sick),
                desired=len(pods),
                pods=listed(sick),
            ),
            pods=sick,
        )
    if not pods:
        return failed(msg("there are no such pods"))
    return passed(msg("{ready} of {desired} pods ready", ready=len(pods), desired=len(pods)), ready=len(pods))
