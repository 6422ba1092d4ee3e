# SPDX-License-Identifier: Apache-2.0
"""Small readings of pod templates."""

from __future__ import annotations

import pytest

from backout.kube.templates import repository_of


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("web", "web"),
        ("web:1.0", "web"),
        ("registry.local:5000/team/web", "registry.local:5000/team/web"),
        ("registry.local:5000/team/web:1.0", "registry.local:5000/team/web"),
        ("registry.local/web:1.0@sha256:abc", "registry.local/web"),
        ("registry.local/web@sha256:abc", "registry.local/web"),
    ],
)
def test_where_an_image_lies(image: str, repository: str) -> None:
    assert repository_of(image) == repository
