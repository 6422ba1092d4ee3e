# SPDX-License-Identifier: Apache-2.0
"""What credential programs handed out, for all connections of this process: 400 contexts of one user run one program once.

Contexts share a credential where client-go would share it (plugin/pkg/client/auth/exec, ``cacheKey``): the same command,
arguments, variables and version, and the same cluster where the program is told of that.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from backout.cluster import execplugin
from backout.cluster.execplugin import Credential
from backout.cluster.kubeconfig import Connection, ExecPlugin
from backout.cluster.slots import Slots
from backout.errors import BackoutError

AT_ONCE = 8
"""Programs that run at the same time, of however many users; of those that may ask on the terminal, one."""
EARLY = timedelta(seconds=10)
"""So long before its end a credential is renewed; a tenth of its life, where that is less."""
ANEW = 10.0
"""Seconds in which one user's program is not run again because of a credential that was refused as soon as it was made."""
FAILED_FOR = 5.0
"""Seconds for which the error of a program is the answer to everybody who needs it."""
TRUSTED_FOR = 60.0
"""Seconds for which a credential is used that ended, by this machine's clock, before it began, and the one before it as
well: then the clock is wrong, and the server decides."""


@dataclass(slots=True)
class Issued:
    """A credential; ``serial`` rises with each that a program hands out."""

    credential: Credential
    serial: int
    at: float
    """When, on the monotonic clock."""
    renew: datetime | None
    trusted_until: float = 0.0
    refused: bool = False
    """Whether it was made because its forerunner was refused."""
    accepted: set[str] = field(default_factory=set)
    """The servers that took it."""


@dataclass(slots=True)
class _User:
    """``flight``: the run that is under way; None as its result: it was broken off, and somebody else has to."""

    issued: Issued | None = None
    flight: Future[Issued | None] | None = None
    error: BackoutError | None = None
    failed_at: float = 0.0


class Plugins:
    """All users of one process. ``now`` is the clock that the programs' own ends are compared with."""

    def __init__(self, at_once: int = AT_ONCE, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._users: dict[object, _User] = {}
        self._lock = threading.Lock()
        self._slots, self._terminal = Slots(at_once), Slots(1)
        self._serials = itertools.count(1)
        self._now = now

    async def get(self, connection: Connection, plugin: ExecPlugin) -> Issued:
        """The user's credential, as long as it lasts, else a new one.

        Raises:
            ConfigError, TokenExpired: see `execplugin.run`.
        """
        return await self._issued(connection, plugin, lambda issued: not self._over(issued), refused=False)

    async def renew(self, connection: Connection, plugin: ExecPlugin, serial: int) -> Issued | None:
        """Another one than that of ``serial``, which the server refused; None where none can be expected.

        Raises:
            ConfigError, TokenExpired: see `execplugin.run`.
        """
        known = self._users.get(_key(connection, plugin), _User()).issued
        if known is not None and known.serial == serial and _just_refused(known, connection.server):
            return None
        return await self._issued(connection, plugin, lambda issued: issued.serial > serial, refused=True)

    async def _issued(
        self, connection: Connection, plugin: ExecPlugin, good: Callable[[Issued], bool], *, refused: bool
    ) -> Issued:
        while True:
            with self._lock:
                user = self._users.setdefault(_key(connection, plugin), _User())
                if user.issued is not None and good(user.issued):
                    return user.issued
                if user.error is not None and time.monotonic() - user.failed_at < FAILED_FOR:
                    raise user.error
                flight, mine = user.flight, user.flight is None
                if flight is None:
                    flight = user.flight = Future()
            if mine:
                return await self._run(connection, plugin, user, flight, refused=refused)
            # Shielded: who stops waiting does not take it from the others.
            issued = await asyncio.shield(asyncio.wrap_future(flight))
            if issued is not None:
                return issued

    async def _run(
        self, connection: Connection, plugin: ExecPlugin, user: _User, flight: Future[Issued | None], *, refused: bool
    ) -> Issued:
        """Runs the program, for everybody who waits for it."""
        issued: Issued | None = None
        error: BackoutError | None = None
        try:
            async with self._terminal if execplugin.interactive(plugin) else self._slots:
                credential = await execplugin.run(connection, plugin)
            issued = self._new(credential, user.issued, refused=refused)
            return issued
        except BackoutError as failed:
            error = failed
            raise
        finally:
            with self._lock:
                user.flight = None
                user.issued = issued or user.issued
                user.error, user.failed_at = error, time.monotonic()
            if error is not None:
                flight.set_exception(error)
            else:
                flight.set_result(issued)

    def _new(self, credential: Credential, former: Issued | None, *, refused: bool) -> Issued:
        renew, now = None, self._now()
        if credential.expires is not None:
            renew = credential.expires - min(EARLY, max((credential.expires - now) / 10, timedelta()))
        issued = Issued(credential, next(self._serials), time.monotonic(), renew, refused=refused)
        late = renew is not None and renew <= now
        if late and former is not None and former.renew is not None and former.renew <= now:
            issued.trusted_until = issued.at + TRUSTED_FOR
        return issued

    def _over(self, issued: Issued) -> bool:
        if issued.renew is None or time.monotonic() < issued.trusted_until:
            return False
        return self._now() >= issued.renew


def _just_refused(issued: Issued, server: str) -> bool:
    """Whether it was made because the one before was refused, and no request to this server has gone through with it."""
    return issued.refused and server not in issued.accepted and time.monotonic() - issued.at < ANEW


def _key(connection: Connection, plugin: ExecPlugin) -> object:
    return plugin, execplugin.info(connection, plugin, interactive=False) if plugin.cluster_info else ""


OF_PROCESS = Plugins()
