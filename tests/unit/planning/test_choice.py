# SPDX-License-Identifier: Apache-2.0
"""Which revision is chosen: proven good, never simply the one before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.errors import NoGoodRevision, NothingToDo, RevisionNotFound, UsageError, fill
from backout.model.message import msg
from backout.model.revision import Goodness, Revision
from backout.model.target import Target
from backout.planning.choice import choose

TARGET = Target("helm", "shop", "shop")


def history(*verdicts: str) -> list[Revision]:
    """``good:a`` is a good revision with content a; the last one is in force."""
    found = []
    for number, verdict in enumerate(verdicts, 1):
        goodness, _, digest = verdict.partition(":")
        found.append(
            Revision(
                number=number,
                digest=digest or str(number),
                goodness=goodness,
                current=number == len(verdicts),  # type: ignore[arg-type]
                reasons=(msg("seen"),),
            )
        )
    return found


def test_the_last_good_one_is_chosen_however_far_back() -> None:
    choice = choose(TARGET, history("good", "bad", "good", "bad", "bad", "bad"))
    assert choice.revision.number == 3
    assert choice.proven


def test_same_content_under_another_number_is_no_way_back() -> None:
    choice = choose(TARGET, history("good:a", "good:b", "good:c", "bad:b"))
    assert choice.revision.number == 3
    with pytest.raises(NothingToDo):
        choose(TARGET, history("bad:x", "good:a", "bad:a"))


def test_nothing_proven_good_is_refused_with_what_is_known() -> None:
    with pytest.raises(NoGoodRevision) as caught:
        choose(TARGET, history("unknown", "bad", "bad"))
    assert "1 unknown" in fill(caught.value.found, caught.value.arguments)


@pytest.mark.parametrize("verdicts", [("bad",), ("bad", "unknown", "bad")])
def test_after_helm_pruned_its_history_it_says_so_and_how_to_be_ready(verdicts: tuple[str, ...]) -> None:
    left = history("good", "good", *verdicts)[2:]
    with pytest.raises(NoGoodRevision) as refused:
        choose(TARGET, left)
    hint = fill(refused.value.hint, refused.value.arguments)
    assert "pruned from Helm's history" in hint and "backout snapshot create" in hint and "helm/shop" in hint
    with pytest.raises(NoGoodRevision) as refused:
        choose(Target("deployment", "web", "shop"), left)
    assert "Helm" not in refused.value.hint


def test_one_revision_has_no_way_back() -> None:
    with pytest.raises(NoGoodRevision):
        choose(TARGET, history("bad"))


def test_a_named_revision_wins_and_is_not_called_proven() -> None:
    choice = choose(TARGET, history("good", "unknown", "bad"), "2")
    assert (choice.revision.number, choice.proven) == (2, False)


def test_a_pruned_revision_is_told_from_one_that_never_was() -> None:
    pruned = [Revision(number=5, digest="a"), Revision(number=6, digest="b", current=True)]
    with pytest.raises(RevisionNotFound, match="was pruned"):
        choose(TARGET, pruned, "2")
    with pytest.raises(RevisionNotFound, match="has no revision 9"):
        choose(TARGET, pruned, "9")


def test_a_revision_that_came_back_is_found_by_its_former_number() -> None:
    workload = Target("deployment", "web", "shop")
    back = Revision(number=4, former=(2,), digest="b", goodness="good", reasons=(msg("ran"),))
    revisions = [Revision(number=1, digest="a"), Revision(number=3, digest="c", current=True, goodness="bad"), back]
    assert choose(workload, revisions, "2").revision.number == 4
    # Where nothing tells (a StatefulSet's revisions keep no former numbers), neither reason is claimed.
    untold = [revisions[0], Revision(number=3, digest="c", current=True), Revision(number=4, digest="b")]
    with pytest.raises(RevisionNotFound, match="pruned, or it came back under another number"):
        choose(workload, untold, "2")


@pytest.mark.parametrize("to", ["previous", "-1", "1.0", ""])
def test_only_numbers_name_revisions(to: str) -> None:
    if to:
        with pytest.raises(UsageError):
            choose(TARGET, history("good", "bad"), to)
    else:
        assert choose(TARGET, history("good", "bad"), to).revision.number == 1


@given(st.lists(st.sampled_from(["good", "bad", "unknown"]), min_size=2, max_size=8))
def test_a_choice_is_always_good_and_never_in_force(verdicts: list[Goodness]) -> None:
    revisions = history(*verdicts)
    try:
        choice = choose(TARGET, revisions)
    except NothingToDo:
        assert verdicts[-1] == "good"
        return
    except NoGoodRevision:
        assert "good" not in verdicts[:-1]
        return
    assert verdicts[-1] != "good"
    assert choice.revision.goodness == "good"
    assert not choice.revision.current
    assert "good" not in verdicts[choice.revision.number : -1]


def test_nothing_good_is_left_unless_a_diagnosis_blames_it() -> None:
    revisions = history("good", "good")
    with pytest.raises(NothingToDo):
        choose(TARGET, revisions)
    assert choose(TARGET, revisions, blamed=[2]).revision.number == 1
    assert choose(TARGET, revisions, "1").revision.number == 1
    with pytest.raises(NothingToDo):
        choose(TARGET, revisions, blamed=[1])


def test_what_came_after_the_revision_that_broke_it_is_no_way_back_however_well_its_pods_are() -> None:
    revisions = history("good", "good", "good", "good")
    assert choose(TARGET, revisions, blamed=[3], broken_since=3).revision.number == 2
    with pytest.raises(NoGoodRevision):
        choose(TARGET, revisions, blamed=[1], broken_since=1)


def test_a_first_install_that_never_ended_is_told_how_to_get_rid_of_it() -> None:
    lone = Revision(number=1, digest="1", status="pending-install", goodness="bad", current=True, settled=False)
    with pytest.raises(NoGoodRevision) as caught:
        choose(TARGET, [lone])
    assert "helm uninstall shop -n shop" in fill(caught.value.hint, caught.value.arguments)
