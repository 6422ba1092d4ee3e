# SPDX-License-Identifier: Apache-2.0
"""What Kubernetes brings itself, and what somebody installed: the suffix of a group does not tell."""

from __future__ import annotations

import pytest

from backout.kube.groups import TRAFFIC, custom, custom_group


@pytest.mark.parametrize(
    ("api_version", "expected"),
    [
        ("v1", False),
        ("apps/v1", False),
        ("batch/v1", False),
        ("networking.k8s.io/v1", False),
        ("rbac.authorization.k8s.io/v1", False),
        ("apiextensions.k8s.io/v1", False),
        ("metrics.k8s.io/v1beta1", False),
        ("custom.metrics.k8s.io/v1beta2", False),
        ("gateway.networking.k8s.io/v1", True),
        ("snapshot.storage.k8s.io/v1", True),
        ("autoscaling.k8s.io/v1", True),
        ("policy.networking.k8s.io/v1alpha1", True),
        ("cluster.x-k8s.io/v1beta1", True),
        ("monitoring.coreos.com/v1", True),
    ],
)
def test_what_is_a_custom_resource(api_version: str, expected: bool) -> None:
    assert custom(api_version) is expected


def test_what_carries_requests_is_brought_by_definitions() -> None:
    assert all(custom_group(group) for group in TRAFFIC)
