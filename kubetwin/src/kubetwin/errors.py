# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with embedded clusters and with the lab: texts are templates with named arguments.

Whoever shows them to people can translate the template; ``code`` is stable.
"""

from __future__ import annotations

from typing import ClassVar

Argument = str | int | float | None


class TwinError(Exception):
    """Something went wrong. ``template``, ``expected``, ``found`` and ``hint`` are format strings over ``arguments``."""

    code: ClassVar[str] = "unexpected"

    def __init__(
        self, template: str, /, *, expected: str = "", found: str = "", hint: str = "", **arguments: Argument
    ) -> None:
        self.template = template
        self.expected = expected
        self.found = found
        self.hint = hint
        self.arguments = arguments
        super().__init__(template.format(**arguments) if arguments else template)


class UsageError(TwinError):
    """What was asked for makes no sense."""

    code = "usage"


class NotFoundError(TwinError):
    """There is no such object."""

    code = "not-found"


class ScenarioNotFound(NotFoundError):
    """There is no scenario of that id."""

    code = "scenario-not-found"


class TwinNotFound(NotFoundError):
    """No embedded clusters are up in that folder."""

    code = "twin-not-found"


class RefusedError(TwinError):
    """It can't be done as things are."""

    code = "refused"


class NotVerifiedError(TwinError):
    """Something that a scenario needs, or wants to be kept, is not there."""

    code = "not-verified"


class TimedOut(TwinError):
    """It did not happen in time."""

    code = "timed-out"


class ToolFailed(TwinError):
    """A program that the lab called failed."""

    code = "tool-failed"


class LabFailed(TwinError):
    """The lab's own work on a cluster failed."""

    code = "lab-failed"
