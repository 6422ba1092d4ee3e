# SPDX-License-Identifier: Apache-2.0
"""What an operator made of a release's custom resources speaks for or against its revisions."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import msgspec
import pytest
from helm_histories import NS, fact, manifest, minutes

from backout.cluster.port import ClusterReader
from backout.helm.customs import CustomId, CustomResource, custom_resources
from backout.kube.custom_status import CustomHealth, CustomState
from backout.kube.projections import Event
from backout.mechanisms.common.evidence import Evidence, Generation, LivePod, LiveWorkload
from backout.mechanisms.common.findings import Span, Verdicts
from backout.mechanisms.common.made import Child
from backout.mechanisms.helm.backoffs import BackOff, read_backoffs
from backout.mechanisms.helm.children import Custom, custom_findings
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


def test_what_the_operator_says_counts_against_the_newest_and_for_no_earlier_one() -> None:
    """Conditions of prometheus-operator have the time of their last writing: that all was well before, they do not tell."""
    refused = CustomHealth(
        state=CustomState.FAILED, message="invalid retention", since=minutes(20) + timedelta(seconds=3)
    )
    assert good(found(seen(), refused, "1", "2")) == {2: False}
    earlier = msgspec.structs.replace(refused, since=minutes(15))
    assert good(found(seen(), earlier, "1", "2")) == {}
    assert good(found(seen(), refused, "1", "1")) == {2: False, 1: False}


def test_what_failed_since_an_earlier_revision_was_bad_from_that_one_on() -> None:
    since = CustomHealth(state=CustomState.FAILED, since=minutes(20) + timedelta(seconds=3))
    assert good(found(seen(), since, "1", "2", "3", "4")) == {2: False, 3: False}
    long_after = msgspec.structs.replace(since, since=minutes(25))
    assert good(found(seen(), long_after, "1", "2", "3", "4")) == {}


def test_events_of_pods_that_are_gone_speak_against_the_revision_that_they_failed_to_the_end_of() -> None:
    versions = [described(image) for image in ("1", "2", "3")]
    spans = [Span(number=n, started=minutes(10 * n), ended=minutes(10 * n + 10) if n < 3 else None) for n in (1, 2, 3)]

    def against(first: float, last: float) -> dict[int, bool]:
        told = BackOff(pod="prometheus-main-0", first=minutes(first), last=minutes(last))
        custom = Custom(resource=versions[-1], children=(CHILD,), health=READY, backoffs=(told,))
        return good(custom_findings(custom, Evidence(workloads={CHILD.id: seen()}), versions, spans))

    assert against(20.1, 29) == {2: False}
    # It came up in the end; of the newest, what is live speaks; what failed before a revision is not of it.
    assert against(20.1, 23) == {} == against(30.1, 31)
    assert against(19.5, 29) == {1: False}


@pytest.mark.parametrize(
    ("pod_name", "owner"),
    [
        ("prometheus-main-0", "prometheus-main"),
        ("prometheus-main-extra-0", "prometheus-main-extra"),
        ("query-5d9c-x7k2p", "query"),
        ("other-0", ""),
        ("prometheus-main", ""),
    ],
)
def test_events_name_pods_and_pods_are_named_after_what_made_them(pod_name: str, owner: str) -> None:
    workloads = ("prometheus-main", "prometheus-main-extra", "query")
    moment = "2026-11-22T10:00:00Z"
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": NS},
        "involvedObject": {"kind": "Pod", "name": pod_name, "namespace": NS},
        "type": "Warning",
        "reason": "BackOff",
        "firstTimestamp": moment,
        "lastTimestamp": moment,
    }
    listed = msgspec.convert(event, Event)

    class Reader:
        async def list_as(self, *_: object, **options: str) -> list[Event]:
            assert options["fields"] == "involvedObject.kind=Pod"
            return [listed]

    made = {("Prometheus", NS, name): [name] for name in workloads}
    answer = asyncio.run(read_backoffs(cast(ClusterReader, Reader()), made))
    assert {identity[2] for identity in answer} == ({owner} if owner else set())


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


@pytest.mark.parametrize("minutes_in_force", [30, 5])
def test_the_one_before_a_bad_resource_is_good_with_what_is_not_known_said(minutes_in_force: float) -> None:
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
    assert [verdict.goodness for verdict in verdicts] == ["good", "bad"]
    assert "not seen any more" in str(verdicts[0].reasons[-1])


def judged(*images: str, pods: tuple[LivePod, ...], left: int = 0, stood: float = 10, **facets: Any) -> list[str]:
    """Verdicts on revisions whose workload is as good as it was; the newest goes back from nothing."""
    facts = [fact(n, text=release_text(image)) for n, image in enumerate(images, 1)]
    facts = [
        msgspec.structs.replace(
            one,
            customs=custom_resources(one.release.manifest, NS),
            left_for=left - 1 if number == left else 0,
            started=minutes(10 * number),
            ended=minutes(10 * number + stood) if number < len(images) else None,
        )
        for number, one in enumerate(facts, 1)
        if one.release
    ]
    custom = Custom(resource=facts[-1].customs[0], children=(CHILD,), health=READY, **facets)
    template = facts[0].workloads[0].template
    web = LiveWorkload(
        kind="Deployment",
        name="web",
        template=template,
        at=minutes(60),
        generations=(Generation(name="r", template=template, order=1, created=minutes(1), ready=1),),
        pods=(LivePod(name="web-1", generation="r", created=minutes(1), steady=True, ready_since=minutes(2)),),
    )
    generations = [(pod.generation, 10 * float(pod.generation) + 0.1) for pod in pods]
    evidence = Evidence(workloads={CHILD.id: seen(*generations, pods=pods), ("Deployment", NS, "web"): web})
    return [verdict.goodness for verdict in judge(facts, evidence, {custom.resource.id: custom})]


def test_what_crashed_before_the_newest_mended_it_is_no_way_back() -> None:
    crashed = BackOff(pod="prometheus-main-0", first=minutes(20.1), last=minutes(29))
    mended = (pod("3", ready=31),)
    assert judged("p:1", "p:2-bad", "p:3", pods=mended, backoffs=(crashed,)) == ["good", "bad", "good"]
    assert judged("p:1", "p:2", "p:3", pods=mended) == ["good", "good", "good"]
    # Soon replaced, and not because of what fails now.
    assert judged("p:1", "p:2", "p:3", pods=mended, stood=9) == ["unknown", "unknown", "good"]


def test_what_somebody_rolled_back_from_is_not_good_for_want_of_witnesses() -> None:
    assert judged("p:1", "p:2", "p:1", "p:2", "p:3", pods=(pod("5", ready=51),), left=2) == [
        "good",
        "unknown",
        "good",
        "unknown",
        "good",
    ]


def test_what_is_proven_comes_before_what_nobody_saw_after_it() -> None:
    """The operator refused 2 and 3: what it made of 1 still runs."""
    assert judged("p:1", "p:2", "p:3", pods=(pod("1", ready=11),))[:2] == ["good", "unknown"]


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
