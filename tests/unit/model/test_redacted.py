# SPDX-License-Identifier: Apache-2.0
"""Structs without secrets: what a sentence says as a text, it still says as a template with arguments."""

from __future__ import annotations

from backout.errors import fill
from backout.model.change import FieldChange
from backout.model.message import Message, msg
from backout.model.part import Step
from backout.model.redacted import without_secrets
from backout.model.redaction import HIDDEN
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target

SECRET = "Zq7hd8Rk2mNx0p"


def test_arguments_and_texts_stay_of_one_mind() -> None:
    inner = msg("log: {line}", line=f"password={SECRET}")
    said = without_secrets(msg("{pod} says {inner}", pod="web-0", inner=inner))
    assert SECRET not in repr(said) and "web-0 says log: password=" in said.text
    assert fill(said.template, said.args) == said.text
    bare = without_secrets(Message(f"token={SECRET}"))
    assert bare.text == f"token={HIDDEN}"
    joined = without_secrets(msg("password={x}", x=SECRET))
    assert joined == Message(f"password={HIDDEN}"), "known by what stands around it: the text alone is kept"


def test_what_is_meant_stays_exact() -> None:
    revision = Revision(number=3, digest="password=abc1234", change_cause=f"set env --token {SECRET}", images=("a:1",))
    assert without_secrets(revision).change_cause == f"set env --token {HIDDEN}"
    assert without_secrets(revision).digest == revision.digest
    target = Target("helm", "app", "ns", "c")
    step = Step(id="s", action="a.b", target=target, title=msg("go"), params={"token": f"token={SECRET}"})
    assert without_secrets(step) is step, "what steps act by is kept free of secrets by who makes them"
    ref = ObjectRef("v1", "Secret", "token-x", "ns")
    assert without_secrets(ref) is ref
    change = FieldChange("spec.x", f"api_key={SECRET}", {"a": [f"secret: {SECRET}"]})
    assert SECRET not in repr(without_secrets(change))
    good = Revision(number=1, digest="d", images=("web@sha256:" + "ab" * 32,))
    assert without_secrets(good) is good
