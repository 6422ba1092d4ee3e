# SPDX-License-Identifier: Apache-2.0
"""Rights that somebody took away from the account of the pods: which, from whom, and whether they are what is missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from a_namespace import NS, Scene, writer

from backout.diagnosis.attribution.rights import Right, denied, rights_of, taken
from backout.model.diagnosis import Problem

RBAC = "rbac.authorization.k8s.io"
READS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
SAYS = 'pods is forbidden: User "system:serviceaccount:shop:web" cannot list resource "pods" in API group "" in the namespace "shop"'


def rule(verbs: str, resources: str = "pods", groups: str = "", names: str = "") -> dict[str, Any]:
    found = {"verbs": verbs.split(), "resources": resources.split(), "apiGroups": groups.split(",")}
    return {**found, "resourceNames": names.split()} if names else found


@pytest.mark.parametrize(
    ("before", "after", "gone"),
    [
        ([rule("get list")], [rule("get")], ["list pods"]),
        ([rule("get")], [rule("get list")], []),
        ([rule("get list")], [rule("*")], []),
        ([rule("*")], [rule("get")], ["* pods"]),
        ([rule("get", "pods secrets")], [rule("get")], ["get secrets"]),
        ([rule("get", "deployments", "apps")], [rule("get", "deployments", "")], ["get deployments"]),
        ([rule("get", "deployments", "apps")], [rule("get", "*", "*")], []),
        ([rule("get")], [rule("get", names="one")], ["get pods"]),
        ([rule("get", names="one")], [rule("get")], []),
        ([rule("get list")], [rule("list"), rule("get")], []),
        ([rule("get")], [], ["get pods"]),
        ([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}], [], []),
    ],
)
def test_what_was_allowed_and_is_not_any_more(
    before: list[dict[str, Any]], after: list[dict[str, Any]], gone: list[str]
) -> None:
    found = taken(rights_of({"rules": before}), rights_of({"rules": after}))
    assert [f"{one.verb} {one.resource}" for one in found] == gone


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (SAYS, (Right("list", "pods", ""),)),
        ('cannot get resource "pods/log"', (Right("get", "pods/log", None),)),
        ('cannot patch resource "deployments" in API group "apps"', (Right("patch", "deployments", "apps"),)),
        ("403 Forbidden", ()),
    ],
)
def test_what_a_program_says_that_it_may_not_do(line: str, expected: tuple[Right, ...]) -> None:
    assert denied(line) == expected


def found(scene: Scene, role: dict[str, Any] | None, *, subject: str = "web", said: str = SAYS) -> list[Problem]:
    """A program that is denied something after its Role (None: its RoleBinding) was edited; the binding is of ``subject``."""
    whose = [{"kind": "ServiceAccount", "name": subject}]
    ref = {"apiGroup": RBAC, "kind": "Role", "name": "reads"}
    scene.put("Role", "reads", writer("kubectl-create", 7200, "rules"), rules=[READS])
    scene.put("RoleBinding", "reads", writer("kubectl-create", 7200, "subjects"), subjects=whose, roleRef=ref)
    scene.snapshot(kinds=("Role", "RoleBinding"))
    if role is not None:
        scene.put("Role", "reads", writer("kubectl-edit", 90, "rules"), rules=[role])
    else:
        nobody = [{"kind": "ServiceAccount", "name": "nobody"}]
        scene.put("RoleBinding", "reads", writer("kubectl-edit", 90, "subjects"), subjects=nobody, roleRef=ref)
    spec = {"serviceAccountName": "web", "containers": [{"name": "app", "image": "registry.example/app:1"}]}
    scene.put("ServiceAccount", "web", writer("kubectl-create", 7200))
    scene.workload("web", spec, ready=0, logs=said)
    return list(scene.problems().values())


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.parametrize(
    ("role", "named", "field"),
    [
        (rule("get"), "role/reads", "rules"),
        (rule("list", "secrets"), "role/reads", "rules"),
        (None, "rolebinding/reads", "subjects"),
    ],
)
def test_the_right_that_is_missed_was_taken_away(
    scene: Scene, role: dict[str, Any] | None, named: str, field: str
) -> None:
    (problem,) = found(scene, role)
    assert str(problem.target) == named and problem.target.namespace == NS
    assert problem.confidence == "certain"
    assert problem.suspect is not None and problem.suspect.actor == "kubectl-edit"
    assert any(f" {field}" in one.path for one in problem.suspect.fields)


@pytest.mark.parametrize(
    ("role", "subject", "said"),
    [
        (rule("get list watch"), "web", SAYS),  # nothing was taken away
        (rule("get"), "other", SAYS),  # from somebody else
        (rule("list"), "web", SAYS),  # another right than the one that is missed
        (rule("get"), "web", "exit status 3"),  # nothing says that a right is missed
    ],
)
def test_a_role_that_was_edited_is_a_decoy(scene: Scene, role: dict[str, Any], subject: str, said: str) -> None:
    for problem in found(scene, role, subject=subject, said=said):
        assert str(problem.target) != "role/reads" or problem.confidence == "possible"
