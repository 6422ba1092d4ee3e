# SPDX-License-Identifier: Apache-2.0
"""Behind the back of a controller that would undo it nothing is done without a word, nor called recovered before its turn."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster_harness import Cluster as Harness
from mechanism_helpers import BETTER, CRASH, GOOD, Bench, run

from backout.errors import RefusedError
from backout.mechanisms.common.owned import Keeper, owner_checks, owner_risks, refuse_owned
from backout.model.message import msg
from backout.model.target import ObjectRef, Target
from backout.ownership.owner import Owner
from backout.ownership.signs import argo, helm_chart, helm_release
from backout.ownership.state import ManagerState, seconds
from backout.verify.verify import verify

sys.path.insert(0, str(Path(__file__).parents[1] / "ownership"))

from test_ownership import definition, serving

KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
TARGET = Target("deployment", "web", "shop")


@pytest.mark.parametrize("suspended", [False, True])
def test_a_workload_of_a_kustomization_needs_a_yes_unless_it_is_suspended(
    running: Harness, ns: str, suspended: bool
) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        await found.roll_out(BETTER)
        meta: dict[str, Any] = {"labels": {f"{KUSTOMIZE}/name": "apps", f"{KUSTOMIZE}/namespace": ns}}
        await found.patch({"metadata": meta})
        kustomization = {
            "apiVersion": f"{KUSTOMIZE}/v1",
            "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": ns},
            "spec": {"interval": "2s", "suspend": suspended},
        }
        await found.port.create(kustomization)
        await found.set_image(CRASH)
        await found.until_failing(CRASH)
        history = await found.history()
        draft = await found.draft(history[1])
        risk = next(risk for risk in draft.risks if risk.code == "owner")
        assert risk.needs_approval is not suspended
        assert "kustomization/apps" in risk.message.text
        quiet = [check for check in draft.checks if check.code == "owner-quiet"]
        assert len(quiet) == (0 if suspended else 1)
        if quiet:
            short, long = await asyncio.gather(verify(found.port, quiet, 1.0), verify(found.port, quiet, 3.0))
            assert (short.outcome, long.outcome) == ("unknown", "recovered")

    async def all_of_it() -> None:
        async with serving(running, definition(KUSTOMIZE, "v1", "Kustomization")):
            pass

    asyncio.run(all_of_it())
    run(running, "Deployment", ns, work)


def owner(kind: Any, **more: Any) -> Owner:
    return Owner(kind=kind, message=msg("Somebody has it."), ref=ObjectRef("example.com/v1", "Watcher", "main"), **more)


@pytest.mark.parametrize(
    ("found", "hint"),
    [
        (owner("helm", target=Target("helm", "shop", "shop")), "backout plan helm/shop"),
        (owner("operator"), "Change watcher/main"),
        (owner("operator", target=Target("helm", "shop", "shop")), "backout plan helm/shop"),
        (owner("controller"), "Act on watcher/main"),
    ],
)
def test_what_is_made_from_something_else_is_refused_with_where_to_go(found: Owner, hint: str) -> None:
    with pytest.raises(RefusedError) as caught:
        refuse_owned(TARGET, found)
    assert hint in caught.value.hint.format(**caught.value.arguments)


@pytest.mark.parametrize(
    "kind", ["none", "flux", "argocd", "fleet", "helmchart", "sveltos", "ocm", "kubefleet", "kapp", "config-sync"]
)
def test_what_a_controller_keeps_is_no_refusal_but_a_risk(kind: str) -> None:
    refuse_owned(TARGET, owner(kind))


def test_who_wrote_it_without_a_mark_is_told_and_stops_nobody() -> None:
    (risk,) = owner_risks(TARGET, None, owner("none", sure=False))
    assert risk.code == "owner-unsure" and not risk.needs_approval
    assert owner_risks(TARGET, None, owner("none")) == ()


def test_what_is_not_known_of_a_controller_counts_as_if_it_were_at_work() -> None:
    for manager in (argo("shop"), helm_release("rel", "flux"), helm_chart("rel", "kube-system")):
        keeper = Keeper(manager=manager, state=ManagerState())
        (risk,) = owner_risks(TARGET, keeper)
        assert risk.needs_approval and manager.name in risk.message.text and manager.hold.text in risk.message.text
        (check,) = owner_checks(TARGET, keeper)
        assert check.code == "owner-quiet"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("", None),
        ("5", None),
        ("5 m", None),
        (None, None),
    ],
)
def test_durations_of_go(text: str | None, value: float | None) -> None:
    assert seconds(text) == value
