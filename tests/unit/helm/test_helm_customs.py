# SPDX-License-Identifier: Apache-2.0
"""What an operator made of a release's custom resources speaks for or against its revisions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from helm_histories import NS, fact, manifest, minutes

from backout.helm.customs import CustomId, CustomResource, custom_resources
from backout.kube.custom_status import CustomHealth, CustomState
from backout.mechanisms.common.evidence import Evidence, Generation, LivePod, LiveWorkload
from backout.mechanisms.common.findings import Span, Verdicts
from backout.mechanisms.helm.children import Child, Custom, custom_findings
from backout.mechanisms.helm.judgement import judge
from backout.mechanisms.helm.settled import drifted_customs

CHILD = Child(kind="StatefulSet", name="prometheus-main", namespace=NS)
READY = CustomHealth(state=CustomState.READY)


def described(image: str) -> CustomResource:
    return CustomResource(
        api_version="monitoring.coreos.com/v1", kind="Prometheus", name="main", namespace=NS, key=image, images=(image,)
    )


def pod(generation: str, *, failing: str = "", ready: float | None = None) -> LivePod:
    since = minutes(ready) if ready is not None else None
    return LivePod(
        name=f"pod-{generation}", generation=generation, steady=not failing, failing=failing, ready_since=since
    )


def seen(
    *generations: tuple[str, float], pods: tuple[LivePod, ...] = (), current: str = "", update: str = ""
) -> LiveWorkload:
    return LiveWorkload(
        kind="StatefulSet",
        name="prometheus-main",
        pods=pods,
        current_revision=current,
        update_revision=update,
        at=minutes(60),
        generations=tuple(
            Generation(name=n, template={}, order=i, created=minutes(at)) for i, (n, at) in enumerate(generations)
        ),
    )


def found(live: LiveWorkload, health: CustomHealth = READY, *images: str, created: float = 0) -> Verdicts:
    versions = [described(image) for image in images]
    spans = [Span(number=n, started=minutes(10 * n), ended=None) for n in range(1, len(images) + 1)]
    custom = Custom(resource=versions[-1], children=(CHILD,), health=health, created=minutes(created))
    return custom_findings(custom, Evidence(workloads={CHILD.id: live}), versions, spans)


def good(verdicts: Verdicts) -> dict[int, bool]:
    return {number: finding.good for (number, _), finding in verdicts.items()}


def test_pods_speak_for_the_revision_in_which_their_template_came_up() -> None:
    live = seen(("a", 10), ("b", 20.01), pods=(pod("b", failing="CrashLoopBackOff"), pod("a", ready=11)))
    assert good(found(live, READY, "1", "2")) == {1: True, 2: False}


def test_a_pod_that_was_ready_for_a_moment_proves_nothing() -> None:
    assert good(found(seen(("a", 10), pods=(pod("a", ready=59.99),)), READY, "1")) == {}


def test_what_every_pod_reached_was_good_and_what_came_after_it_in_vain_was_not() -> None:
    live = seen(("a", 10), ("b", 20), ("c", 30), ("d", 40), current="b", update="d")
    assert good(found(live, READY, "1", "2", "3", "4")) == {2: True, 3: False}


def test_the_first_template_is_the_current_one_from_birth_and_proves_nothing() -> None:
    assert good(found(seen(("a", 10), ("b", 20), current="a", update="b"), READY, "1", "2")) == {}


def test_a_template_that_a_new_operator_made_of_the_same_resource_is_of_the_revision_in_force() -> None:
    live = seen(("a", 10), ("b", 25), pods=(pod("b", ready=26),))
    assert good(found(live, READY, "1", "1", "2")) == {1: True, 2: True}


def test_what_the_operator_says_counts_against_the_newest_and_for_the_one_before() -> None:
    refused = CustomHealth(
        state=CustomState.FAILED, message="invalid retention", since=minutes(20) + timedelta(seconds=3)
    )
    assert good(found(seen(), refused, "1", "2")) == {2: False, 1: True}
    earlier = msgspec.structs.replace(refused, since=minutes(15))
    assert good(found(seen(), earlier, "1", "2")) == {}
    assert good(found(seen(), refused, "1", "2", created=20)) == {2: False}
    assert good(found(seen(), refused, "1", "1")) == {2: False, 1: False}


def release_text(image: str, workload: str = "web:1") -> str:
    obj: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": "main"},
        "spec": {"image": image, "thanos": {"baseImage": "t", "image": "thanos:1"}},
    }
    return manifest(workload, kind="Deployment") + "\n---\n" + msgspec.yaml.encode(obj).decode()


def test_custom_resources_of_a_manifest_have_their_images_and_a_key_of_their_content() -> None:
    first, second = (custom_resources(release_text(image), NS)[0] for image in ("p:1", "p:2"))
    assert first.images == ("p:1", "t", "thanos:1") and first.id == ("Prometheus", NS, "main")
    assert first.key != second.key == custom_resources(release_text("p:2", "web:9"), NS)[0].key


@pytest.mark.parametrize(("minutes_in_force", "before"), [(30, "good"), (5, "unknown")])
def test_the_one_before_a_bad_resource_is_good_if_it_stood_for_a_while_and_what_is_not_known_is_said(
    minutes_in_force: float, before: str
) -> None:
    facts = [fact(n, text=release_text(image)) for n, image in ((1, "p:1"), (2, "p:2-bad"))]
    began = facts[0].started
    assert began is not None
    ended = began + timedelta(minutes=minutes_in_force)
    facts = [msgspec.structs.replace(facts[0], ended=ended), msgspec.structs.replace(facts[1], started=ended)]
    facts = [msgspec.structs.replace(f, customs=custom_resources(f.release.manifest, NS)) for f in facts if f.release]
    custom = Custom(resource=facts[-1].customs[0], children=(CHILD,), health=READY, created=minutes(1))
    came = 1 + minutes_in_force + 0.1
    live = seen(("a", 1), ("b", came), pods=(pod("b", failing="CrashLoopBackOff"),), current="a", update="b")
    web = ("Deployment", NS, "web")
    template = facts[0].workloads[0].template
    serving = LiveWorkload(
        kind="Deployment",
        name="web",
        template=template,
        at=minutes(60),
        generations=(Generation(name="r", template=template, order=1, created=minutes(1), ready=1),),
        pods=(LivePod(name="web-1", generation="r", created=minutes(1), steady=True, ready_since=minutes(2)),),
    )
    evidence = Evidence(workloads={CHILD.id: live, web: serving})
    verdicts = judge(facts, evidence, {custom.resource.id: custom})
    assert [verdict.goodness for verdict in verdicts] == [before, "bad"]
    assert before == "unknown" or "not seen any more" in str(verdicts[0].reasons[-1])


def test_what_failed_long_after_a_revision_began_says_nothing_for_the_one_before() -> None:
    soon = CustomHealth(state=CustomState.FAILED, since=minutes(20.5))
    late = CustomHealth(state=CustomState.FAILED, since=minutes(25))
    assert good(found(seen(), soon, "1", "2")) == {1: True, 2: False}
    assert good(found(seen(), late, "1", "2")) == {2: False}


def test_what_somebody_changed_past_helm_speaks_for_the_revision_before_it_and_not_against_it() -> None:
    failed = CustomHealth(state=CustomState.FAILED, since=minutes(25))
    live = seen(("a", 10), ("b", 25), pods=(pod("b", failing="CrashLoopBackOff"),))
    versions = [described("1")]
    custom = Custom(resource=versions[0], children=(CHILD,), health=failed, created=minutes(10), changed=minutes(25))
    spans = [Span(number=1, started=minutes(10), ended=None)]
    assert good(custom_findings(custom, Evidence(workloads={CHILD.id: live}), versions, spans)) == {1: True}


def edit(image: str, manager: str) -> dict[CustomId, Custom]:
    resource = custom_resources(STORE, NS)[0]
    entry = {"manager": manager, "time": "2026-11-22T10:30:00Z", "fieldsV1": {"f:spec": {"f:image": {}}}}
    live = {
        "metadata": {"name": "main", "namespace": NS, "managedFields": [entry]},
        "spec": {"image": image, "filled": "in"},
    }
    return {resource.id: Custom(resource=resource, children=(CHILD,), obj=live)}


STORE = """apiVersion: data.example/v1
kind: Store
metadata: {name: main}
spec: {image: "store:1", paused: false}
"""


def test_an_edit_of_a_custom_resource_is_named_where_it_contradicts_the_manifest_and_somebody_made_it() -> None:
    facts = [fact(1, text=STORE)]
    notes = drifted_customs(facts, edit("store:2", "kubectl-edit"))
    assert [(note.text, at) for note, at, _ in notes] == [
        ("store/main was changed past Helm since this revision.", minutes(30))
    ]
    assert not drifted_customs(facts, edit("store:1", "kubectl-edit")), "what is filled in contradicts nothing"
    assert not drifted_customs(facts, edit("store:2", "helm")), "Helm wrote that itself"
