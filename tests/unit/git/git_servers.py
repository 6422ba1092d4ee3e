# SPDX-License-Identifier: Apache-2.0
"""Real servers of git: `git http-backend` behind TLS with a password, and sshd without a port (as a ProxyCommand)."""

from __future__ import annotations

import base64
import contextlib
import datetime
import getpass
import ipaddress
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "jane", "hunter%402"
"""The password as a URL has it."""
READER = base64.b64encode(b"reader:hunter@2").decode()
"""May read and not push."""
_SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class _Backend(BaseHTTPRequestHandler):
    """CGI of git-http-backend(1) for one folder of repositories."""

    protocol_version = "HTTP/1.1"
    root: Path

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        body = self._body()
        if given not in (base64.b64encode(b"jane:hunter@2").decode(), READER):
            self._head(401, b"", ("WWW-Authenticate", 'Basic realm="git"'))
            return
        if given == READER and "git-receive-pack" in self.path:
            self._head(403, b"")
            return
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_USER": USER,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        answer = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        fields = [tuple(line.decode().split(": ", 1)) for line in head.split(b"\r\n") if b": " in line]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        self._head(status, content, *((name, value) for name, value in fields if name != "Status"))

    do_GET = do_POST = _answer

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _head(self, status: int, content: bytes, *fields: tuple[str, ...]) -> None:
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "git")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, private


@contextlib.contextmanager
def tls_server(handler: type[BaseHTTPRequestHandler], folder: Path) -> Iterator[tuple[int, Path]]:
    """A server on 127.0.0.1 behind TLS: its port, and the certificate to trust."""
    cert, key = certificate(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1], cert
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def https(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The repository over smart HTTP: its URL without user and password."""
    handler = type("Backend", (_Backend,), {"root": repository.parent})
    folder = repository.parent / "tls"
    folder.mkdir()
    subprocess.run(["git", "-C", str(repository), "config", "http.receivepack", "true"], check=True)
    with tls_server(handler, folder) as (port, cert):
        monkeypatch.setenv("GIT_SSL_CAINFO", str(cert))
        yield f"https://127.0.0.1:{port}/{repository.name}"


@contextlib.contextmanager
def ssh(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The repository over SSH, by a key: its URL. Skips where there is no sshd, or it can't work here."""
    if _SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no openssh-server here")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    folder = repository.parent / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    (folder / "known").write_text(f"git.example {(folder / 'host.pub').read_text()}")
    settings = folder / "sshd.conf"
    settings.write_text(
        f"HostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'authorized'}\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nLogLevel QUIET\n"
    )
    monkeypatch.setenv(
        "GIT_SSH_COMMAND",
        f"ssh -F none -o BatchMode=yes -o UserKnownHostsFile={folder / 'known'} -o IdentitiesOnly=yes -i {folder / 'user'} "
        f"-o 'ProxyCommand={_SSHD} -i -f {settings}'",
    )
    url = f"ssh://{getpass.getuser()}@git.example{repository}"
    trial = subprocess.run(
        ["git", "ls-remote", url],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
    )
    if trial.returncode:
        pytest.skip(f"sshd can't work here: {trial.stderr[-200:]}")
    yield url
