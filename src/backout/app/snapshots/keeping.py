# SPDX-License-Identifier: Apache-2.0
"""What becomes of snapshots: removed by a policy, written into an archive, taken over from one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backout.app.snapshots.opening import chosen_cluster, chosen_namespace, find, opened, tell_unreadable
from backout.errors import UsageError

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.snapshots.repository.prune import Pruned
    from backout.snapshots.repository.transfer import Exported, Imported


@dataclass(frozen=True, slots=True)
class Pruning:
    """What goes, or went: ``done`` says which; ``refused`` when somebody said no."""

    result: Pruned
    done: bool
    refused: bool = False


async def prune(
    workspace: Workspace,
    *,
    last: int = 0,
    daily: int = 0,
    weekly: int = 0,
    tagged: bool = False,
    dry_run: bool = False,
    confirm: Callable[[Pruning], bool] = lambda found: True,
) -> Pruning:
    """Removes snapshots that nothing of the policy keeps, then what nothing refers to. Without a policy, none goes.

    ``confirm`` is asked before a snapshot is removed, and when it says no nothing is.

    Raises:
        BackoutError: the repository can't be used.
    """
    from backout.snapshots.repository.prune import prune as pruned
    from backout.snapshots.repository.retention import Policy

    policy = Policy(last=last, daily=daily, weekly=weekly, tagged=tagged)
    async with opened(workspace) as repository:
        found = Pruning(await pruned(repository, policy, dry_run=True), done=False)
        if dry_run:
            return found
        if found.result.removed and not confirm(found):
            return Pruning(found.result, done=False, refused=True)
        return Pruning(await pruned(repository, policy), done=True)


async def export(
    workspace: Workspace, file: Path, names: Sequence[str] = (), *, everything: bool = False, recipients: Sequence[str]
) -> Exported:
    """Writes snapshots into a new file, encrypted with a key of its own for the recipients of the repository.

    Raises:
        UsageError: neither names nor everything, or both.
        BackoutError: a snapshot is not there, or the file can't be written.
    """
    from backout.snapshots.repository.keys import read_identities
    from backout.snapshots.repository.manifests import selected
    from backout.snapshots.repository.opening import identity_file
    from backout.snapshots.repository.transfer import export as exported

    if bool(names) == everything:
        raise UsageError("Which snapshots?", expected="their names, or --all")
    async with opened(workspace) as repository:
        if everything:
            every = await repository.snapshots()
            tell_unreadable(workspace, repository)
            identity, cluster = await chosen_cluster(workspace)
            chosen = selected(every, identity, chosen_namespace(workspace), cluster)
        else:
            found = [await find(workspace, repository, name) for name in names]
            chosen = list({snapshot.id: snapshot for snapshot in found}.values())
        identities = read_identities(identity_file(workspace.settings.snapshots))
        return await exported(repository, chosen, file, recipients=recipients, identities=identities)


async def import_(workspace: Workspace, file: Path, *, foreign: bool = False) -> Imported:
    """Takes over the snapshots of an archive that are not here yet; all of it is checked first.

    Raises:
        RefusedError: this repository can't prove that it is its own, and ``foreign`` is False.
        BackoutError: the file or the repository can't be used.
    """
    from backout.snapshots.repository.keys import read_identities
    from backout.snapshots.repository.opening import identity_file
    from backout.snapshots.repository.transfer import import_ as imported

    async with opened(workspace, create=True) as repository:
        path = identity_file(workspace.settings.snapshots)
        return await imported(repository, file, identities=read_identities(path), identity=str(path), foreign=foreign)
