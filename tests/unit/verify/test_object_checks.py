# SPDX-License-Identifier: Apache-2.0
"""Checks of what objects hold, and of those who read them. Values of Secrets appear nowhere."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from small_cluster import SmallCluster

from backout.cluster.port import CONFIGMAPS, DEPLOYMENTS, PODS, REPLICASETS, SECRETS, SERVICES, ProxyAnswer
from backout.errors import AccessDenied
from backout.kube.sanitise import sanitise
from backout.model.message import msg
from backout.model.part import Check
from backout.model.scope import ClusterIdentity
from backout.model.settings import SnapshotSettings
from backout.model.snapshot import Entry, SnapshotDraft
from backout.model.target import ObjectRef, Target
from backout.model.verdict import CheckResult
from backout.probes import hashring
from backout.snapshots import source
from backout.snapshots.collect import encode
from backout.snapshots.repository.keys import make_identity
from backout.snapshots.repository.opening import open_repository
from backout.verify.verify import verify

NS = "monitoring"
RING = b'[{"endpoints": ["r-0.r:10901"]}]'
TOKEN = "hunter2-hunter2"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[SnapshotSettings]:
    make_identity(tmp_path / "keys" / "identity.age")
    found = SnapshotSettings(repository=str(tmp_path / "snapshots"), identity=str(tmp_path / "keys" / "identity.age"))
    with source.using(found):
        yield found


def from_snapshot(repository: str, address: str) -> dict[str, str]:
    return {"from": "snapshot", "repository": repository, "snapshot": "1" * 32, "address": address}


async def keep(settings: SnapshotSettings, obj: dict[str, Any]) -> dict[str, Any]:
    """The object in the repository, and how a check names its content."""
    found = await open_repository(settings, create=True)
    try:
        async with found.repository.writer() as writer:
            address = await writer.put(encode(sanitise(obj)))
            ref = ObjectRef("v1", obj["kind"], "x", NS)
            await writer.add(Entry(ref=ref, address=address, size=1))
            await writer.save(
                SnapshotDraft(
                    kind="manual",
                    cluster="small",
                    identity=ClusterIdentity("u", "c"),
                    namespace=NS,
                    taken_at=datetime.now(UTC),
                )
            )
        return {"origin": from_snapshot(found.repository.id, address)}
    finally:
        await found.repository.close()


async def measured(cluster: SmallCluster, code: str, **params: Any) -> CheckResult:
    check = Check(code=code, target=Target("configmap", "x", NS), title=msg("x"), params=params)
    return (await verify(cluster, [check], 0.0, settle=0.0)).checks[0]  # type: ignore[arg-type]


def obj(kind: str, name: str = "x", **fields: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": NS, "uid": f"uid-{name}", "resourceVersion": "7"}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}


def test_a_service_whose_addresses_belong_to_others_now(settings: SnapshotSettings) -> None:
    """The plan said that it gets new ones, so they are no failure; anything else still is."""

    def service(address: str, port: int, target: int) -> dict[str, Any]:
        ports = [{"name": "http", "port": 80, "targetPort": target, "nodePort": port}]
        return obj("Service", spec={"type": "NodePort", "clusterIP": address, "clusterIPs": [address], "ports": ports})

    async def main() -> None:
        where = {"kind": "Service", "name": "x", **await keep(settings, service("10.0.0.1", 30777, 80))}

        async def look(live: dict[str, Any], **more: Any) -> CheckResult:
            return await measured(SmallCluster((SERVICES, live)), "object-restored", **where, **more)

        moved = service("10.0.0.9", 30405, 80)
        exact = await look(moved)
        assert exact.status == "fail" and exact.data["places"] == ["spec.ports"]
        told = await look(moved, other_ports=True)
        assert (told.status, told.measured.text) == ("pass", "it is as in the snapshot, but for its addresses")
        wrong = await look(service("10.0.0.9", 30405, 8080), other_ports=True)
        assert wrong.status == "fail"

    asyncio.run(main())


def test_an_object_as_the_snapshot_has_it(settings: SnapshotSettings) -> None:
    async def main() -> None:
        good = obj("ConfigMap", data={"a": "1", "b": "2"})
        where = {"kind": "ConfigMap", "name": "x", **await keep(settings, good)}

        async def look(live: dict[str, Any] | None) -> CheckResult:
            return await measured(SmallCluster(*([(CONFIGMAPS, live)] if live else [])), "object-restored", **where)

        found = await look(good)
        assert (found.status, found.measured.text) == ("pass", "it holds exactly what the snapshot holds (keys: 2)")
        found = await look(obj("ConfigMap", data={"a": "1", "b": "3", "c": "4"}))
        assert (found.status, found.data["places"]) == ("fail", ["data.b", "data.c"])
        assert found.measured.text == "configmap/x holds something else in: data.b, data.c"
        found = await look(obj("ConfigMap", data={"a": "1", "b": "2"}, immutable=True))
        assert (found.status, found.data["places"]) == ("fail", ["immutable"])
        assert (await look(None)).measured.text == "configmap/x does not exist"
        going = {**good, "metadata": {**good["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
        assert (await look(going)).measured.text == "configmap/x is being deleted"

    asyncio.run(main())


def test_secret_values_are_not_shown(settings: SnapshotSettings) -> None:
    async def main() -> None:
        secret = obj("Secret", type="Opaque", data={"k": base64.b64encode(TOKEN.encode()).decode()})
        where = {"kind": "Secret", "name": "x", **await keep(settings, secret)}
        other = obj("Secret", type="Opaque", data={"k": base64.b64encode(b"other").decode()})
        found = await measured(SmallCluster((SECRETS, other)), "object-restored", **where)
        assert (found.status, found.data["places"]) == ("fail", ["data.k"])
        shown = msgspec.json.encode(found).decode()
        for text in (TOKEN, base64.b64encode(TOKEN.encode()).decode(), base64.b64encode(b"other").decode()):
            assert text not in shown

    asyncio.run(main())


def test_addresses_of_a_service_do_not_count(settings: SnapshotSettings) -> None:
    async def main() -> None:
        spec = {
            "selector": {"app": "x"},
            "ports": [{"name": "http", "port": 80, "targetPort": 80}],
            "type": "ClusterIP",
        }
        where = {"kind": "Service", "name": "x", **await keep(settings, obj("Service", spec=spec))}
        live = obj("Service", spec={**spec, "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]})
        assert (await measured(SmallCluster((SERVICES, live)), "object-restored", **where)).status == "pass"
        live["spec"]["selector"] = {"app": "y"}
        found = await measured(SmallCluster((SERVICES, live)), "object-restored", **where)
        assert (found.status, found.data["places"]) == ("fail", ["spec.selector"])

    asyncio.run(main())


def test_without_the_repository_nothing_is_known(settings: SnapshotSettings) -> None:
    async def main() -> None:
        where = {"kind": "ConfigMap", "name": "x", "origin": from_snapshot("another", "00" * 32)}
        live = SmallCluster((CONFIGMAPS, obj("ConfigMap")))
        found = await measured(live, "object-restored", **where)
        assert found.status == "unknown" and "is not the configured one" in found.measured.text
        kept = await keep(settings, obj("ConfigMap", data={"a": "1"}))
        where["origin"] = {**kept["origin"], "address": "00" * 32}
        assert (await measured(live, "object-restored", **where)).status == "unknown"

    asyncio.run(main())


# -- readers -----------------------------------------------------------------------------------------------------------

RECEIVE = {
    "name": "receive",
    "image": "thanosio/thanos",
    "args": ["receive", "--receive.hashrings-file=/h/ring.json"],
    "volumeMounts": [{"name": "ring", "mountPath": "/h"}],
}
STORE = {
    "name": "store",
    "image": "thanosio/thanos",
    "args": ["store", "--objstore.config=$(O)"],
    "env": [{"name": "O", "valueFrom": {"secretKeyRef": {"name": "x", "key": "o"}}}],
}


def page(text: str) -> ProxyAnswer:
    return ProxyAnswer(200, "text/plain", f"# TYPE x gauge\n{text}\n".encode())


def hashed(content: bytes) -> ProxyAnswer:
    value = int.from_bytes(hashlib.sha256(content).digest()[:6], "little")
    return page(f"thanos_receive_config_hash {value}")


def workload(container: dict[str, Any], *pods: str, going: str = "") -> list[tuple[Any, dict[str, Any]]]:
    spec = {"containers": [container], "volumes": [{"name": "ring", "configMap": {"name": "x"}}]}
    deployment = obj("Deployment", "d", spec={"template": {"spec": spec}})
    replicas = obj("ReplicaSet", "d-1")
    found = [(DEPLOYMENTS, deployment), (REPLICASETS, replicas)]
    for name in pods:
        pod = obj(
            "Pod",
            name,
            spec=spec,
            status={
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": container["name"], "state": {"running": {}}}],
            },
        )
        pod["metadata"]["labels"] = {"pod-template-hash": "1"}
        owner = {"kind": "ReplicaSet", "name": "d-1", "uid": "uid-d-1", "apiVersion": "apps/v1", "controller": True}
        pod["metadata"]["ownerReferences"] = [owner]
        if name == going:
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        found.append((PODS, pod))
    return found


def loaded(*pods: str, going: str = "", **answers: Any) -> CheckResult:
    keys = {f"pods/{NS}/{pod}:10902/metrics": answer for pod, answer in answers.items()}
    live = obj("ConfigMap", data={"ring.json": RING.decode()})
    cluster = SmallCluster((CONFIGMAPS, live), *workload(RECEIVE, *pods, going=going), answers=keys)
    readers = [{"workload": "deployment/d", "container": "receive"}]
    return asyncio.run(measured(cluster, "config-reloaded", kind="ConfigMap", name="x", readers=readers))


def test_all_readers_have_to_say_so() -> None:
    found = loaded("a", "b", a=hashed(RING), b=hashed(RING))
    assert found.status == "pass" and found.measured.text.endswith("(2 of 2 pods)") and found.data["pods"] == ["a", "b"]
    found = loaded("a", "b", a=hashed(RING), b=hashed(b"other"))
    assert found.status == "fail" and found.data["pods"] == ["b"] and found.expected is not None
    assert loaded("a", "b", going="b", a=hashed(RING)).status == "pass", "one that goes need not"
    found = loaded("a", "b", a=hashed(RING), b=AccessDenied("You may not get pods/proxy."))
    assert found.status == "unknown" and "you may not use pods/proxy" in found.measured.text
    found = loaded()
    assert (found.status, found.measured.text) == ("fail", "none of its readers has a pod")


def test_what_is_read_must_be_there() -> None:
    found = asyncio.run(measured(SmallCluster(), "config-reloaded", kind="ConfigMap", name="x", readers=[]))
    assert (found.status, found.measured.text) == ("fail", "configmap/x does not exist")


def stored(*answers: Any, denied: Any = None) -> CheckResult:
    keys = {f"pods/{NS}/p{number}:10902/metrics": answer for number, answer in enumerate(answers)}
    pods = workload(STORE, *(f"p{number}" for number in range(len(answers))))
    cluster = SmallCluster(*pods, answers=keys, denied=denied)
    readers = [{"workload": "deployment/d", "container": "store"}]
    return asyncio.run(measured(cluster, "object-storage", kind="Secret", name="x", readers=readers))


def requests(done: int, failed: int = 0) -> ProxyAnswer:
    return page(
        f'thanos_objstore_bucket_operations_total{{operation="iter"}} {done}\n'
        f'thanos_objstore_bucket_operation_failures_total{{operation="iter"}} {failed}'
    )


def test_requests_to_object_storage() -> None:
    assert stored(requests(3), requests(4)).status == "pass"
    found = stored(requests(3), requests(4, 4))
    assert (found.status, found.data["pods"]) == ("fail", ["p1"])
    for silent in (requests(0), AccessDenied("no")):
        found = stored(requests(3), silent)
        assert found.status == "pass" and "nothing to tell yet: p1" in found.measured.text, "with the same keys"
        assert stored(silent).status == "unknown"
    assert stored(requests(9, 2)).status == "unknown", "it failed, but not now"
    assert stored().status == "fail"


def forwarded(*answers: Any, ring: str = "") -> CheckResult:
    keys = {f"pods/{NS}/p{number}:10902/metrics": answer for number, answer in enumerate(answers)}
    pods = workload(RECEIVE, *(f"p{number}" for number in range(len(answers))))
    readers = [{"workload": "deployment/d", "container": "receive"}]
    live = (CONFIGMAPS, obj("ConfigMap", data={"ring.json": ring, "note": "[1, 2]"}))
    cluster = SmallCluster(*pods, live, answers=keys)
    return asyncio.run(measured(cluster, "requests-forwarded", kind="ConfigMap", name="x", readers=readers))


def forwards(failed: int, done: int) -> ProxyAnswer:
    name = "thanos_receive_forward_requests_total"
    return page(f'{name}{{result="error"}} {failed}\n{name}{{result="success"}} {done}')


def test_requests_between_receivers() -> None:
    found = forwarded([forwards(7, 1), forwards(7, 5)], forwards(0, 0))
    assert found.status == "pass" and found.data["requests"] == 4 and "none failed" in found.measured.text
    found = forwarded([forwards(7, 1), forwards(9, 5)], forwards(0, 0))
    assert (found.status, found.data["pods"]) == ("fail", ["p0"]) and "failed within 1.5 s: 2" in found.measured.text
    assert forwarded([forwards(7, 1), forwards(0, 1)]).status == "pass", "it was restarted"


def test_receivers_that_cannot_be_asked() -> None:
    for silent in (AccessDenied("You may not."), page("x 1"), [forwards(7, 1), AccessDenied("You may not.")]):
        found = forwarded(silent, ring='[{"endpoints": ["p0.r:10901"]}]')
        assert found.status == "pass" and "every endpoint is a pod that is ready: 1" in found.measured.text
        found = forwarded(silent, ring='[{"endpoints": ["p0.r:10901", "p1.r:10901"]}]')
        assert found.status == "fail" and "p1.r:10901" in found.measured.text
        for ring in ('[{"endpoints": ["p0.r:10901", "elsewhere.example.com:1"]}]', "[{", "[]"):
            assert forwarded(silent, ring=ring).status == "unknown"


def test_pods_of_endpoints() -> None:
    for name in ("p-0.r", "p-0.r:1", "p-0.r.monitoring:1", "p-0.r.monitoring.svc:1", "p-0.r.monitoring.svc.x.y:1"):
        assert hashring.pod_of(name, NS) == "p-0"
    for name in (
        "",
        "r:1",
        "p-0.r.other:1",
        "thanos.monitoring:1",
        "10.0.0.1:1",
        "a.b.monitoring.example:1",
        ".r:1",
        "[::1]:1",
    ):
        assert hashring.pod_of(name, NS) == ""
