# SPDX-License-Identifier: Apache-2.0
"""Which program a container is, where it counts, and which of its files it follows while it runs. Pure.

Recognised by image, command and flags, never by the names of a stack. Facts:

thanos-io/thanos        cmd/thanos/*.go: the component is the first word; ``--http-address`` 0.0.0.0:10902;
                        ``--receive.hashrings-file`` is watched; ``--objstore.config-file`` or ``--objstore.config``
                        (content, often ``$(OBJSTORE_CONFIG)``) are read once; ``sidecar --reloader.*`` reloads
                        Prometheus; rule files of ``rule`` are read again after a SIGHUP or POST /-/reload only
prometheus/prometheus   cmd/prometheus/main.go: ``--config.file``, ``--web.listen-address`` 0.0.0.0:9090,
                        ``--config.auto-reload`` (before: ``--enable-feature=auto-reload-config``); everything is
                        served below ``--web.route-prefix``, by default the path of ``--web.external-url``
prometheus/alertmanager cmd/alertmanager/main.go: the same flags, port 9093
config reloaders        prometheus-operator cmd/prometheus-config-reloader (``--config-file``, ``--watched-dir``),
                        jimmidyson/configmap-reload (``--volume-dir``): they make another container reload
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from posixpath import basename, dirname, join, normpath
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

Kind = Literal["thanos", "prometheus", "alertmanager", "reloader"]
COMPONENTS = frozenset({"receive", "store", "sidecar", "query", "query-frontend", "rule", "compact", "bucket", "tools"})
_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_SHELLS = frozenset({"sh", "bash", "ash", "dash"})
_THANOS_FLAGS = ("objstore.", "receive.", "http-address", "grpc-address", "endpoint", "store", "query.", "tsdb.path")
_PROMETHEUS_FLAGS = ("storage.", "web.", "config.auto-reload", "rules.", "query.", "enable-feature")
_DEFAULT_CONFIG = {"prometheus": "/etc/prometheus/prometheus.yml", "alertmanager": "/etc/alertmanager/alertmanager.yml"}
_CONFIGURATION = (".yml", ".yaml", ".rules", ".json")
_PORTS = {"prometheus": 9090, "alertmanager": 9093, "thanos": 10902}


class Storage(msgspec.Struct, frozen=True):
    """Where a program's object storage configuration comes from; it is read once, when the program starts.

    ``file``: ``where`` is its path. ``env``: the variable that holds it. ``literal``: it stands in the arguments.
    """

    how: Literal["file", "env", "literal"]
    where: str = ""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A recognised program.

    ``config`` is its configuration file, ``hashring`` a receiver's hashring file. ``port`` serves metrics at
    ``metrics_path``; 0 when it listens on loopback only. ``followed`` are files and folders that it loads again by
    itself (or because a reloader beside it says so) after they changed. A reloader acts for the container ``serves``.
    """

    kind: Kind
    container: str
    component: str = ""
    port: int = 0
    prefix: str = ""
    config: str = ""
    hashring: str = ""
    storage: Storage | None = None
    followed: tuple[str, ...] = ()
    serves: str = ""

    @property
    def metrics_path(self) -> str:
        """Where its page of metrics is."""
        return f"{self.prefix}/metrics"

    @property
    def name(self) -> str:
        """For messages: ``thanos receive``, ``prometheus``."""
        return f"{self.kind} {self.component}".strip()

    def follows(self, path: str) -> bool:
        """Whether a change of that file is loaded without a restart, in a way that `probes.reload` can prove.

        Never true of a ``subPath`` mount: such a file does not change at all, which is for the caller to know.
        """
        if self.watches_itself and path != self.config and not path.endswith(_CONFIGURATION):
            return False
        return any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in self.followed)

    @property
    def watches_itself(self) -> bool:
        """Prometheus with ``--config.auto-reload``: it looks at its configuration and rules, wherever they are."""
        return self.followed == ("/",)


def programs_of(spec: Mapping[str, Any]) -> tuple[Program, ...]:
    """The recognised programs of a pod spec."""
    containers = [*_sidecars(spec), *(c for c in spec.get("containers") or () if isinstance(c, dict))]
    seen = [_Container(container) for container in containers]
    reloaders = [entry for entry in seen if entry.reloads()]
    return tuple(program for entry in seen if (program := _program(entry, seen, reloaders)) is not None)


def recognise(spec: Mapping[str, Any], container: str) -> Program | None:
    """The program that a container of a pod spec is; None when it is not known."""
    return next((program for program in programs_of(spec) if program.container == container), None)


def _sidecars(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Init containers that stay (restartPolicy Always)."""
    for entry in spec.get("initContainers") or ():
        if isinstance(entry, dict) and entry.get("restartPolicy") == "Always":
            yield entry


class _Container:
    """A container's words, with the variables filled in whose values stand in the spec."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.spec = spec
        self.name = str(spec.get("name", ""))
        self.image = basename(str(spec.get("image", "")).partition("@")[0]).partition(":")[0].lower()
        self.values = {
            str(entry.get("name")): str(entry["value"]) for entry in spec.get("env") or () if entry.get("value")
        }
        words = [*(spec.get("command") or ()), *(spec.get("args") or ())]
        self.words = [self._filled(str(word)) for word in _out_of_shell([str(word) for word in words])]
        self.program = basename(self.words[0]) if spec.get("command") and self.words else ""

    def _filled(self, word: str) -> str:
        return _VARIABLE.sub(lambda found: self.values.get(found[1], found[0]), word)

    def flags(self, name: str) -> list[str]:
        """The values of a flag that may be repeated: ``--name=value``, ``--name value``, ``-name=value``."""
        found = []
        for index, word in enumerate(self.words):
            flag, equals, value = word.partition("=")
            if flag not in (f"--{name}", f"-{name}"):
                continue
            following = self.words[index + 1 : index + 2]
            found.append(value if equals else following[0] if following and following[0][:1] != "-" else "")
        return found

    def flag(self, name: str) -> str | None:
        """The last value of a flag; None without it."""
        return (self.flags(name) or [None])[-1]  # type: ignore[list-item]

    def has_flag(self, *starts: str) -> bool:
        return any(word.lstrip("-").startswith(starts) for word in self.words if word.startswith("-"))

    @property
    def component(self) -> str:
        return next((word for word in self.words if word in COMPONENTS), "")

    def is_thanos(self) -> bool:
        if not self.component:
            return False
        return "thanos" in self.image or self.program == "thanos" or self.has_flag(*_THANOS_FLAGS)

    def is_called(self, name: str) -> bool:
        """``prom/prometheus``, or a copy of it called ``mirrored-prometheus-prometheus``."""
        return name in (self.image, self.program) or self.image.endswith(f"-{name}")

    def reloads(self) -> bool:
        """Whether it makes other containers reload."""
        if self.component == "sidecar" and self.is_thanos():
            return self.has_flag("reloader.")
        return self.has_flag("reload-url", "webhook-url", "watched-dir", "volume-dir", "reload-method") or (
            self.image.endswith("config-reloader") or self.image == "configmap-reload"
        )

    def watched(self) -> list[str]:
        """Files and folders that it watches, as it sees them."""
        names = ("config-file", "watched-dir", "volume-dir", "reloader.config-file", "reloader.rule-dir")
        return [normpath(path) for name in names for path in self.flags(name) if path.startswith("/")]

    def written(self) -> list[str]:
        """Files that it writes for the container that it serves."""
        names = ("config-envsubst-file", "reloader.config-envsubst-file")
        return [normpath(path) for name in names for path in self.flags(name) if path]

    def mounts(self) -> list[tuple[str, str]]:
        return [
            (str(mount.get("name")), normpath(str(mount.get("mountPath", ""))))
            for mount in self.spec.get("volumeMounts") or ()
            if not mount.get("subPath") and not mount.get("subPathExpr")
        ]


def _program(entry: _Container, all_: list[_Container], reloaders: list[_Container]) -> Program | None:
    if entry.is_thanos():
        return _thanos(entry, reloaders)
    for name in ("prometheus", "alertmanager"):
        if _is_server(entry, name):
            return _server(entry, name, reloaders)
    if entry.reloads():
        served = next(
            (other for other in all_ if _is_server(other, "prometheus") or _is_server(other, "alertmanager")), None
        )
        if served is not None:
            return Program(kind="reloader", container=entry.name, serves=served.name, followed=tuple(entry.watched()))
    return None


def _is_server(entry: _Container, name: str) -> bool:
    if entry.reloads() or entry.component:
        return False
    if entry.is_called(name):
        return True
    config = entry.flag("config.file")
    return config is not None and name in f"{entry.name} {config}" and entry.has_flag(*_PROMETHEUS_FLAGS)


def _thanos(entry: _Container, reloaders: list[_Container]) -> Program:
    component = entry.component
    hashring = (entry.flag("receive.hashrings-file") or "") if component == "receive" else ""
    followed: tuple[str, ...] = (normpath(hashring),) if hashring else ()
    if component == "rule":
        followed = _followed(entry, reloaders)
    elif component == "sidecar" and entry.reloads():
        followed = tuple(entry.watched())
    return Program(
        kind="thanos",
        component=component,
        container=entry.name,
        hashring=normpath(hashring) if hashring else "",
        port=_port(entry.flag("http-address") or "", _PORTS["thanos"]),
        storage=_storage(entry),
        followed=followed,
    )


def _server(entry: _Container, name: str, reloaders: list[_Container]) -> Program:
    config = entry.flag("config.file") or _DEFAULT_CONFIG[name]
    automatic = entry.flag("config.auto-reload") not in (None, "false") or "auto-reload-config" in ",".join(
        entry.flags("enable-feature")
    ).split(",")
    prefix = entry.flag("web.route-prefix")
    if prefix is None:
        prefix = urlsplit(entry.flag("web.external-url") or "").path
    addresses = entry.flags("web.listen-address")
    ports = [_port(address, _PORTS[name]) for address in addresses] or [_PORTS[name]]
    return Program(
        kind="prometheus" if name == "prometheus" else "alertmanager",
        container=entry.name,
        port=max(ports),
        prefix=f"/{prefix.strip('/')}" if prefix.strip("/") else "",
        config=normpath(config),
        followed=("/",) if automatic and name == "prometheus" else _followed(entry, reloaders),
    )


def _followed(entry: _Container, reloaders: list[_Container]) -> tuple[str, ...]:
    """What reloaders beside a container watch, as that container sees it: the same volume may be mounted elsewhere."""
    found: list[str] = []
    for reloader in reloaders:
        if reloader.name == entry.name:
            continue
        found += reloader.written()
        for place in reloader.watched():
            found += [place, *_elsewhere(place, reloader, entry)]
    return tuple(dict.fromkeys(found))


def _elsewhere(place: str, reloader: _Container, entry: _Container) -> Iterator[str]:
    for volume, path in reloader.mounts():
        if place == path or place.startswith(f"{path.rstrip('/')}/"):
            for other, there in entry.mounts():
                if other == volume and there != path:
                    yield normpath(join(there, place[len(path) :].lstrip("/")))
        elif path.startswith(f"{place.rstrip('/')}/") and dirname(path) == place:
            yield from (there for other, there in entry.mounts() if other == volume)


def _storage(entry: _Container) -> Storage | None:
    if path := entry.flag("objstore.config-file"):
        return Storage("file", normpath(path))
    content = entry.flag("objstore.config")
    if not content:
        return None
    variable = _VARIABLE.fullmatch(content.strip())
    return Storage("env", variable[1]) if variable else Storage("literal")


def _port(address: str, default: int) -> int:
    """The port of ``HOST:PORT``; 0 for one that only the pod itself reaches."""
    host, _, port = address.rpartition(":")
    if host.strip("[]") in ("127.0.0.1", "localhost", "::1"):
        return 0
    return int(port) if port.isdigit() and int(port) < 65536 else default


def _out_of_shell(words: list[str]) -> list[str]:
    """``sh -c "exec thanos receive --x"`` → its words."""
    if len(words) < 3 or basename(words[0]) not in _SHELLS or words[1] not in ("-c", "-ec", "-euc"):
        return words
    try:
        inner = shlex.split(words[2], comments=True)
    except ValueError:
        return words
    return inner[1:] if inner[:1] == ["exec"] else inner
