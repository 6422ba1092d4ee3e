# SPDX-License-Identifier: Apache-2.0
"""helm 3 and helm 4: every command that a release lives by, with each way of waiting and of applying."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_harness import Cluster
from cluster_harness.clients import Program, Result, eventually

pytestmark = pytest.mark.usefixtures("running")

CHART = str(Path(__file__).parent / "charts" / "shop")
WAIT = ("--wait", "--timeout", "240s")


@pytest.fixture
def install(helm: Program) -> Any:
    """Installs the chart as `shop` and waits until it is ready."""

    def run(*arguments: str, **more: Any) -> Result:
        return helm("install", "shop", CHART, "--set", "database=false", *WAIT, *arguments, **more)

    return run


def upgrade(helm: Program, *arguments: str, **more: Any) -> Result:
    return helm("upgrade", "shop", CHART, "--reuse-values", *WAIT, *arguments, **more)


def history(helm: Program) -> list[tuple[int, str]]:
    return [(int(item["revision"]), item["status"]) for item in helm("history", "shop", "-o", "json").json]


def deployment(cluster: Cluster, ns: str) -> dict[str, Any]:
    return dict(cluster.get(f"/apis/apps/v1/namespaces/{ns}/deployments/shop-web").ok())


def image(cluster: Cluster, ns: str) -> str:
    return str(deployment(cluster, ns)["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]


def test_install_and_look_at_it(cluster: Cluster, ns: str, helm: Program) -> None:
    helm("install", "shop", CHART, *WAIT)
    assert deployment(cluster, ns)["status"]["readyReplicas"] == 1
    assert cluster.get(f"/apis/apps/v1/namespaces/{ns}/statefulsets/shop-db").ok()["status"]["readyReplicas"] == 1
    (listed,) = helm("list", "-o", "json").json
    assert (listed["name"], listed["revision"], listed["status"], listed["chart"]) == (
        "shop",
        "1",
        "deployed",
        "shop-1.0.0",
    )
    assert helm("list", "-A", "-q", "--filter", "^shop$").lines.count("shop") >= 1
    status = helm("status", "shop", "-o", "json").json
    assert status["info"]["status"] == "deployed"
    assert "Shop shop is at revision 1." in helm("get", "notes", "shop").out
    assert "kind: StatefulSet" in helm("get", "manifest", "shop").out
    assert helm("get", "values", "shop", "--all", "-o", "json").json["tag"] == "1.0"
    assert history(helm) == [(1, "deployed")]
    again = helm("install", "shop", CHART, fails=True).err
    assert "a name that is still in use" in again


def test_release_records(cluster: Cluster, ns: str, helm: Program, install: Any) -> None:
    install()
    secret = cluster.get(f"/api/v1/namespaces/{ns}/secrets/sh.helm.release.v1.shop.v1").ok()
    assert secret["type"] == "helm.sh/release.v1"
    labels = secret["metadata"]["labels"]
    assert {key: labels[key] for key in ("name", "owner", "status", "version")} == {
        "name": "shop",
        "owner": "helm",
        "status": "deployed",
        "version": "1",
    }
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    record = json.loads(gzip.decompress(packed))
    assert (record["name"], record["version"], record["info"]["status"]) == ("shop", 1, "deployed")


def test_config_map_driver(cluster: Cluster, ns: str, helm: Program) -> None:
    driver = {"HELM_DRIVER": "configmap"}
    helm("install", "shop", CHART, "--set", "database=false", environment=driver)
    cluster.get(f"/api/v1/namespaces/{ns}/configmaps/sh.helm.release.v1.shop.v1").ok()
    assert helm("list", "-q", environment=driver).out == "shop\n"
    assert helm("list", "-q").out == ""
    helm("uninstall", "shop", environment=driver)


def test_upgrade_rollback_and_history(cluster: Cluster, ns: str, helm: Program, install: Any) -> None:
    install()
    upgrade(helm, "--set", "tag=2.0", "--set", "extra=true", "--description", "to 2.0")
    assert image(cluster, ns) == "2.0"
    cluster.get(f"/api/v1/namespaces/{ns}/configmaps/shop-extra").ok()
    helm("rollback", "shop", "1", *WAIT)
    assert image(cluster, ns) == "1.0"
    assert deployment(cluster, ns)["status"]["readyReplicas"] == 1
    assert cluster.get(f"/api/v1/namespaces/{ns}/configmaps/shop-extra").status == 404
    assert history(helm) == [(1, "superseded"), (2, "superseded"), (3, "deployed")]
    described = [item["description"] for item in helm("history", "shop", "-o", "json").json]
    assert described == ["Install complete", "to 2.0", "Rollback to 1"]
    assert helm("get", "values", "shop", "--revision", "2", "-o", "json").json["tag"] == "2.0"
    missing = helm("rollback", "shop", "9", fails=True).err
    assert "release: not found" in missing or "release has no 9 version" in missing
    helm("rollback", "shop", *WAIT)
    assert image(cluster, ns) == "2.0"


def test_upgrade_installs_and_history_is_limited(helm: Program, cluster: Cluster, ns: str) -> None:
    for tag in ("1.0", "1.1", "1.2", "1.3"):
        helm("upgrade", "--install", "shop", CHART, "--set", f"database=false,tag={tag}", "--history-max", "2")
    assert history(helm) == [(3, "superseded"), (4, "deployed")]
    missing = helm("upgrade", "nope", CHART, fails=True).err
    assert '"nope" has no deployed releases' in missing


def test_a_failed_upgrade_is_recorded(cluster: Cluster, ns: str, helm: Program, install: Any) -> None:
    install()
    failed = upgrade(helm, "--set", "tag=2.0-crash", "--timeout", "3s", fails=True)
    assert "UPGRADE FAILED" in failed.err
    assert history(helm) == [(1, "deployed"), (2, "failed")]
    assert image(cluster, ns) == "2.0-crash"
    helm("rollback", "shop", "1", *WAIT)
    assert history(helm)[-1] == (3, "deployed")
    assert deployment(cluster, ns)["status"]["readyReplicas"] == 1


def test_a_failed_upgrade_rolled_back_by_helm(
    cluster: Cluster, ns: str, helm: Program, install: Any, is_helm4: bool
) -> None:
    install()
    flag = "--rollback-on-failure" if is_helm4 else "--atomic"
    upgrade(helm, "--set", "tag=2.0-missing", flag, "--timeout", "15s", fails=True)
    assert image(cluster, ns) == "1.0"
    assert history(helm) == [(1, "superseded"), (2, "failed"), (3, "deployed")]


def test_a_failed_install(cluster: Cluster, ns: str, helm: Program, install: Any) -> None:
    failed = install("--set", "tag=1.0-crash", "--timeout", "3s", fails=True)
    assert "INSTALLATION FAILED" in failed.err
    assert history(helm) == [(1, "failed")]
    assert helm("list", "-q", "--failed").out == "shop\n"
    helm("upgrade", "shop", CHART, "--set", "database=false", *WAIT)
    assert history(helm)[-1] == (2, "deployed")


@pytest.mark.parametrize("strategy", ["watcher", "legacy", "hookOnly"])
def test_ways_of_waiting(cluster: Cluster, ns: str, helm: Program, is_helm4: bool, strategy: str) -> None:
    if is_helm4:
        waiting: tuple[str, ...] = (f"--wait={strategy}",)
    elif strategy == "watcher":
        waiting = ("--wait", "--wait-for-jobs")
    else:
        waiting = ("--wait",) if strategy == "legacy" else ()
    common = (*waiting, "--timeout", "240s")
    helm("install", "shop", CHART, "--set", "job=true", *common)
    if strategy != "hookOnly":
        assert deployment(cluster, ns)["status"]["readyReplicas"] == 1
    helm("upgrade", "shop", CHART, "--set", "tag=2.0", *common)
    helm("rollback", "shop", "1", *common)
    if strategy != "hookOnly":
        found = deployment(cluster, ns)
        assert found["status"]["readyReplicas"] == found["status"]["updatedReplicas"] == 1
    helm("uninstall", "shop", *(flag for flag in common if flag != "--wait-for-jobs"))
    assert helm("list", "-q").out == ""


@pytest.mark.parametrize("server_side", [True, False])
def test_ways_of_applying(cluster: Cluster, ns: str, helm: Program, is_helm4: bool, server_side: bool) -> None:
    if server_side and not is_helm4:
        pytest.skip("helm 3 applies on the client's side only")
    flag = (f"--server-side={str(server_side).lower()}",) if is_helm4 else ()
    helm("install", "shop", CHART, "--set", "database=false", *WAIT, *flag)
    helm("upgrade", "shop", CHART, "--set", "database=false,tag=2.0,message=changed", *WAIT, *flag)
    managers = {
        (entry["manager"], entry["operation"]) for entry in deployment(cluster, ns)["metadata"]["managedFields"]
    }
    assert ("helm", "Apply" if server_side else "Update") in managers
    helm("rollback", "shop", "1", *WAIT, *flag)
    settings = cluster.get(f"/api/v1/namespaces/{ns}/configmaps/shop-settings").ok()
    assert settings["data"] == {"message": "hello"}


def test_a_field_that_somebody_else_holds(
    cluster: Cluster, ns: str, helm: Program, install: Any, is_helm4: bool
) -> None:
    install()
    path = f"/apis/apps/v1/namespaces/{ns}/deployments/shop-web"
    cluster.patch(path, {"spec": {"replicas": 2}}, query={"fieldManager": "autoscaler"}).ok()
    if is_helm4:
        refused = upgrade(helm, "--set", "tag=2.0,replicas=3", fails=True).err
        assert 'conflict with "autoscaler"' in refused and ".spec.replicas" in refused
        upgrade(helm, "--set", "tag=2.0,replicas=3", "--force-conflicts")
    else:
        upgrade(helm, "--set", "tag=2.0,replicas=3")
    assert deployment(cluster, ns)["spec"]["replicas"] == 3


def test_hooks(cluster: Cluster, ns: str, helm: Program, install: Any) -> None:
    install("--set", "hook=1.0")
    path = f"/apis/batch/v1/namespaces/{ns}/jobs/shop-hook"
    first = cluster.get(path).ok()
    assert first["status"]["succeeded"] == 1
    upgrade(helm, "--set", "tag=2.0")
    second = cluster.get(path).ok()
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    helm("rollback", "shop", "1", *WAIT)
    assert cluster.get(path).ok()["metadata"]["uid"] != second["metadata"]["uid"]
    assert "shop-hook" in helm("get", "hooks", "shop").out


def test_a_hook_that_fails(cluster: Cluster, ns: str, helm: Program, install: Any) -> None:
    install()
    failed = upgrade(helm, "--set", "tag=2.0,hook=1.0-crash", fails=True).err
    assert "pre-upgrade hooks failed" in failed
    assert image(cluster, ns) == "1.0"
    assert history(helm)[-1] == (2, "failed")


def test_helm_test(helm: Program, install: Any) -> None:
    install()
    assert "Phase:          Succeeded" in helm("test", "shop", "--timeout", "240s").out


def test_uninstall(cluster: Cluster, ns: str, helm: Program, install: Any) -> None:
    install()
    helm("uninstall", "shop", "--keep-history", *WAIT)
    assert history(helm) == [(1, "uninstalled")]
    assert cluster.get(f"/apis/apps/v1/namespaces/{ns}/deployments/shop-web").status == 404
    helm("rollback", "shop", "1", *WAIT)
    assert deployment(cluster, ns)["status"]["readyReplicas"] == 1
    helm("uninstall", "shop", *WAIT, "--cascade", "foreground")
    assert "release: not found" in helm("uninstall", "shop", fails=True).err
    secrets = cluster.get(f"/api/v1/namespaces/{ns}/secrets", query={"labelSelector": "owner=helm"}).ok()
    assert secrets["items"] == []


def test_what_would_happen(cluster: Cluster, ns: str, helm: Program, install: Any, is_helm4: bool) -> None:
    flag = "--dry-run=server" if is_helm4 else "--validate"
    manifest = list(yaml.safe_load_all(helm("template", "shop", CHART, flag).out))
    assert {obj["kind"] for obj in manifest if obj} >= {"Deployment", "StatefulSet", "Service"}
    assert "kind: Deployment" in helm("install", "shop", CHART, "--dry-run=server").out
    assert helm("list", "-q").out == ""
    install()
    helm("upgrade", "shop", CHART, "--set", "tag=9.9", "--dry-run=server")
    assert image(cluster, ns) == "1.0"
    assert history(helm) == [(1, "deployed")]
    assert "1 chart(s) linted, 0 chart(s) failed" in helm("lint", CHART).out


def test_template_validate(helm: Program, tmp_path: Path) -> None:
    assert "kind: Deployment" in helm("template", "shop", CHART, "--validate").out
    chart = tmp_path / "unknown"
    shutil.copytree(CHART, chart)
    unknown = {"apiVersion": "none.example.com/v1", "kind": "Thing", "metadata": {"name": "x"}}
    (chart / "templates" / "thing.yaml").write_text(yaml.safe_dump(unknown))
    refused = helm("template", "shop", str(chart), "--validate", fails=True).err
    assert 'no matches for kind "Thing" in version "none.example.com/v1"' in refused


def test_objects_that_belong_to_nobody_are_not_taken(cluster: Cluster, ns: str, helm: Program) -> None:
    path = f"/api/v1/namespaces/{ns}/configmaps"
    cluster.post(path, {"metadata": {"name": "shop-settings"}, "data": {"mine": "x"}}).ok()
    refused = helm("install", "shop", CHART, "--set", "database=false", fails=True).err
    assert "invalid ownership metadata" in refused
    helm("install", "shop", CHART, "--set", "database=false", "--take-ownership")
    found = cluster.get(f"{path}/shop-settings").ok()["metadata"]
    assert found["annotations"]["meta.helm.sh/release-name"] == "shop"


def test_custom_resources(cluster: Cluster, ns: str, helm: Program, tmp_path: Path) -> None:
    group = f"{ns}.example.com"
    chart = tmp_path / "crds-chart"
    shutil.copytree(CHART, chart)
    (chart / "crds").mkdir()
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"carts.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "carts", "kind": "Cart", "singular": "cart", "listKind": "CartList"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
                        }
                    },
                }
            ],
        },
    }
    (chart / "crds" / "cart.yaml").write_text(yaml.safe_dump(crd))
    cart = {"apiVersion": f"{group}/v1", "kind": "Cart", "metadata": {"name": "cart"}, "spec": {"size": 3}}
    (chart / "templates" / "cart.yaml").write_text(yaml.safe_dump(cart))
    path = f"/apis/{group}/v1/namespaces/{ns}/carts/cart"
    try:
        helm("install", "shop", str(chart), "--set", "database=false", *WAIT)
        assert cluster.get(path).ok()["spec"] == {"size": 3}
        (chart / "templates" / "cart.yaml").write_text(yaml.safe_dump({**cart, "spec": {"size": 4}}))
        helm("upgrade", "shop", str(chart), "--set", "database=false", *WAIT)
        assert cluster.get(path).ok()["spec"] == {"size": 4}
        helm("rollback", "shop", "1", *WAIT)
        assert cluster.get(path).ok()["spec"] == {"size": 3}
        helm("uninstall", "shop", *WAIT)
        assert cluster.get(path).status == 404
        cluster.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/carts.{group}").ok()
    finally:
        cluster.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/carts.{group}")


def test_a_stuck_stateful_set_makes_the_rollback_hang(cluster: Cluster, ns: str, helm: Program, tmp_path: Path) -> None:
    """The incident this project is about: `helm rollback --wait` cannot get an OrderedReady set out of a crash loop."""
    chart = tmp_path / "stuck"
    shutil.copytree(CHART, chart)
    source = chart / "templates" / "db.yaml"
    source.write_text(source.read_text().replace("registry.example/db:1.0", "registry.example/db:{{ .Values.tag }}"))
    helm("install", "shop", str(chart), *WAIT)
    helm("upgrade", "shop", str(chart), "--set", "tag=2.0-crash", "--wait", "--timeout", "4s", fails=True)
    pod = f"/api/v1/namespaces/{ns}/pods/shop-db-0"
    broken = eventually(
        lambda: next(
            (
                found
                for found in (cluster.get(pod).body,)
                if found.get("spec", {}).get("containers", [{}])[0].get("image", "").endswith("2.0-crash")
            ),
            None,
        )
    )
    helm("rollback", "shop", "1", "--wait", "--timeout", "4s", fails=True)
    assert cluster.get(pod).ok()["metadata"]["uid"] == broken["metadata"]["uid"]
    cluster.delete(pod).ok()
    cluster.wait(
        f"/apis/apps/v1/namespaces/{ns}/statefulsets/shop-db", lambda found: found["status"].get("readyReplicas") == 1
    )


def test_rights_of_a_user(cluster: Cluster, ns: str, helm: Program) -> None:
    refused = helm("install", "shop", CHART, "--kube-as-user", "nobody", fails=True).err
    assert "forbidden" in refused
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings"
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"deployer-{ns}"}
    cluster.post(bindings, {"metadata": {"name": "deployer"}, "roleRef": reference, "subjects": [subject]}).ok()
    helm("install", "shop", CHART, "--set", "database=false", *WAIT, "--kube-as-user", f"deployer-{ns}")
