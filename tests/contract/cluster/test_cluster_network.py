# SPDX-License-Identifier: Apache-2.0
"""Addresses and ports of Services, and what the API server's proxies answer when they reach nobody.

The answers of the proxies need a server that can reach pods' addresses (docs/twin.md).
"""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from cluster_harness import Cluster
from cluster_harness.http import Answer, Obj
from cluster_harness.objects import container, pod

DRY = {"dryRun": "All"}
PORTS = [{"name": "http", "containerPort": 8080}, {"name": "grpc", "containerPort": 9090}]


def services(ns: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{ns}/services" + (f"/{name}" if name else "")


def service(name: str, app: str = "web", **spec: Any) -> Obj:
    body = {"selector": {"app": app}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


def changed(cluster: Cluster, ns: str, name: str, **spec: Any) -> Answer:
    """PUT of what is there with these fields of the spec; None takes a field away."""
    live = cluster.get(services(ns, name)).ok()
    merged = {key: value for key, value in {**live["spec"], **spec}.items() if value is not None}
    return cluster.put(services(ns, name), {**live, "spec": merged})


def numbers(found: Obj) -> dict[str, int]:
    return {port.get("name", ""): port.get("nodePort", 0) for port in found["spec"]["ports"]}


def refusal(answer: Answer, status: int, message: str) -> None:
    assert (answer.status, answer.body["message"]) == (status, message)


# -- numbers of Services -------------------------------------------------------------------------------------------


def test_a_dry_run_does_not_see_that_an_address_is_taken(cluster: Cluster, ns: str) -> None:
    address = cluster.post(services(ns), service("a")).ok()["spec"]["clusterIP"]
    assert cluster.post(services(ns), service("b", clusterIP=address), query=DRY).ok()["spec"]["clusterIP"] == address
    refusal(
        cluster.post(services(ns), service("b", clusterIP=address)),
        422,
        f'Service "b" is invalid: spec.clusterIPs: Invalid value: ["{address}"]: failed to allocate IP {address}: '
        "provided IP is already allocated",
    )
    listed = cluster.get("/api/v1/services", query={"fieldSelector": f"spec.clusterIP={address}"}).ok()["items"]
    assert [item["metadata"]["name"] for item in listed] == ["a"]


def test_a_dry_run_allocates_nothing(cluster: Cluster, ns: str) -> None:
    ports = [{"name": "a", "port": 1}, {"name": "b", "port": 2}]
    made = cluster.post(services(ns), service("a", type="NodePort", ports=ports), query=DRY).ok()
    assert made["spec"]["clusterIP"].endswith(".0")
    assert numbers(made) == {"a": 32769, "b": 32770}
    cluster.post(services(ns), service("a", type="NodePort", ports=[{"port": 1, "nodePort": 80}]), query=DRY).ok()


def test_a_node_port_that_is_taken_or_out_of_range(cluster: Cluster, ns: str) -> None:
    made = cluster.post(services(ns), service("a", type="NodePort")).ok()
    port = numbers(made)[""]
    other = service("b", type="NodePort", ports=[{"port": 1, "nodePort": port}])
    for query in ({}, DRY):
        refusal(
            cluster.post(services(ns), other, query=query),
            422,
            f'Service "b" is invalid: spec.ports[0].nodePort: Invalid value: {port}: provided port is already '
            "allocated",
        )
    refusal(
        cluster.post(services(ns), service("b", type="NodePort", ports=[{"port": 1, "nodePort": 80}])),
        422,
        'Service "b" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. '
        "The range of valid ports is 30000-32767",
    )


def test_node_ports_follow_the_names_of_the_ports(cluster: Cluster, ns: str) -> None:
    ports = [{"name": "a", "port": 1}, {"name": "b", "port": 2}]
    before = numbers(cluster.post(services(ns), service("s", type="NodePort", ports=ports)).ok())
    swapped = [{"name": "b", "port": 7}, {"name": "a", "port": 8}]
    assert numbers(changed(cluster, ns, "s", ports=swapped).ok()) == before
    taken = [{"name": "b", "port": 7, "nodePort": before["a"]}, {"name": "a", "port": 8}]
    after = numbers(changed(cluster, ns, "s", ports=taken).ok())
    assert after["b"] == before["a"] and after["a"] not in (0, before["a"])
    renamed = numbers(changed(cluster, ns, "s", ports=[{"name": "c", "port": 7}]).ok())
    assert renamed["c"] not in (0, *after.values())


def test_a_node_port_is_lost_with_its_type_and_given_back_when_asked_for(cluster: Cluster, ns: str) -> None:
    made = cluster.post(services(ns), service("s", type="NodePort")).ok()
    port = numbers(made)[""]
    plain = changed(cluster, ns, "s", type="ClusterIP").ok()
    assert numbers(plain) == {"": 0} and "externalTrafficPolicy" not in plain["spec"]
    back = changed(cluster, ns, "s", type="NodePort", ports=[{"port": 80, "nodePort": port}]).ok()
    assert numbers(back) == {"": port}
    assert back["spec"]["clusterIP"] == made["spec"]["clusterIP"]


def test_the_port_for_health_checks(cluster: Cluster, ns: str) -> None:
    balanced = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    first = cluster.post(services(ns), service("a", **balanced)).ok()["spec"]
    port = first["healthCheckNodePort"]
    assert changed(cluster, ns, "a", healthCheckNodePort=None).ok()["spec"]["healthCheckNodePort"] == port
    refusal(
        changed(cluster, ns, "a", healthCheckNodePort=port - 1 if port > 30000 else port + 1),
        422,
        'Service "a" is invalid: spec.healthCheckNodePort: Forbidden: field is immutable',
    )
    refusal(
        cluster.post(services(ns), service("b", **balanced, healthCheckNodePort=port)),
        500,
        f"Internal error occurred: failed to allocate requested HealthCheck NodePort {port}: provided port is already "
        "allocated",
    )
    refusal(
        cluster.post(services(ns), service("b", **balanced, healthCheckNodePort=80)),
        500,
        "Internal error occurred: failed to allocate requested HealthCheck NodePort 80: provided port is not in the "
        "valid range. The range of valid ports is 30000-32767",
    )
    plain = changed(cluster, ns, "a", type="ClusterIP").ok()["spec"]
    assert "healthCheckNodePort" not in plain
    ports = [{"port": 80, "nodePort": first["ports"][0]["nodePort"]}]
    back = changed(cluster, ns, "a", **balanced, healthCheckNodePort=port, ports=ports).ok()["spec"]
    assert (back["healthCheckNodePort"], back["ports"][0]["nodePort"]) == (port, ports[0]["nodePort"])


def test_an_address_stays(cluster: Cluster, ns: str) -> None:
    address = cluster.post(services(ns), service("s")).ok()["spec"]["clusterIP"]
    kept = changed(cluster, ns, "s", clusterIP=None, clusterIPs=None, ipFamilies=None, ipFamilyPolicy=None).ok()["spec"]
    assert (kept["clusterIP"], kept["clusterIPs"]) == (address, [address])
    other = "10.96.77.77" if address != "10.96.77.77" else "10.96.77.78"
    refusal(
        changed(cluster, ns, "s", clusterIP=other, clusterIPs=[other]),
        422,
        f'Service "s" is invalid: spec.clusterIPs[0]: Invalid value: ["{other}"]: may not change once set',
    )


# -- the proxies ---------------------------------------------------------------------------------------------------


@pytest.fixture
def served(running: Cluster, ns: str) -> str:
    """The address of a pod `web` that answers HTTP on 8080 and speaks HTTP/2 on 9090, and its Service."""
    if not running.reaches_pods:
        pytest.skip("this API server cannot reach simulated pods: see docs/twin.md")
    body = pod("web")
    body["spec"]["containers"] = [container(ports=PORTS)]
    running.post(f"/api/v1/namespaces/{ns}/pods", body).ok()
    ports = [
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "closed", "port": 81, "targetPort": 8081},
        {"name": "grpc", "port": 82, "targetPort": 9090},
        {"name": "nobody", "port": 84, "targetPort": "nosuch"},
    ]
    running.post(services(ns), service("web", ports=ports)).ok()
    running.post(services(ns), service("lost", "nobody", ports=ports)).ok()
    running.post(services(ns), service("none", selector=None)).ok()
    found = running.wait(
        f"/api/v1/namespaces/{ns}/pods/web",
        lambda p: any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", ())),
    )
    for name, wanted in (("web", True), ("lost", False)):
        path = f"/api/v1/namespaces/{ns}/endpoints/{name}"
        running.wait(path, lambda e, w=wanted: bool(e.get("subsets")) is w)
    return str(found["status"]["podIP"])


def test_what_the_proxy_says_of_a_pod(running: Cluster, ns: str, served: str) -> None:
    base = f"/api/v1/namespaces/{ns}/pods"
    page = running.get(f"{base}/web:8080/proxy/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    # Without a port: the first that the pod declares.
    assert running.get(f"{base}/web/proxy/").text == page.text
    assert running.get(f"{base}/web:8080/proxy/nothing").status == 404
    moved = running.get(f"{base}/web:8080/proxy")
    assert (moved.status, moved.headers["location"]) == (301, f"{base}/web:8080/proxy/")
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = running.request(method, f"{base}/web:8080/proxy/-/ready", content_type="application/json")
        assert (answer.status, answer.text) == (405, "Method Not Allowed\n"), method
    trouble = "error trying to reach service: "
    greeting = r"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00"
    for name, text in (
        ("web:8081", f"dial tcp {served}:8081: connect: connection refused"),
        ("https:web:8081", f"dial tcp {served}:8081: connect: connection refused"),
        ("https:web:8080", "tls: first record does not look like a TLS handshake"),
        ("web:9090", f'net/http: HTTP/1.x transport connection broken: malformed HTTP response "{greeting}"'),
        ("web:65536", "dial tcp: address 65536: invalid port"),
    ):
        answer = running.get(f"{base}/{name}/proxy/")
        refusal(answer, 503, trouble + text)
        assert answer.body["reason"] == "ServiceUnavailable"
    refusal(running.get(f"{base}/absent:80/proxy/"), 404, 'pods "absent" not found')
    refusal(running.get(f"{base}/ftp:web:80/proxy/"), 400, 'invalid pod request "ftp:web:80"')


def test_a_pods_port_by_name_breaks_the_connection(running: Cluster, ns: str, served: str) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        running.get(f"/api/v1/namespaces/{ns}/pods/web:http/proxy/")


def test_what_the_proxy_says_of_a_service(running: Cluster, ns: str, served: str) -> None:
    base = services(ns)
    for name in ("web:http", "web:80", "http:web:http"):
        assert running.get(f"{base}/{name}/proxy/-/ready").text == "OK"
    for name, status, text in (
        ("web:closed", 503, f"error trying to reach service: dial tcp {served}:8081: connect: connection refused"),
        ("https:web:http", 503, "error trying to reach service: tls: first record does not look like a TLS handshake"),
        ("web:99", 503, 'no service port 99 found for service "web"'),
        # With a port that has no name on any pod, and without one where all have names.
        ("web:nobody", 503, 'no endpoints available for service "web:nobody"'),
        ("web:84", 503, 'no endpoints available for service "web:84"'),
        ("web:nosuch", 503, 'no endpoints available for service "web:nosuch"'),
        ("web", 503, 'no endpoints available for service "web"'),
        ("lost:http", 503, 'no endpoints available for service "lost"'),
        ("lost", 503, 'no endpoints available for service "lost"'),
        ("absent:80", 404, 'services "absent" not found'),
        ("absent:http", 404, 'services "absent" not found'),
        ("none:80", 404, 'services "none" not found'),
    ):
        refusal(running.get(f"{base}/{name}/proxy/"), status, text)


def test_what_the_proxy_says_of_a_pod_that_does_not_run(running: Cluster, ns: str, served: str) -> None:
    base = f"/api/v1/namespaces/{ns}/pods"
    running.post(base, pod("bad", image="registry.example/app:1.0-crash")).ok()
    found = running.wait(f"{base}/bad", lambda p: "CrashLoopBackOff" in str(p["status"]))
    address = found["status"]["podIP"]
    refusal(
        running.get(f"{base}/bad:8080/proxy/"),
        503,
        f"error trying to reach service: dial tcp {address}:8080: connect: connection refused",
    )
