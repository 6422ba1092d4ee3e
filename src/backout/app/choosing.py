# SPDX-License-Identifier: Apache-2.0
"""Which clusters are meant: by name, all of them, by their labels, or those of a stack."""

from __future__ import annotations

from collections.abc import Sequence

from backout.errors import DOCS, ConfigError, NotFoundError, UsageError
from backout.model.selector import parse_selector
from backout.model.settings import Settings, StackSettings

ALL = "all"
"""Every cluster of the configuration, else every context of the kubeconfig; unless one is called so."""


def chosen_clusters(
    settings: Settings, names: Sequence[str], selector: str = "", stack: str = "", kubeconfig: str = ""
) -> tuple[str, ...]:
    """The names of the clusters that are meant, each once; none where nothing was said: then the current context is.

    ``names`` may be ``all``; ``selector`` is over the labels of the configuration; ``stack`` is one of the configuration, and
    its clusters are meant where no others are named.

    Raises:
        UsageError: the selector is none or matches nothing, or two ways of choosing don't go together.
        ConfigError: there is no such stack.
        NotFoundError: all are meant, and there is none.
    """
    if selector and names:
        raise UsageError("--context names clusters, and -l chooses them: one of both.", hint="Leave one of them out.")
    if stack:
        return _of_stack(settings, named_stack(settings, stack), stack, names, selector)
    if selector:
        return _labelled(settings, tuple(settings.clusters), selector)
    if tuple(names) == (ALL,) and ALL not in settings.clusters:
        return _all(settings, kubeconfig)
    return tuple(dict.fromkeys(names))


def named_stack(settings: Settings, name: str) -> StackSettings:
    """
    Raises:
        ConfigError: there is no such stack.
    """
    if name not in settings.stacks:
        raise ConfigError(
            "The configuration has no stack {name}.",
            name=name,
            expected="one of {names}" if settings.stacks else "stacks in backout.yaml",
            names=", ".join(settings.stacks),
            hint="{docs}/configuration.md says how stacks are written.",
            docs=DOCS,
        )
    return settings.stacks[name]


def _of_stack(
    settings: Settings, stack: StackSettings, name: str, names: Sequence[str], selector: str
) -> tuple[str, ...]:
    everywhere = stack.clusters or tuple(settings.clusters)
    if foreign := [one for one in names if one not in everywhere and one != ALL]:
        raise UsageError(
            "The stack {stack} is not on {names}.",
            stack=name,
            names=", ".join(foreign),
            expected="{clusters}" if everywhere else "clusters of the configuration",
            clusters=", ".join(everywhere),
        )
    if not everywhere:
        raise NotFoundError(
            "The stack {stack} has no clusters.",
            stack=name,
            hint="Name them under stacks.{stack}.clusters in the configuration.",
        )
    if selector:
        return _labelled(settings, everywhere, selector)
    return everywhere if not names or ALL in names else tuple(dict.fromkeys(names))


def _labelled(settings: Settings, among: Sequence[str], selector: str) -> tuple[str, ...]:
    terms = parse_selector(selector)
    entries = {name: settings.clusters[name] for name in among if name in settings.clusters}
    found = tuple(name for name, entry in entries.items() if all(term.holds(entry.labels) for term in terms))
    if not found:
        labels = ", ".join(
            dict.fromkeys(f"{key}={value}" for entry in entries.values() for key, value in entry.labels.items())
        )
        raise UsageError(
            "No cluster of the configuration has the labels {selector}.",
            selector=selector,
            found="labels {labels}" if labels else "no cluster with labels",
            labels=labels,
            hint="Labels are given under clusters in backout.yaml: {docs}/configuration.md",
            docs=DOCS,
        )
    return found


def _all(settings: Settings, kubeconfig: str) -> tuple[str, ...]:
    found = tuple(settings.clusters) or _contexts(kubeconfig)
    if not found:
        raise NotFoundError(
            "There is no cluster: neither the configuration nor the kubeconfig names one.",
            hint="Name a kubeconfig with --kubeconfig, or clusters in backout.yaml.",
        )
    return found


def _contexts(kubeconfig: str) -> tuple[str, ...]:
    from backout.cluster.kubeconfig import load

    found = load(kubeconfig)
    return tuple(found.contexts) if found is not None else ()
