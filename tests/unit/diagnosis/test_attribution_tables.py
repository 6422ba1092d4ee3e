# SPDX-License-Identifier: Apache-2.0
"""The tables of attribution: what kind of failure a symptom is, which fields can cause it, and what last words point to."""

from __future__ import annotations

import pytest

from backout.diagnosis.attribution.capability import can_cause
from backout.diagnosis.attribution.failures import Failure, Kind, failure_of
from backout.diagnosis.attribution.signals import signals
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef

WEB = ObjectRef("apps/v1", "Deployment", "web", "shop")
POD = ObjectRef("v1", "Pod", "web-1", "shop")


def symptom(code: str, text: str = "", container: str = "", event: str = "") -> Symptom:
    evidence = [Evidence(source="pod", ref=POD, message=msg("x"), data={"container": container} if container else {})]
    if event:
        evidence.append(Evidence(source="event", ref=POD, message=msg("{text}", text=event)))
    return Symptom(code=code, ref=WEB, message=msg("{text}", text=text), evidence=tuple(evidence))


@pytest.mark.parametrize(
    ("code", "text", "kinds"),
    [
        (
            "Unschedulable",
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
            {Kind.SELECTOR},
        ),
        (
            "Unschedulable",
            "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient memory.",
            {Kind.TAINT, Kind.ROOM},
        ),
        ("Unschedulable", "0/1 nodes are available: 1 node(s) were unschedulable.", {Kind.CORDON}),
        ("Unschedulable", "pod has unbound immediate PersistentVolumeClaims.", {Kind.VOLUME}),
        ("Unschedulable", "1 node(s) had volume node affinity conflict.", {Kind.VOLUME}),
        ("Unschedulable", "1 node(s) didn't have free ports for the requested pod ports.", {Kind.PORT}),
        ("Unschedulable", "1 node(s) didn't match pod anti-affinity rules.", {Kind.SPREAD}),
        ("Unschedulable", "0/2 nodes are available: 2 cannot allocate all claims.", {Kind.DEVICE}),
        ("Unschedulable", 'waiting for resourceclaim "web-gpu" to be created', {Kind.DEVICE}),
        ("Unschedulable", "something new", {Kind.UNPLACED}),
        ("SchedulingGated", "acme.io/quota", {Kind.GATED}),
        ("ReplicaFailure", 'pods "w" is forbidden: exceeded quota: q, requested: cpu=1', {Kind.QUOTA}),
        ("ReplicaFailure", 'pods "w" is forbidden: failed quota: q: must specify limits.memory', {Kind.QUOTA}),
        ("ReplicaFailure", "maximum memory usage per Container is 100Mi, but limit is 200Mi", {Kind.LIMIT_RANGE}),
        ("ReplicaFailure", 'error looking up service account shop/w: serviceaccount "w" not found', {Kind.ACCOUNT}),
        ("ReplicaFailure", "admission webhook denied the request", {Kind.NOT_CREATED}),
        ("ImagePullBackOff", "manifest unknown", {Kind.NO_IMAGE}),
        ("ImagePullBackOff", "pull access denied, may require authorization", {Kind.PULL_DENIED}),
        ("ImagePullBackOff", "dial tcp 10.0.0.1:443: i/o timeout", {Kind.NO_REGISTRY}),
        ("ImagePullBackOff", "lookup registry.local: no such host", {Kind.NO_REGISTRY}),
        ("ImagePullBackOff", "toomanyrequests: You have reached your pull rate limit", {Kind.NO_REGISTRY}),
        ("ImagePullBackOff", "app:429: manifest unknown", {Kind.NO_IMAGE}),
        ("InvalidImageName", "", {Kind.NO_IMAGE}),
        ("CreateContainerConfigError", 'configmap "settings" not found', {Kind.CONFIG}),
        ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root", {Kind.SECURITY}),
        (
            "CreateContainerConfigError",
            'failed to prepare subPath for volumeMount "conf" of container "main"',
            {Kind.MOUNT},
        ),
        ("CrashLoopBackOff", "Liveness probe failed: HTTP 503", {Kind.CRASH, Kind.LIVENESS}),
        ("CrashLoopBackOff", "exec format error", {Kind.CRASH, Kind.START}),
        (
            "CrashLoopBackOff",
            'unable to start container process: error during container init: exec: "/opt/app": stat /opt/app: no such file',
            {Kind.CRASH, Kind.START},
        ),
        ("CrashLoopBackOff", "exit code 127", {Kind.CRASH, Kind.START}),
        ("CrashLoopBackOff", "exit code 1", {Kind.CRASH}),
        ("OOMKilled", "", {Kind.OOM}),
        ("NotReady", "", {Kind.READINESS}),
        (
            "NotReady",
            'corresponding condition of pod readiness gate "acme.io/lit" does not exist.',
            {Kind.READINESS, Kind.UNMET},
        ),
        ("RolloutStuck", "", {Kind.FOLLOWS}),
    ],
)
def test_what_kind_of_failure_it_is(code: str, text: str, kinds: set[Kind]) -> None:
    assert failure_of(symptom(code, text)).kinds == kinds


def test_a_probe_that_is_refused_points_nowhere() -> None:
    words = "Readiness probe failed: dial tcp 10.0.0.1:80: connect: connection refused"
    refused = Evidence(source="event", ref=POD, message=msg("{text}", text=words), data={"reason": "Unhealthy"})
    seen = Symptom(code="NotReady", ref=WEB, message=msg("x"), evidence=(refused,))
    assert list(signals(failure_of(seen).said)) == []


def failure(kind: Kind, container: str = "main") -> Failure:
    return Failure(symptom=symptom("x"), kinds=frozenset({kind}), container=container)


MAIN = "spec.template.spec.containers[name=main]"


@pytest.mark.parametrize(
    ("path", "can", "cannot"),
    [
        (f"{MAIN}.image", {Kind.NO_IMAGE, Kind.CRASH, Kind.OOM, Kind.START}, {Kind.SELECTOR, Kind.QUOTA, Kind.ROOM}),
        (f"{MAIN}.env[name=A].value", {Kind.CRASH, Kind.READINESS}, {Kind.SELECTOR, Kind.NO_IMAGE, Kind.QUOTA}),
        (f"{MAIN}.command[0]", {Kind.CRASH, Kind.START}, {Kind.NO_REGISTRY, Kind.TAINT}),
        (f"{MAIN}.resources.requests.cpu", {Kind.ROOM, Kind.QUOTA, Kind.LIMIT_RANGE}, {Kind.NO_IMAGE, Kind.SELECTOR}),
        (f"{MAIN}.resources.limits.memory", {Kind.OOM, Kind.QUOTA}, {Kind.NO_IMAGE, Kind.CONFIG}),
        (f"{MAIN}.readinessProbe.httpGet.port", {Kind.READINESS}, {Kind.CRASH, Kind.OOM}),
        (f"{MAIN}.livenessProbe.httpGet.port", {Kind.LIVENESS, Kind.CRASH}, {Kind.NO_IMAGE}),
        ("spec.template.spec.nodeSelector.pool", {Kind.SELECTOR, Kind.VOLUME}, {Kind.CRASH, Kind.NO_IMAGE}),
        ("spec.template.spec.tolerations[0].key", {Kind.TAINT}, {Kind.SELECTOR, Kind.CRASH}),
        ("spec.template.spec.volumes[name=c].configMap.name", {Kind.MOUNT, Kind.CONFIG, Kind.CRASH}, {Kind.QUOTA}),
        ("spec.template.spec.imagePullSecrets[name=a].name", {Kind.PULL_DENIED}, {Kind.CRASH, Kind.NO_REGISTRY}),
        ("spec.template.spec.serviceAccountName", {Kind.ACCOUNT, Kind.CRASH}, {Kind.NO_REGISTRY, Kind.OOM}),
        ("spec.replicas", {Kind.SCALED, Kind.QUOTA, Kind.ROOM}, {Kind.NO_REGISTRY, Kind.CRASH, Kind.SELECTOR}),
        ("spec.strategy.type", set(), set(Kind) - {Kind.HELD}),
        (
            'spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]',
            set(),
            {Kind.CRASH, Kind.QUOTA, Kind.NOT_CREATED},
        ),
        ("configmap/settings data.LEVEL", {Kind.CRASH, Kind.CONFIG}, {Kind.SELECTOR, Kind.NO_REGISTRY}),
        ("resourcequota/q spec.hard.pods", {Kind.QUOTA}, {Kind.CRASH}),
    ],
)
def test_which_failures_a_field_can_cause(path: str, can: set[Kind], cannot: set[Kind]) -> None:
    assert {kind for kind in can if not can_cause(path, failure(kind))} == set()
    assert {kind for kind in cannot if can_cause(path, failure(kind))} == set()


def test_one_container_does_not_end_another_one() -> None:
    assert not can_cause("spec.template.spec.containers[name=sidecar].image", failure(Kind.CRASH, "main"))
    assert can_cause("spec.template.spec.containers[name=sidecar].image", failure(Kind.CRASH, "sidecar"))
    # but for a port that it takes, and for what all of them need
    assert can_cause(
        "spec.template.spec.containers[name=sidecar].ports[containerPort=80].containerPort", failure(Kind.CRASH)
    )
    assert can_cause("spec.template.spec.volumes[name=c].configMap.name", failure(Kind.CRASH))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("dial tcp: lookup db on 10.96.0.10:53: no such host", "dns"),
        ("x509: certificate has expired or is not yet valid", "certificate"),
        ("write /data/wal: no space left on device", "disk"),
        ('FATAL: password authentication failed for user "shop"', "credentials"),
        ('pods is forbidden: User "system:serviceaccount:a:b" cannot list', "rights"),
        ("dial tcp 10.0.0.7:5432: connect: connection refused", "dependency"),
    ],
)
def test_what_last_words_point_to(line: str, name: str) -> None:
    assert next(signals(line)).name == name


@pytest.mark.parametrize(
    "line", ["loading configuration from /etc/app/app.yaml", "listening on :8080", "panic: nil map", "exit status 1"]
)
def test_ordinary_lines_name_nothing(line: str) -> None:
    assert list(signals(line)) == []
