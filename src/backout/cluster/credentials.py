# SPDX-License-Identifier: Apache-2.0
"""The ``Authorization`` header of each request, and what to do when the server answers 401: refresh once."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from backout.cluster import execplugin
from backout.cluster.kubeconfig import Connection
from backout.errors import ConfigError

FILE_PERIOD = 60.0
"""A token file is read again after this many seconds; the kubelet rotates those of service accounts."""
EARLY = timedelta(seconds=10)


class Credentials:
    """Credentials of one connection. ``on_certificate`` gets each client certificate that a program hands out."""

    def __init__(self, connection: Connection, on_certificate: Callable[[bytes, bytes], None]) -> None:
        self._connection = connection
        self._on_certificate = on_certificate
        self._lock = asyncio.Lock()
        self._token = connection.token
        self._read_at = 0.0
        self._expires: datetime | None = None
        self._ran = False
        self.generation = 0
        """Rises with every refresh, so that many requests that fail together refresh once."""

    @property
    def refreshable(self) -> bool:
        """Whether asking again can give other credentials."""
        return self._connection.token_file is not None or self._connection.exec is not None

    async def header(self) -> str:
        """The value of ``Authorization``, or an empty text when a certificate (or nobody) vouches for the user."""
        connection = self._connection
        if connection.token_file is not None:
            if time.monotonic() - self._read_at > FILE_PERIOD or not self._token:
                self._read_file()
        elif not self._token and connection.exec is not None:
            async with self._lock:
                if not self._ran or self._expired():
                    await self._run()
        elif self._expired():
            async with self._lock:
                if self._expired():
                    await self._run()
        if self._token:
            return f"Bearer {self._token}"
        if connection.username:
            pair = f"{connection.username}:{connection.password}".encode()
            return f"Basic {base64.b64encode(pair).decode()}"
        return ""

    async def refresh(self, generation: int) -> bool:
        """Gets new credentials, unless another request did so after ``generation``. False when there is no way to."""
        if not self.refreshable:
            return False
        async with self._lock:
            if generation == self.generation:
                if self._connection.token_file is not None:
                    self._read_file()
                else:
                    await self._run()
        return True

    def _expired(self) -> bool:
        return self._expires is not None and datetime.now(UTC) >= self._expires - EARLY

    def _read_file(self) -> None:
        path = self._connection.token_file
        assert path is not None
        try:
            self._token = path.read_text().strip()
        except OSError as error:
            raise ConfigError(
                "The token file {file} can't be read: {reason}.",
                file=str(path),
                reason=(error.strerror or "error").lower(),
            ) from None
        self._read_at = time.monotonic()
        self.generation += 1

    async def _run(self) -> None:
        plugin = self._connection.exec
        assert plugin is not None
        credential = await execplugin.run(self._connection, plugin)
        self._token, self._expires, self._ran = credential.token, credential.expires, True
        self.generation += 1
        if credential.cert and credential.key:
            self._on_certificate(credential.cert, credential.key)
