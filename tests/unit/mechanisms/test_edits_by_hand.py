# SPDX-License-Identifier: Apache-2.0
"""Which templates of a workload that a release owns one may go back to: those that stray from the release no further than now."""

from __future__ import annotations

from typing import Any, cast

import pytest

from backout.kube.templates import digest_of
from backout.mechanisms.common.evidence import LiveWorkload
from backout.mechanisms.workload.declared import Declared
from backout.mechanisms.workload.history import TemplateRevision, WorkloadHistory
from backout.mechanisms.workload.reading import _agrees
from backout.model.message import msg
from backout.model.target import Target
from backout.ownership.owner import Owner


def template(image: str = "web:1", selector: str = "", **env: str) -> dict[str, Any]:
    main = {"name": "main", "image": image, "env": [{"name": key, "value": value} for key, value in env.items()]}
    return {"spec": {"containers": [main], **({"nodeSelector": {"pool": selector}} if selector else {})}}


@pytest.mark.parametrize(
    ("wanted", "live", "agrees"),
    [
        (template(), template("web:bad"), True),  # as the release says
        (template(A="1"), template("web:bad", A="1"), True),  # the last edit of two
        (template("web:2"), template("web:bad"), True),  # the same field, edited twice
        (template(A="1"), template("web:bad"), False),  # what somebody took back already
        (template(selector="blue"), template("web:bad"), False),
    ],
)
@pytest.mark.parametrize("release", ["shop", "another"])
def test_a_way_back_past_a_release(wanted: dict[str, Any], live: dict[str, Any], agrees: bool, release: str) -> None:
    said = Declared(
        template=template(), digest=digest_of(template()), parts={}, label=msg("x"), origin={"release": release}
    )
    history = WorkloadHistory(
        obj={"spec": {"template": live}},
        digest=digest_of(live),
        past=(),
        verdicts={},
        seen=cast(LiveWorkload, None),
        declared=said,
    )
    past = TemplateRevision(number=1, source="web-1", digest=digest_of(wanted), template=wanted)
    owner = Owner(kind="helm", target=Target("helm", "shop", "ns", "here"), message=msg("Helm."))
    assert _agrees(history, past, owner) is (agrees and release == "shop")
