# SPDX-License-Identifier: Apache-2.0
"""The options that every command takes, before or after its name, as kubectl does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Stores a given value for `session.open_session`; what stands after the command wins over what stands before."""
    values = context.find_root().ensure_object(dict)
    if value not in (None, (), False):
        values[parameter.name] = value
    return value


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_keep, **settings)


_OPTIONS = [
    _option("--config", "config", type=click.Path(dir_okay=False), help="Configuration file (else ./backout.yaml)."),
    _option("--kubeconfig", "kubeconfig", type=click.Path(dir_okay=False), help="Kubeconfig (else $KUBECONFIG)."),
    _option("--context", "--cluster", "contexts", multiple=True, metavar="NAME", help="Cluster; may be repeated."),
    _option("-n", "--namespace", "namespace", help="Namespace (else the context's own)."),
    _option("-A", "--all-namespaces", "all_namespaces", is_flag=True, help="Every namespace."),
    _option("-o", "--output", "output", type=click.Choice(["text", "json", "yaml"]), help="Output format."),
    _option("--lang", "lang", type=click.Choice(["en", "ko"]), help="Language of texts (else $LANG)."),
    _option("-v", "--verbose", "verbose", is_flag=True, help="Say more."),
    _option("--no-color", "no_color", is_flag=True, help="No colours."),
]


def common_options(function: F) -> F:
    """Adds all global options to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
