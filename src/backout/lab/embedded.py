# SPDX-License-Identifier: Apache-2.0
"""The door to `kubetwin`, a distribution of its own: is it installed, and its errors as ours."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from backout import errors
from backout.errors import BackoutError, ToolMissing
from backout.locales import N_

if TYPE_CHECKING:
    from kubetwin.errors import TwinError

F = TypeVar("F", bound=Callable[..., Any])
INSTALL = N_("pip install 'backout[demo]', or the same with pipx install --force, or with uv tool install")
"""How embedded clusters are had."""


def require_kubetwin() -> None:
    """
    Raises:
        ToolMissing: it is not installed.
    """
    try:
        import kubetwin  # noqa: F401
    except ModuleNotFoundError as error:
        raise ToolMissing(
            "Embedded clusters come with a package of their own, which is not installed.",
            expected="the package kubetwin",
            hint=INSTALL,
        ) from error


def kubetwin_version() -> dict[str, str] | None:
    """Which one is installed, if any."""
    try:
        from kubetwin import __version__
    except ModuleNotFoundError:
        return None
    return {"version": __version__}


@contextmanager
def twin_errors() -> Iterator[None]:
    """Errors of embedded clusters and of the lab become those of the house, with the same code and words.

    Raises:
        BackoutError: the error of the same code.
        ToolMissing: embedded clusters are not installed.
    """
    require_kubetwin()
    from kubetwin.errors import TwinError

    try:
        yield
    except TwinError as error:
        raise adopted(error) from error


def adopted(error: TwinError) -> BackoutError:
    """The error of the house that has the code of ``error``."""
    kinds = {
        kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BackoutError)
    }
    kind = kinds.get(error.code, BackoutError)
    return kind(error.template, expected=error.expected, found=error.found, hint=error.hint, **error.arguments)


def embedded(function: F) -> F:
    """The body of a command that works on embedded clusters: what goes wrong with them is told as ours."""

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with twin_errors():
            return function(*args, **kwargs)

    @functools.wraps(function)
    async def waiting(*args: Any, **kwargs: Any) -> Any:
        with twin_errors():
            return await function(*args, **kwargs)

    return cast("F", waiting if inspect.iscoroutinefunction(function) else plain)
