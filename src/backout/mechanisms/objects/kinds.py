# SPDX-License-Identifier: Apache-2.0
"""The kinds of object that go back on their own, as data: what is compared, what goes with it, what is dangerous. Pure.

What a server fills in or chooses is data of its own (`backout.kube.defaults`), and so are the names of the kinds
(`backout.model.target`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from backout.errors import RefusedError
from backout.model.message import Message, msg
from backout.model.target import CLUSTER_OBJECTS, OBJECTS, Target

Dependents = Literal["readers", "account", "rights", "traffic", "admission", "scaled", ""]
"""By what workloads depend on an object: they read its content, run as it, have their rights by it, are reached or limited
by it, or are scaled by it."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know of objects of one kind.

    ``content``: the fields that people set, and that are compared. ``open``: programs and clusters add to it, so that going
    by a manifest leaves what that does not name. ``removable``: one that was made since all was well is deleted again, with
    a yes: it only forbids, limits or scales, and holds nothing. ``warns``: what the reader must know before it is put back,
    as a risk of the code ``risk``. ``everywhere``: plans of any namespace may need rights on them, so they are asked for
    ahead; for the others only where there are such objects.
    """

    content: tuple[str, ...]
    dependents: Dependents = ""
    open: bool = False
    removable: bool = False
    everywhere: bool = False
    risk: str = ""
    warns: Message | None = None


KINDS: dict[str, Kind] = {
    "ConfigMap": Kind(everywhere=True, content=("data", "binaryData", "immutable"), dependents="readers", open=True),
    "Secret": Kind(
        everywhere=True, content=("data", "stringData", "type", "immutable"), dependents="readers", open=True
    ),
    "Service": Kind(everywhere=True, content=("spec",)),
    "Ingress": Kind(everywhere=True, content=("spec",)),
    "ServiceAccount": Kind(
        content=("imagePullSecrets", "automountServiceAccountToken", "secrets"),
        dependents="account",
        # OpenShift, and token controllers before 1.24, write into both lists.
        open=True,
    ),
    "Role": Kind(
        content=("rules",),
        dependents="rights",
        risk="rights",
        warns=msg("Whoever is bound to it has those rights again: if they were taken away on purpose, leave it."),
    ),
    "RoleBinding": Kind(
        content=("subjects", "roleRef"),
        dependents="rights",
        risk="rights",
        warns=msg("Its subjects have those rights again: if they were taken away on purpose, leave it."),
    ),
    "NetworkPolicy": Kind(
        content=("spec",),
        dependents="traffic",
        risk="traffic",
        removable=True,
        warns=msg("It decides which connections are let through: if it was changed to keep somebody out, leave it."),
    ),
    "ResourceQuota": Kind(
        content=("spec",),
        dependents="admission",
        risk="limits",
        removable=True,
        warns=msg("It limits what the namespace may use: whoever runs the cluster may have set it on purpose."),
    ),
    "LimitRange": Kind(
        content=("spec",),
        dependents="admission",
        risk="limits",
        removable=True,
        warns=msg("It limits what each pod may ask for: whoever runs the cluster may have set it on purpose."),
    ),
    "HorizontalPodAutoscaler": Kind(
        content=("spec",),
        dependents="scaled",
        risk="scaling",
        removable=True,
        warns=msg("It scales by itself once it is back: how many pods there are then is its decision."),
    ),
    "PodDisruptionBudget": Kind(
        content=("spec",),
        risk="evictions",
        removable=True,
        warns=msg("It decides which evictions are let through, so drains of nodes may go on or stop because of it."),
    ),
    "CronJob": Kind(
        content=("spec",),
        risk="schedule",
        warns=msg("Jobs that it made already stay as they are: only its next ones are made from what is put back."),
    ),
}
"""By kind. All live in a namespace, whose snapshots hold them."""

assert set(KINDS) == {kind for _, kind in OBJECTS.values()}

_REACH: dict[str, Message] = {
    "ClusterRole": msg("It gives rights in every namespace."),
    "ClusterRoleBinding": msg("It gives rights in every namespace."),
    "PriorityClass": msg("Its value can't be changed, and pods keep the priority that they were made with."),
    "IngressClass": msg("Ingresses of every namespace name it."),
    "StorageClass": msg("Its parameters can't be changed, and volumes keep what they were made with."),
    "ValidatingWebhookConfiguration": msg("It judges the writes of every namespace, those of a run included."),
    "MutatingWebhookConfiguration": msg("It changes the writes of every namespace, those of a run included."),
}
"""Why no object of the whole cluster goes back on its own. A run holds the lease of one namespace, is approved by whoever
works there, and goes by snapshots of that: none of these covers what others rely on. Its release can go back with it."""


def require_known(target: Target) -> None:
    """
    Raises:
        RefusedError: it is an object of the whole cluster; says why that does not go back, and what to do instead.
    """
    if target.kind not in CLUSTER_OBJECTS:
        return
    kind = CLUSTER_OBJECTS[target.kind][1]
    raise RefusedError(
        "{target} belongs to the whole cluster, and does not go back on its own. {why}",
        target=str(target),
        why=_REACH[kind],
        expected="an object of a namespace",
        hint="Put it back from where it comes from: `kubectl apply` of its manifest, or, where a Helm release has it, "
        "`helm rollback RELEASE REVISION`, which writes it as well (helm get manifest RELEASE shows it).",
    )
