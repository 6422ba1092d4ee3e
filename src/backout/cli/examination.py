# SPDX-License-Identifier: Apache-2.0
"""What `doctor` looks at. Each finding: what was looked at, whether it is as it must be, and what to do if not."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any

from backout.errors import BackoutError, fill
from backout.model.message import Message, msg
from backout.model.plan import Access

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backout.cli.session import Session
    from backout.cluster.port import Cluster

WORKLOAD_KINDS = ("deployments", "statefulsets", "daemonsets")


async def examine(session: Session, targets: tuple[str, ...], *, install: bool) -> dict[str, Any]:
    """All findings, and the Roles that are missing."""
    checks = [_python(), _sqlite(), *await _tools(install=install), _state(session)]
    roles: list[dict[str, Any]] = []
    for name in session.contexts:
        try:
            async with session.cluster(name) as cluster:
                found, missing = await _cluster(session, cluster, targets)
        except BackoutError as error:
            found, missing = [_failed("cluster", error)], []
        checks += found
        roles += missing
    return {"ok": all(check["ok"] for check in checks), "checks": checks, "roles": roles}


def as_document(findings: dict[str, Any]) -> dict[str, Any]:
    """The findings with texts instead of messages."""
    checks = [{key: str(v) if isinstance(v, Message) else v for key, v in c.items()} for c in findings["checks"]]
    for check in checks:
        if code := check.pop("code", ""):
            check["detail"] = f"{check['detail']} ({code})"
    return {**findings, "checks": checks}


def _finding(name: str, detail: Message, *, ok: bool = True, hint: Message | None = None) -> dict[str, Any]:
    return {"name": name, "ok": ok, "detail": detail, **({"hint": hint} if hint is not None else {})}


def _failed(name: str, error: BackoutError) -> dict[str, Any]:
    hint = Message(fill(error.hint, error.arguments), error.hint, error.arguments) if error.hint else None
    detail = Message(error.message, error.template, error.arguments)
    return {**_finding(name, detail, ok=False, hint=hint), "code": error.code}


def _python() -> dict[str, Any]:
    return _finding("python", _plain(f"{platform.python_version()} ({sys.executable})"))


def _sqlite() -> dict[str, Any]:
    import sqlite3

    from backout.engine.store.opening import check_library

    try:
        check_library()
    except BackoutError as error:
        return _failed("sqlite", error)
    return _finding("sqlite", _plain(sqlite3.sqlite_version))


def _plain(data: str) -> Message:
    """What is the same in every language."""
    return Message(data)


async def _tools(*, install: bool) -> list[dict[str, Any]]:
    from backout.tools import describe

    found = []
    for name in ("helm", "kubectl", "git"):
        try:
            found.append(_finding(name, await describe(name, install=install)))
        except BackoutError as error:
            # Only helm is needed by a rollback; kubectl and git are for people and for later ways back.
            found.append({**_failed(name, error), "ok": name != "helm"})
    return found


def _state(session: Session) -> dict[str, Any]:
    from backout.cli.store import open_store

    try:
        with open_store(session, create=True) as store:
            return _finding("state", _plain(store.place))
    except BackoutError as error:
        return _failed("state", error)


async def _cluster(
    session: Session, cluster: Cluster, targets: tuple[str, ...]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    from backout.planning.role import roles

    identity = await cluster.identity()
    checks = [_finding("cluster", _plain(f"{cluster.name}: {identity.server} (kube-system {identity.uid})"))]
    checks.append(await _clock(cluster))
    namespace = session.namespace_of(cluster)
    needed = await _needed(session, cluster, targets, namespace)
    answers = await cluster.may(needed)
    missing = [answer.access for answer in answers if not answer.allowed]
    granted = len(needed) - len(missing)
    detail = (
        msg("{granted} of {all} rights in {namespace}", granted=granted, all=len(needed), namespace=namespace)
        if namespace
        else msg("{granted} of {all} rights in all namespaces", granted=granted, all=len(needed))
    )
    hint = msg("Missing: {rights}", rights=", ".join(_words(missing))) if missing else None
    checks.append(_finding("access", detail, ok=not missing, hint=hint))
    checks.append(await _asking(cluster, namespace))
    return checks, roles(missing)


async def _asking(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The rights to ask programs themselves: a rollback does without them, but proves less."""
    wanted = [Access("get", "", f"{kind}/proxy", namespace) for kind in ("pods", "services")]
    missing = [answer.access for answer in await cluster.may(wanted) if not answer.allowed]
    if not missing:
        return _finding("programs", msg("can be asked for metrics and answers (pods/proxy, services/proxy)"))
    detail = msg("can't all be asked: missing is {rights}", rights=", ".join(_words(missing)))
    return _finding("programs", detail, hint=msg("A rollback works without it; what it can't prove is unknown then."))


async def _clock(cluster: Cluster) -> dict[str, Any]:
    from datetime import UTC, datetime

    skew = (datetime.now(UTC) - await cluster.server_time()).total_seconds()
    # The server's Date header has whole seconds.
    ok = -5 < skew < 6
    detail = msg("{seconds} s against {cluster}", seconds=f"{skew:+.0f}", cluster=cluster.name)
    return _finding("clock", detail, ok=ok, hint=None if ok else msg("Set the clock (NTP)."))


async def _needed(session: Session, cluster: Cluster, targets: tuple[str, ...], namespace: str) -> list[Access]:
    """The rights of the targets' plans; without targets, those that any Helm or workload rollback needs."""
    if not targets:
        return sorted(set(_usual(namespace)))
    from backout.cli.targets import read_targets
    from backout.diagnosis.diagnose import diagnose
    from backout.workflows.prepare import make_plan

    needed: set[Access] = set()
    for target in read_targets(session, cluster, targets):
        seen = await diagnose(cluster, target.namespace, [target])
        plan = await make_plan(cluster, target, made_at=seen.at, problems=seen.problems, settings=session.settings)
        needed |= set(plan.access)
    return sorted(needed)


def _usual(namespace: str) -> Iterable[Access]:
    for verb in ("get", "list", "watch"):
        yield Access(verb, "", "pods", namespace)
        for resource in (*WORKLOAD_KINDS, "replicasets", "controllerrevisions"):
            yield Access(verb, "apps", resource, namespace)
    yield Access("get", "", "pods/log", namespace)
    for group, resource in (
        ("", "events"),
        ("", "services"),
        ("discovery.k8s.io", "endpointslices"),
        ("networking.k8s.io", "ingresses"),
    ):
        yield Access("list", group, resource, namespace)
    yield Access("delete", "", "pods", namespace)
    for verb in ("get", "list", "create", "update", "delete"):
        yield Access(verb, "", "secrets", namespace)
    for resource in WORKLOAD_KINDS:
        yield Access("patch", "apps", resource, namespace)
    for verb in ("get", "create", "update", "delete"):
        yield Access(verb, "coordination.k8s.io", "leases", namespace)


def _words(accesses: list[Access]) -> list[str]:
    return [f"{access.verb} {access.resource}{'.' + access.group if access.group else ''}" for access in accesses]
