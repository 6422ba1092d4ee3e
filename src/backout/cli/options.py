# SPDX-License-Identifier: Apache-2.0
"""The options that every command takes, before or after its name, as kubectl does; and commands that know them."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click

LANGUAGES = ("en", "ko")
LONGEST = 86400


@dataclass(slots=True)
class GlobalOptions:
    """What was said for the whole command line. Errors are told by it too, those of the parser included."""

    config: str = ""
    kubeconfig: str = ""
    contexts: tuple[str, ...] = ()
    selector: str = ""
    stack: str = ""
    namespace: str = ""
    all_namespaces: bool = False
    output: str = "text"
    lang: str = ""
    verbose: bool = False
    no_color: bool = False

    @property
    def language(self) -> str:
        """The language of texts: the one that was asked for, else that of the environment."""
        return self.lang or _language()

    @property
    def text(self) -> bool:
        """True when people read the output."""
        return self.output == "text"


def current_options() -> GlobalOptions:
    """Those of the running command."""
    found = click.get_current_context().find_root().ensure_object(GlobalOptions)
    assert isinstance(found, GlobalOptions)
    return found


def _language() -> str:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "ko" if value.startswith("ko") else "en"
    return "en"


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Notes a given value; what stands after the command wins over what stands before."""
    if value not in (None, (), False):
        setattr(context.find_root().ensure_object(GlobalOptions), str(parameter.name), value)
    return value


def _option(*names: str, **settings: Any) -> Callable[[], click.Option]:
    return lambda: click.Option(names, expose_value=False, callback=_keep, **settings)


_OPTIONS = [
    _option("--config", "config", type=click.Path(dir_okay=False), help="Configuration file (else ./backout.yaml)."),
    _option("--kubeconfig", "kubeconfig", type=click.Path(dir_okay=False), help="Kubeconfig (else $KUBECONFIG)."),
    _option(
        "--context", "--cluster", "contexts", multiple=True, metavar="NAME", help="Cluster, or all; may be repeated."
    ),
    _option("-l", "--selector", "selector", metavar="LABELS", help="Clusters of the configuration with these labels."),
    _option("--stack", "stack", metavar="NAME", help="A stack of the configuration: its clusters and its namespace."),
    _option("-n", "--namespace", "namespace", help="Namespace (else the context's own)."),
    _option("-A", "--all-namespaces", "all_namespaces", is_flag=True, help="Every namespace."),
    _option("-o", "--output", "output", type=click.Choice(["text", "json", "yaml"]), help="Output format."),
    _option("--lang", "lang", type=click.Choice(LANGUAGES), help="Language of texts (else $LANG)."),
    _option("-v", "--verbose", "verbose", is_flag=True, help="Say more."),
    _option("--no-color", "no_color", is_flag=True, help="No colours (as NO_COLOR does)."),
]


class Command(click.Command):
    """A command with the global options, which are known even when the rest of its line can't be parsed."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params = [*self.params, *(option() for option in _OPTIONS)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's; on an error, the global options of the line are noted before it is raised."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:
            _keep_global(self, ctx, words)
            raise


_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Duration(click.ParamType[timedelta]):
    """``90d``: a number and m, h, d or w."""

    name = "duration"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,6})([mhdw])", value.strip())
        if found is None:
            self.fail(f"{value!r} is no duration such as 12h, 30d or 8w", param, ctx)
        return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def timing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of how long is waited and watched."""
    soak = click.option(
        "--soak", type=click.FloatRange(0, LONGEST), help="Seconds to watch before the verdict (else verify.soak)."
    )
    timeout = click.option(
        "--timeout",
        type=click.FloatRange(1, LONGEST),
        help="Seconds for what is put back to get ready (else verify.timeout).",
    )
    return soak(timeout(function))


def skipping(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option of what is left out of plans."""
    return click.option(
        "--skip",
        multiple=True,
        metavar="KIND/NAME",
        help="Leave this target or object as it is; may be repeated. Refused where that can't be done.",
    )(function)


def fleet(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of how a plan goes over several clusters; they come as ``waves``, a dict of those that were given."""
    options = (
        click.option("--wave", metavar="WAVES", help="Waves, such as 1,25%,rest (else fleet.waves)."),
        click.option("--parallel", type=click.IntRange(1, 1000), help="Clusters at a time (else fleet.parallel)."),
        click.option("--max-failures", type=click.IntRange(0), help="So many may fail, and it goes on all the same."),
        click.option("--on-failure", type=click.Choice(["stop", "continue", "undo"]), help="When more than that fail."),
        click.option("--deadline", type=click.FloatRange(0, LONGEST), help="Seconds that one cluster may take."),
        click.option(
            "--unplanned",
            type=click.Choice(["refuse", "skip"]),
            help="What a cluster without a plan means for the others.",
        ),
        click.option(
            "--after",
            multiple=True,
            metavar="LATER=EARLIER",
            help="One target after another is verified, such as helm/web=cm/ring; may be repeated.",
        ),
        click.option("--together", is_flag=True, help="All of it or nothing: when one fails, what was done is undone."),
    )

    @functools.wraps(function)
    def call(*args: Any, **arguments: Any) -> Any:
        names = ("wave", "parallel", "max_failures", "on_failure", "deadline", "unplanned", "after", "together")
        given = {name: value for name in names if not _nothing(value := arguments.pop(name))}
        return function(*args, waves=given, **arguments)

    found: Callable[..., Any] = call
    for option in reversed(options):
        found = option(found)
    return found


def _nothing(value: Any) -> bool:
    """Whether an option was not given; 0 is a number."""
    return value is None or value is False or value == ()


class Group(click.Group, Command):
    """A group with the global options."""

    command_class = Command


def _keep_global(command: click.Command, context: click.Context, words: list[str]) -> None:
    """Notes the global options of a line with an error in it. The parser is click's own, told to go on."""
    before, context.resilient_parsing = context.resilient_parsing, True
    try:
        parser = command.make_parser(context)
        parser.ignore_unknown_options = True
        values, _, _ = parser.parse_args(words)
        for parameter in command.params:
            if parameter.expose_value or parameter.name not in GlobalOptions.__slots__ or parameter.name not in values:
                continue
            try:
                parameter.process_value(context, values[parameter.name])
            except click.UsageError:
                continue
            _keep(context, parameter, parameter.type_cast_value(context, values[parameter.name]))
    finally:
        context.resilient_parsing = before
