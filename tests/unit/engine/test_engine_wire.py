# SPDX-License-Identifier: Apache-2.0
"""Errors as they are kept: with their class and words, and nothing of what nobody foresaw but its class."""

from __future__ import annotations

import json

import pytest

from backout.engine.wire import decode_error, encode_error, failure_of, of_house
from backout.errors import BackoutError, Conflict, TimedOut, UnexpectedError
from backout.model.message import msg

ERRORS = [
    Conflict("{a} x", a=1, hint="h {a}"),
    TimedOut("t"),
    BackoutError("b {x}", x=None),
    BackoutError("b {x}", x=msg("{ready} of {desired} pods ready", ready=1, desired=3)),
]


@pytest.mark.parametrize("error", ERRORS)
def test_errors_survive_the_wire(error: BackoutError) -> None:
    back = decode_error(json.loads(json.dumps(encode_error(error))))
    assert type(back) is type(error)
    assert (back.message, back.hint, back.arguments) == (error.message, error.hint, error.arguments)
    assert failure_of(back).code == error.code


def test_foreign_and_future_errors() -> None:
    assert "ValueError" in decode_error(encode_error(ValueError("canary"))).message
    assert "canary" not in decode_error(encode_error(ValueError("canary"))).message
    future = decode_error({"class": "FromTheFuture", "template": "x", "arguments": {}})
    assert type(future) is BackoutError


def test_an_unforeseen_error_keeps_its_cause_for_who_debugs_it() -> None:
    error = KeyError("canary")
    told = of_house(error)
    assert type(told) is UnexpectedError and told.__cause__ is error
    assert type(decode_error(encode_error(told))) is UnexpectedError
    assert (told.exit_code, told.retryable) == (1, False)
    foreseen = Conflict("x")
    assert of_house(foreseen) is foreseen
