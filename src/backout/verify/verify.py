# SPDX-License-Identifier: Apache-2.0
"""Checks → verdict: wait until they hold, watch that they stay so, measure once more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from backout.cluster.port import (
    CONTROLLERREVISIONS,
    ENDPOINTSLICES,
    PODS,
    PVCS,
    REPLICASETS,
    SERVICES,
    ClusterReader,
    Resource,
)
from backout.errors import BackoutError, PlanChanged
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.mechanisms import registry
from backout.mechanisms.common.measuring import ByDigest, Named, namespace_of
from backout.mechanisms.common.params import CustomParams
from backout.mechanisms.port import CheckOf, Measure, typed
from backout.model.measured import Measured, unknown, unmeasured
from backout.model.message import msg
from backout.model.part import Access, Check
from backout.model.verdict import CheckResult, Verdict, judge
from backout.verify import customs, network, others, stacks, workloads
from backout.verify.params import (
    ClaimsParams,
    EndpointsParams,
    HttpParams,
    IngressParams,
    OnPods,
    OwnerParams,
    ServicesParams,
    WorkloadParams,
)
from backout.verify.pods import workload_of
from backout.verify.scene import Scene, View, watching

SETTLE = 60.0
"""Seconds within which a state that is still arriving may arrive before it counts as a failure."""


class _Watched(NamedTuple):
    """What is measured of what is listed and watched; ``needs`` beside the workloads that a check is about."""

    measure: Callable[[Any, Scene], Measured]
    params: type[Any]
    needs: tuple[Resource, ...]


_WATCHED = {
    "workload-ready": _Watched(workloads.workload_ready, WorkloadParams, (PODS,)),
    "pods-ready": _Watched(workloads.pods_ready, OnPods, (PODS,)),
    "no-new-restarts": _Watched(others.no_new_restarts, OnPods, (PODS,)),
    "endpoints": _Watched(others.endpoints, EndpointsParams, (SERVICES, ENDPOINTSLICES)),
    "pvc-bound": _Watched(others.pvc_bound, ClaimsParams, (PVCS, PODS)),
    "custom-resource": _Watched(customs.custom_resource, CustomParams, (PODS,)),
}
_ASKED: dict[str, Measure[Any]] = {
    "revision-restored": Measure(others.at_revision, ByDigest),
    "object-present": Measure(others.present, Named),
    "object-absent": Measure(others.absent, Named),
    "service-answers": Measure(network.service_answers, ServicesParams),
    "ingress-answers": Measure(network.ingress_answers, IngressParams),
    "http-answer": Measure(stacks.http_answer, HttpParams),
}
_TIMED: dict[str, Callable[[CheckOf[OwnerParams], float], Measured]] = {"owner-quiet": others.owner_quiet}
CODES = frozenset({*_WATCHED, *_ASKED, *_TIMED})
"""The checks that any way back may ask for; each has more of its own."""
_OVER_TIME = "no-new-restarts"
_LATE = 20.0
"""Seconds that something which is asked after the soak, and not watched, gets at most to come about."""
_PAUSE = 1.0
_OLD = 2.0
"""Seconds after which what was read is read once more before it is judged."""

OnResults = Callable[[Sequence[CheckResult]], None]
OnSoak = Callable[[float], None]


async def verify(
    cluster: ClusterReader,
    checks: Sequence[Check],
    soak: float,
    on_results: OnResults | None = None,
    *,
    on_soak: OnSoak | None = None,
    settle: float = SETTLE,
    also: Mapping[str, Measure[Any]] | None = None,
) -> Verdict:
    """Measures every check. Reads only. ``also``: how those are measured that this floor knows nothing of, by code.

    ``settle`` seconds are given for the checks to hold; then, for ``soak`` seconds, they must keep holding and no
    container may restart: the first failure ends the soak. What can't be measured is unknown, and so is the verdict.
    """
    loop = asyncio.get_running_loop()
    results: dict[int, Measured] = {}
    watched = 0.0
    async with watching(cluster, views(checks)) as scene:

        def measure() -> bool:
            """Measures what can change; True while nothing fails."""
            for number, check in enumerate(checks):
                if check.code in _WATCHED:
                    results[number] = _measure(check, scene)
            return not any(
                result.status == "fail"
                for number, result in results.items()
                if checks[number].code != _OVER_TIME or scene.restarts is not None
            )

        def waiting() -> bool:
            return any(result.status == "unknown" and result.again for result in results.values())

        opened = loop.time()
        until = opened + settle
        while (not measure() or waiting()) and await scene.next_change(until):
            pass
        if (not measure() or waiting()) and loop.time() - opened > _OLD:
            await scene.refresh()
            opened = loop.time()
        if measure() and soak > 0:
            if on_soak:
                on_soak(soak)
            scene.begin_soak()
            began = loop.time()
            while measure() and await scene.next_change(began + soak):
                pass
            watched = min(soak, loop.time() - began)
        if loop.time() - opened > _OLD:
            await scene.refresh()
        measure()
        asked = [
            number for number, check in enumerate(checks) if check.code not in _WATCHED and check.code not in _TIMED
        ]
        late = loop.time() + min(settle, _LATE)
        answers = await asyncio.gather(*(_ask(checks[number], cluster, late, also or {}) for number in asked))
        results.update(zip(asked, answers, strict=True))
        results.update({n: _timed(check, watched) for n, check in enumerate(checks) if check.code in _TIMED})
    verdict = _verdict(checks, results, watched, soak)
    if on_results:
        on_results(verdict.checks)
    return verdict


def _verdict(checks: Sequence[Check], results: dict[int, Measured], watched: float, soak: float) -> Verdict:
    at = datetime.now(UTC)
    kept = []
    for number, check in enumerate(checks):
        measured = results[number]
        if check.code == _OVER_TIME and measured.status == "pass":
            seconds = round(watched, 1)
            measured = msgspec.structs.replace(
                measured,
                value=msg(
                    "0 restarts of {count} containers in {seconds} s",
                    count=measured.data["containers"],
                    seconds=seconds,
                ),
                data={**measured.data, "seconds": seconds},
            )
        elif check.code == _OVER_TIME and measured.status == "unknown" and soak <= 0:
            measured = unknown(msg("there was no soak to watch"))
        elif check.code == _OVER_TIME and measured.status == "unknown" and not watched:
            measured = unknown(msg("not watched, since another check failed before"))
        result = CheckResult(
            code=check.code,
            target=check.target,
            title=check.title,
            status=measured.status,
            measured=measured.value,
            expected=measured.expected,
            at=at,
            data=measured.data,
        )
        kept.append(result)
    return judge(tuple(kept), at, round(watched, 1))


def hold(checks: Sequence[Check]) -> None:
    """Reads the parameters of checks strictly. A code that is not known is no error: its check will be unknown.

    Raises:
        PlanChanged: they are not those of the code.
    """
    for check in checks:
        measure = _ASKED.get(check.code) or registry.measurement(check.code)
        if check.code in _WATCHED:
            _read(check)
        elif check.code in _TIMED:
            typed(OwnerParams, check.code, check.params)
        elif measure is not None:
            typed(measure.params, check.code, check.params)


def _read(check: Check) -> CheckOf[Any]:
    return CheckOf(check, typed(_WATCHED[check.code].params, check.code, check.params))


def _timed(check: Check, watched: float) -> Measured:
    try:
        return _TIMED[check.code](CheckOf(check, typed(OwnerParams, check.code, check.params)), watched)
    except BackoutError as error:
        return unmeasured(error)


def _measure(check: Check, scene: Scene) -> Measured:
    try:
        kind = _WATCHED[check.code]
        return kind.measure(_read(check), scene)
    except BackoutError as error:
        return unmeasured(error)


async def _ask(check: Check, cluster: ClusterReader, late: float, also: Mapping[str, Measure[Any]]) -> Measured:
    measure = _ASKED.get(check.code) or also.get(check.code) or registry.measurement(check.code)
    if measure is None:
        return unknown(msg("this version does not know the check {code}", code=check.code))
    while True:
        try:
            measured = await measure(check, cluster)
        except BackoutError as error:
            return unmeasured(error)
        if not measured.again or asyncio.get_running_loop().time() + _PAUSE > late:
            return measured
        # Programs, load balancers and proxies of other people: nothing can be watched.
        await asyncio.sleep(_PAUSE)


def usual_access(namespace: str) -> set[Access]:
    """The rights to list and to watch all that checks may be about."""
    resources = {resource for kind in _WATCHED.values() for resource in kind.needs}
    resources |= {*WORKLOAD_RESOURCES.values(), REPLICASETS, CONTROLLERREVISIONS}
    return {Access(verb, one.group, one.plural, namespace) for one in resources for verb in ("list", "watch")}


def views(checks: Sequence[Check]) -> list[View]:
    """What is listed and watched for the checks, in which namespaces."""
    found: list[View] = []
    for check in checks:
        if check.code not in _WATCHED:
            continue
        try:
            mine = _read(check)
        except PlanChanged:
            # Told when it is measured: unknown.
            continue
        if isinstance(mine.params, CustomParams):
            found += customs.views(mine.params)
            continue
        namespace = namespace_of(mine)
        found += [(resource, namespace) for resource in _WATCHED[check.code].needs]
        kinds = {entry.kind for entry in mine.params.workloads}
        if wanted := workload_of(mine):
            kinds.add(wanted[0])
        by_lower = {kind.lower(): kind for kind in WORKLOAD_RESOURCES}
        for kind in sorted({by_lower.get(kind.lower(), "") for kind in kinds} - {""}):
            found.append((WORKLOAD_RESOURCES[kind], namespace))
            if kind == "Deployment":
                found.append((REPLICASETS, namespace))
            if kind == "DaemonSet":
                found.append((CONTROLLERREVISIONS, namespace))
    return list(dict.fromkeys(found))
