# SPDX-License-Identifier: Apache-2.0
"""A malformed configuration says where."""

from __future__ import annotations

import pytest

from backout.errors import ConfigError
from backout.model.settings import CheckSettings, Settings, parse_settings


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("clusters:\n  a: {context: x}\n  b: {contxt: y}\n", 3, "contxt"),
        ("policy:\n  protected: kube-system\n", 2, "policy.protected"),
        ("verify:\n  timeout: 5\n  soak: long\n", 3, "verify.soak"),
        ("stacks:\n  m:\n    clusters: [a]\n", 2, "namespace"),
        ("a: [\n", 2, "not YAML"),
        ("apiVersion: backout.dev/v9\n", 1, "v9"),
        ("stacks:\n  m:\n    namespace: x\n    checks: [{path: /}]\n", 4, "checks[0]: it has to name one object"),
        ("stacks:\n  m:\n    namespace: x\n    checks: [{ingress: a, service: b}]\n", 4, "one object"),
        (
            "stacks:\n  m:\n    namespace: x\n    checks:\n    - {ingress: a}\n    - {ingress: a, path: x}\n",
            4,
            "checks[1]",
        ),
        ("stacks:\n  m:\n    namespace: x\n    checks: [{service: a, status: 20}]\n", 4, "status of HTTP"),
        ("stacks:\n  m:\n    namespace: x\n    checks: [{service: a, host: b}]\n", 4, "no hosts"),
        ("stacks:\n  m:\n    namespace: x\n    checks: [{ingress: a, port: 80}]\n", 4, "controller published"),
        ("stacks:\n  m:\n    namespace: x\n    checks: [{service: a, url: b}]\n", 4, "url"),
        ("clusters: {a: {context: a}}\nstacks:\n  m:\n    namespace: x\n    clusters: [b]\n", 5, "cluster b"),
    ],
)
def test_names_line_and_key(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, "backout.yaml")
    assert f"backout.yaml, line {line}:" in caught.value.message
    assert words in caught.value.message


def test_checks_of_a_stack() -> None:
    text = "stacks: {m: {namespace: x, checks: [{ingress: a, path: /login, contains: b}, {service: c, port: 80}]}}"
    first, second = parse_settings(text, "f").stacks["m"].checks
    assert first == CheckSettings(ingress="a", path="/login", contains="b")
    assert (second.service, second.port, second.path, second.status) == ("c", 80, "/", 200)


def test_an_empty_file_is_no_configuration() -> None:
    assert parse_settings("# nothing yet\n", "f") == Settings()
