# SPDX-License-Identifier: Apache-2.0
"""Which Services are to have addresses: the rule that verification, plans and diagnoses share."""

from __future__ import annotations

import pytest

from backout.kube.services import Maker, wants_addresses

WEB = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("selector", "makers", "wanted"),
    [
        ({"app": "web"}, [Maker(WEB, 2)], True),
        ({"app": "web"}, [Maker(WEB, 0)], False),
        ({"app": "web"}, [Maker(WEB, 0), Maker({"app": "web"}, 1)], True),
        ({"app": "web", "tier": "back"}, [Maker(WEB, 2)], False),
        ({"app": "etcd"}, [Maker(WEB, 2)], False),
        ({"app": "etcd"}, [], False),
        ({}, [Maker(WEB, 2)], False),
        (None, [Maker(WEB, 2)], False),
    ],
)
def test_a_service_is_to_have_addresses_where_something_wants_pods_for_it(
    selector: dict[str, str] | None, makers: list[Maker], wanted: bool
) -> None:
    assert wants_addresses(selector, makers) is wanted
