# SPDX-License-Identifier: Apache-2.0
"""One rollback at a time: two runs, dead runs, paused runs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from cluster_helpers import LEASES_PATH, fake, run, until

from backout import errors
from backout.cluster import lease as leases
from backout.cluster.lease import give_back, hold, lease_name


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "AGAIN", (0.01, 0.02, 0.03))


ABOUT = {"run": "r1", "actor": "jane@laptop", "about": "helm/thanos to revision 3"}


def test_a_lease_is_taken_renewed_and_leaves_nothing_behind() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            async with hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT, renew=0.1) as lease:
                obj = api.objects[LEASES_PATH][lease_name("helm/thanos")]
                assert obj["metadata"]["annotations"]["backout.dev/actor"] == "jane@laptop"
                assert obj["spec"]["holderIdentity"] == "r1"
                first = obj["spec"]["renewTime"]
                name = lease_name("helm/thanos")
                await until(lambda: api.objects[LEASES_PATH][name]["spec"]["renewTime"] != first)
                await lease.confirm()
                token = lease.token
            assert api.objects[LEASES_PATH] == {}
            async with hold(cluster, "helm/thanos", "shop", holder="r2", about=ABOUT) as lease:
                assert lease.token > token

    run(main())


def test_a_living_holder_is_named() -> None:
    async def main() -> None:
        async with fake() as (_, cluster), hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT, renew=0.3):
            with pytest.raises(errors.LockedError) as caught:
                async with hold(cluster, "helm/thanos", "shop", holder="r2", about=ABOUT):
                    raise AssertionError("two hold it")
            assert caught.value.exit_code == 6
            for word in ("helm/thanos", "jane@laptop", "run r1", "to revision 3"):
                assert word in caught.value.message
            async with hold(cluster, "helm/other", "shop", holder="r2", about=ABOUT):
                pass

    run(main())


def test_a_dead_holders_lease_is_taken_after_its_own_duration_whatever_its_clock_said() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            name = lease_name("helm/thanos")
            spec = {
                "holderIdentity": "dead",
                "leaseDurationSeconds": 1,
                "leaseTransitions": 4,
                "renewTime": "2099-01-01T00:00:00.000000Z",
            }
            api.put(LEASES_PATH, name, apiVersion="coordination.k8s.io/v1", kind="Lease", spec=spec)
            loop = asyncio.get_running_loop()
            started = loop.time()
            async with hold(cluster, "helm/thanos", "shop", holder="r2", about=ABOUT) as lease:
                assert loop.time() - started >= 1.0
                await lease.confirm()
                assert api.objects[LEASES_PATH][name]["spec"]["leaseTransitions"] == 5

    run(main())


def test_a_resumed_run_takes_its_own_lease_at_once_and_the_paused_process_loses_it() -> None:
    async def main() -> None:
        async with (
            fake() as (api, cluster),
            hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT, renew=60) as zombie,
        ):
            loop = asyncio.get_running_loop()
            started = loop.time()
            async with hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT) as lease:
                assert loop.time() - started < 1.0
                assert lease.token > zombie.token
                with pytest.raises(errors.LeaseLost, match="holds it now"):
                    await zombie.confirm()
                with pytest.raises(errors.LeaseLost):
                    await zombie.confirm()
                await lease.confirm()
            assert api.objects[LEASES_PATH] == {}

    run(main())


@pytest.mark.parametrize("errors_", [[503], [503, 503]])
def test_letting_go_is_tried_again(errors_: list[int]) -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            async with hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT, renew=60) as lease:
                api.faults.errors = list(errors_)
            assert api.objects[LEASES_PATH] == {} and lease.left is None

    run(main())


def test_a_renewal_of_which_nothing_was_heard_does_not_keep_the_lease() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            async with hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT, renew=60) as lease:
                (name,) = api.objects[LEASES_PATH]
                api.put(LEASES_PATH, name, **api.objects[LEASES_PATH][name])
            assert api.objects[LEASES_PATH] == {} and lease.left is None

    run(main())


def test_what_can_not_be_let_go_is_told() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            async with hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT, renew=60) as lease:
                api.faults.errors = [403] * 20
            assert isinstance(lease.left, errors.AccessDenied) and api.objects[LEASES_PATH]

    run(main())


@pytest.mark.parametrize("there", ["nothing", "r1"])
def test_a_lease_of_whose_taking_nothing_was_heard_is_found_and_is_ours(there: str) -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            if there == "r1":
                spec = {"holderIdentity": "r1", "leaseDurationSeconds": 15}
                api.put(
                    LEASES_PATH, lease_name("helm/thanos"), apiVersion="coordination.k8s.io/v1", kind="Lease", spec=spec
                )
            api.faults.reset_after_write = 1
            async with hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT, renew=60) as lease:
                await lease.confirm()
            assert api.objects[LEASES_PATH] == {} and lease.left is None

    run(main())


def test_a_server_that_never_answers_a_taking_leaves_something_to_give_back() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            api.faults.reset_after_write = 20
            with pytest.raises(errors.ClusterUnreachable):
                async with hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT):
                    raise AssertionError("nobody knows whether it is ours")
            assert api.objects[LEASES_PATH]
            assert await give_back(cluster, "helm/thanos", "shop", holder="somebody else") is None
            assert api.objects[LEASES_PATH], "that of another is left alone"
            api.faults.reset_after_write = 0
            api.faults.errors = [503]
            assert await give_back(cluster, "helm/thanos", "shop", holder="r1") is None
            assert api.objects[LEASES_PATH] == {}
            assert await give_back(cluster, "helm/thanos", "shop", holder="r1") is None, "there is none"

    run(main())


def test_what_can_not_be_given_back_is_told() -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            spec = {"holderIdentity": "r1", "leaseDurationSeconds": 15}
            api.put(
                LEASES_PATH, lease_name("helm/thanos"), apiVersion="coordination.k8s.io/v1", kind="Lease", spec=spec
            )
            api.faults.errors = [403] * 20
            assert isinstance(await give_back(cluster, "helm/thanos", "shop", holder="r1"), errors.AccessDenied)
            assert api.objects[LEASES_PATH]

    run(main())


def test_a_deleted_lease_is_lost() -> None:
    async def main() -> None:
        async with (
            fake() as (api, cluster),
            hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT, renew=60) as lease,
        ):
            api.objects[LEASES_PATH].clear()
            with pytest.raises(errors.LeaseLost, match="deleted"):
                await lease.confirm()

    run(main())


def test_of_two_that_come_at_once_one_gets_it() -> None:
    async def main() -> None:
        async with fake() as (_, cluster):
            inside = refused = 0

            async def work(holder: str) -> bool:
                nonlocal inside, refused
                try:
                    async with hold(cluster, "helm/thanos", "shop", holder=holder, about=ABOUT, renew=0.2):
                        inside += 1
                        assert inside == 1
                        await until(lambda: refused == 3)
                        inside -= 1
                        return True
                except errors.LockedError:
                    refused += 1
                    return False

            assert sorted(await asyncio.gather(*(work(f"r{number}") for number in range(4)))) == [
                False,
                False,
                False,
                True,
            ]

    run(main())


def test_without_rights_on_leases() -> None:
    async def main() -> None:
        from cluster_fakeapi import status

        path = f"{LEASES_PATH}/{lease_name('helm/thanos')}"
        async with fake(answers={("GET", path): (403, status(403, "Forbidden", "no"))}) as (_, cluster):
            with pytest.raises(errors.AccessDenied, match="Leases in namespace shop"):
                async with hold(cluster, "helm/thanos", "shop", holder="r1", about=ABOUT):
                    pass

    run(main())


def test_names_of_leases_are_names() -> None:
    assert lease_name("helm/thanos").startswith("backout-helm-thanos-")
    assert lease_name("helm/a-b") != lease_name("helm/a/b")
    assert len(lease_name("x" * 500)) <= 253


@pytest.mark.parametrize("turn", range(3))
def test_two_operators_who_want_the_same_targets_in_another_order_do_not_wait_for_each_other_for_ever(
    turn: int,
) -> None:
    async def main() -> None:
        async with fake() as (api, cluster):
            done: list[str] = []

            async def operator(holder: str, targets: list[str]) -> None:
                async with AsyncExitStack() as held:
                    for target in targets:
                        await held.enter_async_context(
                            hold(cluster, target, "shop", holder=holder, about=ABOUT, duration=1, renew=0.2)
                        )
                        await asyncio.sleep(0.05 * turn)
                    done.append(holder)
                    await asyncio.sleep(0.2)

            names = ["helm/a", "helm/b", "helm/c"]
            async with asyncio.timeout(60):
                ended = await asyncio.gather(operator("r1", names), operator("r2", names[::-1]), return_exceptions=True)
            assert all(end is None or isinstance(end, errors.LockedError) for end in ended), ended
            assert len(done) == ended.count(None)
            assert api.objects[LEASES_PATH] == {}, "whoever gave up let go of what it had"

    run(main())
