# SPDX-License-Identifier: Apache-2.0
"""Runs the credential program of a kubeconfig as kubectl runs it.

Protocol: ``client.authentication.k8s.io`` v1 and v1beta1. The program gets ``KUBERNETES_EXEC_INFO`` (an ExecCredential
with the cluster when the kubeconfig asks for it), the user's environment with the kubeconfig's own variables on top,
the user's standard error, and standard input only on a terminal. It prints an ExecCredential with a token or a
client certificate (client-go, plugin/pkg/client/auth/exec).
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from backout.cluster.kubeconfig import Connection, ExecPlugin
from backout.errors import ConfigError, TokenExpired
from backout.model.decoding import UNREADABLE

LIMIT = 1024 * 1024
"""Bytes that a program may print."""
TIMEOUT = 60.0
"""Seconds that a program may take by itself."""
LOGIN_TIMEOUT = 300.0
"""Seconds for one that may ask a person on the terminal."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a program printed. ``expires`` is None when it did not say."""

    token: str = field(default="", repr=False)
    cert: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    expires: datetime | None = None


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct):
    kind: str = ""
    apiVersion: str = ""
    status: _Status | None = None


def interactive(plugin: ExecPlugin) -> bool:
    """Whether the program may ask a person on this terminal."""
    return plugin.interactive != "Never" and sys.stdin is not None and sys.stdin.isatty()


async def run(connection: Connection, plugin: ExecPlugin, *, timeout: float | None = None) -> Credential:
    """Runs the program once and reads what it prints. ``timeout`` in seconds, else `TIMEOUT` or `LOGIN_TIMEOUT`.

    Raises:
        ConfigError: the program is missing, or prints something that is no ExecCredential.
        TokenExpired: the program ended with an error (its own words went to standard error).
    """
    asks = interactive(plugin)
    timeout = timeout or (LOGIN_TIMEOUT if asks else TIMEOUT)
    if plugin.interactive == "Always" and not asks:
        raise TokenExpired(
            "The credential program {command} needs a terminal, and there is none.",
            command=plugin.command,
            hint="Log in from a terminal first.",
        )
    environment = {**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": info(connection, plugin, interactive=asks)}
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command,
            *plugin.args,
            env=environment,
            stdin=None if asks else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise ConfigError(
            "The credential program {command} can't be started: {reason}.",
            command=plugin.command,
            reason=(error.strerror or "error").lower(),
            hint=plugin.install_hint.replace("{", "{{").replace("}", "}}"),
        ) from None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout):
            output = await _read(process.stdout)
            code = await process.wait()
    except TimeoutError:
        raise TokenExpired(
            "The credential program {command} did not end within {seconds} s.",
            command=plugin.command,
            seconds=int(timeout),
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        raise TokenExpired(
            "The credential program {command} ended with code {code}.",
            command=plugin.command,
            code=code,
            hint="Its message is above. Logging in again may help.",
        )
    return _parse(plugin, output)


async def _read(stream: asyncio.StreamReader) -> bytes:
    output = bytearray()
    while chunk := await stream.read(65536):
        output += chunk
        if len(output) > LIMIT:
            raise ConfigError("A credential program printed more than {limit} bytes.", limit=LIMIT)
    return bytes(output)


def info(connection: Connection, plugin: ExecPlugin, *, interactive: bool) -> str:
    """What the program is told of itself and, where the kubeconfig says so, of the cluster."""
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.cluster_info:
        cluster: dict[str, Any] = {"server": connection.server}
        if connection.tls_server_name:
            cluster["tls-server-name"] = connection.tls_server_name
        if connection.insecure:
            cluster["insecure-skip-tls-verify"] = True
        if connection.ca:
            cluster["certificate-authority-data"] = base64.b64encode(connection.ca).decode()
        if connection.proxy_url:
            cluster["proxy-url"] = connection.proxy_url
        if connection.exec_config is not None:
            cluster["config"] = connection.exec_config
        spec["cluster"] = cluster
    told = {"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec}
    return msgspec.json.encode(told).decode()


def _parse(plugin: ExecPlugin, output: bytes) -> Credential:
    problem = ""
    try:
        answer = msgspec.json.decode(output, type=_ExecCredential)
    except UNREADABLE:
        raise ConfigError(
            "The credential program {command} printed something that is no ExecCredential.", command=plugin.command
        ) from None
    status = answer.status or _Status()
    if answer.kind != "ExecCredential" or answer.apiVersion != plugin.api_version:
        problem = f"{answer.apiVersion or 'nothing'} instead of an ExecCredential of {plugin.api_version}"
    elif not status.token and not status.client_certificate_data:
        problem = "neither a token nor a certificate"
    elif bool(status.client_certificate_data) != bool(status.client_key_data):
        problem = "a certificate without its key, or a key without its certificate"
    if problem:
        raise ConfigError(
            "The credential program {command} printed {problem}.", command=plugin.command, problem=problem
        )
    expires = status.expiration_timestamp
    return Credential(
        token=status.token,
        cert=status.client_certificate_data.encode() or None,
        key=status.client_key_data.encode() or None,
        expires=expires if expires is None or expires.tzinfo else expires.replace(tzinfo=UTC),
    )
