# SPDX-License-Identifier: Apache-2.0
"""What is meant by `--skip KIND/NAME`."""

from __future__ import annotations

import pytest

from backout.errors import UsageError
from backout.model.skip import parse_skip
from backout.model.target import ObjectRef, Target

CLAIM = ObjectRef("v1", "PersistentVolumeClaim", "data", "shop")
DEFINITION = ObjectRef("apiextensions.k8s.io/v1", "CustomResourceDefinition", "data")
WIDGET = ObjectRef("example.org/v1", "Widget", "data", "shop")
POLICY = ObjectRef("networking.k8s.io/v1", "NetworkPolicy", "data", "shop")


@pytest.mark.parametrize(
    ("text", "ref", "meant"),
    [
        ("pvc/data", CLAIM, True),
        ("PVC/data", CLAIM, True),
        ("persistentvolumeclaims/data", CLAIM, True),
        ("PersistentVolumeClaim/data", CLAIM, True),
        ("pvc/Data", CLAIM, False),
        ("pvc/other", CLAIM, False),
        ("pv/data", CLAIM, False),
        ("crd/data", DEFINITION, True),
        ("customresourcedefinitions.apiextensions.k8s.io/data", DEFINITION, True),
        ("widget/data", WIDGET, True),
        ("widgets.example.org/data", WIDGET, True),
        ("widgets.example.com/data", WIDGET, False),
        ("netpol/data", POLICY, True),
        ("networkpolicies/data", POLICY, True),
    ],
)
def test_objects_in_the_spellings_of_kubectl(text: str, ref: ObjectRef, meant: bool) -> None:
    assert parse_skip(text).means(ref) is meant


@pytest.mark.parametrize(
    ("text", "target", "meant"),
    [
        ("helm/web", Target("helm", "web"), True),
        ("release/web", Target("helm", "web"), True),
        ("deploy/web", Target("deployment", "web"), True),
        ("deployments.apps/web", Target("deployment", "web"), True),
        ("deploy/web", Target("helm", "web"), False),
        ("rollout.argoproj.io/web", Target("rollout.argoproj.io", "web"), True),
        ("ingresses/web", Target("ingress", "web"), True),
    ],
)
def test_targets(text: str, target: Target, meant: bool) -> None:
    assert parse_skip(text).means_target(target) is meant


@pytest.mark.parametrize("text", ["", "web", "/web", "cm/", "cm/a/b", "cm/*", "*/web", "cm/we?", "cm/[ab]"])
def test_what_says_nothing_and_patterns(text: str) -> None:
    with pytest.raises(UsageError):
        parse_skip(text)
