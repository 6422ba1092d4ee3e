# SPDX-License-Identifier: Apache-2.0
"""Tokens, token files, credential programs, certificates: against a server that checks them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cluster_authority import Authority
from cluster_fakeapi import FakeApi, Faults
from cluster_helpers import PODS_PATH, cluster_of, fake, run

from backout import errors
from backout.cluster import tls
from backout.cluster.kubeconfig import Connection, ExecPlugin
from backout.cluster.port import PODS

V1 = "client.authentication.k8s.io/v1"


def program(folder: Path, body: str) -> ExecPlugin:
    """A credential program in Python; it counts its calls in ``calls``."""
    script = folder / "login.py"
    script.write_text(
        "import json, os, sys\n"
        f"calls = open({str(folder / 'calls')!r}, 'a+'); calls.write('x'); calls.flush(); calls.seek(0)\n"
        "n = len(calls.read())\n"
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        f"open({str(folder / 'info')!r}, 'w').write(json.dumps([info, os.environ.get('EXTRA'), sys.argv[1:]]))\n"
        "def give(**status):\n"
        f"    print(json.dumps(dict(kind='ExecCredential', apiVersion={V1!r}, status=status)))\n" + body
    )
    return ExecPlugin(
        sys.executable,
        (str(script), "--flag"),
        env=(("EXTRA", "from the file"),),
        interactive="Never",
        cluster_info=True,
    )


def test_a_program_runs_as_kubectl_runs_it_and_again_after_a_401(tmp_path: Path) -> None:
    plugin = program(tmp_path, "give(token=f'token-{n}')\n")

    async def main() -> None:
        connection = {"exec": plugin, "exec_config": {"audience": "x"}, "tls_server_name": "name"}
        async with fake(good_tokens=("token-1",), connection=connection) as (api, cluster):
            api.put(PODS_PATH, "web")
            await cluster.get(PODS, "web", "shop")
            await cluster.get(PODS, "web", "shop")
            assert (tmp_path / "calls").read_text() == "x"
            api.faults.good_tokens = ("token-2",)
            await cluster.get(PODS, "web", "shop")
            assert (tmp_path / "calls").read_text() == "xx"
            api.faults.good_tokens = ("never",)
            with pytest.raises(errors.TokenExpired, match="401"):
                await cluster.get(PODS, "web", "shop")
            assert (tmp_path / "calls").read_text() == "xxx"
            info, extra, argv = json.loads((tmp_path / "info").read_text())
            assert (extra, argv) == ("from the file", ["--flag"])
            assert info == {
                "kind": "ExecCredential",
                "apiVersion": V1,
                "spec": {
                    "interactive": False,
                    "cluster": {"server": api.url, "tls-server-name": "name", "config": {"audience": "x"}},
                },
            }

    run(main())


def test_a_program_runs_again_when_its_credentials_end(tmp_path: Path) -> None:
    plugin = program(tmp_path, "give(token='t', expirationTimestamp='2020-01-01T00:00:00Z' if n == 1 else None)\n")

    async def main() -> None:
        async with fake(good_tokens=("t",), connection={"exec": plugin}) as (api, cluster):
            api.put(PODS_PATH, "web")
            for _ in range(3):
                await cluster.get(PODS, "web", "shop")
            assert (tmp_path / "calls").read_text() == "xx"

    run(main())


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("sys.exit(3)\n", errors.TokenExpired, "ended with code 3"),
        ("print('hunter2')\n", errors.ConfigError, "no ExecCredential"),
        ("give()\n", errors.ConfigError, "neither a token nor a certificate"),
        ("give(clientCertificateData='x')\n", errors.ConfigError, "without its key"),
        (
            'print(\'{"kind":"ExecCredential","apiVersion":"v0","status":{"token":"hunter2"}}\')\n',
            errors.ConfigError,
            "v0 instead",
        ),
    ],
)
def test_a_program_that_fails(tmp_path: Path, body: str, kind: type[Exception], words: str) -> None:
    plugin = program(tmp_path, body)

    async def main() -> None:
        async with fake(connection={"exec": plugin}) as (_, cluster):
            with pytest.raises(kind, match=words) as caught:
                await cluster.get(PODS, "web", "shop")
            assert "hunter2" not in str(caught.value)

    run(main())


def test_a_program_that_is_missing() -> None:
    async def main() -> None:
        plugin = ExecPlugin("/nowhere/login", install_hint="Install {it}.")
        async with fake(connection={"exec": plugin}) as (_, cluster):
            with pytest.raises(errors.ConfigError, match="no such file") as caught:
                await cluster.get(PODS, "web", "shop")
            assert errors.fill(caught.value.hint, caught.value.arguments) == "Install {it}."

    run(main())


def test_a_token_file_is_read_again_after_a_401(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")

    async def main() -> None:
        async with fake(good_tokens=("one",), connection={"token_file": file}) as (api, cluster):
            api.put(PODS_PATH, "web")
            await cluster.get(PODS, "web", "shop")
            file.write_text("two\n")
            api.faults.good_tokens = ("two",)
            await cluster.get(PODS, "web", "shop")

    run(main())


def test_an_expired_token() -> None:
    async def main() -> None:
        async with fake(good_tokens=("new",), connection={"token": "old-hunter2"}) as (api, cluster):
            with pytest.raises(errors.TokenExpired) as caught:
                await cluster.get(PODS, "web", "shop")
            assert "hunter2" not in repr(caught.value) + caught.value.message
            assert api.requests.total() == 1

    run(main())


def test_impersonation_and_names_are_sent() -> None:
    async def main() -> None:
        groups = (("Impersonate-User", "jane"), ("Impersonate-Group", "dev"))
        async with fake(connection={"username": "me", "password": "pw", "impersonate": groups}) as (api, cluster):
            api.put(PODS_PATH, "web")
            await cluster.get(PODS, "web", "shop")
            headers = api.seen[-1][3]
            assert headers["authorization"] == "Basic bWU6cHc="
            assert (headers["impersonate-user"], headers["impersonate-group"]) == ("jane", "dev")
            assert headers["user-agent"].startswith("backout/")

    run(main())


def test_certificates_are_checked_both_ways_and_the_server_name_is_the_files(tmp_path: Path) -> None:
    ours, other = Authority(), Authority()
    cert, key = ours.pair("me", "me")

    async def main() -> None:
        api = FakeApi(Faults())
        api.put(PODS_PATH, "web")
        async with api.serve(ssl=ours.server(tmp_path)):
            good = {"client_cert": cert, "client_key": key, "tls_server_name": "kubernetes"}
            async with cluster_of(api, ca=ours.pem, **good) as cluster:
                await cluster.get(PODS, "web", "shop")
            # An address that the certificate does not name, then an authority that did not sign it.
            async with cluster_of(api, ca=ours.pem, client_cert=cert, client_key=key) as cluster:
                with pytest.raises(errors.UntrustedServer):
                    await cluster.get(PODS, "web", "shop")
            async with cluster_of(api, ca=other.pem, **good) as cluster:
                with pytest.raises(errors.UntrustedServer) as caught:
                    await cluster.get(PODS, "web", "shop")
            assert not caught.value.retryable
            async with cluster_of(api, insecure=True, client_cert=cert, client_key=key) as cluster:
                await cluster.get(PODS, "web", "shop")

    run(main())


def test_a_program_may_hand_out_a_certificate(tmp_path: Path) -> None:
    ours = Authority()
    cert, key = ours.pair("me", "me")
    plugin = program(tmp_path, f"give(clientCertificateData={cert.decode()!r}, clientKeyData={key.decode()!r})\n")

    async def main() -> None:
        api = FakeApi(Faults())
        api.put(PODS_PATH, "web")
        async with (
            api.serve(ssl=ours.server(tmp_path)),
            cluster_of(api, ca=ours.pem, exec=plugin, tls_server_name="kubernetes") as cluster,
        ):
            await cluster.get(PODS, "web", "shop")
            await cluster.get(PODS, "web", "shop")
            assert (tmp_path / "calls").read_text() == "x"

    run(main())


def test_the_fingerprint_of_an_authority_ignores_everything_around_it() -> None:
    pem = Authority().pem
    assert len(tls.fingerprint(pem)) == 64
    assert tls.fingerprint(b"# a comment\r\n" + pem.replace(b"\n", b"\r\n") + b"\n\n") == tls.fingerprint(pem)
    assert tls.fingerprint(pem + Authority().pem) != tls.fingerprint(pem)
    assert tls.fingerprint(None) == ""


def test_what_is_no_certificate() -> None:
    with pytest.raises(errors.ConfigError, match="not a PEM certificate"):
        tls.context(Connection(context="x", server="https://x", cluster="c", ca=b"nonsense"))
    with pytest.raises(errors.ConfigError, match="PEM pair"):
        tls.context(Connection(context="x", server="https://x", client_cert=b"a", client_key=b"hunter2"))


@pytest.mark.parametrize(
    ("server", "no_proxy", "proxied"),
    [
        ("https://k8s.example", "", True),
        ("https://k8s.example", "example", False),
        ("https://k8s.example", ".example", False),
        ("https://k8s.example", "k8s.example:443", True),
        ("https://10.1.2.3:6443", "10.0.0.0/8", False),
        ("https://10.1.2.3", "192.168.0.0/16", True),
        ("https://k8s.example", "*", False),
        ("https://127.0.0.1:6443", "", False),
        ("https://localhost", "", False),
        ("https://notexample", "example", True),
    ],
)
def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch, server: str, no_proxy: str, proxied: bool) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    expected = "http://proxy:3128" if proxied else ""
    assert tls.proxy_for(Connection(context="x", server=server)) == expected
    assert tls.proxy_for(Connection(context="x", server=server, proxy_url="http://own")) == "http://own"
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    assert tls.proxy_for(Connection(context="x", server=server)) == expected
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:hunter2@proxy:1080")
    if not proxied:
        assert tls.proxy_for(Connection(context="x", server=server)) == ""
        return
    with pytest.raises(errors.ConfigError) as caught:
        tls.proxy_for(Connection(context="x", server=server))
    assert caught.value.arguments["kind"] == "socks5" and "hunter2" not in str(caught.value.arguments)
