# SPDX-License-Identifier: Apache-2.0
"""One tree of errors. Each class knows its code (stable, documented), its exit code, and whether trying again can help.

    BackoutError                        1  unexpected
      UsageError                        2
      ConfigError                       3
      NotFoundError                     4  context, release, revision, run, object
      RefusedError                      5  a precondition or a policy
        AccessDenied, TokenExpired, PlanChanged, WrongCluster, Conflict, NoGoodRevision …
      LockedError                       6
      NotVerifiedError                  7
      PartlyDoneError                   8
      TimedOut                          9
      ClusterUnreachable                1  retryable
      Interrupted                     130

A message says what was expected, what was found, and what to do next. Texts are English templates with named
arguments, so that front ends can translate them; an argument never holds a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol


class Sentence(Protocol):
    """A text, and the template and arguments that it was made from (`model.message.Message`)."""

    @property
    def text(self) -> str: ...
    @property
    def template(self) -> str: ...
    @property
    def args(self) -> Mapping[str, Any]: ...


Argument = str | int | float | None | Sentence | dict[str, Any]
"""What a template is filled with. A sentence is kept as ``{"text": …, "template": …, "args": …}``, to be translated with it."""

DOCS = "https://github.com/backout-dev/backout/blob/main/docs"
"""Where the pages of docs/ are read by whoever has no clone."""


class BackoutError(Exception):
    """Something went wrong that nobody foresaw; every foreseen failure has a class of its own below.

    ``template``, ``expected``, ``found`` and ``hint`` are format strings over ``arguments``.
    """

    code: ClassVar[str] = "unexpected"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self, template: str, /, *, expected: str = "", found: str = "", hint: str = "", **arguments: Argument
    ) -> None:
        self.template = template
        self.expected = expected
        self.found = found
        self.hint = hint
        self.arguments = {name: kept(value) for name, value in arguments.items()}
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The English sentence that says what happened."""
        return fill(self.template, self.arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.template, self.expected, self.found, self.hint, self.arguments))


class UnexpectedError(BackoutError):
    """What an error that nobody foresaw becomes where it is told or kept: its class alone, since its text may hold
    anything. A run that meets one stops and can be resumed; it is never taken for the result of a step."""


def _rebuild(
    kind: type[BackoutError], template: str, expected: str, found: str, hint: str, arguments: dict[str, Argument]
) -> BackoutError:
    return kind(template, expected=expected, found=found, hint=hint, **arguments)


def kept(value: Argument) -> Argument:
    """An argument as it is kept: a sentence as what it was made from, so that it survives as JSON."""
    if value is None or isinstance(value, str | int | float | dict) or not hasattr(value, "template"):
        return value
    return {"text": value.text, "template": value.template, "args": value.args}


def fill(template: str, arguments: Mapping[str, Argument]) -> str:
    """Puts ``arguments`` into ``template``; a text without arguments may hold braces of its own.

    Names in braces are all there is: a template may come out of a file, and Python's own format strings reach into
    objects and make texts of any length.

    Raises:
        KeyError: an argument is missing.
    """
    if not arguments:
        return template

    def put(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        value = arguments[found[1]]
        return str(value["text"] if isinstance(value, dict) else value)

    return _PLACE.sub(put, template)


_PLACE = re.compile(r"\{\{|\}\}|\{(\w+)\}")


class UsageError(BackoutError):
    """The command line does not say what to do."""

    code = "usage"
    exit_code = 2


class ConfigError(BackoutError):
    """A configuration or kubeconfig file is malformed; the message names file, line and key."""

    code = "config"
    exit_code = 3


class StateError(ConfigError):
    """The state database can't be used: read-only, locked, damaged or full."""

    code = "state"


class UnknownContext(ConfigError):
    """The kubeconfig has no context, cluster or user of that name."""

    code = "unknown-context"


class NotFoundError(BackoutError):
    """What was named does not exist."""

    code = "not-found"
    exit_code = 4


class ObjectNotFound(NotFoundError):
    """The cluster has no such object."""

    code = "object-not-found"


class ReleaseNotFound(NotFoundError):
    """The namespace holds no record of that Helm release."""

    code = "release-not-found"


class RevisionNotFound(NotFoundError):
    """The target exists, but that revision does not, or was pruned from its history."""

    code = "revision-not-found"


class RunNotFound(NotFoundError):
    """The state database knows no such run."""

    code = "run-not-found"


class ScenarioNotFound(NotFoundError):
    """No scenario has that id."""

    code = "scenario-not-found"


class TwinNotFound(NotFoundError):
    """No embedded cluster of that name is up."""

    code = "twin-not-found"


class RepositoryNotFound(NotFoundError):
    """There is no snapshot repository at that place."""

    code = "repository-not-found"


class SnapshotNotFound(NotFoundError):
    """The repository has no such snapshot."""

    code = "snapshot-not-found"


class RefusedError(BackoutError):
    """Going on could do harm, so nothing was written."""

    code = "refused"
    exit_code = 5


class FrozenError(RefusedError):
    """Policy lets nothing be begun now. A run that meets it between two waves stops there, and can be resumed later."""

    code = "frozen"


class OverLimitError(RefusedError):
    """The operation does more at once than policy allows."""

    code = "over-limit"


class NotApprovedError(RefusedError):
    """Policy wants other people to say yes, and they have not, or not in time; or this one's yes does not count."""

    code = "not-approved"


class NoGoodRevision(RefusedError):
    """No revision in the history is proven good."""

    code = "no-good-revision"


class NothingToDo(RefusedError):
    """Nothing is broken, and no target was named to go back to."""

    code = "nothing-to-do"


class NotSeen(BackoutError):
    """Nothing broken was seen, and not everything may be looked at: whether there is something to go back from is not known."""

    code = "not-seen"
    exit_code = 7


class PlanChanged(RefusedError):
    """The plan file does not match its hash: it was edited after it was made."""

    code = "plan-changed"


class WrongCluster(RefusedError):
    """The context leads to another cluster than the one the plan was made for."""

    code = "wrong-cluster"


class PreconditionFailed(RefusedError):
    """The object is not what it was when the plan was made."""

    code = "precondition-failed"


class Conflict(RefusedError):
    """The API server refused a write: another writer was first, or owns the field (409)."""

    code = "conflict"


class MergeConflict(RefusedError):
    """Taking a commit back conflicts with what came after it; the files are named, and nothing was pushed."""

    code = "merge-conflict"


class AlreadyExists(Conflict):
    """An object of that name exists already (409)."""

    code = "already-exists"


class Invalid(RefusedError):
    """The API server holds the object to be invalid, such as a change of an immutable field (422, 400)."""

    code = "invalid"


class AccessDenied(RefusedError):
    """The user may not do what the plan needs (403)."""

    code = "access-denied"


class TokenExpired(RefusedError):
    """The API server does not accept the credentials (401)."""

    code = "token-expired"


class CaptureError(RefusedError):
    """The state before the run can't be kept, or what was kept can't be read; nothing is written to a cluster."""

    code = "capture"


class KeyMissing(RefusedError):
    """There is no key to open the snapshots with. They are never written, and never read, without one."""

    code = "key-missing"


class WrongKey(RefusedError):
    """The key is not one that the repository was opened for."""

    code = "wrong-key"


class RepositoryDamaged(RefusedError):
    """Something in the repository is missing, truncated, exchanged or altered; the message names it."""

    code = "repository-damaged"


class RepositoryChanged(RefusedError):
    """Another repository, or an older state of its keys, is where a known one was."""

    code = "repository-changed"


class FormatUnknown(RefusedError):
    """Written in a version of the format that this program does not read."""

    code = "format-unknown"


class BadArchive(RefusedError):
    """A file is no archive of snapshots, or holds what such an archive may not hold; nothing of it was imported."""

    code = "bad-archive"


class ToolMissing(RefusedError):
    """A program that the plan needs, such as helm, is not installed."""

    code = "tool-missing"


class ToolFailed(BackoutError):
    """A program that Backout called ended with an error; its words are in the message, without secrets."""

    code = "tool-failed"


class LabFailed(BackoutError):
    """A rehearsal could not build or break its stack: the cluster did not do what that needs."""

    code = "lab-failed"


class TooLarge(RefusedError):
    """Data from outside is larger than the limit, or inflates beyond it."""

    code = "too-large"


class LockedError(BackoutError):
    """Another run holds the target; the message says who, since when, and what."""

    code = "locked"
    exit_code = 6
    retryable = True


class LeaseLost(LockedError):
    """This run lost its lease on the target, and writes nothing more."""

    code = "lease-lost"
    retryable = False


class RepositoryLocked(LockedError):
    """Another process works on the repository; the message says who, since when, and at what."""

    code = "repository-locked"


class LockLost(RepositoryLocked):
    """This process lost its lock on the repository and stopped; what it wrote since is not referred to."""

    code = "lock-lost"
    retryable = False


class NotVerifiedError(BackoutError):
    """Rolled back, but the checks do not hold (or could not be measured)."""

    code = "not-verified"
    exit_code = 7


class PartlyDoneError(BackoutError):
    """Some of it is done, and a person must look at the rest."""

    code = "partly-done"
    exit_code = 8


class PartsLeft(PartlyDoneError):
    """Of some clusters it is not known how they stand; others are done. `resume` looks again, and does the rest."""

    code = "parts-left"


class LockLeft(PartlyDoneError):
    """A run came to its end, and what it had locked could not be let go. `resume` does that, and nothing else."""

    code = "lock-left"


class TimedOut(BackoutError):
    """It did not happen in the time that was given; the state was read again and is in the message."""

    code = "timed-out"
    exit_code = 9


class ClusterUnreachable(BackoutError):
    """No answer from the API server: refused, reset, no route, TLS failure."""

    code = "cluster-unreachable"
    retryable = True


class UntrustedServer(ClusterUnreachable):
    """The server's certificate is not vouched for by the kubeconfig's authority. Verification is never skipped."""

    code = "untrusted-server"
    retryable = False


class ServerError(BackoutError):
    """The API server answered 5xx, or something that is no Kubernetes answer."""

    code = "server-error"
    retryable = True


class Throttled(ServerError):
    """The API server asked to slow down (429)."""

    code = "throttled"


class StorageError(BackoutError):
    """The place of the snapshots refused: disk full, no right to write, no such bucket."""

    code = "storage"


class StorageUnreachable(StorageError):
    """The place of the snapshots gave no answer, or one that says to try later, again and again."""

    code = "storage-unreachable"
    retryable = True


class GitUnreachable(BackoutError):
    """No answer from a repository or its platform: no route, refused, cut off, TLS failure, 5xx."""

    code = "git-unreachable"
    retryable = True


class Expired(BackoutError):
    """A list or watch position is too old (410); the list must start again."""

    code = "expired"
    retryable = True


class Interrupted(BackoutError):
    """The user stopped it; the run can be resumed."""

    code = "interrupted"
    exit_code = 130
