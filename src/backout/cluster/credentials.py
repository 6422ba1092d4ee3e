# SPDX-License-Identifier: Apache-2.0
"""The ``Authorization`` header of each request, and what to do when the server answers 401: refresh once."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

from backout.cluster import plugins
from backout.cluster.kubeconfig import Connection
from backout.cluster.plugins import Issued, Plugins
from backout.errors import ConfigError

FILE_PERIOD = 60.0
"""A token file is read again after this many seconds; the kubelet rotates those of service accounts."""
FILE_LIMIT = 1024 * 1024
"""Bytes of a token file that are read."""


class Credentials:
    """Credentials of one connection. ``on_certificate`` gets each client certificate that a program hands out; what programs
    hand out is in ``programs``, for all connections of the process."""

    def __init__(
        self,
        connection: Connection,
        on_certificate: Callable[[bytes, bytes], None],
        programs: Plugins = plugins.OF_PROCESS,
    ) -> None:
        self._connection = connection
        self._on_certificate = on_certificate
        self._programs = programs
        self._token = connection.token
        self._read_at = 0.0
        self._issued: Issued | None = None
        self.generation = 0
        """Which credentials the last header was made of, so that many requests that fail together refresh once."""

    @property
    def refreshable(self) -> bool:
        """Whether asking again can give other credentials."""
        return self._connection.token_file is not None or self._from_program

    @property
    def _from_program(self) -> bool:
        # client-go lets the first of them count: a file, a token, a program.
        return self._connection.exec is not None and self._connection.token_file is None and not self._connection.token

    async def header(self) -> str:
        """The value of ``Authorization``, or an empty text when a certificate (or nobody) vouches for the user."""
        connection = self._connection
        if connection.token_file is not None:
            if time.monotonic() - self._read_at > FILE_PERIOD or not self._token:
                self._read_file()
        elif self._from_program:
            assert connection.exec is not None
            self._take(await self._programs.get(connection, connection.exec))
        if self._token:
            return f"Bearer {self._token}"
        if connection.username:
            pair = f"{connection.username}:{connection.password}".encode()
            return f"Basic {base64.b64encode(pair).decode()}"
        return ""

    def accepted(self, generation: int) -> None:
        """The server took these credentials."""
        if self._issued is not None and self._issued.serial == generation:
            self._issued.accepted.add(self._connection.server)

    async def refresh(self, generation: int) -> bool:
        """Gets new credentials, unless another request did so after ``generation``. False when there is no way to."""
        if not self.refreshable:
            return False
        if not self._from_program:
            if generation == self.generation:
                self._read_file()
            return True
        assert self._connection.exec is not None
        issued = await self._programs.renew(self._connection, self._connection.exec, generation)
        if issued is not None:
            self._take(issued)
        return issued is not None

    def _read_file(self) -> None:
        path = self._connection.token_file
        assert path is not None
        try:
            with path.open("rb") as file:
                self._token = file.read(FILE_LIMIT).decode("utf-8", "replace").strip()
        except OSError as error:
            raise ConfigError(
                "The token file {file} can't be read: {reason}.",
                file=str(path),
                reason=(error.strerror or "error").lower(),
            ) from None
        self._read_at = time.monotonic()
        self.generation += 1

    def _take(self, issued: Issued) -> None:
        if self._issued is not None and issued.serial <= self._issued.serial:
            return
        self._issued, self._token, self.generation = issued, issued.credential.token, issued.serial
        if issued.credential.cert and issued.credential.key:
            self._on_certificate(issued.credential.cert, issued.credential.key)
