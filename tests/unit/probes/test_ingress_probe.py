# SPDX-License-Identifier: Apache-2.0
"""An Ingress asked over real loopback connections, by HTTP and HTTPS, also where the other side misbehaves."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from small_cluster import SmallCluster

from backout.cluster.port import SECRETS
from backout.errors import AccessDenied
from backout.probes import ingress as probe
from backout.probes.ingress import Answer, ask, fetch, routes

HOST = "grafana.example"


def http(code: int, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def server(*, tls: ssl.SSLContext | None = None, **replies: Any) -> AsyncIterator[tuple[int, list[str]]]:
    """Answers by the last part of the path: bytes, None resets, ``...`` is silence after the head."""
    seen: list[str] = []
    tasks: list[Any] = []
    writers: list[asyncio.StreamWriter] = []

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        writers.append(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split(" ")[1]
            host = next(line[6:] for line in head.split("\r\n") if line.lower().startswith("host: "))
            seen.append(f"{host} {target}")
            reply = replies.get(
                target.strip("/") or "root", http(404, b"default backend - 404", "Content-Type: text/plain")
            )
            if reply is None:
                writer.transport.abort()
            elif reply is ...:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
                await reader.read()
            else:
                writer.write(reply)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1], seen
    finally:
        listening.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


def rule(*paths: Any, host: str = HOST) -> dict[str, Any]:
    backend = {"service": {"name": "grafana", "port": {"name": "http"}}}
    entries = [{"path": p, "pathType": "Prefix", "backend": backend} if isinstance(p, str) else p for p in paths]
    return {"host": host, "http": {"paths": entries}}


def ingress(*rules: dict[str, Any], ports: Any = (), ip: str = "127.0.0.1", **spec: Any) -> dict[str, Any]:
    point = {"ip": ip, "ports": [{"port": port, "protocol": "TCP"} for port in ports]}
    return {
        "metadata": {"name": "i", "namespace": "n"},
        "spec": {"rules": list(rules), **spec},
        "status": {"loadBalancer": {"ingress": [point]}},
    }


class Local(SmallCluster):
    """A cluster of this computer."""

    kubeconfig = ""
    context = "here"


@pytest.fixture(autouse=True)
def local_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
        "clusters: [{name: a, cluster: {server: 'https://127.0.0.1:6443'}}, "
        "{name: b, cluster: {server: 'https://far.example'}}]\n"
        "contexts: [{name: here, context: {cluster: a}}, {name: far, context: {cluster: b}}]\n"
    )
    monkeypatch.setattr(Local, "kubeconfig", str(config))


def asked(obj: dict[str, Any], cluster: Any = None, timeout: float = 240.0) -> list[Answer]:
    return asyncio.run(ask(cluster or Local(), obj, timeout=timeout))


def test_each_route_is_asked_by_its_host() -> None:
    async def main() -> None:
        page = http(200, b"<title>Grafana</title>", "Content-Type: text/html")
        away = http(302, b"", "Location: http://evil.example/")
        async with server(root=page, **{"api/x": http(503), "there": away}) as (port, seen):
            found = await ask(Local(), ingress(rule("/", "/api/x", "/there", "/no"), ports=[port]))  # type: ignore[arg-type]
            root, api, there, no = found
            assert (root.status, root.marker, root.address) == (200, "Grafana", f"127.0.0.1:{port}")
            assert (root.service, root.port, root.error) == ("grafana", "http", None)
            assert (api.status, there.status) == (503, 302), "nothing outside is followed"
            assert (no.status, no.marker) == (404, "default backend - 404")
            assert sorted(seen) == sorted(f"{HOST} {path}" for path in ("/", "/api/x", "/there", "/no"))

    asyncio.run(main())


def test_one_path_with_its_body() -> None:
    async def main() -> None:
        async with server(login=http(200, b"Sign in"), slow=...) as (port, seen):
            obj = ingress(rule("/"), rule("/", host="b.example"), ports=[port])
            answer, body = await fetch(Local(), obj, "/login")  # type: ignore[arg-type]
            assert (answer.status, body) == (200, b"Sign in")
            answer, _ = await fetch(Local(), obj, "/login", host="b.example")  # type: ignore[arg-type]
            assert answer.status == 200 and seen == [f"{HOST} /login", "b.example /login"]
            answer, body = await fetch(Local(), obj, "/slow", timeout=0.2)  # type: ignore[arg-type]
            assert answer.error is not None and not body
            answer, _ = await fetch(Local(), obj, "/", host="c.example")  # type: ignore[arg-type]
            assert answer.error is not None and "no rule for host c.example" in answer.error.text

    asyncio.run(main())


def test_large_slow_cut_and_absent_answers() -> None:
    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        huge = head + b"15\r\n<title>Huge</title>  \r\n" + chunk * 40
        replies = {
            "huge": huge,
            "slow": ...,
            "cut": None,
            "short": http(200, b"x" * 10)[:-5],
            "odd": b"SSH-2.0\r\n\r\n",
        }
        async with server(**replies) as (port, _):
            [slow] = await ask(Local(), ingress(rule("/slow"), ports=[port]), timeout=0.5)  # type: ignore[arg-type]
            huge_, cut, short, odd = await ask(
                Local(),
                ingress(rule("/huge", "/cut", "/short", "/odd"), ports=[port]),
                timeout=240.0,  # type: ignore[arg-type]
            )
            assert (huge_.status, huge_.marker) == (200, "Huge")
            assert slow.error is not None and slow.error.text == "no answer within 0.5 s"
            for answer in (cut, short, odd):
                assert answer.status == 0 and answer.error is not None
                assert answer.error.text == "the connection was cut"
        (gone,) = await ask(Local(), ingress(rule("/"), ports=[port]))  # type: ignore[arg-type]
        assert gone.error is not None and gone.error.text == "connection refused"

    asyncio.run(main())


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = cert.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, pem


def secret(pem: bytes) -> tuple[Any, dict[str, Any]]:
    data = {"tls.crt": base64.b64encode(b"# comment\n" + pem + pem).decode()}
    return SECRETS, {"kind": "Secret", "metadata": {"name": "tls", "namespace": "n"}, "data": data}


def test_https_and_whose_certificate_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, pem = certificate(tmp_path, "one")
    _, other = certificate(tmp_path, "two")
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    tls = {"tls": [{"hosts": [HOST], "secretName": "tls"}]}

    async def main() -> None:
        async with server(tls=context, root=http(200)) as (secure, _):
            up = http(308, b"", f"Location: https://{HOST}/")
            async with server(root=up) as (plain, seen):

                async def both(obj: dict[str, Any], *objects: Any, **more: Any) -> Answer:
                    reached = (probe._Address("127.0.0.1", plain, secure), None)
                    with monkeypatch.context() as patched:
                        patched.setattr(probe, "_address", lambda *_: reached)
                        (answer,) = await ask(Local(*objects, **more), obj)  # type: ignore[arg-type]
                    return answer

                answer = await both(ingress(rule("/"), **tls), secret(pem))
                assert (answer.status, answer.certificate) == (200, "same") and names == [HOST] and not seen
                assert (await both(ingress(rule("/"), **tls), secret(other))).certificate == "other"
                assert (await both(ingress(rule("/"), **tls))).certificate == "missing"
                denied = {"Secret": AccessDenied("You may not get secrets.")}
                assert (await both(ingress(rule("/"), **tls), denied=denied)).certificate == "unread"
                assert (await both(ingress(rule("/"), **tls), secret(b""))).certificate == "unread"
                answer = await both(ingress(rule("/")))
                assert (answer.status, answer.certificate, len(seen)) == (200, "", 1), "the same host by HTTPS"
                (bad,) = await ask(Local(), ingress(rule("/"), ports=[plain], **tls))  # type: ignore[arg-type]
                assert bad.status == 308, "only this port is published"

    asyncio.run(main())


def test_a_handshake_that_fails() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http(400, b"plain HTTP"))
        writer.close()

    async def main() -> None:
        listening = await asyncio.start_server(plain, "127.0.0.1", 0)
        address = probe._Address("127.0.0.1", 0, listening.sockets[0].getsockname()[1])
        answer, _ = await probe._ask(probe.Route(HOST, "/"), address, probe._Certificates(Local(), "n"))  # type: ignore[arg-type]
        assert answer.error is not None and answer.error.text == "the TLS handshake failed"
        listening.close()
        await listening.wait_closed()

    asyncio.run(main())


@pytest.mark.parametrize("ip", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "bad host\r\nX: y", "a/b"])
def test_addresses_that_no_ingress_has_are_not_asked(ip: str) -> None:
    (answer,) = asked(ingress(rule("/"), ip=ip))
    assert answer.error is not None and answer.status == 0 and not answer.address


def test_this_computer_is_asked_only_for_a_cluster_on_it() -> None:
    far = Local()
    far.context = "far"
    for ip in ("127.0.0.1", "::1"):
        (answer,) = asked(ingress(rule("/"), ip=ip), far)
        assert answer.error is not None and "this computer itself" in answer.error.text


def test_an_ingress_without_an_address_or_rules() -> None:
    obj = ingress(rule("/"))
    obj["status"] = {}
    (answer,) = asked(obj)
    assert answer.error is not None and "no controller" in answer.error.text
    assert asked({"metadata": {"name": "i"}}) == []


def test_routes() -> None:
    pattern = {"path": "/api(/|$)(.*)", "pathType": "ImplementationSpecific", "backend": {}}
    tls = [{"hosts": [HOST], "secretName": "s"}, {"hosts": ["*.wild.example"], "secretName": "w"}]
    obj = ingress(rule("/", pattern, "/", "//a"), rule("/", host="*.wild.example"), tls=tls)
    assert [(r.host, r.path, r.tls) for r in routes(obj)] == [
        (HOST, "/", "s"),
        (HOST, "/api", "s"),
        (HOST, "//a", "s"),
        ("backout.wild.example", "/", "w"),
    ]
    default = {"service": {"name": "d", "port": {"number": 80}}}
    (only,) = routes({"spec": {"defaultBackend": default}})
    assert (only.host, only.service, only.port) == ("", "d", 80)
    many = ingress(*(rule("/", host=f"h{number}.example") for number in range(100)))
    assert len(routes(many)) == probe.ROUTES
