# SPDX-License-Identifier: Apache-2.0
"""Parameters of the steps and checks of this way back. Contents of files never stand in one: commits and digests name them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from backout.git.inputs import Source
from backout.git.revert import Back, Changed
from backout.mechanisms.common.params import ObjectParams
from backout.model.target import Target

API_VERSION, KIND = "argoproj.io/v1alpha1", "Application"


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files as they are to be: their names, and one digest of what all of them hold, modes included."""

    paths: tuple[str, ...]
    digest: str


class PushParams(ObjectParams, frozen=True, kw_only=True):
    """``git.push``: what goes back of the branch that the application is made from.

    ``planned``: its newest commit when the plan was made; ``digest``: of what every file was and becomes; ``back``: by which
    commits or which revision; ``leaves``: the files as they are then. ``sources``: what the application is made of, so that who
    changed that since is seen. ``undoes``: the step whose commit is taken back, in place of ``back``; it is named when that run is
    undone.
    """

    url: str
    branch: str
    planned: str
    digest: str
    leaves: Wanted
    back: Back = Back()
    sources: tuple[Source, ...]
    cause: str = ""
    undoes: str = ""


class SyncParams(ObjectParams, frozen=True, kw_only=True):
    """``git.await-sync``, and the check ``git-synced``: that the application is at a commit of the repository which has
    these files as they are to be. ``since``: it came after this one. The files may have been so before, and an application that
    never got to the bad commit would look as if it were back."""

    url: str
    branch: str
    wanted: Wanted
    since: str = ""


def state_of(changes: Iterable[Changed], *, before: bool = False) -> Wanted:
    """Files as a way back leaves them; or as it found them."""
    every = [(one.path, one.old_mode, one.old) if before else (one.path, one.new_mode, one.new) for one in changes]
    return Wanted(paths=tuple(sorted(path for path, _, _ in every)), digest=state_digest(every))


def state_digest(files: Iterable[tuple[str, str, str]]) -> str:
    """Of path, mode and content; mode ``000000`` is none."""
    return hashlib.sha256("\n".join("\0".join(one) for one in sorted(files)).encode()).hexdigest()


def reverse_digest(changes: Iterable[Changed]) -> str:
    """Of the same files, from what they become to what they were."""
    from backout.git.revert import digest_of

    return digest_of([Changed(one.path, one.new_mode, one.old_mode, one.new, one.old) for one in changes])


def of_itself(target: Target, params: ObjectParams) -> bool:
    """Whether parameters speak of the application that is the target."""
    return (params.kind, params.name, params.namespace) == (KIND, target.name, target.namespace)
