# SPDX-License-Identifier: Apache-2.0
"""TLS contexts and proxies, as a kubeconfig and the environment ask for them."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import ssl
import tempfile
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from backout.cluster.kubeconfig import Connection
from backout.errors import ConfigError

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def context(connection: Connection) -> ssl.SSLContext:
    """Verifies the server by the kubeconfig's own authority, or by the system's when it names none.

    Raises:
        ConfigError: a certificate or key can't be used.
    """
    try:
        result = ssl.create_default_context(cadata=connection.ca.decode() if connection.ca else None)
    except (ssl.SSLError, UnicodeDecodeError, ValueError):
        raise ConfigError(
            "The certificate authority of cluster {cluster} is not a PEM certificate.", cluster=connection.cluster
        ) from None
    # client-go accepts authorities without the key usage extensions that Python 3.13 started to insist on.
    result.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if connection.insecure:
        result.check_hostname = False
        result.verify_mode = ssl.CERT_NONE
    if connection.client_cert and connection.client_key:
        load_certificate(result, connection.client_cert, connection.client_key)
    return result


def load_certificate(target: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    """Gives ``target`` a client certificate. OpenSSL reads files only, so the key is in one for a moment.

    Raises:
        ConfigError: not a PEM pair, or there is no room for that file.
    """
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - memory, so that no disk keeps the key
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="backout-") as file:  # 0600 by itself
            file.write(cert.rstrip() + b"\n" + key)
            file.flush()
            target.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError):
        raise ConfigError("The client certificate and key are not a PEM pair that belongs together.") from None
    except OSError as error:
        raise ConfigError(
            "A file for the client certificate can't be written in {folder}: {reason}.",
            folder=folder or tempfile.gettempdir(),
            reason=(error.strerror or "error").lower(),
            hint="Free some space there, then run the command again.",
        ) from None


def fingerprint(ca: bytes | None) -> str:
    """SHA-256 over the certificates of an authority in DER form; comments and white space don't count.

    Empty when the kubeconfig names no authority and the system's are used.
    """
    certificates = _PEM.findall(ca or b"")
    if not certificates:
        return ""
    digest = hashlib.sha256()
    for pem in certificates:
        digest.update(ssl.PEM_cert_to_DER_cert(pem.decode("ascii", "replace")))
    return digest.hexdigest()


def is_loopback(url: str) -> bool:
    """Whether ``url`` leads to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(connection: Connection) -> str:
    """The proxy to go through, or nothing: the kubeconfig's, else the environment's (never for loopback).

    Raises:
        ConfigError: the environment names one of a kind that can't be used.
    """
    if connection.proxy_url:
        return connection.proxy_url
    if is_loopback(connection.server):
        return ""
    parts = urlsplit(connection.server)
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme, "")
    if not proxy or _excepted(parts.hostname or "", parts.port, proxies.get("no", "")):
        return ""
    # Without a scheme it is an HTTP proxy (golang.org/x/net/http/httpproxy).
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    kind = urlsplit(proxy).scheme
    if kind not in ("http", "https"):
        raise ConfigError(
            "The environment names a proxy that Backout can't go through.",
            expected="an http or https proxy in {name}",
            found="{kind}",
            name=f"{parts.scheme.upper()}_PROXY",
            kind=kind,
            hint="Name the API server in NO_PROXY, or another proxy.",
        )
    return proxy


def _excepted(host: str, port: int | None, rules: str) -> bool:
    """``NO_PROXY`` as Go reads it: names with their subdomains, addresses, networks, ``*``."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for raw in rules.split(","):
        rule = raw.strip().lower()
        if rule == "*":
            return True
        if not rule:
            continue
        if address is not None:
            try:
                if address in ipaddress.ip_network(rule, strict=False):
                    return True
            except ValueError:
                pass
        name, _, wanted = rule.partition(":") if rule.count(":") == 1 else (rule, "", "")
        if wanted and wanted != str(port):
            continue
        name = name.removeprefix("*")
        if host == name.removeprefix(".") and not name.startswith("."):
            return True
        if host.endswith(name if name.startswith(".") else f".{name}"):
            return True
    return False
