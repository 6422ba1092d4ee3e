# SPDX-License-Identifier: Apache-2.0
"""kubeconfig files, good and bad."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from backout import errors
from backout.cluster import kubeconfig


def write(path: Path, **changes: Any) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "clusters": [{"name": "c", "cluster": {"server": "https://one:6443/"}}],
        "contexts": [
            {"name": "a", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
            {"name": "b", "context": {"cluster": "c"}},
        ],
        "users": [{"name": "u", "user": {"token": "t0ken"}}],
        **changes,
    }
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_the_current_context_and_a_named_one(tmp_path: Path) -> None:
    path = str(write(tmp_path / "config"))
    current = kubeconfig.connection(path)
    assert (current.context, current.server, current.namespace, current.token) == (
        "a",
        "https://one:6443",
        "shop",
        "t0ken",
    )
    assert current.kubeconfig == path
    other = kubeconfig.connection(path, "b")
    assert (other.namespace, other.token, other.user) == ("default", "", "")


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    user = {
        "token": "hunter2",
        "password": "hunter2",
        "username": "me",
        "exec": {
            "command": "x",
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "args": ["hunter2"],
            "env": [{"name": "A", "value": "hunter2"}],
        },
    }
    found = kubeconfig.connection(str(write(tmp_path / "config", users=[{"name": "u", "user": user}])))
    assert found.token == "hunter2"
    assert "hunter2" not in repr(found)


def test_several_files_are_merged_and_the_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    first = write(
        tmp_path / "first",
        users=[],
        contexts=[{"name": "x", "context": {"cluster": "c2", "user": "u"}}],
        **{"current-context": "x"},
    )
    (tmp_path / "sub/ca.pem").write_bytes(b"the authority")
    second = write(
        tmp_path / "sub/second",
        clusters=[
            {"name": "c", "cluster": {"server": "https://two"}},
            {"name": "c2", "cluster": {"server": "https://three", "certificate-authority": "ca.pem"}},
        ],
    )
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'missing'}:{second}")
    found = kubeconfig.connection()
    assert (found.context, found.server, found.ca, found.token) == ("x", "https://three", b"the authority", "t0ken")
    assert kubeconfig.connection(context="a").server == "https://one:6443"
    assert found.kubeconfig == f"{first}:{second}"


def test_the_default_file(tmp_path: Path) -> None:
    (tmp_path / "home/.kube").mkdir(parents=True)
    write(tmp_path / "home/.kube/config")
    assert kubeconfig.connection().context == "a"


def test_an_unknown_context_lists_those_that_exist(tmp_path: Path) -> None:
    path = str(write(tmp_path / "config"))
    with pytest.raises(errors.UnknownContext) as caught:
        kubeconfig.connection(path, "prod")
    assert "prod" in caught.value.message
    assert errors.fill(caught.value.expected, caught.value.arguments) == "one of: a, b"
    assert caught.value.exit_code == 3


def exec_user(version: str) -> dict[str, Any]:
    return {"name": "u", "user": {"exec": {"command": "x", "apiVersion": f"client.authentication.k8s.io/{version}"}}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clusters": []}, "names the cluster c"),
        ({"users": []}, "names the user u"),
        ({"current-context": ""}, "no current context"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "clusters[0].cluster.server: missing"),
        ({"clusters": [{"name": "c", "cluster": {"server": "nowhere"}}]}, "clusters[0].cluster.server: an URL"),
        ({"clusters": [{"name": "c", "cluster": {"server": 5}}]}, "a text was expected, found a number"),
        ({"clusters": [{"cluster": {"server": "https://x"}}]}, "clusters[0].name: missing"),
        ({"clusters": {"c": 1}}, "clusters: a list was expected, found a mapping"),
        ({"clusters": ["c"]}, "clusters[0]: a mapping was expected, found a text"),
        ({"kind": "Pod"}, "kind: Config was expected, found Pod"),
        (
            {"users": [{"name": "u", "user": {"client-certificate-data": "QQ=="}}]},
            "client-key: a certificate needs its key",
        ),
        (
            {"users": [{"name": "u", "user": {"client-certificate": "gone.pem", "client-key": "k"}}]},
            "gone.pem can't be read",
        ),
        ({"users": [{"name": "u", "user": {"auth-provider": {"name": "gcp"}}}]}, "auth-provider"),
        ({"users": [exec_user("v1alpha1")]}, "apiVersion: one of"),
        ({"users": [exec_user("v1")]}, "interactiveMode: Never"),
    ],
)
def test_what_is_malformed_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = write(tmp_path / "config", **changes)
    with pytest.raises(errors.ConfigError) as caught:
        kubeconfig.connection(str(path))
    assert words in caught.value.message
    assert str(path) in caught.value.message


def test_the_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(
        "kind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context:\n    cluster: c\n"
        "clusters:\n- name: c\n  cluster:\n    server: [1]\n"
    )
    with pytest.raises(errors.ConfigError, match=r"line 10: clusters\[0\]\.cluster\.server"):
        kubeconfig.connection(str(path))
    path.write_text("kind: Config\n  clusters: [\n")
    with pytest.raises(errors.ConfigError, match=r"not valid YAML: .* \(line 2, column"):
        kubeconfig.connection(str(path))


def test_no_file_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.ConfigError, match="There is no kubeconfig"):
        kubeconfig.connection()
    with pytest.raises(errors.ConfigError, match="does not exist"):
        kubeconfig.connection(str(tmp_path / "missing"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(errors.ConfigError, match="KUBECONFIG names"):
        kubeconfig.connection()


def test_inside_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text("abc")
    (folder / "namespace").write_text("shop\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", folder)
    found = kubeconfig.in_cluster(folder)
    assert found is not None
    assert (found.server, found.namespace, found.token_file) == ("https://[fd00::1]:443", "shop", folder / "token")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert kubeconfig.in_cluster(folder) is None


EXEC = {"command": "./login", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}


def test_a_relative_credential_program_lies_beside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "config", users=[{"name": "u", "user": {"exec": EXEC}}])
    found = kubeconfig.connection(str(path))
    assert found.exec is not None
    assert Path(found.exec.command) == tmp_path.resolve() / "login"
    path = write(tmp_path / "config", users=[{"name": "u", "user": {"exec": {**EXEC, "command": "login"}}}])
    found = kubeconfig.connection(str(path))
    assert found.exec is not None
    assert found.exec.command == "login"


@pytest.mark.parametrize(
    "changes",
    [
        {"users": [{"name": "u", "user": {"exec": EXEC}}]},
        {"users": [{"name": "u", "user": {"tokenFile": "/etc/hostname"}}]},
        {"clusters": [{"name": "c", "cluster": {"server": "https://x", "insecure-skip-tls-verify": True}}]},
        {"clusters": [{"name": "c", "cluster": {"server": "https://x", "proxy-url": "http://y"}}]},
        {"clusters": [{"name": "c", "cluster": {"server": "https://x", "certificate-authority": "../../etc/hosts"}}]},
    ],
)
def test_an_imported_file_is_not_trusted(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = str(write(tmp_path / "config", **changes))
    with pytest.raises(errors.RefusedError):
        kubeconfig.KubeConfig([Path(path)], imported=True).connection()


@pytest.mark.parametrize(("url", "words"), [("socks5://proxy:1080", "SOCKS"), ("ftp://proxy", "http or https")])
def test_a_proxy_that_can_not_be_used_is_named_by_file_and_key(tmp_path: Path, url: str, words: str) -> None:
    path = write(tmp_path / "config", clusters=[{"name": "c", "cluster": {"server": "https://x", "proxy-url": url}}])
    with pytest.raises(errors.ConfigError) as caught:
        kubeconfig.connection(str(path))
    assert words in str(caught.value.arguments) + caught.value.message
    assert "proxy-url" in str(caught.value.arguments) + caught.value.message


def test_verification_is_off_only_when_the_file_says_so(tmp_path: Path) -> None:
    data = base64.b64encode(b"x").decode()
    assert not kubeconfig.connection(str(write(tmp_path / "config"))).insecure
    path = write(
        tmp_path / "config",
        clusters=[{"name": "c", "cluster": {"server": "https://x", "insecure-skip-tls-verify": True}}],
    )
    assert kubeconfig.connection(str(path)).insecure
    both = {"server": "https://x", "insecure-skip-tls-verify": True, "certificate-authority-data": data}
    with pytest.raises(errors.ConfigError, match="together"):
        kubeconfig.connection(str(write(path, clusters=[{"name": "c", "cluster": both}])))


def test_impersonation(tmp_path: Path) -> None:
    user = {"token": "t", "as": "jane", "as-groups": ["dev", "ops"], "as-user-extra": {"reason": ["drill"]}}
    found = kubeconfig.connection(str(write(tmp_path / "config", users=[{"name": "u", "user": user}])))
    assert found.impersonate == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Extra-reason", "drill"),
    )


def test_a_file_that_nobody_may_read(tmp_path: Path) -> None:
    path = write(tmp_path / "config")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(errors.ConfigError, match="permission denied"):
        kubeconfig.connection(str(path))
