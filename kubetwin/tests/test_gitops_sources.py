# SPDX-License-Identifier: Apache-2.0
"""Sources are real: repositories that go away, over file, SSH and HTTP; kustomize and helm make the manifests."""

from __future__ import annotations

import asyncio
import getpass
import http.server
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gitops_twin import Repository, config_map, deployment, needs_git, programs

from kubetwin.gitops.documents import ManifestError
from kubetwin.gitops.git import Credentials, GitError, Repositories, RevisionNotFound
from kubetwin.gitops.programs import ProgramFailed, environment, run
from kubetwin.gitops.render import Wanted, kind_of, render

pytestmark = needs_git
BACKEND = Path("/usr/lib/git-core/git-http-backend")


def test_revisions_are_resolved_and_a_known_commit_needs_no_server(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    first = repo.commit({"a/x.json": "1", "b/y.json": "1"})
    repo.git("tag", "-a", "v1", "-m", "one")
    repo.git("push", "-q", "origin", "v1")
    second = repo.commit({"b/y.json": "2"})

    async def main() -> None:
        known = Repositories(tmp_path / "mirrors", programs())
        for name, wanted in (
            ("main", second),
            ("", second),
            ("HEAD", second),
            ("v1", first),
            ("refs/heads/main", second),
        ):
            assert await known.resolve(repo.url, name) == wanted, name
        assert await known.resolve(repo.url, first[:8]) == first
        tree = await known.tree(repo.url, first)
        assert (tree / "b/y.json").read_text() == "1"
        assert (await known.log(repo.url, first))[2] == "change"
        assert not await known.changed(repo.url, first, second, ["a"]) and await known.changed(
            repo.url, first, second, ["b"]
        )
        with pytest.raises(RevisionNotFound):
            await known.resolve(repo.url, "nothing")
        repo.away()
        for name in ("main", "v1"):
            with pytest.raises(GitError):
                await known.resolve(repo.url, name)
        assert await known.resolve(repo.url, second) == second
        assert ((await known.tree(repo.url, second)) / "b/y.json").read_text() == "2"
        known.forget()
        with pytest.raises(GitError):
            await known.tree(repo.url, second)
        repo.back()
        assert await known.tree(repo.url, second)

    asyncio.run(main())


def test_nothing_of_a_repository_or_of_the_user_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = Repository(tmp_path)
    (repo.work / "link").symlink_to("/etc/passwd")
    (repo.work / ".gitattributes").write_text("*.json filter=evil\n")
    commit = repo.commit({"a.json": "1"})
    mark = tmp_path / "ran"
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[filter "evil"]\n smudge = touch {mark}\n[core]\n fsmonitor = touch {mark}\n')
    hook = repo.bare / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {mark}")

    async def main() -> None:
        tree = await Repositories(tmp_path / "mirrors", programs()).tree(repo.url, commit)
        assert not (tree / "link").is_symlink() and (tree / "a.json").read_text() == "1"

    asyncio.run(main())
    assert not mark.exists()


def test_programs_that_hang_are_ended_with_what_they_started(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(ProgramFailed, match="did not end within"):
            await run(["sh", "-c", "sleep 77 & sleep 77"], env=environment(tmp_path), timeout=0.3)
        with pytest.raises(ProgramFailed, match="can't be run"):
            await run(["/no/such/program"], env={})
        with pytest.raises(ProgramFailed, match="oh no"):
            await run(["sh", "-c", "echo oh no >&2; exit 3"], env=environment(tmp_path))
        assert await run(["cat"], env=environment(tmp_path), data=b"x") == b"x"

    asyncio.run(main())


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.skipif(
    shutil.which("sshd") is None and not Path("/usr/sbin/sshd").exists(), reason="sshd is not installed"
)
def test_over_ssh_with_a_key_and_known_hosts(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    commit = repo.commit({"a.json": "1"})
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    (tmp_path / "authorized").write_text((tmp_path / "user.pub").read_text())
    (tmp_path / "authorized").chmod(0o600)
    port = _free_port()
    settings = f"""
Port {port}
ListenAddress 127.0.0.1
HostKey {tmp_path}/host
AuthorizedKeysFile {tmp_path}/authorized
PidFile {tmp_path}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
"""
    (tmp_path / "sshd_config").write_text(settings)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
    daemon = subprocess.Popen(
        [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", str(tmp_path / "sshd_config")],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stderr is not None
        for line in daemon.stderr:
            if "Server listening" in line:
                break
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{repo.bare}"
        host = (tmp_path / "host.pub").read_text().split()
        key = (tmp_path / "user").read_text()
        known = Credentials(ssh_key=key, known_hosts=f"[127.0.0.1]:{port} {host[0]} {host[1]}\n")

        async def main() -> None:
            repositories = Repositories(tmp_path / "mirrors", programs())
            assert await repositories.resolve(url, "main", known) == commit
            assert ((await repositories.tree(url, commit, known)) / "a.json").is_file()
            for bad in (Credentials(ssh_key=key), Credentials(known_hosts=known.known_hosts)):
                with pytest.raises(GitError):
                    await repositories.resolve(url, "main", bad)
            assert await repositories.resolve(url, "main", Credentials(ssh_key=key, insecure=True)) == commit

        asyncio.run(main())
        assert not list((tmp_path / "mirrors").glob("*/key-*")), "private keys stayed behind"
    finally:
        daemon.terminate()
        daemon.wait()
        assert daemon.stderr is not None
        daemon.stderr.close()


@contextmanager
def smart_http(root: Path, password: str) -> Iterator[str]:
    """`git http-backend` behind a password, on a loopback port."""
    import base64

    wanted = "Basic " + base64.b64encode(f"me:{password}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self) -> None:
            if self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            env = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
                "REMOTE_ADDR": "127.0.0.1",
            }
            said = subprocess.run([str(BACKEND)], env=env, input=body, capture_output=True, check=True).stdout
            top, _, rest = said.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in top.decode().splitlines())
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(rest)

        do_GET = do_POST = _serve

        def log_message(self, *arguments: object) -> None:
            """Nothing is told."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.skipif(not BACKEND.exists(), reason="git http-backend is not installed")
def test_over_smart_http_with_a_password_that_no_argument_shows(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    commit = repo.commit({"a.json": "1"})

    async def main(base: str) -> None:
        url = f"{base}/{repo.bare.name}"
        repositories = Repositories(tmp_path / "mirrors", programs())
        assert await repositories.resolve(url, "main", Credentials("me", "s3cret")) == commit
        assert ((await repositories.tree(url, commit, Credentials("me", "s3cret"))) / "a.json").is_file()
        for bad in (Credentials("me", "wrong"), Credentials()):
            with pytest.raises(GitError) as refused:
                await repositories.resolve(url, "main", bad)
            assert "wrong" not in str(refused.value)

    with smart_http(tmp_path, "s3cret") as base:
        asyncio.run(main(base))
    assert not any(
        "s3cret" in path.read_text(errors="replace") for path in (tmp_path / "mirrors").rglob("*") if path.is_file()
    )


# rendering


def rendered(tree: Path, **source: object) -> list[str]:
    found = asyncio.run(render(programs(), Wanted(tree, source, "shop", "prod")))
    return [f"{obj['kind']}/{obj['metadata']['name']}" for obj in found]


def written(root: Path, **files: object) -> Path:
    import json

    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def test_plain_directories(tmp_path: Path) -> None:
    two = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, annotations: {day: 2026-11-30}}\n---\n---\n"
    listed = {"apiVersion": "v1", "kind": "List", "items": [config_map("x"), config_map("y")]}
    tree = written(tmp_path, a_dot_yaml=two, b_dot_json=listed, sub__c_dot_yml=config_map("deep"), README_dot_md="# no")
    assert rendered(tree, path=".") == ["ConfigMap/one", "ConfigMap/x", "ConfigMap/y"]
    assert rendered(tree, path=".", directory={"recurse": True})[-1] == "ConfigMap/deep"
    assert rendered(tree, path=".", directory={"recurse": True, "include": "{sub/*,a.*}"}) == [
        "ConfigMap/one",
        "ConfigMap/deep",
    ]
    assert rendered(tree, path=".", directory={"recurse": True, "exclude": "sub/*"}) == rendered(tree, path=".")
    for source, text in (
        ({"path": "gone"}, "does not exist"),
        ({"path": "/etc"}, "absolute"),
        ({"path": "a/../../x"}, "leads out"),
        ({"path": ".", "directory": {"jsonnet": {"libs": ["x"]}}}, "jsonnet"),
        ({"path": ".", "plugin": {"name": "x"}}, "plugins"),
    ):
        with pytest.raises(ManifestError, match=text):
            rendered(tree, **source)
    written(tree, z_dot_yaml="kind: [")
    with pytest.raises(ManifestError, match=r"z\.yaml"):
        rendered(tree, path=".")
    written(tree, z_dot_yaml="kind: X\n")
    with pytest.raises(ManifestError, match="missing"):
        rendered(tree, path=".")


def _there(program: str) -> bool:
    return shutil.which(program) is not None or Path(program).exists()


@pytest.mark.skipif(not _there(programs().kubectl), reason="kubectl is not installed")
def test_kustomize_is_the_real_one_and_takes_the_options_of_an_application(tmp_path: Path) -> None:
    base = "resources: [web.json]\n"
    over = "resources: [../../base]\nnamespace: prod\n"
    tree = written(
        tmp_path,
        base__web_dot_json=deployment("web"),
        base__kustomization_dot_yaml=base,
        overlays__prod__kustomization_dot_yaml=over,
    )
    source = {"path": "overlays/prod"}
    assert kind_of(Wanted(tree, source)) == "Kustomize" and rendered(tree, **source) == ["Deployment/web"]
    options = {
        "namePrefix": "x-",
        "images": ["registry.example/app=other.example/app:2"],
        "replicas": [{"name": "web", "count": "4"}],
    }
    found = asyncio.run(render(programs(), Wanted(tree, {**source, "kustomize": options})))
    spec = found[0]["spec"]
    assert found[0]["metadata"]["name"] == "x-web" and spec["replicas"] == 4
    assert spec["template"]["spec"]["containers"][0]["image"] == "other.example/app:2"
    assert (tree / "overlays/prod/kustomization.yaml").read_text() == over, "the shared tree was written to"
    written(tree, base__kustomization_dot_yaml="resources: [gone.yaml]\n")
    with pytest.raises(ManifestError, match="kubectl"):
        rendered(tree, **source)


@pytest.mark.skipif(not _there(programs().helm), reason="helm is not installed")
def test_charts_are_rendered_by_the_real_helm(tmp_path: Path) -> None:
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n"
    template += "data: {v: {{ .Values.v | quote }}, n: {{ .Release.Namespace }}}\n"
    tree = written(
        tmp_path,
        chart__Chart_dot_yaml="apiVersion: v2\nname: c\nversion: 1.0.0\n",
        chart__values_dot_yaml="v: base\n",
        chart__templates__x_dot_yaml=template,
        extra_dot_yaml="v: file\n",
    )

    def value(**helm: object) -> str:
        found = asyncio.run(render(programs(), Wanted(tree, {"path": "chart", "helm": helm}, "shop", "prod")))
        assert found[0]["metadata"]["name"] == helm.get("releaseName", "shop") and found[0]["data"]["n"] == "prod"
        return str(found[0]["data"]["v"])

    assert value() == "base"
    assert value(valueFiles=["/extra.yaml"], values="v: inline\n") == "inline"
    assert value(values="v: inline\n", parameters=[{"name": "v", "value": "a,b"}], releaseName="other") == "a,b"
    for helm, text in (
        ({"valueFiles": ["no.yaml"]}, "no such file"),
        ({"valueFiles": ["../../x"]}, "leads out"),
        ({"valueFiles": ["$ref/x"]}, "no source has a ref"),
        ({"releaseName": "--post-renderer=x"}, "no name of a release"),
        ({"values": "v: ["}, "values"),
    ):
        with pytest.raises(ManifestError, match=text):
            value(**helm)
    assert value(valueFiles=["no.yaml"], ignoreMissingValueFiles=True) == "base"
