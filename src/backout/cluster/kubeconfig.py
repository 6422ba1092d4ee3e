# SPDX-License-Identifier: Apache-2.0
"""Finds and reads kubeconfig files as kubectl does, and says clearly what is wrong with them.

Order (client-go, tools/clientcmd): ``--kubeconfig`` alone; else the files of ``KUBECONFIG``, where the first that sets
a name or a value wins and files that don't exist are skipped; else ``~/.kube/config``; else the service account of
the pod that this process runs in. Relative paths in a file are relative to that file.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from backout.cluster.yamlfile import YamlFile
from backout.errors import ConfigError, RefusedError, UnknownContext

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
Interactive = Literal["Never", "IfAvailable", "Always"]
_EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A program that prints credentials (``users[].user.exec``)."""

    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    api_version: str = _EXEC_VERSIONS[0]
    interactive: Interactive = "IfAvailable"
    cluster_info: bool = False
    install_hint: str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """All that is needed to reach one cluster as one user. Nothing secret shows in its ``repr``."""

    context: str
    server: str
    namespace: str = "default"
    cluster: str = ""
    user: str = ""
    ca: bytes | None = field(default=None, repr=False)
    insecure: bool = False
    tls_server_name: str = ""
    proxy_url: str = field(default="", repr=False)
    compress: bool = True
    client_cert: bytes | None = field(default=None, repr=False)
    client_key: bytes | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    exec: ExecPlugin | None = None
    exec_config: Any = field(default=None, repr=False)
    impersonate: tuple[tuple[str, str], ...] = ()
    kubeconfig: str = ""
    """Value of ``KUBECONFIG`` with which other programs see the same contexts; empty inside a pod."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One named item of one file."""

    file: YamlFile
    path: tuple[str | int, ...]

    def get(self, key: str, kind: type = str, default: Any = None, *, required: bool = False) -> Any:
        return self.file.value((*self.path, key), kind, default, required=required)

    def fail(self, key: str, problem: str) -> None:
        self.file.fail((*self.path, key), problem)

    def bytes_of(self, key: str, *, imported: bool) -> bytes | None:
        """``KEY-data`` (base64) or the content of the file that ``KEY`` names; data goes first, as in kubectl."""
        if text := self.get(f"{key}-data"):
            try:
                return base64.b64decode(text, validate=False)
            except (binascii.Error, ValueError):
                self.fail(f"{key}-data", "not valid base64")
        if name := self.get(key):
            path = self.local(name, key, imported=imported)
            try:
                return path.read_bytes()
            except OSError as error:
                self.fail(key, f"{path} can't be read: {(error.strerror or 'error').lower()}")
        return None

    def local(self, name: str, key: str, *, imported: bool) -> Path:
        """A path of the file, resolved beside it. An imported file may not point at files elsewhere."""
        base = self.file.path.resolve().parent
        path = base / name
        if imported and not path.resolve().is_relative_to(base):
            raise RefusedError(
                "{file}: {key} points outside its own folder, which an imported kubeconfig may not do.",
                file=str(self.file.path),
                key=key,
            )
        return path


class KubeConfig:
    """The merged view of one or several files. ``imported`` marks files that came from somebody else."""

    def __init__(self, paths: list[Path], *, imported: bool = False) -> None:
        self.paths = paths
        self.imported = imported
        self.current = ""
        self._contexts: dict[str, _Entry] = {}
        self._clusters: dict[str, _Entry] = {}
        self._users: dict[str, _Entry] = {}
        for path in paths:
            self._merge(YamlFile(path))

    def _merge(self, file: YamlFile) -> None:
        if file.data is None:
            return
        if not isinstance(file.data, dict):
            file.fail((), "a kubeconfig is a mapping with clusters, contexts and users")
        kind = file.value(("kind",), str, "Config")
        if kind != "Config":
            file.fail(("kind",), f"Config was expected, found {kind}")
        self.current = self.current or file.value(("current-context",), str, "")
        for section, inner, store in (
            ("clusters", "cluster", self._clusters),
            ("contexts", "context", self._contexts),
            ("users", "user", self._users),
        ):
            for index, _ in enumerate(file.value((section,), list, [])):
                name = file.value((section, index, "name"), str, required=True)
                file.value((section, index, inner), dict, {})
                store.setdefault(name, _Entry(file, (section, index, inner)))

    @property
    def contexts(self) -> list[str]:
        """The names of all contexts, in order of appearance."""
        return list(self._contexts)

    @property
    def variable(self) -> str:
        """These files as a value for ``KUBECONFIG``."""
        return os.pathsep.join(str(path) for path in self.paths)

    def connection(self, context: str = "") -> Connection:
        """Everything about one context (``current-context`` when none is named).

        Raises:
            UnknownContext: no such context, cluster or user; the message lists those that exist.
            ConfigError: something in it is malformed; the message names file, line and key.
            RefusedError: an imported file wants to run a program or to weaken the connection.
        """
        name = context or self.current
        where = ", ".join(str(path) for path in self.paths)
        known = ", ".join(self.contexts) or "none"
        if not name:
            raise UnknownContext(
                "{files} names no current context, and none was given.",
                files=where,
                known=known,
                expected="one of: {known}",
                hint="Choose one with --context.",
            )
        entry = self._contexts.get(name)
        if entry is None:
            raise UnknownContext(
                "There is no context {name} in {files}.",
                name=name,
                files=where,
                known=known,
                expected="one of: {known}",
                hint="Choose one with --context.",
            )
        cluster_name = entry.get("cluster", required=True)
        cluster = self._clusters.get(cluster_name)
        if cluster is None:
            raise UnknownContext(
                "Context {name} names the cluster {cluster}, which {files} does not have.",
                name=name,
                cluster=cluster_name,
                files=where,
                known=", ".join(self._clusters) or "none",
                expected="one of: {known}",
            )
        user_name = entry.get("user", default="")
        user = self._users.get(user_name)
        if user_name and user is None:
            raise UnknownContext(
                "Context {name} names the user {user}, whom {files} does not have.",
                name=name,
                user=user_name,
                files=where,
                known=", ".join(self._users) or "none",
                expected="one of: {known}",
            )
        return Connection(
            context=name,
            namespace=entry.get("namespace", default="") or "default",
            cluster=cluster_name,
            user=user_name,
            kubeconfig=self.variable,
            **self._cluster(cluster),
            **(self._user(user) if user else {}),
        )

    def _cluster(self, entry: _Entry) -> dict[str, Any]:
        server = entry.get("server", required=True)
        parts = urlsplit(server)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            entry.fail("server", "an URL such as https://HOST:6443 was expected")
        insecure = entry.get("insecure-skip-tls-verify", bool, False)
        proxy = entry.get("proxy-url", default="")
        if self.imported and (insecure or proxy):
            raise RefusedError(
                "{file} came by import and sets {key}, which is not taken over from others.",
                file=str(entry.file.path),
                key="insecure-skip-tls-verify" if insecure else "proxy-url",
            )
        if urlsplit(proxy).scheme in ("socks5", "socks5h"):
            entry.fail("proxy-url", "Backout can't go through a SOCKS proxy; an http or https one was expected")
        if proxy and urlsplit(proxy).scheme not in ("http", "https"):
            entry.fail("proxy-url", "an URL with http or https was expected")
        ca = entry.bytes_of("certificate-authority", imported=self.imported)
        if ca and insecure:
            entry.fail("insecure-skip-tls-verify", "can't be set together with a certificate authority")
        extensions = entry.get("extensions", list, [])
        exec_config = next(
            (
                item.get("extension")
                for item in extensions
                if isinstance(item, dict) and item.get("name") == "client.authentication.k8s.io/exec"
            ),
            None,
        )
        return {
            "server": server.rstrip("/"),
            "ca": ca,
            "insecure": insecure,
            "proxy_url": proxy,
            "tls_server_name": entry.get("tls-server-name", default=""),
            "compress": not entry.get("disable-compression", bool, False),
            "exec_config": exec_config,
        }

    def _user(self, entry: _Entry) -> dict[str, Any]:
        if entry.get("auth-provider", dict):
            raise ConfigError(
                "{file}: the user has an auth-provider, which kubectl itself dropped in 1.26.",
                file=str(entry.file.path),
                hint="Let the cloud's tool write a kubeconfig with an exec plugin.",
            )
        token_file = entry.get("tokenFile")
        cert = entry.bytes_of("client-certificate", imported=self.imported)
        key = entry.bytes_of("client-key", imported=self.imported)
        if bool(cert) != bool(key):
            entry.fail("client-key" if cert else "client-certificate", "a certificate needs its key, and a key its")
        return {
            "client_cert": cert,
            "client_key": key,
            "token": entry.get("token", default=""),
            "token_file": entry.local(token_file, "tokenFile", imported=self.imported) if token_file else None,
            "username": entry.get("username", default=""),
            "password": entry.get("password", default=""),
            "exec": self._exec(entry),
            "impersonate": _impersonation(entry),
        }

    def _exec(self, user: _Entry) -> ExecPlugin | None:
        if not user.get("exec", dict):
            return None
        entry = _Entry(user.file, (*user.path, "exec"))
        command = entry.get("command", required=True)
        if self.imported:
            raise RefusedError(
                "{file} came by import and wants to run {command}.",
                file=str(entry.file.path),
                command=command,
                hint="Programs are run for your own kubeconfig only; an imported one needs a token or a certificate.",
            )
        if os.path.dirname(command) and not os.path.isabs(command):  # noqa: PTH117, PTH120 - "./x" and "x" differ
            command = str(entry.file.path.resolve().parent / command)
        version = entry.get("apiVersion", required=True)
        if version not in _EXEC_VERSIONS:
            entry.fail("apiVersion", f"one of {', '.join(_EXEC_VERSIONS)} was expected, found {version}")
        mode = entry.get("interactiveMode", default="IfAvailable" if version.endswith("v1beta1") else None)
        if mode not in ("Never", "IfAvailable", "Always"):
            entry.fail("interactiveMode", "Never, IfAvailable or Always was expected")
        variables = tuple(
            (
                entry.file.value((*entry.path, "env", index, "name"), str, required=True),
                entry.file.value((*entry.path, "env", index, "value"), str, ""),
            )
            for index, _ in enumerate(entry.get("env", list, []))
        )
        return ExecPlugin(
            command=command,
            args=tuple(str(arg) for arg in entry.get("args", list, [])),
            env=variables,
            api_version=version,
            interactive=mode,
            cluster_info=entry.get("provideClusterInfo", bool, False),
            install_hint=entry.get("installHint", default=""),
        )


def _impersonation(entry: _Entry) -> tuple[tuple[str, str], ...]:
    headers = [("Impersonate-User", entry.get("as", default="")), ("Impersonate-Uid", entry.get("as-uid", default=""))]
    headers += [("Impersonate-Group", str(group)) for group in entry.get("as-groups", list, [])]
    for key, values in entry.get("as-user-extra", dict, {}).items():
        headers += [(f"Impersonate-Extra-{key}", str(value)) for value in values or []]
    return tuple((name, value) for name, value in headers if value)


def load(kubeconfig: str = "", *, imported: bool = False) -> KubeConfig | None:
    """The user's kubeconfig, or None when there is no file at all (inside a pod, for example).

    Raises:
        ConfigError: a named file does not exist or is malformed.
    """
    if kubeconfig:
        path = Path(kubeconfig).expanduser()
        if not path.is_file():
            raise ConfigError("The kubeconfig {file} does not exist.", file=str(path))
        return KubeConfig([path], imported=imported)
    if listed := os.environ.get("KUBECONFIG", ""):
        paths = list(dict.fromkeys(Path(part).expanduser() for part in listed.split(os.pathsep) if part))
        found = [path for path in paths if path.is_file()]
        if not found:
            raise ConfigError(
                "KUBECONFIG names {files}, which does not exist.", files=", ".join(str(path) for path in paths)
            )
        return KubeConfig(found)
    default = Path("~/.kube/config").expanduser()
    return KubeConfig([default]) if default.is_file() else None


def in_cluster(folder: Path = SERVICE_ACCOUNT) -> Connection | None:
    """The service account of the pod that this process runs in, or None outside of one."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    token, ca, namespace = folder / "token", folder / "ca.crt", folder / "namespace"
    if not host or not token.is_file():
        return None
    return Connection(
        context="in-cluster",
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
        cluster="in-cluster",
        ca=ca.read_bytes() if ca.is_file() else None,
        token_file=token,
    )


def connection(kubeconfig: str = "", context: str = "", *, imported: bool = False) -> Connection:
    """What kubectl would connect to.

    Raises:
        ConfigError: no kubeconfig anywhere, or a malformed one.
        UnknownContext: the kubeconfig has no such context.
    """
    config = load(kubeconfig, imported=imported)
    if config is not None:
        return config.connection(context)
    inside = None if context else in_cluster()
    if inside is None:
        raise ConfigError(
            "There is no kubeconfig.",
            expected="a file named by --kubeconfig or KUBECONFIG, or ~/.kube/config",
            hint="`backout twin up` starts an embedded cluster to try Backout on.",
        )
    return inside
