# SPDX-License-Identifier: Apache-2.0
"""What was changed of the account of the pods: its token, and the logins that they pull with; and of a pull Secret itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from a_namespace import Scene, writer

NO_TOKEN = "open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory"
DENIED = 'failed to pull image "r.example/app:1": 401 Unauthorized'
LOGIN = {"imagePullSecrets": [{"name": "regcred"}]}
WITH, WITHOUT = {"automountServiceAccountToken": True}, {"automountServiceAccountToken": False}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def account(scene: Scene, before: dict[str, Any], after: dict[str, Any]) -> None:
    scene.put("ServiceAccount", "web", writer("kubectl-create", 7200), **before)
    scene.snapshot(kinds=("ServiceAccount", "Secret"))
    scene.put("ServiceAccount", "web", writer("kubectl-patch", 90, *after), **after)


def template(**spec: Any) -> dict[str, Any]:
    return {"serviceAccountName": "web", "containers": [{"name": "app", "image": "r.example/app:1"}], **spec}


@pytest.mark.parametrize(
    ("before", "after", "said", "made", "spec", "confidence"),
    [
        (WITH, WITHOUT, NO_TOKEN, 60, {}, "certain"),
        (WITH, WITHOUT, "exit status 3", 60, {}, "possible"),  # nothing says that it misses a token
        (WITH, WITHOUT, NO_TOKEN, 600, {}, None),  # made before: it got one
        (WITH, WITHOUT, NO_TOKEN, 60, WITH, None),  # its own template decides
        (WITHOUT, WITH, NO_TOKEN, 60, {}, None),  # it was given, not taken
    ],
)
def test_a_token_that_is_mounted_no_more(
    scene: Scene, before: Any, after: Any, said: str, made: float, spec: Any, confidence: str | None
) -> None:
    account(scene, before, after)
    scene.workload("web", template(**spec), ready=0, logs=said)
    again(scene, template(**spec), made)
    scene.cluster.logged["web-0", "app"] = said
    found = scene.problems()
    named = found.get("serviceaccount/web")
    assert (named.confidence if named is not None else None) == confidence
    if named is not None:
        assert named.suspect is not None and named.suspect.actor == "kubectl-patch"
        assert any("automountServiceAccountToken" in field.path for field in named.suspect.fields)


def again(scene: Scene, spec: Any, made: float, waiting: Any = None) -> None:
    """The pod, made so long ago."""
    scene.pod("web-0", ("Deployment", "web"), spec, {"app": "web"}, well=False, waiting=waiting, since=min(made, 60))
    pod = scene.objects["Pod", "web-0"]
    meta = {key: pod["metadata"][key] for key in ("labels", "ownerReferences")}
    scene.put("Pod", "web-0", born=made, meta=meta, spec=pod["spec"], status=pod["status"])
    if waiting is not None:
        # The kubelet says it again without the reason.
        scene.event("web-0", "Failed", waiting["message"], last=40)
        scene.event("web-0", "Failed", "Error: ImagePullBackOff", last=20, named="web-0.again")


@pytest.mark.parametrize(
    ("after", "why", "spec", "named"),
    [
        ({}, DENIED, {}, True),
        ({}, 'manifest for "r.example/app:1" not found: manifest unknown', {}, False),  # the registry let it in
        ({}, DENIED, LOGIN, False),  # it has its own
        ({"imagePullSecrets": [*LOGIN["imagePullSecrets"], {"name": "more"}]}, DENIED, {}, False),  # one more
    ],
)
def test_logins_that_an_account_gives_no_more(scene: Scene, after: Any, why: str, spec: Any, named: bool) -> None:
    scene.config("regcred", kind="Secret")
    account(scene, LOGIN, after)
    waiting = {"reason": "ImagePullBackOff", "message": why}
    scene.workload("web", template(**spec), ready=0)
    again(scene, template(**spec), 60, waiting)
    assert ("serviceaccount/web" in scene.problems()) is named


@pytest.mark.parametrize(
    ("why", "before", "image", "named"),
    [
        (DENIED, True, "", True),
        (DENIED, True, "r.example/app:0", True),
        (DENIED, True, "r.example/another:0", False),  # it never asked for that with any login
        ('manifest for "r.example/app:1" not found: manifest unknown', True, "", False),
        (DENIED, False, "", False),  # it is as it was when all was well
    ],
)
def test_a_login_that_was_changed_before_an_image_that_is_refused(
    scene: Scene, why: str, before: bool, image: str, named: bool
) -> None:
    """Nodes that have the image before never asked the registry for that: a newer template proves nothing."""
    scene.config("regcred", kind="Secret", data={"a": "right" if before else "other"})
    scene.snapshot()
    scene.config("regcred", writer("kubectl-patch", 120, "data/a"), kind="Secret", data={"a": "other"})
    spec = template(**LOGIN)
    scene.put("ServiceAccount", "web", writer("kubectl-create", 7200))
    scene.workload("web", spec, ready=0, template=70)
    again(scene, spec, 60, {"reason": "ImagePullBackOff", "message": why})
    if image:
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "web",
            "uid": "Deployment-web",
            "controller": True,
        }
        meta = {"ownerReferences": [owner], "annotations": {"deployment.kubernetes.io/revision": "0"}}
        old = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {**spec, "containers": [{"name": "app", "image": image}]},
        }
        scene.put("ReplicaSet", "web-old", meta=meta, spec={"replicas": 1, "template": old}, status={})
    assert ("secret/regcred" in scene.problems()) is named
