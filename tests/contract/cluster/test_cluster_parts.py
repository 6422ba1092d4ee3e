# SPDX-License-Identifier: Apache-2.0
"""Subresources: what a write to one changes, and what it is refused."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from cluster_harness import Cluster
from cluster_harness.objects import container, deployment, pod, workload
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
APPROVED = {"type": "Approved", "status": "True", "reason": "Test", "message": "by a test"}


def message(answer: Any, status: int = 422) -> str:
    assert answer.status == status, answer.text
    return str(answer.body["message"])


@pytest.fixture
def signing(cluster: Cluster) -> Iterator[str]:
    """The path of a certificate signing request that nobody signs."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "contract")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM)
    name = f"contract-{secrets.token_hex(4)}"
    spec = {"request": base64.b64encode(pem).decode(), "signerName": "example.com/contract", "usages": ["client auth"]}
    cluster.post(REQUESTS, {"metadata": {"name": name}, "spec": spec}).ok()
    yield f"{REQUESTS}/{name}"
    cluster.delete(f"{REQUESTS}/{name}")


def test_an_approval_is_kept(cluster: Cluster, signing: str) -> None:
    wanted = cluster.get(signing).ok()
    wanted["status"] = {"conditions": [APPROVED], "certificate": "aWdub3JlZA=="}
    wanted["spec"]["usages"] = ["server auth"]
    approved = cluster.put(f"{signing}/approval", wanted).ok()
    (condition,) = approved["status"]["conditions"]
    assert {name: condition[name] for name in APPROVED} == APPROVED
    assert condition["lastUpdateTime"]
    assert condition["lastTransitionTime"]
    assert "certificate" not in approved["status"], "an approver does not sign"
    assert approved["spec"]["usages"] == ["client auth"]
    assert cluster.get(signing).ok()["status"] == approved["status"]


def test_an_approval_stands(cluster: Cluster, signing: str) -> None:
    cluster.patch(f"{signing}/approval", {"status": {"conditions": [APPROVED]}}).ok()
    text = message(cluster.patch(f"{signing}/approval", {"status": {"conditions": None}}))
    assert 'status.conditions: Forbidden: updates may not remove a condition of type "Approved"' in text
    denied = {**APPROVED, "type": "Denied"}
    text = message(cluster.patch(f"{signing}/approval", {"status": {"conditions": [APPROVED, denied]}}))
    assert "Approved and Denied conditions are mutually exclusive" in text
    text = message(cluster.patch(f"{signing}/approval", {"status": {"conditions": [{**APPROVED, "status": "False"}]}}))
    assert 'status.conditions[0].status: Unsupported value: "False": supported values: "True"' in text


def test_a_signer_does_not_approve(cluster: Cluster, signing: str) -> None:
    text = message(cluster.patch(f"{signing}/status", {"status": {"conditions": [APPROVED]}}))
    assert 'status.conditions: Forbidden: updates may not add a condition of type "Approved"' in text
    failed = {"type": "Failed", "status": "True", "reason": "Test", "message": "no"}
    body = cluster.patch(f"{signing}/status", {"status": {"conditions": [failed]}}).ok()
    assert [c["type"] for c in body["status"]["conditions"]] == ["Failed"]


def test_the_request_itself_never_changes(cluster: Cluster, signing: str) -> None:
    before = cluster.get(signing).ok()
    body = {
        "spec": {"usages": ["server auth"]},
        "status": {"conditions": [APPROVED]},
        "metadata": {"labels": {"a": "b"}},
    }
    after = cluster.patch(signing, body).ok()
    assert (after["spec"], after.get("status")) == (before["spec"], before.get("status"))
    assert after["metadata"]["labels"] == {"a": "b"}


def test_counts_of_a_status(cluster: Cluster, ns: str) -> None:
    gated: dict[str, Any] = {"nodeSelector": {"no": "where"}}
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    cluster.post(path, deployment("d", replicas=0, **gated)).ok()
    text = message(cluster.patch(f"{path}/d/status", {"status": {"replicas": -1}}))
    assert "status.replicas: Invalid value: -1: must be greater than or equal to 0" in text
    text = message(cluster.patch(f"{path}/d/status", {"status": {"readyReplicas": 3}}))
    assert "status.readyReplicas: Invalid value: 3: cannot be greater than status.replicas" in text
    path = f"/apis/apps/v1/namespaces/{ns}/statefulsets"
    cluster.post(path, workload("StatefulSet", "s", replicas=0, **gated)).ok()
    text = message(cluster.patch(f"{path}/s/status", {"status": {"replicas": 2, "availableReplicas": 1}}))
    assert "status.availableReplicas: Invalid value: 1: cannot be greater than status.readyReplicas" in text


def test_addresses_of_a_status(cluster: Cluster, ns: str) -> None:
    path = f"/api/v1/namespaces/{ns}/services"
    cluster.post(path, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}).ok()
    found = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    text = message(cluster.patch(f"{path}/s/status", found))
    assert "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'" in text
    path = f"/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses"
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    cluster.post(path, {"metadata": {"name": "i"}, "spec": {"defaultBackend": backend}}).ok()
    found = {"status": {"loadBalancer": {"ingress": [{"hostname": "192.0.2.1"}]}}}
    text = message(cluster.patch(f"{path}/i/status", found))
    assert "status.loadBalancer.ingress[0].hostname" in text
    assert "must be a DNS name, not an IP address" in text


def test_the_phase_of_a_namespace_follows_its_deletion(cluster: Cluster, ns: str) -> None:
    text = message(cluster.patch(f"/api/v1/namespaces/{ns}/status", {"status": {"phase": "Terminating"}}))
    assert "may only be 'Active' if `deletionTimestamp` is empty" in text


def test_conditions_of_a_pod(cluster: Cluster, ns: str) -> None:
    path = f"/api/v1/namespaces/{ns}/pods"
    cluster.post(path, pod("p", nodeSelector={"no": "where"})).ok()
    wrong = {"status": {"conditions": [{"type": "not a name", "status": "True"}]}}
    kind = "application/strategic-merge-patch+json"
    assert "status.conditions[" in message(cluster.patch(f"{path}/p/status", wrong, kind))


@pytest.fixture
def sized(cluster: Cluster, ns: str) -> str:
    """A pod with requests that no node takes."""
    amounts = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}
    path = f"/api/v1/namespaces/{ns}/pods"
    cluster.post(path, pod("p", nodeSelector={"no": "where"}, containers=[container(resources=amounts)])).ok()
    return f"{path}/p"


STRATEGIC = "application/strategic-merge-patch+json"


def resize(cluster: Cluster, path: str, *, metadata: Any = None, **of_container: Any) -> Any:
    body = {"metadata": metadata or {}, "spec": {"containers": [{"name": "app", **of_container}]}}
    return cluster.patch(f"{path}/resize", body, STRATEGIC)


def test_a_pod_is_resized(cluster: Cluster, sized: str) -> None:
    wanted = {"requests": {"cpu": "200m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    answer = resize(cluster, sized, resources=wanted, image="other:1", metadata={"labels": {"not": "kept"}})
    found = answer.ok()
    assert found["spec"]["containers"][0]["resources"] == wanted
    assert found["spec"]["containers"][0]["image"] != "other:1", "a resize touches nothing else"
    assert found["metadata"]["labels"] == {"app": "p"}
    assert found["metadata"]["generation"] == 2


def test_resources_change_by_resize_alone(cluster: Cluster, sized: str) -> None:
    body = {"spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "200m"}}}]}}
    text = message(cluster.patch(sized, body, STRATEGIC))
    assert "spec: Forbidden: pod updates may not change fields other than" in text


def test_what_a_resize_is_refused(cluster: Cluster, sized: str) -> None:
    text = message(resize(cluster, sized, resources={"requests": {"cpu": None}}))
    assert "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed" in text
    text = message(resize(cluster, sized, resources={"requests": {"ephemeral-storage": "1Gi"}}))
    assert "spec: Forbidden: only cpu and memory resources are mutable" in text
    text = message(resize(cluster, sized, resources={"limits": {"cpu": "100m"}}))
    assert "Pod QOS Class may not change as a result of resizing" in text
    body = cluster.get(sized).ok()
    del body["metadata"]["resourceVersion"]  # the scheduler writes, too
    body["spec"]["containers"].append(container("more"))
    text = message(cluster.put(f"{sized}/resize", body))
    assert "spec.containers: Forbidden: containers may not be added or removed on resize" in text


def test_a_running_pod_is_resized(running: Cluster, ns: str) -> None:
    path = f"/api/v1/namespaces/{ns}/pods/p"
    amounts = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    running.post(f"/api/v1/namespaces/{ns}/pods", pod("p", containers=[container(resources=amounts)])).ok()
    running.wait(path, lambda p: p["status"]["phase"] == "Running")
    resize(running, path, resources={"requests": {"cpu": "20m", "memory": "16Mi"}}).ok()

    def resized(found: Any) -> bool:
        (status,) = found["status"]["containerStatuses"]
        return bool(status["resources"]["requests"]["cpu"] == "20m" and status["restartCount"] == 0)

    running.wait(path, resized)


def test_ephemeral_containers_are_added_and_stay(cluster: Cluster, ns: str) -> None:
    path = f"/api/v1/namespaces/{ns}/pods/p"
    cluster.post(f"/api/v1/namespaces/{ns}/pods", pod("p", nodeSelector={"no": "where"})).ok()
    debug = {
        "spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox:1"}]},
        "metadata": {"labels": {"a": "b"}},
    }
    found = cluster.patch(f"{path}/ephemeralcontainers", debug, STRATEGIC).ok()
    assert [c["name"] for c in found["spec"]["ephemeralContainers"]] == ["debug"]
    assert found["metadata"]["labels"] == {"app": "p"}
    del found["metadata"]["resourceVersion"]  # the scheduler writes, too
    found["spec"]["ephemeralContainers"] = []
    text = message(cluster.put(f"{path}/ephemeralcontainers", found))
    assert 'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed' in text
