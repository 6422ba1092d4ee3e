# SPDX-License-Identifier: Apache-2.0
"""Restarts, endpoints, claims, revisions, single objects."""

from __future__ import annotations

from backout.cluster.port import ENDPOINTSLICES, PODS, PVCS, SERVICES, ClusterReader, Object, find
from backout.kube.names import SERVICE_OF_SLICE
from backout.mechanisms.common.measuring import ByDigest, Named, namespace_of, revision_in_force
from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, listed, passed, unknown
from backout.model.message import msg
from backout.model.target import ObjectRef
from backout.verify.params import ClaimsParams, EndpointsParams, OnPods, OwnerParams
from backout.verify.pods import find_workload, matches, selected, terminating, workload_of
from backout.verify.scene import Scene, restart_counts


def no_new_restarts(check: CheckOf[OnPods], scene: Scene) -> Measured:
    """Restart counts against those at the start of the soak, by pod uid; a pod born since then starts at 0."""
    if scene.restarts is None:
        return unknown(msg("not watched yet"))
    pods = selected(scene, check)
    new: list[str] = []
    watched = 0
    here = set()
    for pod in pods:
        meta = pod["metadata"]
        here.add(meta.get("uid", ""))
        for container, count in restart_counts(pod):
            watched += 1
            before = scene.restarts.get((meta.get("uid", ""), container), 0)
            if count > before:
                new.append(f"{meta['name']}/{container} +{count - before}")
    gone = {name for (uid, _), name in scene.restarted.items() if uid not in here}
    if _whole_namespace(check):
        new += sorted(gone)
    if new:
        return failed(msg("restarted: {containers}", containers=listed(sorted(new))), restarts=sorted(new))
    if not watched:
        return failed(msg("no container ran that could be watched"))
    return passed(msg("0 restarts of {count} containers", count=watched), containers=watched)


def _whole_namespace(check: CheckOf[OnPods]) -> bool:
    return not check.params.workloads and workload_of(check) is None


def endpoints(check: CheckOf[EndpointsParams], scene: Scene) -> Measured:
    """Ready addresses behind Services. ``ready`` unset counts as ready (discovery.k8s.io/v1 EndpointConditions)."""
    namespace = namespace_of(check)
    names = check.params.services
    services = [
        service for service in scene.objects(SERVICES, namespace) if (service.get("spec") or {}).get("selector")
    ]
    known = {service["metadata"]["name"] for service in services}
    if names:
        missing = sorted(set(names) - known)
        if missing:
            return failed(msg("no such Service with a selector: {names}", names=listed(missing)))
        services = [service for service in services if service["metadata"]["name"] in names]
    elif wanted := workload_of(check):
        workload = find_workload(scene, *wanted, namespace)
        labels = ((workload or {}).get("spec", {}).get("template", {}).get("metadata") or {}).get("labels") or {}
        services = [service for service in services if matches(service["spec"]["selector"], labels)]
    if not services:
        return passed(msg("no Service selects these pods"), services={})
    ready: dict[str, int] = {service["metadata"]["name"]: 0 for service in services}
    for piece in scene.objects(ENDPOINTSLICES, namespace):
        owner = (piece["metadata"].get("labels") or {}).get(SERVICE_OF_SLICE, "")
        if owner in ready:
            ready[owner] += sum(
                len(endpoint.get("addresses") or ())
                for endpoint in piece.get("endpoints") or ()
                if (endpoint.get("conditions") or {}).get("ready") is not False
            )
    idle = sorted(name for name in check.params.idle if not ready.get(name))
    empty = sorted(name for name, count in ready.items() if not count and name not in idle)
    if empty:
        return failed(msg("no ready address behind {services}", services=listed(empty)), services=ready)
    ready = {name: count for name, count in ready.items() if name not in idle}
    if idle:
        return passed(
            msg(
                "ready addresses: {addresses}; of parts that do not run: {idle}",
                addresses=", ".join(f"{name}: {count}" for name, count in sorted(ready.items())[:5]) or "none",
                idle=listed(idle),
            ),
            services=ready,
            idle=idle,
        )
    said = ", ".join(f"{name}: {count}" for name, count in sorted(ready.items())[:5])
    return passed(msg("ready addresses: {addresses}", addresses=said), services=ready)


def pvc_bound(check: CheckOf[ClaimsParams], scene: Scene) -> Measured:
    """Claims are Bound. One that no pod mounts may be Pending for good (WaitForFirstConsumer): it is not counted."""
    namespace = namespace_of(check)
    claims = {claim["metadata"]["name"]: claim for claim in scene.objects(PVCS, namespace)}
    mounted = _mounted(scene, check, namespace)
    names = check.params.names
    if names:
        wanted = {str(name) for name in names}
    elif _whole_namespace(check):
        wanted = {n for n in claims if n in mounted or (claims[n].get("status") or {}).get("phase") != "Pending"}
    else:
        wanted = mounted
    if not wanted:
        return passed(msg("no claim is in use"), claims=0)
    bad = []
    for name in sorted(wanted):
        phase = (claims[name].get("status") or {}).get("phase", "Pending") if name in claims else "missing"
        if phase != "Bound" or claims[name]["metadata"].get("deletionTimestamp"):
            bad.append(f"{name} ({phase if phase != 'Bound' else 'Terminating'})")
    if bad:
        return failed(
            msg(
                "{bound} of {count} claims Bound: {bad}",
                bound=len(wanted) - len(bad),
                count=len(wanted),
                bad=listed(bad),
            ),
            claims=bad,
        )
    return passed(msg("{bound} of {count} claims Bound", bound=len(wanted), count=len(wanted)), claims=len(wanted))


def _mounted(scene: Scene, check: CheckOf[OnPods], namespace: str) -> set[str]:
    pods: list[Object] = scene.objects(PODS, namespace) if _whole_namespace(check) else selected(scene, check)
    return {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods
        if not terminating(pod)
        for volume in (pod.get("spec") or {}).get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    }


async def at_revision(check: CheckOf[ByDigest], cluster: ClusterReader) -> Measured:
    """The revision in force has the digest, whatever its status."""
    from backout.mechanisms import registry

    digest = check.params.digest
    if not digest:
        return unknown(msg("the plan does not say which content to expect"))
    reading = await registry.of_kind(check.target.kind).read(cluster, check.target)
    return revision_in_force(reading.revisions, str(digest))


async def present(check: CheckOf[Named], cluster: ClusterReader) -> Measured:
    """The object exists (with that uid)."""
    ref = _ref(check)
    found = await find(cluster, ref)
    if found is None:
        return failed(msg("{object} does not exist", object=str(ref)))
    return passed(msg("{object} exists", object=str(ref)))


async def absent(check: CheckOf[Named], cluster: ClusterReader) -> Measured:
    """The object does not exist (or has another uid)."""
    ref = _ref(check)
    if await find(cluster, ref) is not None:
        return failed(msg("{object} still exists", object=str(ref)))
    return passed(msg("{object} does not exist", object=str(ref)))


def _ref(check: CheckOf[Named]) -> ObjectRef:
    params = check.params
    return ObjectRef(params.api_version or "v1", params.kind, params.name, namespace_of(check), params.uid)


def owner_quiet(check: CheckOf[OwnerParams], watched: float) -> Measured:
    """Whether what keeps the target had its turn and left it alone; before its interval is over nobody knows."""
    needed, owner = check.params.seconds, check.params.owner
    if not needed:
        return unknown(msg("{owner} does not say when it looks again", owner=owner))
    if watched < needed:
        return unknown(
            msg(
                "watched for {watched} s; {owner} has looked again after {needed} s",
                watched=round(watched, 1),
                owner=owner,
                needed=round(needed),
            )
        )
    return passed(msg("nothing was undone in {watched} s", watched=round(watched, 1)))
