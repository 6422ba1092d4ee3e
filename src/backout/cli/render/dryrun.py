# SPDX-License-Identifier: Apache-2.0
"""What the cluster would answer to a plan, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backout.cli.render.screen import Screen

if TYPE_CHECKING:
    from backout.app.dryrun import DryRun


def show_dry_runs(screen: Screen, items: Sequence[DryRun]) -> None:
    """The rights that are there, the Roles for those that are not, and the approvals that it would need."""
    from backout.model.yamltext import to_yaml

    for item in items:
        granted = item.rights - len(item.missing)
        screen.told("Dry run of {target}: nothing was changed.", 0, "head", target=item.plan.targets)
        screen.told("{granted} of {all} rights are there.", 2, granted=granted, all=item.rights)
        for role in item.roles:
            screen.block(to_yaml(role), 4)
        for code in item.approvals:
            screen.told("It would need: --approve {code}", 2, code=code)
        screen.told(
            "A dry run is no proof: admission and quotas are asked only in part, and pods not at all.", 2, "dim"
        )
