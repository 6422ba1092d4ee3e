# SPDX-License-Identifier: Apache-2.0
"""kubectl's writing commands."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_harness import Cluster
from cluster_harness.clients import Program, eventually
from cluster_harness.objects import config_map, workload

pytestmark = pytest.mark.usefixtures("running")


def text(*objects: dict[str, Any]) -> str:
    return yaml.safe_dump_all(objects)


def test_apply_and_what_it_remembers(kubectl: Program) -> None:
    first = text(config_map("c", {"a": "1", "gone": "x"}))
    assert kubectl("apply", "-f", "-", stdin=first).out == "configmap/c created\n"
    assert kubectl("apply", "-f", "-", stdin=first).out == "configmap/c unchanged\n"
    kubectl("patch", "configmap", "c", "--type=merge", "-p", '{"data":{"other":"kept"}}')
    assert kubectl("apply", "-f", "-", stdin=text(config_map("c", {"a": "2"}))).out == "configmap/c configured\n"
    assert kubectl("get", "cm", "c", "-o", "json").json["data"] == {"a": "2", "other": "kept"}
    assert '"a":"2"' in kubectl("apply", "view-last-applied", "configmap/c", "-o", "json").out.replace(" ", "")
    dry = kubectl("apply", "--dry-run=server", "-f", "-", stdin=text(config_map("c", {"a": "3"})))
    assert dry.out == "configmap/c configured (server dry run)\n"
    assert kubectl("get", "cm", "c", "-o", "jsonpath={.data.a}").out == "2"


def test_apply_a_workload_by_three_way_merge(kubectl: Program) -> None:
    obj = workload("Deployment", "web", replicas=1)
    kubectl("apply", "-f", "-", stdin=text(obj))
    kubectl("scale", "deployment/web", "--replicas=2")
    changed = workload("Deployment", "web", replicas=None, image="registry.example/app:2.0")
    kubectl("apply", "-f", "-", stdin=text(changed))
    found = kubectl("get", "deploy", "web", "-o", "json").json
    assert found["spec"]["replicas"] == 1, "a field that is not applied any more goes back to its default"
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/app:2.0"
    assert found["metadata"]["annotations"].keys() >= {"kubectl.kubernetes.io/last-applied-configuration"}


def test_apply_refuses_what_the_server_does_not_know(kubectl: Program) -> None:
    bad = workload("Deployment", "web")
    bad["spec"]["replica"] = 3
    result = kubectl("apply", "-f", "-", stdin=text(bad), fails=True)
    assert 'strict decoding error: unknown field "spec.replica"' in result.err
    assert (
        kubectl("apply", "--validate=warn", "-f", "-", stdin=text(bad)).err == 'Warning: unknown field "spec.replica"\n'
    )


def test_apply_on_the_server(kubectl: Program) -> None:
    obj = text(config_map("c", {"a": "1"}))
    assert kubectl("apply", "--server-side", "-f", "-", stdin=obj).out == "configmap/c serverside-applied\n"
    changed = text(config_map("c", {"a": "2"}))
    conflict = kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=changed, fails=True).err
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.a' in conflict
    kubectl("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=changed)
    assert kubectl("get", "cm", "c", "-o", "jsonpath={.data.a}").out == "2"
    managers = kubectl("get", "cm", "c", "-o", "json", "--show-managed-fields").json["metadata"]["managedFields"]
    assert {(m["manager"], m["operation"]) for m in managers} == {("other", "Apply")} or (
        ("other", "Apply") in {(m["manager"], m["operation"]) for m in managers}
    )


def test_client_side_apply_moves_to_the_server(kubectl: Program) -> None:
    obj = text(config_map("c", {"a": "1", "b": "2"}))
    kubectl("apply", "-f", "-", stdin=obj)
    kubectl("apply", "--server-side", "-f", "-", stdin=text(config_map("c", {"a": "1"})))
    assert kubectl("get", "cm", "c", "-o", "json").json["data"] == {"a": "1"}


def test_apply_prune(kubectl: Program) -> None:
    labels = {"set": "mine"}
    one, two = config_map("one", {}, labels=labels), config_map("two", {}, labels=labels)
    arguments = ("apply", "--prune", "-l", "set=mine", "--prune-allowlist=core/v1/ConfigMap", "-f", "-")
    kubectl(*arguments, stdin=text(one, two))
    kubectl("create", "configmap", "unrelated")
    assert "configmap/two pruned" in kubectl(*arguments, stdin=text(one)).out
    left = kubectl("get", "cm", "-o", "name").lines
    assert "configmap/one" in left and "configmap/unrelated" in left and "configmap/two" not in left


def test_create_of_many_kinds(kubectl: Program) -> None:
    for arguments, printed in (
        (("configmap", "c", "--from-literal=a=b"), "configmap/c created"),
        (("secret", "generic", "s", "--from-literal=a=b"), "secret/s created"),
        (("secret", "docker-registry", "r", "--docker-username=u", "--docker-password=p"), "secret/r created"),
        (("deployment", "d", "--image=registry.example/app:1.0"), "deployment.apps/d created"),
        (("job", "j", "--image=registry.example/app:1.0"), "job.batch/j created"),
        (("cronjob", "cj", "--image=registry.example/app:1.0", "--schedule=0 0 1 1 *"), "cronjob.batch/cj created"),
        (("service", "clusterip", "svc", "--tcp=80:80"), "service/svc created"),
        (("service", "nodeport", "np", "--tcp=80:80"), "service/np created"),
        (("ingress", "i", "--rule=a.example/*=svc:80"), "ingress.networking.k8s.io/i created"),
        (("serviceaccount", "sa"), "serviceaccount/sa created"),
        (("role", "ro", "--verb=get", "--resource=pods"), "role.rbac.authorization.k8s.io/ro created"),
        (("rolebinding", "rb", "--role=ro", "--user=u"), "rolebinding.rbac.authorization.k8s.io/rb created"),
        (("quota", "q", "--hard=pods=10"), "resourcequota/q created"),
        (
            ("poddisruptionbudget", "pdb", "--selector=a=b", "--min-available=1"),
            "poddisruptionbudget.policy/pdb created",
        ),
    ):
        assert kubectl("create", *arguments).out == f"{printed}\n"
    again = kubectl("create", "configmap", "c", fails=True).err
    assert again == 'error: failed to create configmap: configmaps "c" already exists\n'
    made = kubectl("create", "-f", "-", stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: gen-}\n").out
    assert re.match(r"^configmap/gen-[a-z0-9]{5} created\n$", made)
    kubectl("create", "job", "from", "--from=cronjob/cj")
    token = kubectl("create", "token", "sa").out.strip()
    assert token.count(".") == 2
    exposed = kubectl("expose", "deployment", "d", "--port=80")
    assert exposed.out == "service/d exposed\n"
    assert (
        kubectl("run", "pod", "--image=registry.example/app:1.0", "--dry-run=server").out
        == "pod/pod created (server dry run)\n"
    )


def editor(tmp_path: Path, old: str, new: str) -> dict[str, str]:
    script = tmp_path / "editor.sh"
    script.write_text(f'#!/bin/sh\nsed -i "s|{old}|{new}|" "$1"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {"EDITOR": str(script), "KUBE_EDITOR": str(script), "TMPDIR": str(tmp_path)}


def test_edit(kubectl: Program, tmp_path: Path) -> None:
    kubectl("create", "configmap", "c", "--from-literal=a=before")
    edited = kubectl("edit", "configmap", "c", environment=editor(tmp_path, "before", "after"))
    assert edited.out == "configmap/c edited\n"
    assert kubectl("get", "cm", "c", "-o", "jsonpath={.data.a}").out == "after"
    unchanged = kubectl("edit", "configmap", "c", environment=editor(tmp_path, "nothing", "at all"))
    assert "Edit cancelled, no changes made." in unchanged.err + unchanged.out


def test_edit_a_deployment(kubectl: Program, tmp_path: Path) -> None:
    kubectl("create", "deployment", "web", "--image=registry.example/app:1.0")
    kubectl("edit", "deployment/web", environment=editor(tmp_path, "app:1.0", "app:2.0"))
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    path = "jsonpath={.items[*].spec.containers[0].image}"
    eventually(lambda: kubectl("get", "pods", "-l", "app=web", "-o", path).out == "registry.example/app:2.0")


def test_patches(kubectl: Program) -> None:
    kubectl("create", "deployment", "web", "--image=registry.example/app:1.0", "--replicas=0")
    strategic = '{"spec":{"template":{"spec":{"containers":[{"name":"app","env":[{"name":"A","value":"1"}]}]}}}}'
    assert kubectl("patch", "deployment", "web", "-p", strategic).out == "deployment.apps/web patched\n"
    assert kubectl("patch", "deployment", "web", "-p", strategic).out == "deployment.apps/web patched (no change)\n"
    kubectl("patch", "deployment", "web", "--type=merge", "-p", '{"spec":{"revisionHistoryLimit":3}}')
    kubectl("patch", "deployment", "web", "--type=json", "-p", '[{"op":"replace","path":"/spec/replicas","value":1}]')
    kubectl("patch", "deployment", "web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":0}}')
    spec = kubectl("get", "deploy", "web", "-o", "json").json["spec"]
    assert (spec["replicas"], spec["revisionHistoryLimit"]) == (0, 3)
    assert spec["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    failed = kubectl(
        "patch",
        "deployment",
        "web",
        "--type=json",
        "-p",
        '[{"op":"test","path":"/spec/replicas","value":9}]',
        fails=True,
    )
    assert "the server rejected our request due to an error in our request" in failed.err
    immutable = kubectl(
        "patch", "deployment", "web", "-p", '{"spec":{"selector":{"matchLabels":{"x":"y"}}}}', fails=True
    )
    assert "field is immutable" in immutable.err


def test_replace(kubectl: Program) -> None:
    kubectl("create", "-f", "-", stdin=text(config_map("c", {"a": "1"})))
    assert kubectl("replace", "-f", "-", stdin=text(config_map("c", {"b": "2"}))).out == "configmap/c replaced\n"
    assert kubectl("get", "cm", "c", "-o", "json").json["data"] == {"b": "2"}
    uid = kubectl("get", "cm", "c", "-o", "jsonpath={.metadata.uid}").out
    forced = kubectl("replace", "--force", "-f", "-", stdin=text(config_map("c", {"b": "3"})))
    assert "configmap/c replaced" in forced.out
    assert kubectl("get", "cm", "c", "-o", "jsonpath={.metadata.uid}").out != uid
    stale = config_map("c", {"b": "4"}, resourceVersion="1")
    assert "the object has been modified" in kubectl("replace", "-f", "-", stdin=text(stale), fails=True).err


def test_label_and_annotate(kubectl: Program) -> None:
    kubectl("create", "configmap", "c")
    assert kubectl("label", "cm", "c", "a=b").out == "configmap/c labeled\n"
    assert "already has a value (b), and --overwrite is false" in kubectl("label", "cm", "c", "a=c", fails=True).err
    kubectl("label", "cm", "c", "a=c", "--overwrite")
    assert kubectl("label", "cm", "c", "a-").out == "configmap/c unlabeled\n"
    assert kubectl("annotate", "cm", "c", "note=x").out == "configmap/c annotated\n"


def test_delete(cluster: Cluster, ns: str, kubectl: Program) -> None:
    for name in "abc":
        kubectl("create", "configmap", name)
    assert kubectl("delete", "configmap", "a").out == f'configmap "a" deleted from {ns} namespace\n'
    kubectl("label", "configmap", "b", "x=y")
    kubectl("delete", "configmap", "-l", "x=y")
    assert kubectl("delete", "configmap", "a", fails=True).err.startswith("Error from server (NotFound)")
    kubectl("delete", "configmap", "a", "--ignore-not-found")
    kubectl("create", "deployment", "web", "--image=registry.example/app:1.0")
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    replica_set = kubectl("get", "rs", "-o", "name").out.strip()
    kubectl("delete", "deployment", "web", "--cascade=orphan")
    assert kubectl("get", replica_set, "-o", "name").out.strip() == replica_set
    kubectl("delete", replica_set, "--cascade=foreground", "--timeout=240s")
    assert kubectl("get", "pods", "-l", "app=web", "-o", "name").out == ""
    kubectl("run", "p", "--image=registry.example/app:1.0")
    kubectl("wait", "pod/p", "--for=condition=Ready", "--timeout=240s")
    kubectl("delete", "pod", "p", "--grace-period=0", "--force")
    kubectl("delete", "configmap", "--all")


def test_scale(kubectl: Program) -> None:
    kubectl("create", "deployment", "web", "--image=registry.example/app:1.0")
    assert kubectl("scale", "deployment", "web", "--replicas=3").out == "deployment.apps/web scaled\n"
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}").out == "3"
    wrong = kubectl("scale", "deployment", "web", "--current-replicas=9", "--replicas=1", fails=True).err
    assert "expected replicas to be 9, was 3" in wrong.lower()
    kubectl("autoscale", "deployment", "web", "--min=1", "--max=3", "--cpu=50%")
    assert kubectl("get", "hpa", "web").rows[0][1] == "Deployment/web"


def test_rollouts_of_a_deployment(kubectl: Program) -> None:
    kubectl("create", "deployment", "web", "--image=registry.example/app:1.0", "--replicas=2")
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    assert (
        kubectl("set", "image", "deployment/web", "app=registry.example/app:2.0").out
        == "deployment.apps/web image updated\n"
    )
    kubectl("annotate", "deployment/web", "kubernetes.io/change-cause=to 2.0")
    status = kubectl("rollout", "status", "deployment/web", "--timeout=240s").lines
    assert status[-1] == 'deployment "web" successfully rolled out'
    history = kubectl("rollout", "history", "deployment/web")
    assert history.lines[:2] == ["deployment.apps/web ", "REVISION  CHANGE-CAUSE"]
    assert [line.split(None, 1) for line in history.lines[2:] if line] == [["1", "<none>"], ["2", "to 2.0"]]
    one = kubectl("rollout", "history", "deployment/web", "--revision=1").out
    assert "Image:\tregistry.example/app:1.0" in one.replace("      ", "")
    assert kubectl("rollout", "undo", "deployment/web").out == "deployment.apps/web rolled back\n"
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    assert (
        kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}").out
        == "registry.example/app:1.0"
    )
    assert [line.split()[0] for line in kubectl("rollout", "history", "deployment/web").lines[2:] if line] == ["2", "3"]
    assert kubectl("rollout", "undo", "deployment/web", "--to-revision=2").out == "deployment.apps/web rolled back\n"
    missing = kubectl("rollout", "undo", "deployment/web", "--to-revision=9", fails=True).err
    assert "unable to find specified revision 9 in history" in missing


def test_restart_pause_and_resume(kubectl: Program) -> None:
    kubectl("create", "deployment", "web", "--image=registry.example/app:1.0")
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    assert kubectl("rollout", "restart", "deployment/web").out == "deployment.apps/web restarted\n"
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    assert kubectl("rollout", "pause", "deployment/web").out == "deployment.apps/web paused\n"
    assert "is already paused" in kubectl("rollout", "pause", "deployment/web", fails=True).err
    kubectl("set", "env", "deployment/web", "A=b")
    kubectl("set", "resources", "deployment/web", "--limits=cpu=100m")
    assert "cannot rollback a paused deployment" in kubectl("rollout", "undo", "deployment/web", fails=True).err
    assert kubectl("rollout", "resume", "deployment/web").out == "deployment.apps/web resumed\n"
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    lines = [line for line in kubectl("rollout", "history", "deployment/web").lines[2:] if line]
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]


def test_a_rollout_that_fails(kubectl: Program) -> None:
    kubectl("create", "deployment", "web", "--image=registry.example/app:1.0")
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    kubectl("patch", "deployment", "web", "-p", '{"spec":{"progressDeadlineSeconds":2}}')
    kubectl("set", "image", "deployment/web", "app=registry.example/app:2.0-missing")
    failed = kubectl("rollout", "status", "deployment/web", "--timeout=240s", fails=True)
    assert failed.err == 'error: deployment "web" exceeded its progress deadline\n'
    kubectl("rollout", "undo", "deployment/web")
    # `rollout status` may still see the missed deadline of the revision that has just been left.
    kubectl(
        "wait",
        "deployment/web",
        "--for=jsonpath={.status.conditions[?(@.type=='Progressing')].status}=True",
        "--timeout=240s",
    )
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_rollouts_of_other_sets(kubectl: Program, kind: str) -> None:
    target = f"{kind.lower()}/app"
    obj = workload(kind, "app", replicas=1 if kind == "StatefulSet" else None)
    kubectl("apply", "-f", "-", stdin=text(obj))
    kubectl("rollout", "status", target, "--timeout=240s")
    kubectl("set", "image", target, "app=registry.example/app:2.0")
    kubectl("rollout", "status", target, "--timeout=240s")
    revisions = [line.split()[0] for line in kubectl("rollout", "history", target).lines[2:] if line]
    assert revisions == ["1", "2"]
    assert "registry.example/app:1.0" in kubectl("rollout", "history", target, "--revision=1").out
    assert kubectl("rollout", "undo", target).out == f"{kind.lower()}.apps/app rolled back\n"
    kubectl("rollout", "status", target, "--timeout=240s")
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl("get", target, "-o", path).out == "registry.example/app:1.0"
    same = kubectl("rollout", "undo", target, "--to-revision=3")
    assert same.out == f"{kind.lower()}.apps/app skipped rollback (current template already matches revision 3)\n"
    kubectl("rollout", "restart", target)
    kubectl("rollout", "status", target, "--timeout=240s")


def test_nodes_are_cordoned_and_drained(cluster: Cluster, kubectl: Program) -> None:
    if not cluster.is_twin:
        pytest.skip("draining a node of a cluster that others use is not for a test")
    node = kubectl("get", "nodes", "-o", "name").lines[-1].removeprefix("node/")
    try:
        assert kubectl("cordon", node).out == f"node/{node} cordoned\n"
        assert kubectl("get", "node", node).rows[0][1] == "Ready,SchedulingDisabled"
    finally:
        assert kubectl("uncordon", node).out == f"node/{node} uncordoned\n"
