# SPDX-License-Identifier: Apache-2.0
"""Each fault, as it shows in the API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from twin_cluster import NS, PATIENCE, Cluster, cluster, container, pod

from kubetwin.client import ApiException, Obj
from kubetwin.kinds import CONFIGMAPS, PODS, SECRETS
from kubetwin.kubelet.faults import HEALTHY, fault_of_image, parse_fault
from kubetwin.kubelet.machine import PodMachine

IMAGE = "registry.example/team/app"


def of(c: Cluster, name: str = "p") -> Obj:
    return c.get(PODS, name) or {}


def container_status(c: Cluster, name: str = "p") -> Obj:
    found = (of(c, name).get("status") or {}).get("containerStatuses") or [{}]
    return dict(found[0])


def waiting(c: Cluster, name: str = "p") -> str:
    return str((container_status(c, name).get("state") or {}).get("waiting", {}).get("reason"))


def condition(c: Cluster, kind: str, name: str = "p") -> Obj:
    return next((x for x in (of(c, name).get("status") or {}).get("conditions") or () if x["type"] == kind), {})


async def log(c: Cluster, name: str = "p", **query: str) -> str:
    path = f"/api/v1/namespaces/{NS}/pods/{name}/log"
    answer = await c.api.transport.send("GET", path, list(query.items()), {}, None)
    if answer.status != 200:
        raise ApiException(answer.status, "", answer.body.decode())
    return answer.body.decode()


async def logged(c: Cluster, wanted: Callable[[list[str]], bool], **query: str) -> None:
    """Waits until the lines of the log are as wanted: a container that crashes has a new one soon."""
    async with asyncio.timeout(PATIENCE):
        while not (lines := (await log(c, **query)).splitlines()) or not wanted(lines):  # noqa: ASYNC110 - has no watch
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "image",
    [
        "app",
        "app:missing",
        "app:1.2-crash-reporter",
        "app:oom",
        "r:5000/app",
        "app:1.0-slow",
        "app:1.0-exit",
        "app@sha256:0",
    ],
)
def test_ordinary_tags_do_no_harm(image: str) -> None:
    assert fault_of_image(image) == HEALTHY


def test_fault_words() -> None:
    assert fault_of_image("r:5000/app:2.0.0-crash-exit3").exit_code == 3
    assert fault_of_image("app:2.0.0-rc1-crash").exit_code == 1
    assert fault_of_image("app:2.0.0-crash-after2m").after == 120
    assert fault_of_image("app:2.0.0-slow20s").slow == 20
    with pytest.raises(ValueError, match="bogus"):
        parse_fault("bogus")


def test_crash_loop() -> None:
    async def main() -> None:
        async with cluster(backoff_initial=1.0) as c:
            await c.api.create(PODS, pod("p", container(f"{IMAGE}:2.0.0-crash-exit3")))
            await c.until(PODS, lambda: waiting(c) == "CrashLoopBackOff")
            status = container_status(c)
            uid = of(c)["metadata"]["uid"]
            # The first restart is immediate, the second waits.
            assert status["restartCount"] == 1
            assert status["lastState"]["terminated"]["exitCode"] == 3
            assert status["lastState"]["terminated"]["reason"] == "Error"
            text = f"back-off 1s restarting failed container=app pod=p_{NS}({uid})"
            assert status["state"]["waiting"]["message"] == text
            assert of(c)["status"]["phase"] == "Running"
            assert condition(c, "Ready")["reason"] == "ContainersNotReady"
            assert condition(c, "Ready")["message"] == "containers with unready status: [app]"
            await logged(c, lambda lines: lines[-1].startswith("fatal: cannot start:"))
            await logged(c, lambda lines: lines[-1].startswith("fatal: cannot start:"), previous="true")
            await c.until(PODS, lambda: "back-off 2s" in str(container_status(c)["state"]))
            seen = await c.events("p")
            assert ("BackOff", f"Back-off restarting failed container app in pod p_{NS}({uid})") in seen
            assert ("Created", "Container created") in seen
            assert ("Started", "Container started") in seen

    asyncio.run(main())


def test_oom() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(PODS, pod("p", container(f"{IMAGE}:2.0.0-oom")))
            await c.until(PODS, lambda: waiting(c) == "CrashLoopBackOff")
            ended = container_status(c)["lastState"]["terminated"]
            assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("word", "text"),
    [("missing", ":2.0.0-missing: not found"), ("denied", "pull access denied"), ("unreachable", "i/o timeout")],
)
def test_image_cannot_be_pulled(word: str, text: str) -> None:
    async def main() -> None:
        async with cluster() as c:
            image = f"{IMAGE}:2.0.0-{word}"
            seen: list[str] = []
            c.plane.informers.of(PODS).add_handler(lambda old, new: seen.append(waiting(c)))
            await c.api.create(PODS, pod("p", container(image)))
            await c.until(PODS, lambda: waiting(c) == "ImagePullBackOff")
            message = container_status(c)["state"]["waiting"]["message"]
            assert message.startswith(f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = ')
            assert text in message
            assert of(c)["status"]["phase"] == "Pending"
            # It is tried again, and fails again.
            seen.clear()
            await c.until(PODS, lambda: waiting(c) == "ErrImagePull")
            await c.until(PODS, lambda: waiting(c) == "ImagePullBackOff")
            with pytest.raises(ApiException, match="is waiting to start: trying and failing to pull image"):
                await log(c)
            events = await c.events("p")
            assert ("BackOff", f'Back-off pulling image "{image}"') in events
            assert ("Failed", "Error: ErrImagePull") in events
            assert ("Failed", "Error: ImagePullBackOff") in events
            assert any(r == "Failed" and m.startswith(f'Failed to pull image "{image}": rpc error') for r, m in events)

    asyncio.run(main())


def test_invalid_image_name() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(PODS, pod("p", container("Registry.example/App:1")))
            await c.until(PODS, lambda: waiting(c) == "InvalidImageName")
            assert "repository name must be lowercase" in container_status(c)["state"]["waiting"]["message"]
            await c.event("p", "Failed", "Error: InvalidImageName")

    asyncio.run(main())


def test_never_ready() -> None:
    async def main() -> None:
        async with cluster() as c:
            probe = {"httpGet": {"port": 8080, "path": "/ready"}, "periodSeconds": 1}
            await c.api.create(PODS, pod("p", container(f"{IMAGE}:2.0.0-unready", readinessProbe=probe)))
            await c.event("p", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
            assert container_status(c)["state"]["running"]
            assert container_status(c)["started"] is True
            assert container_status(c)["ready"] is False
            assert container_status(c)["restartCount"] == 0

    asyncio.run(main())


def test_slow_start_becomes_ready() -> None:
    async def main() -> None:
        async with cluster() as c:
            probe = {"httpGet": {"port": "web"}, "periodSeconds": 10, "failureThreshold": 100}
            spec = container(
                f"{IMAGE}:2.0.0-slow1s", startupProbe=probe, ports=[{"name": "web", "containerPort": 8080}]
            )
            await c.api.create(PODS, pod("p", spec))
            await c.event("p", "Unhealthy", 'Startup probe failed: Get "http://10.')
            assert container_status(c)["started"] is False
            await c.until(PODS, lambda: condition(c, "Ready").get("status") == "True")
            assert container_status(c)["restartCount"] == 0

    asyncio.run(main())


def test_liveness_restarts() -> None:
    async def main() -> None:
        async with cluster() as c:
            probe = {"httpGet": {"port": 80}, "periodSeconds": 2, "failureThreshold": 2}
            await c.api.create(PODS, pod("p", container(f"{IMAGE}:2.0.0-unlive", livenessProbe=probe)))
            await c.until(PODS, lambda: container_status(c).get("restartCount") == 1)
            await c.event("p", "Killing", "Container app failed liveness probe, will be restarted")

    asyncio.run(main())


def test_crash_after_being_ready() -> None:
    async def main() -> None:
        async with cluster(relist=0.1) as c:
            await c.api.create(PODS, pod("p", container(f"{IMAGE}:2.0.0-crash-after1s")))
            await c.until(PODS, lambda: condition(c, "Ready").get("status") == "True")
            await c.until(PODS, lambda: bool(container_status(c)["lastState"]))
            assert container_status(c)["lastState"]["terminated"]["exitCode"] == 1
            await c.until(PODS, lambda: container_status(c)["restartCount"] == 1 and container_status(c)["ready"])
            await logged(c, lambda lines: "input/output error" in lines[-1], previous="true")
            await logged(c, lambda lines: not any("input/output error" in line for line in lines))

    asyncio.run(main())


def test_missing_key_and_recovery() -> None:
    async def main() -> None:
        async with cluster(sync_retry=600.0) as c:
            env = [{"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}}]
            await c.api.create(PODS, pod("p", container(f"{IMAGE}:1.0.0", env=env)))
            await c.until(PODS, lambda: waiting(c) == "CreateContainerConfigError")
            assert container_status(c)["state"]["waiting"]["message"] == 'configmap "settings" not found'
            await c.event("p", "Failed", 'Error: configmap "settings" not found')
            made = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "settings", "namespace": NS},
                "data": {},
            }
            await c.api.create(CONFIGMAPS, made)
            text = f"couldn't find key mode in ConfigMap {NS}/settings"
            await c.until(PODS, lambda: container_status(c)["state"].get("waiting", {}).get("message") == text)
            await c.api.patch(CONFIGMAPS, "settings", {"data": {"mode": "on"}}, NS)
            await c.until(PODS, lambda: container_status(c)["ready"])

    asyncio.run(main())


def test_missing_secret_of_a_volume_and_optional_references() -> None:
    async def main() -> None:
        async with cluster(mount_retry_initial=600.0) as c:
            volumes = [
                {"name": "certs", "secret": {"secretName": "certs"}},
                {"name": "extra", "configMap": {"name": "extra", "optional": True}},
            ]
            optional = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": True}}}]
            await c.api.create(PODS, pod("p", container(f"{IMAGE}:1.0.0", env=optional), volumes=volumes))
            await c.event("p", "FailedMount", 'MountVolume.SetUp failed for volume "certs" : secret "certs" not found')
            assert waiting(c) == "ContainerCreating"
            made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "certs", "namespace": NS}}
            await c.api.create(SECRETS, made)
            await c.until(PODS, lambda: container_status(c)["ready"])

    asyncio.run(main())


def test_rules_break_and_mend_running_pods() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(PODS, pod("p", container(f"{IMAGE}:1.0.0")))
            await c.api.create(PODS, pod("other", container(f"{IMAGE}:1.0.0")))
            await c.until(PODS, lambda: container_status(c).get("ready") and container_status(c, "other").get("ready"))
            rule = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": "break-p",
                    "namespace": "kube-system",
                    "labels": {"twin.backout.dev/fault-rule": "true"},
                },
                "data": {"fault": "crash-exit9", "namespace": NS, "workload": "Pod/p", "log": "one\nfatal: two"},
            }
            await c.api.create(CONFIGMAPS, rule)
            await c.until(PODS, lambda: waiting(c) == "CrashLoopBackOff")
            assert container_status(c)["lastState"]["terminated"]["exitCode"] == 9
            await logged(c, lambda lines: lines[-2:] == ["one", "fatal: two"])
            assert container_status(c, "other")["restartCount"] == 0
            await c.api.delete(CONFIGMAPS, "break-p", "kube-system")
            await c.until(PODS, lambda: container_status(c).get("ready"))

    asyncio.run(main())


def test_a_program_that_is_mended_before_it_would_have_ended_gets_ready() -> None:
    async def main() -> None:
        async with cluster(crash_after=0.5, relist=1.0) as c:
            rule = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": "break-p",
                    "namespace": "kube-system",
                    "labels": {"twin.backout.dev/fault-rule": "true"},
                },
                "data": {"fault": "crash", "namespace": NS},
            }
            await c.api.create(CONFIGMAPS, rule)
            probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}
            await c.api.create(PODS, pod("p", {**container(f"{IMAGE}:1.0.0"), "readinessProbe": probe}))
            await c.until(PODS, lambda: container_status(c).get("restartCount"))
            await c.api.delete(CONFIGMAPS, "break-p", "kube-system")
            await c.until(PODS, lambda: container_status(c).get("ready"))

    asyncio.run(main())


def test_init_containers_run_first_and_can_block() -> None:
    async def main() -> None:
        async with cluster() as c:
            inits = [{"name": "setup", "image": f"{IMAGE}:1.0.0-crash"}]
            await c.api.create(PODS, pod("p", container(f"{IMAGE}:1.0.0"), initContainers=inits))
            await c.until(
                PODS, lambda: "CrashLoopBackOff" in str((of(c).get("status") or {}).get("initContainerStatuses"))
            )
            assert waiting(c) == "PodInitializing"
            assert condition(c, "Initialized")["message"] == "containers with incomplete status: [setup]"
            assert of(c)["status"]["phase"] == "Pending"
            good = [{"name": "setup", "image": f"{IMAGE}:1.0.0"}]
            await c.api.create(PODS, pod("q", container(f"{IMAGE}:1.0.0"), initContainers=good))
            await c.until(PODS, lambda: container_status(c, "q").get("ready"))
            done = of(c, "q")["status"]["initContainerStatuses"][0]["state"]["terminated"]
            assert (done["exitCode"], done["reason"]) == (0, "Completed")

    asyncio.run(main())


def test_an_init_container_that_sleeps_for_ever_never_ends() -> None:
    async def main() -> None:
        async with cluster() as c:
            waits = [{"name": "waits", "image": f"{IMAGE}:1.0.0", "command": ["sh", "-c", "sleep infinity"]}]
            await c.api.create(PODS, pod("p", container(f"{IMAGE}:1.0.0"), initContainers=waits))
            await c.api.create(
                PODS, pod("q", container(f"{IMAGE}:1.0.0"), initContainers=[waits[0] | {"command": None}])
            )
            await c.until(PODS, lambda: container_status(c, "q").get("ready"))
            assert "running" in of(c)["status"]["initContainerStatuses"][0]["state"]
            assert waiting(c) == "PodInitializing"

    asyncio.run(main())


def test_graceful_deletion_and_sigkill() -> None:
    async def main() -> None:
        async with cluster(stop_time=0.05, termination_grace_scale=0.01) as c:
            for name, tag in (("p", "1.0.0"), ("q", "1.0.0-hang")):
                await c.api.create(PODS, pod(name, container(f"{IMAGE}:{tag}")))
            await c.until(PODS, lambda: container_status(c).get("ready") and container_status(c, "q").get("ready"))
            codes: dict[str, int] = {}

            def note(old: Obj | None, new: Obj | None) -> None:
                for status in ((new or {}).get("status") or {}).get("containerStatuses") or ():
                    ended = status["state"].get("terminated")
                    if ended and new is not None:
                        codes[new["metadata"]["name"]] = ended["exitCode"]

            c.plane.informers.of(PODS).add_handler(note)
            for name in ("p", "q"):
                await c.api.delete(PODS, name, NS)
            await c.until(PODS, lambda: not c.pods())
            assert codes == {"p": 0, "q": 137}
            await c.event("p", "Killing", "Stopping container app")

    asyncio.run(main())


def test_a_pod_that_ends_starts_nothing_again_however_late_its_kubelet_looks() -> None:
    async def main() -> None:
        async with cluster() as c:
            node = next(iter(c.plane.kubelet.nodes.values()))
            for tag, code in (("1.0.0", 0), ("1.0.0-hang", 137)):
                found = pod(f"late-{code}", container(f"{IMAGE}:{tag}"), terminationGracePeriodSeconds=30)
                found["metadata"]["uid"] = f"uid-{code}"
                now = 1_000.0
                machine = PodMachine(found, node, now)
                for _ in range(20):
                    now += 1
                    machine.step(now)
                assert machine.mains[0].running
                machine.update(
                    {**found, "metadata": {**found["metadata"], "deletionTimestamp": "2026-11-29T10:00:00Z"}}
                )
                machine.step(now)
                machine.step(now + 3600)
                ended = machine.mains[0].ended
                assert machine.gone and not machine.mains[0].waiting
                assert ended is not None and ended.exit_code == code

    asyncio.run(main())


def test_follow_ends_with_the_container() -> None:
    async def main() -> None:
        async with cluster() as c:
            script = container(f"{IMAGE}:1.0.0", command=["sh", "-c", "echo one; sleep 0.3; exit 4"])
            await c.api.create(PODS, pod("p", script, restartPolicy="Never"))
            await c.until(
                PODS,
                lambda: c.plane.kubelet.pods.get(f"{NS}/p") and c.plane.kubelet.pods[f"{NS}/p"].machine.mains[0].log,
            )
            async with asyncio.timeout(600):
                assert "one" in await log(c, follow="true")
            await c.until(PODS, lambda: of(c)["status"]["phase"] == "Failed")
            assert container_status(c)["state"]["terminated"]["exitCode"] == 4
            assert condition(c, "Ready")["reason"] == "PodFailed"

    asyncio.run(main())
