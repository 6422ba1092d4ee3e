# SPDX-License-Identifier: Apache-2.0
"""How ConfigMaps and Secrets reach programs: volumes, subPath, environment, deletion, immutability, object storage."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from typing import Any

import pytest
from test_programs_http import change, configmap, get, metrics, printed, receiver, ring, until_metric, until_ready
from twin_cluster import NS, Cluster, cluster, container, pod

from kubetwin.client import Obj
from kubetwin.kinds import CONFIGMAPS, PODS, SECRETS
from kubetwin.kubelet.apps.hashring import config_hash
from kubetwin.kubelet.environment import environment, expand
from kubetwin.kubelet.objectcache import ObjectCache
from kubetwin.kubelet.volumes import PodVolumes

HTTP = {"name": "http", "containerPort": 8080}


def lookup_in(*objects: Obj) -> Any:
    known = {(o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]): o for o in objects}
    return lambda kind, namespace, name: known.get((kind, namespace, name))


def secret(name: str, data: dict[str, str]) -> Obj:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NS},
        "type": "Opaque",
        "data": encoded,
    }


def test_files_of_volumes() -> None:
    both = {
        "projected": {
            "sources": [
                {"configMap": {"name": "a", "items": [{"key": "k", "path": "sub/k"}]}},
                {"secret": {"name": "s"}},
            ]
        }
    }
    volumes = [
        {"name": "a", "configMap": {"name": "a"}},
        {"name": "both", **both},
        {"name": "none", "configMap": {"name": "absent", "optional": True}},
    ]
    mounts = [
        {"name": "a", "mountPath": "/a"},
        {"name": "both", "mountPath": "/b"},
        {"name": "none", "mountPath": "/n"},
        {"name": "a", "mountPath": "/one", "subPath": "k"},
        {"name": "both", "mountPath": "/dir", "subPath": "sub"},
    ]
    body = container(volumeMounts=mounts)
    p = pod("p", body, volumes=volumes)
    binary = configmap("a", {"k": "v"}, binaryData={"b": base64.b64encode(b"\x00\xff").decode()})
    held = PodVolumes()
    assert held.update(p, lookup_in(binary, secret("s", {"pw": "x"}))) is True
    assert held.files(p, body) == {"/a/k": b"v", "/a/b": b"\x00\xff", "/b/sub/k": b"v", "/b/pw": b"x"}
    assert held.sub_paths(p, body) == {"/one": b"v", "/dir/k": b"v"}
    # Only content counts, not the object around it.
    again = {**binary, "metadata": {**binary["metadata"], "labels": {"x": "y"}}}
    assert held.update(p, lookup_in(again, secret("s", {"pw": "x"}))) is False
    # What is gone stays as it was.
    assert held.update(p, lookup_in()) is False
    assert held.files(p, body)["/a/k"] == b"v"


def test_what_a_config_reloader_writes_for_the_program_beside_it() -> None:
    """As prometheus-operator makes it: packed in a Secret, unpacked by the reloader into a volume that both have."""
    text = b"global: {external_labels: {replica: $(POD_NAME)}}\n"
    shared = {"name": "out", "mountPath": "/etc/prometheus/config_out"}
    reloader = {
        "name": "init-config-reloader",
        "args": [
            "--config-file=/etc/prometheus/config/prometheus.yaml.gz",
            "--config-envsubst-file=/etc/prometheus/config_out/prometheus.env.yaml",
        ],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/prometheus/config"}, shared],
    }
    server = {"name": "prometheus", "volumeMounts": [{**shared, "mountPath": "/conf"}]}
    alone = {"name": "other", "volumeMounts": [{"name": "config", "mountPath": "/c"}]}
    spec = {
        "volumes": [{"name": "config", "secret": {"secretName": "s"}}, {"name": "out", "emptyDir": {}}],
        "initContainers": [reloader],
        "containers": [server, alone],
    }
    made = {"metadata": {"namespace": NS}, "spec": spec}

    def found(content: bytes, container: Obj) -> dict[str, bytes]:
        packed = secret("s", {})
        packed["data"] = {"prometheus.yaml.gz": base64.b64encode(content).decode()}
        held = PodVolumes()
        held.update(made, lookup_in(packed))
        return held.files(made, container)

    assert found(gzip.compress(text), server) == {"/conf/prometheus.env.yaml": text}
    assert found(text, server) == {"/conf/prometheus.env.yaml": text}
    assert found(gzip.compress(text)[:-9], server) == {}
    assert found(gzip.compress(bytes(17 * 1024 * 1024)), server) == {}
    assert list(found(gzip.compress(text), alone)) == ["/c/prometheus.yaml.gz"]


def test_environment() -> None:
    body = container(
        envFrom=[{"prefix": "P_", "configMapRef": {"name": "a"}}, {"secretRef": {"name": "gone", "optional": True}}],
        env=[
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)-$$(A)-$(UNKNOWN)"},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "pw"}}},
            {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "O", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "no", "optional": True}}},
        ],
    )
    found = environment(pod("p", body), body, lookup_in(configmap("a", {"k": "v"}), secret("s", {"pw": "x"})), "")
    assert found == {"P_k": "v", "A": "1", "B": "1-$(A)-$(UNKNOWN)", "S": "x", "N": "p", "L": "p"}
    assert expand("--x=$(S)", found) == "--x=x"


def test_immutable_objects_are_read_once_while_a_pod_refers_to_them() -> None:
    key = ("ConfigMap", NS, "a")
    objects = {key: configmap("a", {"k": "old"}, immutable=True)}
    cache = ObjectCache(lambda *wanted: objects.get(wanted))
    cache.register("x/one", [key])
    assert (cache.get(*key) or {})["data"] == {"k": "old"}
    objects[key] = configmap("a", {"k": "new"}, immutable=True)
    cache.register("x/two", [key])
    cache.unregister("x/one", [key])
    assert (cache.get(*key) or {})["data"] == {"k": "old"}
    cache.unregister("x/two", [key])
    cache.register("x/three", [key])
    assert (cache.get(*key) or {})["data"] == {"k": "new"}


def test_sub_path_mounts_do_not_follow() -> None:
    async def main() -> None:
        async with cluster() as c:
            old, new = ring("a"), ring("b")
            await c.api.create(CONFIGMAPS, configmap("ring", {"ring.json": old}))
            await c.api.create(PODS, receiver("whole"))
            await c.api.create(PODS, receiver("part", mountPath="/etc/ring/ring.json", subPath="ring.json"))
            await until_ready(c, "whole", "part")
            await change(c, "ring", {"ring.json": new})
            await printed(c, "whole", "Set up hashring", 2)
            # The delay of a pod is at most half as long again as another's.
            await asyncio.sleep(c.plane.settings.kubelet.volume_sync)
            assert (await metrics(c, "part", 10902))["thanos_receive_config_hash"] == config_hash(old.encode())
            assert (await metrics(c, "whole", 10902))["thanos_receive_config_hash"] == config_hash(new.encode())

    asyncio.run(main())


def test_deleted_configmap_stays_in_running_pods_only() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(CONFIGMAPS, configmap("ring", {"ring.json": ring("a")}))
            await c.api.create(PODS, receiver("old"))
            await until_ready(c, "old")
            await c.api.delete(CONFIGMAPS, "ring", NS)
            text = 'MountVolume.SetUp failed for volume "ring" : configmap "ring" not found'
            await c.event("old", "FailedMount", text)
            assert (await metrics(c, "old", 10902))["thanos_receive_hashrings_file_errors_total"] == 0
            await c.api.create(PODS, receiver("new"))
            await c.event("new", "FailedMount", text)
            assert not any(s["ready"] for s in (c.get(PODS, "new") or {})["status"]["containerStatuses"])
            await c.api.create(CONFIGMAPS, configmap("ring", {"ring.json": ring("b")}))
            await until_ready(c, "new")
            await printed(c, "old", "Set up hashring", 2)

    asyncio.run(main())


def objstore(key: str, secret_key: str) -> str:
    return f"type: S3\nconfig:\n  bucket: blocks\n  access_key: {key}\n  secret_key: {secret_key}\n"


def uploader(name: str) -> Obj:
    body = container(
        args=["sidecar", "--objstore.config-file=/etc/o/o.yml"],
        ports=[HTTP],
        volumeMounts=[{"name": "o", "mountPath": "/etc/o"}],
    )
    return pod(name, body, volumes=[{"name": "o", "secret": {"secretName": "o"}}])


def gateway(name: str) -> Obj:
    variable = {"name": "OBJ", "valueFrom": {"secretKeyRef": {"name": "o", "key": "o.yml"}}}
    probe = {"httpGet": {"path": "/-/ready", "port": "http"}}
    args = ["store", "--objstore.config=$(OBJ)"]
    return pod(name, container(args=args, env=[variable], ports=[HTTP], readinessProbe=probe))


async def set_secret(c: Cluster, text: str) -> None:
    await c.api.patch(SECRETS, "o", {"data": secret("o", {"o.yml": text})["data"]}, NS)


FAILED = 'thanos_objstore_bucket_operation_failures_total{bucket="blocks",operation="exists"}'
DONE = 'thanos_objstore_bucket_operations_total{bucket="blocks",operation="exists"}'


@pytest.mark.parametrize(
    ("key", "secret_key", "text"),
    [
        ("me", "canary-wrong", "signature we calculated does not match"),
        ("canary-you", "good", "does not exist in our records"),
    ],
)
def test_object_storage_lets_the_first_credentials_in(key: str, secret_key: str, text: str) -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(SECRETS, secret("o", {"o.yml": objstore("me", "good")}))
            await c.api.create(PODS, uploader("up"))
            await until_ready(c, "up")
            assert (await until_metric(c, "up", 8080, DONE, 2))[FAILED] == 0
            await set_secret(c, objstore(key, secret_key))
            # It was read at the start of the program; only a new one sees the change.
            await c.api.create(PODS, uploader("again"))
            await until_ready(c, "again")
            log = await printed(c, "again", text, 2)
            assert "check exists: stat s3 object" in log and "canary" not in log
            assert (await metrics(c, "again", 8080))[FAILED] >= 2
            assert (await metrics(c, "up", 8080))[FAILED] == 0

            # A gateway lists the bucket before it is ready, and gives up; with the right ones it comes up by itself.
            await c.api.create(PODS, gateway("store"))
            await c.until(PODS, lambda: "CrashLoopBackOff" in json.dumps(c.get(PODS, "store")))
            _, log = await get(c, "pods/store/log")
            assert "BaseFetcher: iter bucket" in log and "canary" not in log and "bucket store ready" not in log
            await set_secret(c, objstore("me", "good"))
            await until_ready(c, "store")
            everything = json.dumps([await c.api.list(CONFIGMAPS, "kube-system")])
            assert "twin.backout.dev/object-store" in everything
            assert "canary" not in everything and '"good"' not in everything

    asyncio.run(main())


def test_object_storage_that_refuses_everybody() -> None:
    async def main() -> None:
        async with cluster() as c:
            account = configmap("policy", {"type": "S3", "endpoint": "", "bucket": "blocks", "error": "Access Denied."})
            account["metadata"].update(namespace="kube-system", labels={"twin.backout.dev/object-store": "true"})
            await c.api.create(CONFIGMAPS, account)
            await c.until(CONFIGMAPS, lambda: c.get(CONFIGMAPS, "policy", "kube-system"))
            await c.api.create(SECRETS, secret("o", {"o.yml": objstore("me", "good")}))
            await c.api.create(PODS, uploader("up"))
            await until_ready(c, "up")
            await printed(c, "up", "Access Denied.")
            await c.api.delete(CONFIGMAPS, "policy", "kube-system")
            await c.until(CONFIGMAPS, lambda: not c.get(CONFIGMAPS, "policy", "kube-system"))
            before = await metrics(c, "up", 8080)
            assert (await until_metric(c, "up", 8080, DONE, before[DONE] + 2))[FAILED] == before[FAILED]

    asyncio.run(main())


def test_a_file_given_by_a_flag_must_be_good_at_the_start() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(CONFIGMAPS, configmap("c", {"a.yaml": "a: [\n"}))
            body = container(
                args=["query", "--endpoint.sd-config-file=/etc/c/a.yaml"],
                volumeMounts=[{"name": "c", "mountPath": "/etc/c"}],
            )
            await c.api.create(PODS, pod("q", body, volumes=[{"name": "c", "configMap": {"name": "c"}}]))
            await c.until(PODS, lambda: "CrashLoopBackOff" in json.dumps(c.get(PODS, "q")))
            status, log = await get(c, "pods/q/log")
            assert status == 200 and "/etc/c/a.yaml: yaml: line" in log
            await change(c, "c", {"a.yaml": "a: []\n"})
            await until_ready(c, "q")

    asyncio.run(main())
