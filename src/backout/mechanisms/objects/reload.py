# SPDX-License-Identifier: Apache-2.0
"""Waits until programs that follow their files work with the content that was put back, and can prove it."""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from backout.changes.authors import written_at
from backout.cluster.port import Object
from backout.errors import NotVerifiedError, TimedOut
from backout.kube.references import references
from backout.mechanisms.common.live import following
from backout.mechanisms.common.workloads import load
from backout.mechanisms.objects.content import load as load_content
from backout.mechanisms.objects.history import live_object, resource_of
from backout.mechanisms.objects.params import ReloadParams
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

if TYPE_CHECKING:
    from backout.cluster.port import ClusterReader
    from backout.probes.reload import Reload

POLL = 1.0
"""Seconds between two questions to the programs: nothing tells when one has read its file."""
SYNCED = timedelta(seconds=150)
"""Within that time after a write every node has brought the files of its pods up to date, and programs have seen it:
60 s between syncs by default, as long again for the kubelet's cache, and the jitter of both."""


async def await_reload(context: StepContext, step: StepOf[ReloadParams]) -> StepOutcome:
    """Until every pod has loaded it. What can't be proven is said, and left to the checks.

    Raises:
        NotVerifiedError: a program refuses the content.
        TimedOut: a program still works with something else.
    """
    params, name = step.params, step.params.label
    ref = params.object.ref
    wanted, _ = await load_content(context.cluster, params.origin, ref)
    live_now = await live_object(context.cluster, resource_of(ref), ref)
    data = data_of(wanted.body(live_now))
    since = (written_at(live_now) if live_now is not None else None) or await context.cluster.server_time()
    loop = asyncio.get_running_loop()
    end = loop.time() + step.timeout
    # What is left of the time for the nodes, by the cluster's clock; a resumed run need not begin from the start.
    behind = await context.cluster.server_time() - since
    settled = loop.time() + max(0.0, min(SYNCED, SYNCED - behind).total_seconds())
    told = ""
    obj = await load(context.cluster, params.kind, params.name, params.namespace)
    async with following(context.cluster, obj) as live:
        while True:
            states = await _ask(context.cluster, ref, live.pods, list(params.containers), data, since)
            open_ = {pod: state for pod, state in states.items() if state.state != "loaded"}
            if not open_:
                return StepOutcome(
                    False,
                    msg("{ref} has loaded it: {count} of {count} pods say so.", ref=name, count=len(states)),
                    {"pods": sorted(states)},
                )
            words = _words(open_)
            if words.text != told:
                told = words.text
                context.progress(msg("{ref}: {waiting}.", ref=name, waiting=words))
            if loop.time() >= settled:
                if failed := {pod: state for pod, state in open_.items() if state.state == "failed"}:
                    raise NotVerifiedError(
                        "{ref} does not load the content that was put back: {why}.",
                        ref=name,
                        why=_words(failed),
                        hint="The content itself seems to be wrong. `backout history {object} -n {namespace}` names "
                        "others.",
                        object=str(ref),
                        namespace=ref.namespace,
                    )
                if all(state.state == "unknown" for state in open_.values()):
                    return StepOutcome(
                        False, msg("Whether {ref} has loaded it can't be proven: {why}.", ref=name, why=words)
                    )
            if loop.time() >= end:
                raise TimedOut(
                    "{ref} did not load the content within {seconds} s: {why}.",
                    ref=name,
                    seconds=round(step.timeout),
                    why=words,
                    hint="`backout diagnose -n {namespace}` says how it stands.",
                    namespace=ref.namespace,
                )
            await live.changed(POLL)


async def _ask(
    cluster: ClusterReader,
    ref: ObjectRef,
    pods: list[Object],
    containers: list[str],
    data: dict[str, bytes],
    since: datetime,
) -> dict[str, Reload]:
    """Pod and container → what is known of it."""
    from backout.probes.programs import recognise
    from backout.probes.reload import Reload, reload_state

    found: dict[str, Reload] = {}

    async def one(pod: Object, container: str) -> None:
        files = {
            file: content
            for reference in references(pod["spec"])
            if (reference.kind, reference.name, reference.container) == (ref.kind, ref.name, container)
            for key, content in data.items()
            if (file := reference.file(key))
        }
        program = recognise(pod["spec"], container)
        label = pod["metadata"]["name"] if len(containers) == 1 else f"{pod['metadata']['name']}/{container}"
        if program is None or not files:
            found[label] = Reload("unknown", msg("it is not known what runs in {container}", container=container))
            return
        found[label] = await reload_state(cluster, ref.namespace, pod, container, program, files, since)

    staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    await asyncio.gather(*(one(pod, container) for pod in staying for container in containers))
    return found


def data_of(content: Object) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret, with their values as files hold them."""
    if content["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in (content.get("data") or {}).items()}
    plain = {key: value.encode() for key, value in (content.get("data") or {}).items()}
    return plain | {key: base64.b64decode(value) for key, value in (content.get("binaryData") or {}).items()}


def _words(states: dict[str, Reload]) -> Message:
    pod, state = sorted(states.items())[0]
    if len(states) == 1:
        return msg("{pod}: {message}", pod=pod, message=state.message)
    return msg("{pod}: {message} (and {count} more)", pod=pod, message=state.message, count=len(states) - 1)
