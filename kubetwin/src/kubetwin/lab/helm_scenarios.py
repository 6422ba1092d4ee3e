# SPDX-License-Identifier: Apache-2.0
"""Scenarios in which Helm owns what breaks."""

from __future__ import annotations

from kubetwin.kinds import STATEFULSETS
from kubetwin.lab.behaviour import Behaviour
from kubetwin.lab.builder import Lab

CRASHING = {"CrashLoopBackOff"}
PULLING = {"ImagePullBackOff", "ErrImagePull"}


async def two_good(lab: Lab) -> None:
    """Revisions 1 and 2, both healthy."""
    await lab.install(top=lab.images.good("0.36.0"))
    await lab.upgrade(top=lab.images.good("0.36.1"))
    await lab.until_healthy()


async def three_good(lab: Lab) -> None:
    """Revisions 1 to 3, all healthy."""
    await two_good(lab)
    await lab.upgrade(top=lab.images.good("0.36.2"))
    await lab.until_healthy()


async def two_good_kept(lab: Lab) -> None:
    """Revisions 1 and 2, both healthy, and a snapshot at 2."""
    await two_good(lab)
    await lab.take_snapshot()


async def crash_and_prune(lab: Lab) -> None:
    """Three bad upgrades with a short history: the records of the good revisions are gone."""
    for version in ("0.37.0", "0.37.1", "0.37.2"):
        await lab.upgrade("--history-max", "3", query=lab.images.values(version, Behaviour.CRASH))
        await lab.until_broken(f"{lab.release}-query", CRASHING)
    await lab.until_broken(f"{lab.release}-query", CRASHING, restarts=1)


async def crash_deployment(lab: Lab) -> None:
    """`helm upgrade` to an image of the querier that crash-loops."""
    await lab.upgrade(query=lab.images.values("0.37.0", Behaviour.CRASH))
    await lab.until_broken(f"{lab.release}-query", CRASHING, restarts=1)


async def crash_statefulset(lab: Lab) -> None:
    """The same for the receivers: the highest pod crash-loops, and the set goes no further."""
    await lab.upgrade(receive=lab.images.values("0.37.0", Behaviour.CRASH))
    await lab.until_broken(f"{lab.release}-receive", CRASHING, restarts=1)


async def unpullable(lab: Lab) -> None:
    """An image tag that nobody pushed."""
    await lab.upgrade(store=lab.images.values("0.37.0", Behaviour.UNPULLABLE))
    await lab.until_broken(f"{lab.release}-store", PULLING)


async def killed_helm(lab: Lab) -> None:
    """`helm upgrade --wait` is killed, and then the `helm rollback --wait` that was to mend it."""
    upgrade = await lab.start_helm(
        *lab.upgrade_arguments("--wait", receive=lab.images.values("0.37.0", Behaviour.CRASH))
    )
    await lab.until_release("pending-upgrade")
    await lab.until_broken(f"{lab.release}-receive", CRASHING)
    await lab.kill(upgrade)
    rollback = await lab.start_helm("rollback", lab.release, "2", "--wait")
    await lab.until_release("pending-rollback")
    await lab.kill(rollback)


async def three_bad(lab: Lab) -> None:
    """Revision 4 is bad but Helm says superseded; 5 failed; 6 is bad but Helm says deployed. The last good one is 3."""
    receive = f"{lab.release}-receive"
    await lab.upgrade(receive=lab.images.values("0.37.0", Behaviour.CRASH))
    await lab.until_broken(receive, CRASHING)
    await lab.upgrade("--wait", "--timeout", "5s", check=False, receive=lab.images.values("0.37.1", Behaviour.CRASH))
    await lab.upgrade(receive=lab.images.values("0.37.2", Behaviour.CRASH))
    await lab.until_broken(receive, CRASHING, restarts=1)


async def never_ready(lab: Lab) -> None:
    """The querier runs, but its readiness probe never passes, and its rollout gives up."""
    await lab.upgrade(query={**lab.images.values("0.37.0", Behaviour.UNREADY), "progressDeadlineSeconds": 10})
    await lab.until_unready(f"{lab.release}-query", seconds=12)


async def missing_key(lab: Lab) -> None:
    """The store reads a key that its Secret does not have."""
    await lab.upgrade(store={"configKey": "objstore.yaml"})
    await lab.until_broken(f"{lab.release}-store", {"CreateContainerConfigError"})


async def immutable(lab: Lab) -> None:
    """Somebody grew the receivers' volumes by deleting the set and upgrading; the way back needs the same again."""
    await lab.api.delete(STATEFULSETS, f"{lab.release}-receive", lab.namespace, propagation="Orphan")
    async with lab.watching(STATEFULSETS) as sets:
        name = f"{lab.release}-receive"
        await lab.until(sets, lambda: sets.get(name, lab.namespace) is None, "the set is gone, its pods left")
    await lab.upgrade(receive={**lab.images.values("0.37.0", Behaviour.CRASH), "storage": "2Gi"})
    await lab.until_broken(f"{lab.release}-receive", CRASHING, restarts=1)
