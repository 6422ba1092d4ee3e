# SPDX-License-Identifier: Apache-2.0
"""Rendered manifests: split, parsed safely, never expanded beyond reason."""

from __future__ import annotations

import time

import pytest

from backout.errors import BackoutError, Invalid, TooLarge
from backout.helm.compare import compare
from backout.helm.manifest import digest, documents, entries

TWO = """---
# Source: a/templates/cm.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: one
data:
  when: 2026-11-22
  text: |
    a
    ---- not a separator
---
# Source: a/templates/empty.yaml
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: other}
"""


def test_documents_and_identities() -> None:
    found = entries(TWO)
    assert [tuple(entry.key("ns")) for entry in found] == [
        ("", "ConfigMap", "ns", "one"),
        ("apps", "Deployment", "other", "web"),
    ]
    assert found[0].object["data"]["when"] == "2026-11-22"
    assert len(documents(TWO)) == 2


def test_a_block_scalar_at_the_end_of_a_document_keeps_its_newline() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: |\n    v\n---\n"
    assert entries(text)[0].object["data"]["k"] == "v\n"


def test_only_wanted_kinds_are_parsed() -> None:
    broken = "kind: ConfigMap\nmetadata: [\n---\nkind: Deployment\nmetadata: {name: web}\n"
    assert [entry.name for entry in entries(broken, {"Deployment"})] == ["web"]
    with pytest.raises(Invalid):
        entries(broken)


def test_lists_are_opened() -> None:
    text = "kind: List\napiVersion: v1\nitems:\n- {kind: Secret, apiVersion: v1, metadata: {name: s}}\n"
    assert [entry.name for entry in entries(text, {"Secret"})] == ["s"]


def test_the_digest_does_not_depend_on_blank_ends() -> None:
    assert digest(TWO) == digest("\n" + TWO + "\n\n")
    assert digest(TWO) != digest(TWO.replace("web", "wob"))


def bomb(levels: int) -> str:
    lines = ["kind: ConfigMap", "metadata: {name: a}", "a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_an_alias_bomb_is_refused_at_once() -> None:
    started = time.process_time()
    with pytest.raises(TooLarge):
        entries(bomb(60))
    assert time.process_time() - started < 5


def test_ordinary_aliases_are_allowed() -> None:
    assert len(entries(bomb(3))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "kind: ConfigMap\nmetadata: {name: a}\nself: &s [*s]",
        "kind: ConfigMap\nmetadata: {name: a}\ndeep: " + "[" * 200 + "]" * 200,
        "- just\n- a list",
        "kind: ConfigMap\nmetadata: {}",
        "kind: ConfigMap\nmetadata: {name: a}\nbad: !!python/object/apply:os.system [id]",
        "kind: ConfigMap\nmetadata: {name: a}\n\tbad: 1",
    ],
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(BackoutError):
        entries(text)


def test_a_parse_error_quotes_nothing() -> None:
    with pytest.raises(Invalid) as caught:
        entries("kind: Secret\nstringData: {password: hunter2\n")
    assert "hunter2" not in str(caught.value)


def test_compare_tells_what_came_went_and_changed() -> None:
    config = "kind: ConfigMap\napiVersion: v1\nmetadata: {{name: a}}\ndata: {{k: '{0}'}}\n---\n"
    service = "kind: Service\nmetadata: {{name: {0}}}\n"
    before = config.format(1) + service.format("old")
    after = config.format(2) + service.format("new")
    found = {(change.action, str(change.ref)): change for change in compare(before, after, "ns")}
    assert set(found) == {("update", "configmap/a"), ("create", "service/new"), ("delete", "service/old")}
    field = found["update", "configmap/a"].fields[0]
    assert (field.path, field.before, field.after) == ("data.k", "1", "2")
