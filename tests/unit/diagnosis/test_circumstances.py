# SPDX-License-Identifier: Apache-2.0
"""What else than a change of the workload explains what it shows: each finder alone, on a namespace in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from a_namespace import NOW, NS, Scene, ago, reading, writer

from backout.cluster.port import DEPLOYMENTS, PODS, Cluster
from backout.diagnosis.attribution.circumstances import Circumstance
from backout.diagnosis.attribution.failures import Failure, Kind
from backout.diagnosis.attribution.finders import circumstance
from backout.diagnosis.attribution.hypotheses import Other, Situation
from backout.diagnosis.attribution.surroundings import shuts
from backout.diagnosis.evidence.collect import read_state
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.history import object_of, read_history
from backout.diagnosis.evidence.namespace import Namespace
from backout.model.evidence import Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef
from backout.ownership.owner import Owner
from backout.snapshots import source

WEB = ObjectRef("apps/v1", "Deployment", "web", NS)
BEGAN = 60


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def explained(
    scene: Scene,
    kind: Kind,
    said: str = "",
    *,
    others: tuple[float, ...] = (),
    conditions: Sequence[dict[str, Any]] = (),
    given: dict[str, Any] | None = None,
    workload: dict[str, Any] | None = None,
    born: float = 7200,
    **spec: Any,
) -> Circumstance:
    """What explains that all pods of a workload fail in that way, since a minute. ``given``: what its pods have beside."""
    scene.workload("web", {**reading("env", "settings"), **spec}, ready=0)
    if given:
        pod = scene.objects["Pod", "web-0"]
        scene.cluster.put(PODS, {**pod, "spec": {**pod["spec"], **given}})
    web = scene.objects["Deployment", "web"]
    web = {**web, "spec": {**web["spec"], **(workload or {})}}
    web["metadata"]["creationTimestamp"] = ago(born)
    scene.cluster.put(DEPLOYMENTS, {**web, "status": {**web["status"], "conditions": list(conditions)}})

    async def look() -> Circumstance:
        namespace = Namespace(cast(Cluster, scene.cluster), NS)
        try:
            state = await read_state(cast(Cluster, scene.cluster), NS, NOW)
            key = (NS, "Deployment", "web")
            obj = await object_of(namespace, state, key)
            assert obj is not None
            history = await read_history(namespace, state, key, Owner(kind="none", message=msg("Nobody.")), obj)
            assert history is not None
            since = NOW - timedelta(seconds=BEGAN)
            symptom = Symptom(code="Broken", ref=WEB, message=msg("{said}", said=said), since=since)
            situation = Situation(
                history=history,
                events=Events(),
                failures=[Failure(symptom=symptom, kinds=frozenset({kind}), container="app", said=said, text=said)],
                since=since,
                others=[Other(at=since + timedelta(seconds=seconds)) for seconds in others],
                now=NOW,
            )
            return await circumstance(situation, namespace)
        finally:
            await namespace.close()

    with source.using(scene.settings):
        return asyncio.run(look())


def node(scene: Scene, name: str, *, ready: str = "True", **spec: Any) -> None:
    scene.put("Node", name, spec=spec, status={"conditions": [{"type": "Ready", "status": ready}]})


QUOTA = 'pods "web-1" is forbidden: exceeded quota: team, requested: cpu=1'


@pytest.mark.parametrize(
    ("seconds", "known"),
    [(90, True), (30, False)],  # set before it began, or only afterwards
)
def test_a_quota_that_somebody_set(scene: Scene, seconds: float, known: bool) -> None:
    made = writer("kubectl-create", 7200, "spec/hard")
    scene.put("ResourceQuota", "team", made, spec={"hard": {"cpu": "10"}})
    scene.snapshot(kinds=("ResourceQuota",))
    scene.put("ResourceQuota", "team", writer("kubectl-edit", seconds, "spec/hard"), spec={"hard": {"cpu": "1"}})
    found = explained(scene, Kind.QUOTA, QUOTA)
    assert (found.change is not None) is known
    if found.change is not None:
        assert str(found.change.target) == "resourcequota/team" and found.change.actor == "kubectl-edit"
        assert found.confidence == "likely"
    else:
        assert (found.key, found.confidence) == ("resourcequota/team", "unknown")


@pytest.mark.parametrize(("seconds", "confidence"), [(120, "likely"), (7000, "unknown")])
def test_a_quota_that_others_use_up(scene: Scene, seconds: float, confidence: str) -> None:
    scene.workload("batch", reading("env", "settings"), replicas=4)
    batch = scene.objects["Deployment", "batch"]
    scaled = writer("kubectl-scale", seconds, "spec/replicas")
    scene.put("Deployment", "batch", scaled, spec=batch["spec"], status=batch["status"])
    found = explained(scene, Kind.QUOTA, QUOTA)
    assert (found.change, found.confidence) == (None, confidence)
    assert ("deployment/batch was scaled to 4" in " ".join(reason.text for reason in found.why)) == (
        confidence == "likely"
    )


@pytest.mark.parametrize(
    ("spec", "kind", "key", "confidence"),
    [
        ({"unschedulable": True}, Kind.CORDON, "nodes", "likely"),
        ({"taints": [{"key": "team", "effect": "NoSchedule"}]}, Kind.TAINT, "nodes", "likely"),
        ({"taints": [{"key": "team", "effect": "PreferNoSchedule"}]}, Kind.TAINT, "scheduling", "unknown"),
        ({"unschedulable": True}, Kind.SELECTOR, "scheduling", "unknown"),
        ({}, Kind.ROOM, "scheduling", "unknown"),
    ],
)
def test_nodes(scene: Scene, spec: dict[str, Any], kind: Kind, key: str, confidence: str) -> None:
    node(scene, "one", **spec)
    found = explained(scene, kind, "0/1 nodes are available")
    assert found.key.partition(":")[0] == key and found.confidence == confidence
    assert found.change is None


GATES = [{"name": "acme.io/quota"}, {"name": "acme.io/net"}]


def test_gates_that_whoever_admits_pods_set(scene: Scene) -> None:
    found = explained(scene, Kind.GATED, given={"schedulingGates": GATES}, schedulingGates=[{"name": "acme.io/net"}])
    assert (found.change, found.confidence, found.key) == (None, "likely", "gates:acme.io/quota")
    assert "does not have them" in found.why[0].text


def test_gates_that_the_template_always_had(scene: Scene) -> None:
    found = explained(scene, Kind.GATED, schedulingGates=GATES)
    assert (found.change, found.confidence) == (None, "likely")
    assert "acme.io/quota, acme.io/net" in str(found.cause) and "had them as well" in found.why[0].text


def test_gates_of_which_nothing_is_known(scene: Scene) -> None:
    found = explained(scene, Kind.GATED)
    assert (found.change, found.confidence, found.why) == (None, "unknown", ())


def test_a_registry_that_does_not_answer(scene: Scene) -> None:
    found = explained(scene, Kind.NO_REGISTRY, "i/o timeout")
    assert (found.key, found.confidence, found.change) == ("registry", "likely", None)


@pytest.mark.parametrize(("there", "key"), [(True, "registry"), (False, "secret/pull")])
def test_a_pull_secret_that_is_gone(scene: Scene, there: bool, key: str) -> None:
    scene.config("pull", kind="Secret")
    scene.snapshot()
    if not there:
        scene.drop("Secret", "pull")
    found = explained(scene, Kind.PULL_DENIED, "unauthorized", imagePullSecrets=[{"name": "pull"}])
    assert found.key == key
    assert found.confidence == ("unknown" if there else "likely")


@pytest.mark.parametrize(
    ("labels", "seconds", "blamed"),
    [
        ({"app": "web"}, 90, True),
        ({}, 90, True),  # of all pods
        ({"app": "other"}, 90, False),
        ({"app": "web"}, 3000, False),  # long before
        ({"app": "web"}, 20, False),  # afterwards
    ],
)
def test_a_network_policy(scene: Scene, labels: dict[str, str], seconds: float, blamed: bool) -> None:
    spec = {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"]}
    scene.put("NetworkPolicy", "deny", writer("kubectl-create", seconds, "spec/podSelector"), born=seconds, spec=spec)
    found = explained(scene, Kind.READINESS)
    assert (str(found.change.target) if found.change else "") == ("networkpolicy/deny" if blamed else "")


@pytest.mark.parametrize(
    ("rule", "blamed"),
    [({"operator": "In", "values": ["web"]}, True), ({"operator": "NotIn", "values": ["web"]}, False)],
)
def test_a_network_policy_that_selects_by_expressions(scene: Scene, rule: dict[str, Any], blamed: bool) -> None:
    spec = {"podSelector": {"matchExpressions": [{"key": "app", **rule}]}, "policyTypes": ["Ingress"]}
    scene.put("NetworkPolicy", "deny", writer("kubectl-create", 65, "spec/podSelector"), born=65, spec=spec)
    found = explained(scene, Kind.CRASH, "exited")
    assert (found.change is not None) is blamed


@pytest.mark.parametrize(
    ("line", "seconds", "blamed"),
    [
        ("dial tcp db:5432: i/o timeout", 65, True),
        ("dial tcp db:5432: i/o timeout", 60 + 3600, False),
        ("dial tcp db:5432: i/o timeout", 30, False),
        ("dial tcp cache:6379: i/o timeout", 65, False),
        ("connected to db:5432; bad input", 65, False),
    ],
)
@pytest.mark.parametrize("what", ["the Service", "a policy for the pods behind it", "a policy for others"])
def test_what_does_not_answer_was_changed(scene: Scene, what: str, line: str, seconds: float, blamed: bool) -> None:
    spec = {"selector": {"app": "db"}, "ports": [{"port": 5432}]}
    scene.workload("db", reading("env", "other"))
    wrote = writer("kubectl-patch", seconds, "spec/internalTrafficPolicy")
    if what == "the Service":
        scene.put("Service", "db", spec=spec)
        scene.snapshot()
        scene.put("Service", "db", wrote, spec={**spec, "internalTrafficPolicy": "Local"})
    else:
        scene.put("Service", "db", spec=spec)
        chosen = {"matchLabels": {"app": "db" if what == "a policy for the pods behind it" else "queue"}}
        made = writer("kubectl-create", seconds, "spec/podSelector")
        scene.put("NetworkPolicy", "deny", made, born=seconds, spec={"podSelector": chosen})
    found = explained(scene, Kind.CRASH, line)
    expected = {"the Service": "service/db", "a policy for the pods behind it": "networkpolicy/deny"}.get(what, "")
    assert (str(found.change.target) if found.change else "") == (expected if blamed else "")


@pytest.mark.parametrize(
    ("before", "after", "ready", "blamed"),
    [
        ({}, {"internalTrafficPolicy": "Local"}, 1, True),
        ({}, {"internalTrafficPolicy": "Local"}, 0, False),  # nobody is there to answer
        ({}, {"sessionAffinity": "ClientIP"}, 1, False),
        ({}, {"ports": [{"port": 5432}, {"port": 9187, "name": "metrics"}]}, 1, False),
        ({}, {"ports": [{"port": 5433}]}, 1, True),
        ({"selector": {"app": "db"}}, {"selector": {"app": "db", "tier": "x"}}, 1, True),
    ],
)
def test_what_of_a_service_can_lose_requests(
    scene: Scene, before: dict[str, Any], after: dict[str, Any], ready: int, blamed: bool
) -> None:
    spec = {"selector": {"app": "db"}, "ports": [{"port": 5432}]}
    scene.workload("db", reading("env", "other"), ready=1)
    scene.put("Service", "db", spec={**spec, **before})
    scene.snapshot()
    scene.workload("db", reading("env", "other"), ready=ready)
    scene.put("Service", "db", writer("kubectl-patch", 65, "spec"), spec={**spec, **after})
    found = explained(scene, Kind.CRASH, "dial tcp db:5432: connect: connection refused")
    assert (str(found.change.target) if found.change else "") == ("service/db" if blamed else "")


@pytest.mark.parametrize(
    ("spec", "ways", "expected"),
    [
        ({"policyTypes": ["Ingress"]}, ("Ingress",), True),
        ({"policyTypes": ["Ingress"]}, ("Egress",), False),
        ({}, ("Ingress",), True),
        ({"egress": [{"to": []}]}, ("Egress",), True),
        ({"policyTypes": ["Ingress"], "ingress": [{}]}, ("Ingress",), False),
        ({"policyTypes": ["Ingress", "Egress"], "egress": [{}]}, ("Egress", "Ingress"), True),
    ],
)
def test_whether_a_policy_shuts_anything(spec: dict[str, Any], ways: tuple[str, ...], expected: bool) -> None:
    assert shuts({"spec": spec}, ways) is expected


@pytest.mark.parametrize(("seconds", "limit", "blamed"), [(600, None, True), (600, "1Gi", False), (1, None, False)])
def test_a_limit_that_the_template_does_not_name(scene: Scene, seconds: float, limit: str | None, blamed: bool) -> None:
    spec = {"limits": [{"type": "Container", "default": {"memory": "16Mi"}}]}
    scene.put("LimitRange", "defaults", writer("kubectl-create", seconds, "spec/limits"), born=seconds, spec=spec)
    container: dict[str, Any] = {"name": "app", "image": "registry.example/app:1"}
    if limit is not None:
        container["resources"] = {"limits": {"memory": limit}}
    found = explained(scene, Kind.OOM, "killed", containers=[container])
    assert (str(found.change.target) if found.change else "") == ("limitrange/defaults" if blamed else "")


@pytest.mark.parametrize(
    ("others", "key"),
    [((1.0, 3.0), "outside"), ((-4.0, 10.0), "outside"), ((1.0,), "unknown"), ((90.0, 120.0), "unknown")],
)
def test_several_at_once(scene: Scene, others: tuple[float, ...], key: str) -> None:
    assert explained(scene, Kind.CRASH, others=others).key.partition(":")[0] == key


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("dial tcp 10.0.0.1:5432: connect: connection refused", "words"),
        ("x509: certificate has expired", "words"),
        ("loading configuration from /etc/app.yaml", "unknown"),
    ],
)
def test_last_words(scene: Scene, line: str, key: str) -> None:
    found = explained(scene, Kind.CRASH, line)
    assert found.key.partition(":")[0] == key
    assert found.confidence == "unknown" and found.notes


@pytest.mark.parametrize(
    ("phase", "key", "confidence"),
    [
        ("Pending", "persistentvolumeclaim/data", "unknown"),
        ("Bound", "unknown", "unknown"),
        (None, "persistentvolumeclaim/data", "possible"),
    ],
)
def test_claims(scene: Scene, phase: str | None, key: str, confidence: str) -> None:
    if phase:
        scene.put("PersistentVolumeClaim", "data", spec={}, status={"phase": phase})
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    found = explained(scene, Kind.MOUNT, volumes=volumes)
    assert (found.key.partition(":")[0], found.confidence) == (key, confidence)


@pytest.mark.parametrize(
    ("holder", "words"),
    [
        ({"namespace": NS, "name": "data", "uid": "the former one"}, "belongs to the one that was deleted"),
        ({"namespace": "other", "name": "logs", "uid": "x"}, "belongs to another claim: other/logs"),
        (None, "which does not exist"),
        ({"namespace": NS, "name": "data", "uid": "PersistentVolumeClaim-data"}, None),  # it is to have it
        ({}, None),  # free
    ],
)
def test_a_claim_that_asks_for_one_volume(scene: Scene, holder: dict[str, str] | None, words: str | None) -> None:
    scene.put("PersistentVolumeClaim", "data", spec={"volumeName": "pv-1"}, status={"phase": "Pending"})
    if holder is not None:
        scene.put("PersistentVolume", "pv-1", meta={"namespace": ""}, spec={"claimRef": holder} if holder else {})
    found = explained(scene, Kind.VOLUME, "unbound", volumes=[mounted("data")])
    assert found.key == "persistentvolumeclaim/data" and found.change is None
    assert found.confidence == ("likely" if words else "unknown")
    assert (words or "is not bound") in found.cause.text


@pytest.mark.parametrize("finalizers", [["kubernetes.io/pvc-protection"], []])
def test_a_claim_that_somebody_deleted_and_that_is_still_there(scene: Scene, finalizers: list[str]) -> None:
    meta = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": finalizers}
    scene.put("PersistentVolumeClaim", "data", spec={}, status={"phase": "Bound"}, meta=meta)
    text = 'persistentvolumeclaim "data" is being deleted'
    found = explained(scene, Kind.VOLUME, text, volumes=[mounted("data")])
    assert (found.key, found.confidence, found.change) == ("persistentvolumeclaim/data", "likely", None)
    assert len(found.why) == (2 if finalizers else 1)


def test_the_account_of_the_pods_is_gone(scene: Scene) -> None:
    found = explained(scene, Kind.ACCOUNT, 'serviceaccount "web" not found', serviceAccountName="web")
    assert found.key == "serviceaccount/web" and found.confidence == "possible"
    scene.put("ServiceAccount", "web")
    found = explained(scene, Kind.ACCOUNT, 'serviceaccount "web" not found', serviceAccountName="web")
    assert found.key.partition(":")[0] == "unknown"


@pytest.mark.parametrize(("storage", "known"), [("none-such", True), ("fast", False)])
def test_a_claim_of_a_set_that_somebody_made_anew(scene: Scene, storage: str, known: bool) -> None:
    def claim(storage: str, phase: str, *writers: dict[str, Any], born: float) -> None:
        spec = {"storageClassName": storage}
        scene.put("PersistentVolumeClaim", "data-web-0", *writers, born=born, spec=spec, status={"phase": phase})

    claim("fast", "Bound", born=7200)
    scene.snapshot(kinds=("PersistentVolumeClaim",))
    claim(storage, "Pending", writer("kubectl-create", 90, "spec/storageClassName"), born=90)
    found = explained(scene, Kind.VOLUME, "unbound", volumes=[mounted("data-web-0")])
    assert found.key == "persistentvolumeclaim/data-web-0"
    assert (found.change is not None, found.confidence) == ((True, "likely") if known else (False, "unknown"))


def mounted(claim: str) -> dict[str, Any]:
    return {"name": "data", "persistentVolumeClaim": {"claimName": claim}}


@pytest.mark.parametrize(("ran", "confidence"), [(True, "likely"), (False, "unknown")])
def test_an_object_that_is_gone_was_there_where_all_pods_were_ready_once(
    scene: Scene, ran: bool, confidence: str
) -> None:
    said = 'Error: configmap "settings" not found'
    scene.workload("web", reading("env", "settings"), ready=0)
    name = next(name for kind, name in scene.objects if kind == "ReplicaSet")
    done = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    done |= {"lastUpdateTime": ago(3600), "message": f'ReplicaSet "{name}" has successfully progressed.'}
    found = explained(scene, Kind.CONFIG, said, conditions=[done] * ran)
    assert (str(found.change.target) if found.change else "", found.confidence) == (
        ("configmap/settings", confidence) if ran else ("", confidence)
    )


@pytest.mark.parametrize(
    ("said", "behind", "release", "expected"),
    [
        (
            "lookup ratings on 10.96.0.10:53: no such host",
            False,
            "",
            "deployment/ratings, service/ratings do not exist",
        ),
        (
            "lookup ratings on 10.96.0.10:53: no such host",
            False,
            "shop",
            "helm/shop was uninstalled: deployment/ratings",
        ),
        ("dial tcp ratings:8080: connection refused", False, "", "deployment/ratings, service/ratings do not exist"),
        ("lookup ratings on 10.96.0.10:53: no such host", True, "", None),  # the Service alone is told of elsewhere
        ("lookup other on 10.96.0.10:53: no such host", False, "", None),
        ("exit status 3", False, "", None),
    ],
)
def test_a_service_that_went_with_what_is_behind_it(
    scene: Scene, said: str, behind: bool, release: str, expected: str | None
) -> None:
    scene.workload("ratings", reading("env", "settings"))
    meta = {"annotations": {"meta.helm.sh/release-name": release}} if release else {}
    scene.put("Service", "ratings", meta=meta, spec={"selector": {"app": "ratings"}})
    scene.snapshot(kinds=("Service", "Deployment"))
    scene.drop("Service", "ratings")
    if not behind:
        scene.drop("Deployment", "ratings")
    found = explained(scene, Kind.CRASH, said)
    if expected is None:
        assert found.key != "service/ratings"
        return
    assert expected in found.cause.text
    assert (found.key, found.confidence, found.change) == ("service/ratings", "likely", None)


@pytest.mark.parametrize(
    ("said", "key", "confidence"),
    [
        (
            'Internal error occurred: failed calling webhook "pods.inject.example": failed to call webhook: Post '
            '"https://injector.mesh.svc:443/inject?timeout=10s": no endpoints available for service "injector"',
            "webhook/pods.inject.example",
            "likely",
        ),
        (
            'admission webhook "validate.kyverno.svc" denied the request: no limits',
            "policy/validate.kyverno.svc",
            "likely",
        ),
        (
            "pods \"web-1\" is forbidden: ValidatingAdmissionPolicy 'no-latest' with binding 'all' denied request: tag",
            "policy/no-latest",
            "likely",
        ),
        (
            'pods "web-1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot',
            f"pod-security/{NS}",
            "likely",
        ),
        ("pods are refused for a reason of their own", f"unknown:{(NS, 'Deployment', 'web')}", "unknown"),
    ],
)
def test_who_does_not_let_pods_in(scene: Scene, said: str, key: str, confidence: str) -> None:
    found = explained(scene, Kind.NOT_CREATED, said)
    assert (found.key, found.confidence, found.change) == (key, confidence, None)


@pytest.mark.parametrize(
    ("born", "policy", "kept", "expected"),
    [
        (60, "Delete", True, "persistentVolumeClaimRetentionPolicy"),
        (60, "Retain", True, "were made anew and are empty"),
        (7200, "Delete", True, None),  # as old as all that was well
        (60, "Delete", False, None),  # a new member: its disk was to be empty
    ],
)
def test_disks_that_are_empty_since_their_claims_were_made_anew(
    scene: Scene, born: float, policy: str, kept: bool, expected: str | None
) -> None:
    if kept:
        scene.put("PersistentVolumeClaim", "data-web-0", spec={}, status={"phase": "Bound"})
    scene.put("PersistentVolumeClaim", "data-web-1", spec={}, status={"phase": "Bound"})
    scene.snapshot(kinds=("PersistentVolumeClaim",))
    scene.put("PersistentVolumeClaim", "data-web-0", born=born, spec={}, status={"phase": "Bound"})
    found = explained(
        scene,
        Kind.CRASH,
        "fatal: /data is empty",
        workload={
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            "persistentVolumeClaimRetentionPolicy": {"whenScaled": policy},
        },
    )
    assert (expected in found.cause.text) if expected else not found.key.startswith("emptied")
    if expected:
        assert (found.confidence, found.change) == ("likely", None) and "data-web-0" in found.cause.text


def _complete(seconds: float) -> dict[str, Any]:
    done = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    return {**done, "lastUpdateTime": ago(seconds), "message": 'ReplicaSet "web-5f" has successfully progressed.'}


@pytest.mark.parametrize(
    ("ready", "seconds", "blamed"),
    [
        (100, 70, True),  # all pods were ready before it came
        (66, 70, False),  # it was there before they were
        (None, 70, False),  # made within a minute of the workload, and nothing tells more
        (None, 61, True),
    ],
)
def test_a_policy_that_nothing_else_knows_of(scene: Scene, ready: float | None, seconds: float, blamed: bool) -> None:
    """Without a snapshot: what was made together with the workload is as old as it."""
    spec = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}
    scene.put("NetworkPolicy", "deny", writer("kubectl-create", seconds, "spec/podSelector"), born=seconds, spec=spec)
    conditions = [_complete(ready)] if ready is not None else []
    found = explained(scene, Kind.CRASH, "dial tcp: i/o timeout", born=122, conditions=conditions)
    assert (found.change is not None) is blamed


@pytest.mark.parametrize(
    ("said", "subject", "there", "ran", "expected"),
    [
        ("pods is forbidden", "looker", False, True, "role/looker"),
        ("pods is forbidden", "looker", True, True, ""),
        ("pods is forbidden", "another", False, True, ""),
        ("exit status 3", "looker", False, True, ""),
        ("pods is forbidden", "looker", False, False, ""),  # nobody knows that it ever was there
    ],
)
def test_a_role_that_a_binding_names_and_that_is_gone(
    scene: Scene, said: str, subject: str, there: bool, ran: bool, expected: str
) -> None:
    scene.put("ServiceAccount", "looker")
    subjects = [{"kind": "ServiceAccount", "name": subject, "namespace": NS}]
    scene.put("RoleBinding", "looker", roleRef={"kind": "Role", "name": "looker"}, subjects=subjects)
    if there:
        scene.put("Role", "looker", rules=[])
    found = explained(scene, Kind.CRASH, said, serviceAccountName="looker", conditions=[_complete(300)] if ran else [])
    assert (str(found.change.touches[0]) if found.change else "") == expected
    assert (found.confidence == "likely") is bool(expected)
