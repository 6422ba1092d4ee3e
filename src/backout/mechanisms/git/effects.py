# SPDX-License-Identifier: Apache-2.0
"""The effects of this way back: the commit gets to the repository, and Argo CD to the commit. Both look, act, look again."""

from __future__ import annotations

import asyncio
import time

from backout.cluster.port import ClusterReader, Object
from backout.errors import GitUnreachable, PreconditionFailed, TimedOut
from backout.git.history import read_commit, read_since
from backout.git.inputs import Application, read_reach
from backout.git.message import Reason, of_restore, of_revert
from backout.git.mirror import Mirror
from backout.git.push import Pushed, Wanted, found_in, push
from backout.git.revert import Back
from backout.git.words import short
from backout.mechanisms.git.history import resource_of
from backout.mechanisms.git.params import PushParams, SyncParams
from backout.mechanisms.git.place import holds, mirror_of, operated, place_index, synced
from backout.mechanisms.port import CheckOf, StepContext, StepOf, StepOutcome
from backout.model.giturl import place_of
from backout.model.measured import Measured, failed, passed, unknown
from backout.model.message import msg
from backout.model.plaintext import one_line
from backout.ownership.sources import argocd_sources

REFRESH = "argocd.argoproj.io/refresh"
PAUSE = 2.0
"""Seconds between two looks at the application."""
ASK_AGAIN = 60.0
"""Seconds after which it is asked to look at its repository once more."""


async def push_back(context: StepContext, step: StepOf[PushParams]) -> StepOutcome:
    """Pushes the commit that goes back; see `backout.git.push`."""
    params = step.params
    mirror = mirror_of(params.url)
    await _require_made_from(context.cluster, step)
    key = f"{context.run}/{step.step.id}"
    planned, back = params.planned, params.back
    if params.undoes:
        head = await mirror.fetch(params.branch)
        mine = found_in(await read_since(mirror, params.planned, head), params.undoes)
        if mine is None:
            return StepOutcome(False, msg("Nothing of that run is on {branch}.", branch=params.branch))
        planned, back = mine.sha, Back(commits=(mine.sha,))
    else:
        await mirror.fetch(params.branch)
    reach = await read_reach(
        mirror,
        planned,
        [Application(name=params.name, sources=params.sources)],
        branch=params.branch,
        default=params.branch,
    )
    files = {path for one in reach.every for path in one.files}
    folders = {path for one in reach.every for path in one.folders}
    wanted = Wanted(
        branch=params.branch,
        planned=planned,
        back=back,
        digest=params.digest,
        key=key,
        message=await _message(mirror, back, Reason(key=key, cause=params.cause)),
        files=files,
        folders=folders,
    )
    return _told(params, await push(mirror, wanted, context.guard))


async def _require_made_from(reader: ClusterReader, step: StepOf[PushParams]) -> None:
    """
    Raises:
        PreconditionFailed: the application is made from somewhere else by now.
    """
    params = step.params
    app = await reader.get(await resource_of(reader, step.target), params.name, params.namespace)
    follows = {params.branch, f"refs/heads/{params.branch}", "", "HEAD"}
    here = place_of(params.url)
    sources = argocd_sources(app.get("spec") or {})
    if not any(place_of(one.url) == here and one.revision in follows for one in sources):
        raise PreconditionFailed(
            "{target} is not made from {branch} of {url} any more.",
            target=str(step.target),
            branch=params.branch,
            url=params.url,
            hint="Plan anew.",
        )


async def _message(mirror: Mirror, back: Back, reason: Reason) -> str:
    if back.revision:
        return of_restore(await read_commit(mirror, back.revision), back.paths, reason)
    return of_revert([await read_commit(mirror, one) for one in back.commits], reason)


def _told(params: PushParams, pushed: Pushed) -> StepOutcome:
    data = {"commit": pushed.commit, "branch": params.branch, "url": params.url}
    text = (
        msg("Commit {commit} is on {branch}.", commit=short(pushed.commit), branch=params.branch)
        if pushed.changed
        else msg("Commit {commit} is on {branch} already.", commit=short(pushed.commit), branch=params.branch)
    )
    return StepOutcome(pushed.changed, text, data)


async def await_sync(context: StepContext, step: StepOf[SyncParams]) -> StepOutcome:
    """Asks Argo CD to look at its repository, and waits until it has brought the commit to the cluster.

    Raises:
        ObjectNotFound: the application is gone.
        PreconditionFailed: it is another one of that name.
        TimedOut: it did not in time; what it says is told.
    """
    params, mirror = step.params, mirror_of(step.params.url)
    until = time.monotonic() + step.timeout
    asked = 0.0
    changed = False
    while True:
        app = await _application(context.cluster, step)
        if await _there(mirror, app, params):
            commit = synced(app, place_index(app))
            return StepOutcome(changed, msg("Argo CD has synced {commit}.", commit=short(commit)), {"commit": commit})
        if time.monotonic() > until:
            raise TimedOut(
                "Argo CD did not sync {target} within {seconds} s.",
                target=str(step.target),
                seconds=round(step.timeout),
                expected="the commit that went back, synced",
                found="{state}",
                state=_state(app),
                hint="Look at the application; `backout resume` waits again.",
            )
        if time.monotonic() - asked > ASK_AGAIN or not asked:
            asked, changed = time.monotonic(), True
            await context.guard()
            resource = await resource_of(context.cluster, step.target)
            patch = {"metadata": {"annotations": {REFRESH: "normal"}}}
            await context.cluster.patch(resource, params.name, patch, params.namespace)
        await asyncio.sleep(PAUSE)


async def git_synced(check: CheckOf[SyncParams], reader: ClusterReader) -> Measured:
    """The application is at a commit that has the files as they are to be, and says that it is healthy."""
    params = check.params
    resource = await resource_of(reader, check.target)
    app = await reader.get(resource, params.name, params.namespace)
    try:
        there = await _there(mirror_of(params.url), app, params)
    except GitUnreachable as error:
        return unknown(msg("its repository gives no answer: {why}", why=error.message), again=True)
    if not there:
        return failed(msg("{state}", state=_state(app)), again=True)
    health = str(((app.get("status") or {}).get("health") or {}).get("status") or "Unknown")
    commit = short(synced(app, place_index(app)))
    if health == "Healthy":
        return passed(msg("synced to {commit}, healthy", commit=commit))
    words = msg("synced to {commit}, {health}", commit=commit, health=health)
    return failed(words, again=True) if health in ("Degraded", "Progressing", "Missing") else unknown(words, again=True)


async def _there(mirror: Mirror, app: Object, params: SyncParams) -> bool:
    """Compared with the commit, and the commit brought to the cluster: both, since either alone may be old."""
    index = place_index(app)
    status = app.get("status") or {}
    if (status.get("sync") or {}).get("status") != "Synced" or "operation" in app:
        return False
    commit, done = synced(app, index), operated(app, index)
    if not commit or not await holds(mirror, params.branch, commit, params.wanted, params.since):
        return False
    # A commit that changes nothing of what is rendered is compared and never brought.
    return (
        not done
        or done == commit
        or await holds(mirror, params.branch, done, params.wanted, params.since)
        or _unchanged(status)
    )


def _unchanged(status: Object) -> bool:
    """Whether the comparison is newer than the last sync, and found nothing to do."""
    finished = str((status.get("operationState") or {}).get("finishedAt") or "")
    return bool(finished) and str(status.get("reconciledAt") or "") > finished


def _state(app: Object) -> str:
    status = app.get("status") or {}
    state = status.get("operationState") or {}
    said = [
        str((status.get("sync") or {}).get("status") or "no status"),
        short(synced(app, place_index(app))),
        str(state.get("phase") or ""),
        str(state.get("message") or ""),
    ]
    return one_line(", ".join(word for word in said if word))[:300]


async def _application(reader: ClusterReader, step: StepOf[SyncParams]) -> Object:
    resource = await resource_of(reader, step.target)
    app = await reader.get(resource, step.params.name, step.params.namespace)
    uid = step.precondition.get("uid")
    if uid and app["metadata"]["uid"] != uid:
        raise PreconditionFailed(
            "{target} was deleted and made again after the plan was made.", target=str(step.target), hint="Plan anew."
        )
    return app
