# SPDX-License-Identifier: Apache-2.0
"""The custom resources of a way back, which operators carry out: waiting for them, measuring them, and the rights for that. Pure.

What an operator makes is ready only when the operator has taken up what the target revision says, and what it made of that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from backout.cluster.port import CONTROLLERREVISIONS, PODS, REPLICASETS, Resource
from backout.kube.operated import Known
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.mechanisms.common import steps as builders
from backout.mechanisms.common.made import Child
from backout.mechanisms.common.params import CustomParams, OperatorParams, Until
from backout.mechanisms.port import wire
from backout.model.message import msg
from backout.model.part import Check, Step
from backout.model.target import ObjectRef, Target

READ = ("get", "list", "watch")
CODE = "custom-resource"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A custom resource of the target revision. ``changed``: the way back changes what it says; ``waits``: it is waited for."""

    params: CustomParams
    children: tuple[Child, ...] = ()
    changed: bool = False
    waits: bool = False

    @property
    def label(self) -> str:
        """``kind/name``."""
        return self.params.label


def params_of(
    ref: ObjectRef,
    resource: Resource,
    children: Iterable[Child],
    namespace: str,
    *,
    changed: bool,
    answers: bool = True,
) -> CustomParams:
    """How steps and checks name it, with what is known of it now."""
    return CustomParams(
        api_version=ref.api_version,
        kind=ref.kind,
        name=ref.name,
        namespace=ref.namespace or namespace,
        plural=resource.plural,
        namespaced=resource.namespaced,
        changed=changed,
        answers=answers,
        known=tuple(
            Known(kind=c.kind, name=c.name, namespace=c.namespace, uid=c.uid, generation=c.generation) for c in children
        ),
    )


def waiting(found: Iterable[Subject], target: Target, action: str) -> list[Step]:
    """By ``action``, which waits. Each in turn: its operator takes it up, stuck pods that no controller would replace are, and all is
    waited for."""
    steps: list[Step] = []
    for one in found:
        if not one.waits:
            continue
        mine = Target(one.params.kind.lower(), one.params.name, one.params.namespace, target.cluster)
        pods = [step for child in one.children for step in _replacing(child, target)]
        if pods and one.changed:
            steps.append(_wait(one, mine, "taken-up", action))
        steps += pods
        steps.append(_wait(one, mine, "ready", action))
    return steps


def _replacing(child: Child, target: Target) -> Iterator[Step]:
    ref = ObjectRef(child.api_version, child.kind, child.name, child.namespace)
    mine = Target(child.kind.lower(), child.name, child.namespace, target.cluster)
    step = (
        builders.delete_outdated(ref, mine)
        if child.on_delete
        else builders.replace_stuck(ref, mine)
        if child.ordered
        else None
    )
    if step is not None:
        yield msgspec.structs.replace(step, id=f"{step.id}-{child.kind.lower()}-{child.name}")


def _wait(one: Subject, target: Target, until: Until, action: str) -> Step:
    params = OperatorParams(**{**msgspec.structs.asdict(one.params), "until": until})
    taking = until == "taken-up"
    return Step(
        id=f"wait-{until}-{one.params.kind.lower()}-{one.params.name}",
        action=action,
        target=target,
        params=wire(params),
        title=msg("Wait until the operator of {resource} has taken it up", resource=one.label)
        if taking
        else msg("Wait until {resource} and what its operator makes of it are ready", resource=one.label),
        effect=msg("Its operator has seen what the target revision says.")
        if taking
        else msg("Its operator says so, and every pod of what it makes is ready."),
        timeout=builders.TIMEOUT,
    )


def checks(found: Iterable[Subject], target: Target) -> list[Check]:
    """That each is as its operator says that it should be, and that no pod of what it makes restarts."""
    result = []
    for one in found:
        mine = Target(one.params.kind.lower(), one.params.name, one.params.namespace, target.cluster)
        result.append(
            Check(
                code=CODE,
                target=mine,
                params=wire(one.params),
                title=msg("{resource} is as its operator says that it should be", resource=one.label),
            )
        )
        if one.children:
            result.append(
                Check(
                    code="no-new-restarts",
                    target=mine,
                    params={
                        "namespace": one.params.namespace,
                        "workloads": [{"kind": child.kind, "name": child.name} for child in one.children],
                    },
                    title=msg("Pods that {resource} has made do not restart", resource=one.label),
                )
            )
    return result


def reads(found: Iterable[Subject]) -> Iterator[tuple[Resource, str, tuple[str, ...]]]:
    """What has to be read for the steps, and which pods they may delete: resource, namespace, verbs."""
    for one in found:
        yield one.params.resource, one.params.place, READ
        for resource in (*WORKLOAD_RESOURCES.values(), PODS):
            yield resource, one.params.namespace, READ
        for resource in (REPLICASETS, CONTROLLERREVISIONS):
            yield resource, one.params.namespace, READ
        if any(child.ordered or child.on_delete for child in one.children):
            yield PODS, one.params.namespace, ("delete",)
