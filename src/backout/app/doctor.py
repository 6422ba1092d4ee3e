# SPDX-License-Identifier: Apache-2.0
"""What `doctor` looks at. Each finding: what was looked at, whether it is as it must be, and what to do if not."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backout.app.absent import require_there
from backout.app.targets import read_targets
from backout.errors import AccessDenied, BackoutError, NotFoundError, fill
from backout.model.message import Message, msg, of_error
from backout.model.part import Access

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backout.app.workspace import Workspace
    from backout.cluster.port import Cluster, ClusterReader


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``code`` is that of the error that came instead of an answer; ``absent``: what
    was named does not exist."""

    name: str
    detail: Message
    ok: bool = True
    hint: Message | None = None
    code: str = ""
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings, and the Roles that would grant what is missing."""

    checks: tuple[Finding, ...]
    roles: tuple[dict[str, Any], ...]

    @property
    def ok(self) -> bool:
        """True when everything is as a rollback needs it."""
        return all(check.ok for check in self.checks)

    @property
    def absent(self) -> bool:
        """True when the namespace or a target that was named does not exist."""
        return any(check.absent for check in self.checks)


async def examine(workspace: Workspace, targets: Sequence[str] = (), *, install: bool = False) -> Examination:
    """Looks at tools, the state database, every cluster and the rights on it; never raises for what it finds."""
    checks = [_python(), _sqlite(), *await _tools(install=install), _state(workspace)]
    roles: list[dict[str, Any]] = []
    for name in workspace.contexts:
        try:
            async with workspace.cluster(name) as cluster:
                found, missing = await _cluster(workspace, cluster, targets)
        except BackoutError as error:
            found, missing = [_failed("cluster", error)], []
        checks += found
        roles += missing
    return Examination(tuple(checks), tuple(roles))


def _failed(name: str, error: BackoutError, *, ok: bool = False) -> Finding:
    hint = Message(fill(error.hint, error.arguments), error.hint, error.arguments) if error.hint else None
    return Finding(name, of_error(error), ok, hint, error.code, isinstance(error, NotFoundError))


def _python() -> Finding:
    return Finding("python", _plain(f"{platform.python_version()} ({sys.executable})"))


def _sqlite() -> Finding:
    import sqlite3

    from backout.engine.store.opening import check_library

    try:
        check_library()
    except BackoutError as error:
        return _failed("sqlite", error)
    return Finding("sqlite", _plain(sqlite3.sqlite_version))


def _plain(data: str) -> Message:
    """What is the same in every language."""
    return Message(data)


async def _tools(*, install: bool) -> list[Finding]:
    from backout.mechanisms import registry
    from backout.tools import describe

    needed = {program for mechanism in registry.every() for program in mechanism.programs}
    found = []
    for name in ("helm", "kubectl", "git"):
        try:
            found.append(Finding(name, await describe(name, install=install)))
        except BackoutError as error:
            # The others are for people, and for later ways back.
            found.append(_failed(name, error, ok=name not in needed))
    return found


def _state(workspace: Workspace) -> Finding:
    from backout.app.store import open_store

    try:
        with open_store(workspace, create=True) as store:
            return Finding("state", _plain(store.place))
    except BackoutError as error:
        return _failed("state", error)


async def _cluster(
    workspace: Workspace, cluster: Cluster, targets: Sequence[str]
) -> tuple[list[Finding], list[dict[str, Any]]]:
    from backout.planning.role import roles

    identity = await cluster.identity()
    checks = [Finding("cluster", _plain(f"{cluster.name}: {identity.server} (kube-system {identity.uid})"))]
    checks.append(await _clock(cluster))
    namespace = workspace.namespace_of(cluster)
    try:
        await require_there(cluster, namespace, read_targets(workspace, cluster, targets))
    except NotFoundError as error:
        return [*checks, _failed("target" if targets else "namespace", error)], []
    needed = await _needed(workspace, cluster, targets, namespace)
    try:
        answers = await cluster.may(needed)
    except AccessDenied as error:
        return [*checks, _failed("access", error)], []
    missing = [answer.access for answer in answers if not answer.allowed]
    granted = len(needed) - len(missing)
    detail = (
        msg("{granted} of {all} rights in {namespace}", granted=granted, all=len(needed), namespace=namespace)
        if namespace
        else msg("{granted} of {all} rights in all namespaces", granted=granted, all=len(needed))
    )
    hint = msg("Missing: {rights}", rights=", ".join(_words(missing, namespace))) if missing else None
    checks.append(Finding("access", detail, ok=not missing, hint=hint))
    checks.append(await _asking(cluster, namespace))
    return checks, roles(missing)


async def _asking(cluster: Cluster, namespace: str) -> Finding:
    """The rights to ask programs themselves: a rollback does without them, but proves less."""
    wanted = [Access("get", "", f"{kind}/proxy", namespace) for kind in ("pods", "services")]
    missing = [answer.access for answer in await cluster.may(wanted) if not answer.allowed]
    if not missing:
        return Finding("programs", msg("can be asked for metrics and answers (pods/proxy, services/proxy)"))
    detail = msg("can't all be asked: missing is {rights}", rights=", ".join(_words(missing, namespace)))
    return Finding("programs", detail, hint=msg("A rollback works without it; what it can't prove is unknown then."))


async def _clock(cluster: Cluster) -> Finding:
    from datetime import UTC, datetime

    skew = (datetime.now(UTC) - await cluster.server_time()).total_seconds()
    # The server's Date header has whole seconds.
    ok = -5 < skew < 6
    detail = msg("{seconds} s against {cluster}", seconds=f"{skew:+.0f}", cluster=cluster.name)
    return Finding("clock", detail, ok=ok, hint=None if ok else msg("Set the clock (NTP)."))


async def _needed(workspace: Workspace, cluster: Cluster, targets: Sequence[str], namespace: str) -> list[Access]:
    """The rights of the targets' plans; without targets, those that plans ordinarily need."""
    if not targets:
        return sorted(usual(namespace) | await held(cluster, namespace))
    from backout.app.targets import read_targets
    from backout.diagnosis.diagnose import diagnose
    from backout.workflows.prepare import make_operation

    needed: set[Access] = set()
    for target in read_targets(workspace, cluster, targets):
        seen = await diagnose(cluster, target.namespace, [target])
        try:
            plan = await make_operation(
                cluster, target, made_at=seen.at, problems=seen.problems, settings=workspace.settings
            )
        except AccessDenied:
            # What its plan needs is not known as long as it can't be read: then what plans ordinarily need.
            needed |= usual(target.namespace) | await held(cluster, target.namespace)
            continue
        needed |= {access for part in plan.parts for access in part.access}
    return sorted(needed)


def usual(namespace: str) -> set[Access]:
    """What diagnoses read, what plans of every way back and their checks ordinarily need, and the lease of a run."""
    from backout.diagnosis.access import reading
    from backout.mechanisms import registry
    from backout.verify.verify import usual_access
    from backout.workflows.rights import leasing

    plans = (access for mechanism in registry.every() for access in mechanism.usual_access(namespace))
    return {*reading(namespace), *plans, *usual_access(namespace), *leasing(namespace)}


async def held(reader: ClusterReader, namespace: str) -> set[Access]:
    """What plans for the targets that are there need beyond that."""
    from backout.mechanisms import registry

    return {access for mechanism in registry.every() for access in await mechanism.held_access(reader, namespace)}


def _words(accesses: list[Access], namespace: str) -> list[str]:
    """Each in the words of RBAC, with its namespace where that is another one."""
    return [
        f"{access.verb} {access.resource}{'.' + access.group if access.group else ''}"
        f"{f' (in {access.namespace})' if access.namespace not in ('', namespace) else ''}"
        for access in accesses
    ]
