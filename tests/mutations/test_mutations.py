# SPDX-License-Identifier: Apache-2.0
"""Each mutation of the table still applies, and a few of them are found. All of them: `python tests/mutations/mutate.py`."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutate import ROOT, applied, found
from mutated import MUTATIONS, SAMPLE, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_it_applies_to_the_source(mutation: Mutation) -> None:
    ast.parse(applied(mutation, ROOT / "src" / "backout"))
    assert mutation.was != mutation.now
    for test in mutation.tests:
        assert (ROOT / test.partition("::")[0]).is_file(), test


def test_there_are_enough_of_them_and_each_is_another_one() -> None:
    assert len(MUTATIONS) >= 25
    assert len({(mutation.file, mutation.was) for mutation in MUTATIONS}) == len(MUTATIONS)
    assert set(SAMPLE) <= {mutation.name for mutation in MUTATIONS}


@pytest.mark.parametrize("name", SAMPLE, ids=lambda name: name.replace(" ", "-"))
def test_what_is_taken_out_is_missed(name: str) -> None:
    assert found(next(mutation for mutation in MUTATIONS if mutation.name == name))


def test_tests_that_can_not_be_run_find_nothing() -> None:
    one = MUTATIONS[0]._replace(tests=("tests/no_such_file.py",))
    with pytest.raises(AssertionError):
        found(one)
