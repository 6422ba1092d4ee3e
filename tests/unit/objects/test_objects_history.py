# SPDX-License-Identifier: Apache-2.0
"""Revisions out of snapshots: what is good, what is in force, what nobody may learn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from backout import errors
from backout.mechanisms.objects.content import Wanted
from backout.mechanisms.objects.history import ABSENT, ContentRevision, ObjectHistory, ref_of, resource_of, revisions
from backout.mechanisms.objects.preview import between
from backout.model.revision import Revision
from backout.model.scope import ClusterIdentity
from backout.model.snapshot import Snapshot
from backout.model.target import ObjectRef, Target
from backout.planning.choice import choose

AT = datetime(2026, 11, 22, tzinfo=UTC)
REF = ObjectRef("v1", "ConfigMap", "web", "x")
TARGET = Target("configmap", "web", "x")


def snapshot(id: str, **more: Any) -> Snapshot:
    return Snapshot(
        id=id * 32,
        cluster="c",
        identity=ClusterIdentity("u", "ca"),
        namespace="x",
        taken_at=AT,
        **{"kind": "manual", "healthy": True, **more},
    )


def content(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "x"}, "data": data}


def past(number: int, digest: str, *snapshots: Snapshot, **data: str) -> ContentRevision:
    return ContentRevision(number=number, digest=digest, content=content(**data), snapshots=snapshots, created=AT)


def seen(*entries: ContentRevision, good: set[str], repository: str = "r") -> ObjectHistory:
    return ObjectHistory(
        ref=REF, resource=resource_of(REF), live=None, past=entries, good=frozenset(good), repository=repository
    )


def test_the_last_good_content_is_chosen_whatever_came_after() -> None:
    first, second = past(1, "a", snapshot("1"), v="1"), past(2, "b", snapshot("2"), snapshot("3"), v="2")
    broken = past(3, "c", snapshot("4", healthy=False, incident=True), v="3")
    found = revisions(seen(first, second, broken, good={"a", "b"}))
    assert [(r.number, r.goodness, r.current) for r in found] == [
        (1, "good", False),
        (2, "good", False),
        (3, "unknown", True),
    ]
    choice = choose(TARGET, found)
    assert (choice.revision.number, choice.proven) == (2, True)
    assert found[1].names == ("2" * 32, "3" * 32)
    assert "33333333" in choice.why[0].text
    assert "something was broken" in found[2].reasons[0].text


def test_the_snapshot_that_is_told_of_is_a_good_one() -> None:
    before_a_run = snapshot("2", kind="run", healthy=None)
    (found,) = revisions(seen(past(1, "a", snapshot("1"), before_a_run), good={"a"}))
    assert found.names == ("2" * 32, "1" * 32) and "11111111" in found.reasons[0].text


def test_a_content_that_came_back_by_hand_is_good_again() -> None:
    entries = (
        past(1, "a", snapshot("1"), v="1"),
        past(2, "b", snapshot("2", healthy=None), v="2"),
        past(3, "a", v="1"),
    )
    found = revisions(seen(*entries, good={"a"}))
    assert found[2].current
    assert found[2].goodness == "good"
    with pytest.raises(errors.NothingToDo):
        choose(TARGET, found)


def test_tags_and_ids_name_a_revision() -> None:
    tagged = past(1, "a", snapshot("1", tags=("v1.0.0",)), v="1")
    found = revisions(seen(tagged, past(2, "b", v="2"), good={"a"}))
    for name in ("1", "v1.0.0", "1111", "1" * 32):
        assert choose(TARGET, found, name).revision.number == 1
    with pytest.raises(errors.RevisionNotFound, match="called v2"):
        choose(TARGET, found, "v2")


def test_an_archive_from_elsewhere_makes_nothing_good_and_gives_no_tags() -> None:
    foreign = past(1, "a", snapshot("1", imported_from="other", tags=("v1",)), v="1")
    found = revisions(seen(foreign, past(2, "b", v="2"), good=set()))
    assert found[0].goodness == "unknown"
    assert "elsewhere" in found[0].reasons[0].text
    assert found[0].names == ("1" * 32,)
    with pytest.raises(errors.NoGoodRevision, match="No good snapshot") as caught:
        choose(TARGET, found)
    assert "backout snapshot create -n x" in errors.fill(caught.value.hint, caught.value.arguments)
    assert choose(TARGET, found, "1").proven is False


def test_what_is_gone_and_kept_nowhere_gets_no_advice_that_can_not_be_followed() -> None:
    found = revisions(seen(ContentRevision(number=1, digest=ABSENT, content=None), good=set()))
    with pytest.raises(errors.NoGoodRevision) as caught:
        choose(TARGET, found)
    assert "--to" not in caught.value.hint


def test_what_is_gone_is_a_revision_of_its_own() -> None:
    gone = ContentRevision(number=2, digest=ABSENT, content=None)
    found = revisions(seen(past(1, "a", snapshot("1"), v="1"), gone, good={"a"}))
    assert (found[1].digest, found[1].status, found[1].current) == ("absent", "missing", True)
    assert choose(TARGET, found).revision.number == 1


def test_without_snapshots_nothing_is_known() -> None:
    found = revisions(seen(past(1, "live", v="1"), good=set(), repository=""))
    assert "no snapshots" in found[0].reasons[0].text
    with pytest.raises(errors.NoGoodRevision):
        choose(TARGET, found)


def test_a_content_is_found_by_number_and_by_digest() -> None:
    one, two = past(1, "a", v="1"), past(3, "a", v="1")
    state = seen(one, past(2, "b", v="2"), two, good=set())
    assert state.find(Revision(number=1, digest="a")) is one
    assert state.find(Revision(number=7, digest="a")) is two
    assert state.find(Revision(number=1, digest="z")) is None


def test_addresses_that_the_cluster_gave_do_not_count() -> None:
    def service(**spec: Any) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s", "namespace": "x"},
            "spec": {"ports": [{"port": 80}], "type": "ClusterIP", **spec},
        }

    kept = service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"])
    live = service(clusterIP="10.0.0.2", clusterIPs=["10.0.0.2"])
    live["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    assert Wanted(kept).held_by(live)
    assert not Wanted(service(clusterIP="10.0.0.1", selector={"a": "b"})).held_by(live)


def test_a_change_is_told_in_lines_and_secrets_are_not() -> None:
    before, after = past(1, "a", v="a: 1\nb: 2\n", k="x"), past(2, "b", v="a: 1\nb: 3\n")
    change = between(seen(before, after, good=set()), before, after)
    by_path = {field.path: field for field in change.fields}
    assert by_path["data.k"].before == "x"
    assert "-b: 2" in by_path["data.v"].lines
    assert "+b: 3" in by_path["data.v"].lines
    ref = ObjectRef("v1", "Secret", "web", "x")
    secret = [
        ContentRevision(number=n, digest=str(n), content={**content(p=value), "kind": "Secret"})
        for n, value in enumerate(("aHVudGVyMg==", "aHVudGVyMw=="))
    ]
    state = ObjectHistory(ref=ref, resource=resource_of(ref), live=None, past=tuple(secret), good=frozenset())
    field = between(state, *secret).fields[0]
    assert field.secret
    assert "aHVudGVy" not in repr(field)
    created = between(state, None, secret[0])
    assert created.action == "create"
    assert "aHVudGVy" not in repr(created)


def test_only_objects_are_put_back_from_snapshots() -> None:
    assert ref_of(Target("ingress", "web", "x")) == ObjectRef("networking.k8s.io/v1", "Ingress", "web", "x")
    with pytest.raises(errors.RefusedError, match="not put back"):
        ref_of(Target("deployment", "web", "x"))
