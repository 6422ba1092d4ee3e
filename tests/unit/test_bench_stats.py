# SPDX-License-Identifier: Apache-2.0
"""What the benchmark makes of its numbers."""

from __future__ import annotations

import pytest
from bench.stats import Sample, ratio, spread


def test_the_middle_of_an_even_number_lies_between_the_two() -> None:
    assert spread([4.0, 1.0, 2.0, 3.0]) == (1.0, 2.5, 4.0, 4)


def test_no_values_have_no_middle() -> None:
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_processor_time_is_that_of_user_and_system() -> None:
    assert Sample(9.0, user=1.5, system=0.25).cpu == 1.75


def test_one_slow_round_of_both_does_not_move_the_ratios_of_the_pairs() -> None:
    found = ratio([1.0, 1.0, 10.0], [2.0, 2.0, 20.0])
    assert found.of_medians == 0.5
    assert found.pairs == (0.5, 0.5, 0.5, 3)


def test_pairs_are_compared_in_the_order_they_ran() -> None:
    assert ratio([1.0, 4.0, 1.0], [1.0, 2.0, 4.0]).pairs == (0.25, 1.0, 2.0, 3)


@pytest.mark.parametrize(("ours", "theirs"), [([1.0], []), ([1.0], [0.0]), ([], [])])
def test_what_can_not_be_compared_is_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match=r"pairs|zero|no values"):
        ratio(ours, theirs)
