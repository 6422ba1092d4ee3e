# SPDX-License-Identifier: Apache-2.0
"""What a command works with: the options that were given, the configuration, the clusters."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backout.errors import ConfigError
from backout.model.settings import ClusterSettings, Settings, parse_settings
from backout.snapshots import source

if TYPE_CHECKING:
    from backout.cli.views.page import Page
    from backout.cluster.client import KubernetesCluster
    from backout.cluster.port import Cluster
    from backout.model.message import Message


class Session:
    """The values of the global options, with the configuration behind them."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.output: str = values.get("output") or "text"
        self.lang: str = values.get("lang") or _language()
        self.verbose: bool = bool(values.get("verbose"))
        self.settings = load_settings(values.get("config"))
        source.use(self.settings.snapshots)
        self._kept: dict[str, KubernetesCluster] | None = None

    @property
    def text(self) -> bool:
        """True when people read the output."""
        return self.output == "text"

    @property
    def contexts(self) -> list[str]:
        """The names of the clusters to work on; an empty name stands for the kubeconfig's current context."""
        return list(self.values.get("contexts") or [""])

    @property
    def all_namespaces(self) -> bool:
        """True when `-A` was given."""
        return bool(self.values.get("all_namespaces"))

    def page(self) -> Page:
        """An empty page in the reader's language."""
        from backout.cli.views.page import Page

        return Page(self.lang)

    def note(self, text: Message | str, /, **args: object) -> None:
        """Progress for people, on stderr; nothing when the output is a document."""
        if self.text:
            click.echo(self.page().say(text, **args), err=True)

    def document(self, document: Any) -> None:
        """The data, on stdout, as JSON or YAML."""
        from backout.cli.output import print_document

        print_document(document, self.output)

    @asynccontextmanager
    async def cluster(self, name: str | None = None) -> AsyncIterator[Cluster]:
        """Connects to one cluster (the only one of the command unless ``name`` says which)."""
        chosen = name if name is not None else self.contexts[0]
        if self._kept is not None:
            yield self._keep(self._kept, chosen)
            return
        cluster = self._connect(chosen)
        try:
            yield cluster
        finally:
            await cluster.close()

    def _connect(self, name: str) -> KubernetesCluster:
        from backout.cluster.client import connect

        entry = self.settings.clusters.get(name, ClusterSettings())
        kubeconfig = str(self.values.get("kubeconfig") or entry.kubeconfig)
        return connect(kubeconfig, entry.context or name, name=name)

    def _keep(self, kept: dict[str, KubernetesCluster], name: str) -> KubernetesCluster:
        if name in kept:
            kept[name].forget()
            return kept[name]
        cluster = kept[name] = self._connect(name)
        # The current context, by the name that a plan says; unless the configuration means another cluster by it.
        if cluster.name not in self.settings.clusters:
            kept.setdefault(cluster.name, cluster)
        return cluster

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Within it, a cluster that was connected to stays so: its connections and credentials serve again.

        What was learnt about it is asked anew.
        """
        kept: dict[str, KubernetesCluster] = {}
        self._kept = kept
        try:
            yield
        finally:
            self._kept = None
            for cluster in {id(cluster): cluster for cluster in kept.values()}.values():
                await cluster.close()

    def namespace_of(self, cluster: Cluster) -> str:
        """The namespace to work in: `-n`, else the only stack's, else the context's own, else ``default``."""
        if self.all_namespaces:
            return ""
        given = self.values.get("namespace")
        if given:
            return str(given)
        stacks = {stack.namespace for stack in self.settings.stacks.values()}
        if len(stacks) == 1:
            return stacks.pop()
        return getattr(cluster, "namespace", "") or "default"

    async def each_cluster(self, work: Callable[[Cluster], Awaitable[Any]]) -> list[Any]:
        """Does ``work`` on every chosen cluster at once; the order of the answers is that of the names."""

        async def one(name: str) -> Any:
            async with self.cluster(name) as cluster:
                return await work(cluster)

        return list(await asyncio.gather(*(one(name) for name in self.contexts)))


def open_session() -> Session:
    """The session of the running command."""
    return Session(click.get_current_context().find_root().ensure_object(dict))


def load_settings(path: str | None) -> Settings:
    """The configuration: the file that was named, else ./backout.yaml, else ~/.config/backout/config.yaml, else none.

    Raises:
        ConfigError: the named file is missing or can't be read, or a file is malformed.
    """
    if path:
        return _read(Path(path))
    for candidate in (Path("backout.yaml"), Path.home() / ".config" / "backout" / "config.yaml"):
        if candidate.is_file():
            return _read(candidate)
    return Settings()


def _read(path: Path) -> Settings:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "The configuration file {file} can't be read: {problem}.",
            file=str(path),
            problem=getattr(error, "strerror", None) or "it is not UTF-8 text",
            hint="Name another with --config, or leave it out.",
        ) from error
    return parse_settings(text, str(path))


def _language() -> str:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "ko" if value.startswith("ko") else "en"
    return "en"
