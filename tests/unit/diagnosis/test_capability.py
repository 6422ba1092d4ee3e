# SPDX-License-Identifier: Apache-2.0
"""Which fields can have brought which failures: the tables against the published schema, and of custom resources."""

from __future__ import annotations

import pytest

from backout.diagnosis.attribution import capability
from backout.diagnosis.attribution.capability import able, can_cause, innocent, known
from backout.diagnosis.attribution.failures import Failure, Kind
from backout.model.change import FieldChange
from backout.model.evidence import Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef
from kubetwin.apiserver.schema.builtin import raw_definition

POD = ObjectRef("v1", "Pod", "store-0", "ns")


@pytest.mark.parametrize(
    ("field", "kind", "possible"),
    [
        ("spec.image", Kind.NO_IMAGE, True),
        ("spec.image", Kind.CRASH, True),
        ("spec.image", Kind.ROOM, False),
        ("spec.nodeSelector.disk", Kind.SELECTOR, True),
        ("spec.nodeSelector.disk", Kind.CRASH, False),
        ("spec.replicas", Kind.ROOM, True),
        ("spec.replicas", Kind.CRASH, False),
        ("spec.storage.resources.requests", Kind.ROOM, True),
        ("spec.template.resources.limits.memory", Kind.OOM, True),
        ("spec.retentionPolicy", Kind.CRASH, True),
        ("spec.retentionPolicy", Kind.NO_IMAGE, False),
        ("spec.imageName", Kind.NO_IMAGE, True),
        ("spec.imageName", Kind.SELECTOR, False),
        ("spec.kafka.version", Kind.NO_IMAGE, True),
        ("spec.nodeSets[name=default].count", Kind.ROOM, True),
        ("spec.instances", Kind.NO_IMAGE, False),
        ("spec.storage.size", Kind.VOLUME, True),
        ('metadata.labels["team"]', Kind.CRASH, False),
    ],
)
def test_a_field_of_a_custom_resource_and_what_it_can_bring(field: str, kind: Kind, possible: bool) -> None:
    symptom = Symptom(code="Error", ref=POD, message=msg("it fails"))
    failure = Failure(symptom=symptom, kinds=frozenset({kind}))
    assert can_cause(f"datastore/main {field}", failure) is possible


def test_what_is_no_custom_resource_has_a_row_of_its_own() -> None:
    failure = Failure(symptom=Symptom(code="Error", ref=POD, message=msg("it fails")), kinds=frozenset({Kind.CRASH}))
    assert can_cause("configmap/settings data.a", failure)
    assert not can_cause("resourcequota/small spec.hard", failure)


@pytest.mark.parametrize(
    ("before", "after", "kind", "possible"),
    [
        ("256Mi", "10Mi", Kind.OOM, True),
        ("64Mi", "0.5Gi", Kind.OOM, False),
        (None, "64Mi", Kind.OOM, True),
        ("64Mi", None, Kind.OOM, True),  # what the namespace gives by default may be less
        ("64Mi", "512Gi", Kind.LIMIT_RANGE, True),
    ],
)
def test_a_limit_that_was_raised_ends_no_program(
    before: str | None, after: str | None, kind: Kind, possible: bool
) -> None:
    failure = Failure(symptom=Symptom(code="x", ref=POD, message=msg("x")), kinds=frozenset({kind}), container="main")
    field = FieldChange("spec.template.spec.containers[name=main].resources.limits.memory", before, after)
    assert bool(able([field], failure)) is possible


@pytest.mark.parametrize("kind", ["serviceaccount", "secret", "configmap", "role"])
def test_labels_of_what_is_read_lead_to_nothing(kind: str) -> None:
    symptom = Symptom(code="Error", ref=POD, message=msg("it fails"))
    failure = Failure(symptom=symptom, kinds=frozenset({Kind.CRASH, Kind.PULL_DENIED}))
    assert not can_cause(f'{kind}/main metadata.labels["app.kubernetes.io/version"]', failure)
    assert can_cause(f"{kind}/main metadata.name", failure)


TEMPLATE = "spec.template.spec"


def fields(definition: str) -> list[str]:
    return sorted(raw_definition(f"io.k8s.api.{definition}")["properties"])


def published() -> list[str]:
    """A path for each field of a pod, of its containers, of a template's metadata, and of the workloads."""
    lists = ("containers", "initContainers", "ephemeralContainers")
    pods = [f"{TEMPLATE}.{name}" for name in fields("core.v1.PodSpec") if name not in lists]
    containers = [f"{TEMPLATE}.{kind}[name=main].{name}" for kind in lists[:2] for name in fields("core.v1.Container")]
    meta = sorted(raw_definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")["properties"])
    specs = {name for kind in ("Deployment", "StatefulSet", "DaemonSet") for name in fields(f"apps.v1.{kind}Spec")}
    return [
        *pods,
        *containers,
        f"{TEMPLATE}.ephemeralContainers",
        *(f"spec.template.metadata.{name}" for name in meta),
        *(f"metadata.{name}" for name in meta),
        *(f"spec.{name}" for name in sorted(specs - {"template"})),
    ]


@pytest.mark.parametrize("path", published())
def test_each_field_has_a_row_or_a_reason(path: str) -> None:
    assert known(path), "a field of Kubernetes that no table tells of: what can it cause, or why nothing?"


def test_no_row_is_of_a_field_that_does_not_exist() -> None:
    """A row that nothing matches is a slip of the pen, or hidden by one before it."""
    inside = {
        "env": ["env[name=A].value", "env[name=A].valueFrom.secretKeyRef.name"],
        "resources": ["resources.limits.memory", "resources.limits.cpu", "resources.claims[name=gpu].request"],
    }
    paths = published()
    paths += [f"{TEMPLATE}.containers[name=main].{path}" for some in inside.values() for path in some]
    paths += [f"{TEMPLATE}.{path}" for path in inside["resources"]]
    met = set()
    for path in paths:
        inner = path.removeprefix("spec.template.") if path.startswith("spec.template.") else None
        container = capability.re.match(capability._CONTAINER, inner) if inner else None
        for table, where in (
            (capability.WORKLOAD, path if inner is None else ""),
            (capability.POD, inner if inner is not None and container is None else ""),
            (capability.TABLE, inner[container.end() :] if inner is not None and container is not None else ""),
        ):
            met.add(next((p for p, _ in table if where and capability.re.search(p, where)), ""))
        met |= {p for p, _ in capability.NOTHING if capability.re.search(p, path)}
    rows = [p for table in (capability.WORKLOAD, capability.POD, capability.TABLE) for p, _ in table]
    reasons = [pattern for pattern, _ in capability.NOTHING if not pattern.startswith(r"^(kind")]
    assert [pattern for pattern in (*rows, *reasons) if pattern not in met] == []
    assert all(why for _, why in capability.NOTHING)


def test_nothing_is_in_both() -> None:
    named = [path for path in published() if innocent(path)]
    assert named
    for path in named:
        assert not [kind for kind in Kind if kind is not Kind.HELD and can_cause(path, failing(kind))], path


def failing(*kinds: Kind, text: str = "", container: str = "") -> Failure:
    symptom = Symptom(code="x", ref=POD, message=msg("x"))
    return Failure(symptom=symptom, kinds=frozenset(kinds), text=text, container=container)


def test_a_field_of_a_newer_kubernetes_is_ruled_out_of_nothing_and_known_of_nothing() -> None:
    for path in (f"{TEMPLATE}.quantumEntanglement", f"{TEMPLATE}.containers[name=main].warpDrive", "spec.newKnob"):
        assert not known(path)
        assert can_cause(path, failing(Kind.CRASH, container="main"))
    # What one container has is no cause of what another one suffers from, whatever it is.
    assert not can_cause(f"{TEMPLATE}.containers[name=side].warpDrive", failing(Kind.CRASH, container="main"))


@pytest.mark.parametrize(
    ("path", "can", "cannot"),
    [
        (f"{TEMPLATE}.schedulingGates[name=a.io/b].name", set(), {Kind.SELECTOR, Kind.ROOM, Kind.CRASH}),
        (
            f"{TEMPLATE}.resourceClaims[name=gpu].resourceClaimName",
            {Kind.DEVICE, Kind.READINESS},
            {Kind.ROOM, Kind.OOM},
        ),
        (f"{TEMPLATE}.containers[name=main].resources.claims[name=gpu].request", {Kind.DEVICE}, {Kind.OOM}),
        (f"{TEMPLATE}.os.name", {Kind.READINESS, Kind.SECURITY, Kind.NOT_CREATED}, {Kind.TAINT, Kind.NO_IMAGE}),
        (f"{TEMPLATE}.hostUsers", {Kind.START, Kind.MOUNT, Kind.CRASH}, {Kind.SELECTOR, Kind.NO_IMAGE}),
        (f"{TEMPLATE}.runtimeClassName", {Kind.NOT_CREATED, Kind.READINESS, Kind.SELECTOR}, {Kind.NO_IMAGE}),
        (f"{TEMPLATE}.priorityClassName", {Kind.NOT_CREATED, Kind.ROOM, Kind.QUOTA}, {Kind.CRASH}),
        (f"{TEMPLATE}.preemptionPolicy", {Kind.ROOM, Kind.NOT_CREATED}, {Kind.CRASH, Kind.SELECTOR}),
        (f"{TEMPLATE}.topologySpreadConstraints[topologyKey=z].maxSkew", {Kind.SPREAD}, {Kind.CRASH, Kind.ROOM}),
        (f"{TEMPLATE}.readinessGates[0].name", set(), {Kind.CRASH, Kind.READINESS}),
        (f"{TEMPLATE}.dnsConfig.nameservers[0]", {Kind.CRASH, Kind.READINESS, Kind.INIT}, {Kind.SELECTOR}),
        (f"{TEMPLATE}.hostAliases[ip=10.0.0.1].hostnames[0]", {Kind.CRASH, Kind.LIVENESS}, {Kind.NO_IMAGE}),
        (f"{TEMPLATE}.setHostnameAsFQDN", {Kind.READINESS}, {Kind.ROOM}),
        (f"{TEMPLATE}.resources.limits.memory", {Kind.OOM, Kind.ROOM, Kind.QUOTA}, {Kind.NO_IMAGE}),
        (f"{TEMPLATE}.containers[name=main].ports[containerPort=80].hostPort", {Kind.PORT}, {Kind.NO_IMAGE}),
        (
            f"{TEMPLATE}.containers[name=main].volumeMounts[mountPath=/etc/a].subPath",
            {Kind.MOUNT, Kind.START},
            {Kind.ROOM},
        ),
        (
            f"{TEMPLATE}.containers[name=main].lifecycle.postStart.exec.command[0]",
            {Kind.CRASH, Kind.READINESS},
            {Kind.OOM},
        ),
        (
            f"{TEMPLATE}.containers[name=main].readinessProbe.exec.command[0]",
            {Kind.READINESS},
            {Kind.CRASH, Kind.START},
        ),
        (f"{TEMPLATE}.initContainers[name=main].restartPolicy", {Kind.INIT, Kind.READINESS}, {Kind.NO_IMAGE}),
        (f"{TEMPLATE}.containers[name=main].terminationMessagePath", {Kind.START}, {Kind.CRASH}),
        ("spec.progressDeadlineSeconds", {Kind.FOLLOWS}, {Kind.CRASH, Kind.READINESS}),
        ("spec.volumeClaimTemplates[0].spec.storageClassName", {Kind.VOLUME}, {Kind.CRASH, Kind.SELECTOR}),
    ],
)
def test_what_fields_that_are_seldom_changed_can_bring(path: str, can: set[Kind], cannot: set[Kind]) -> None:
    assert {kind for kind in can if not can_cause(path, failing(kind, container="main"))} == set()
    assert {kind for kind in cannot if can_cause(path, failing(kind, container="main"))} == set()


@pytest.mark.parametrize(
    ("gate", "held", "possible"),
    [
        ("acme.io/quota", "acme.io/quota", True),
        ("acme.io/quota", "acme.io/net, acme.io/quota", True),
        ("acme.io/quota", "acme.io/quota-2", False),  # another one, which whoever admits pods set
        ("quota", "acme.io/quota", False),
        (None, "acme.io/quota", False),  # one that was taken out of the template holds nothing
    ],
)
def test_a_gate_holds_back_only_pods_that_have_it(gate: str | None, held: str, possible: bool) -> None:
    field = FieldChange(f"{TEMPLATE}.schedulingGates[name=x].name", None if gate else "acme.io/quota", gate)
    assert bool(able([field], failing(Kind.GATED, text=f"web-1: held back: {held} "))) is possible


@pytest.mark.parametrize(("gate", "possible"), [("acme.io/lit", True), ("acme.io/li", False), (None, False)])
def test_a_readiness_gate_keeps_back_only_pods_that_wait_for_it(gate: str | None, possible: bool) -> None:
    field = FieldChange(f"{TEMPLATE}.readinessGates[0].conditionType", None if gate else "acme.io/lit", gate)
    text = 'web-1: not ready: corresponding condition of pod readiness gate "acme.io/lit" does not exist. '
    assert bool(able([field], failing(Kind.READINESS, Kind.UNMET, text=text))) is possible
    assert not able([field], failing(Kind.READINESS, text="web-1: not ready: HTTP 503"))


@pytest.mark.parametrize(
    ("path", "possible"),
    [
        (f"{TEMPLATE}.os.name", True),
        (f"{TEMPLATE}.containers[name=main].image", True),
        (f"{TEMPLATE}.evictionResponders[0].name", False),
        ("spec.replicas", False),
        ("spec.strategy.type", False),
    ],
)
def test_what_a_stuck_rollout_that_shows_nothing_else_may_come_from(path: str, possible: bool) -> None:
    assert can_cause(path, failing(Kind.FOLLOWS)) is possible
