# SPDX-License-Identifier: Apache-2.0
"""The rights of the account that pods run as: it, what binds rights to it, or what holds them, went away."""

from __future__ import annotations

from collections.abc import Iterable

from backout.cluster.port import Object
from backout.diagnosis.attribution.circumstances import Circumstance, gone, kinds_of
from backout.diagnosis.attribution.failures import RUNNING, Kind
from backout.diagnosis.attribution.hypotheses import Situation
from backout.diagnosis.attribution.signals import signals
from backout.diagnosis.evidence.namespace import ROLEBINDINGS, ROLES, SERVICEACCOUNTS, Namespace
from backout.model.message import msg
from backout.model.target import ObjectRef


async def rights(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """The account of the pods, or what binds rights to it, went away."""
    kinds = kinds_of(situation)
    if not kinds & {Kind.ACCOUNT, *RUNNING}:
        return None
    spec = situation.history.template.get("spec") or {}
    account = str(spec.get("serviceAccountName") or "default")
    accounts = await namespace.objects(SERVICEACCOUNTS)
    if account != "default" and accounts.readable and account not in {a["metadata"]["name"] for a in accounts.items}:
        return await gone(situation, namespace, "v1", "ServiceAccount", account, msg("The pods run as it."))
    if Kind.ACCOUNT in kinds:
        return None
    baseline = await namespace.baseline()
    bindings, roles = await namespace.objects(ROLEBINDINGS), await namespace.objects(ROLES)
    live = {o["metadata"]["name"]: o for o in bindings.items}
    for (kind, name), _ in baseline.entries.items():
        if kind != "RoleBinding" or not bindings.readable or account == "default":
            continue
        kept = baseline.kept(ObjectRef("rbac.authorization.k8s.io/v1", kind, name, namespace.name)) or {}
        subjects = {str(one.get("name")) for one in kept.get("subjects") or () if one.get("kind") == "ServiceAccount"}
        if account not in subjects:
            continue
        role = kept.get("roleRef") or {}
        if name not in live:
            return await gone(
                situation,
                namespace,
                "rbac.authorization.k8s.io/v1",
                kind,
                name,
                msg("It gave rights to the account that the pods run as."),
            )
        if (
            role.get("kind") == "Role"
            and roles.readable
            and role.get("name") not in {r["metadata"]["name"] for r in roles.items}
        ):
            return await gone(
                situation,
                namespace,
                "rbac.authorization.k8s.io/v1",
                "Role",
                str(role["name"]),
                msg("It held the rights of the account that the pods run as."),
            )
    return await _unheld(situation, namespace, account, roles.items) if roles.readable else None


async def _unheld(
    situation: Situation, namespace: Namespace, account: str, roles: Iterable[Object]
) -> Circumstance | None:
    """A Role that a binding gives to the account of the pods, and that does not exist, where what fails complains of its rights and
    ran before."""
    history = situation.history
    ran = any(history.completed(one.name) is not None for one in history.generations)
    if not ran or not any(signal.name == "rights" for signal in signals(situation.said)):
        return None
    there = {role["metadata"]["name"] for role in roles}
    for binding in (await namespace.objects(ROLEBINDINGS)).items:
        role = binding.get("roleRef") or {}
        subjects = [
            one
            for one in binding.get("subjects") or ()
            if one.get("kind") == "ServiceAccount"
            and one.get("name") == account
            and one.get("namespace") in (None, "", namespace.name)
        ]
        if subjects and role.get("kind") == "Role" and role.get("name") not in there:
            return await gone(
                situation,
                namespace,
                "rbac.authorization.k8s.io/v1",
                "Role",
                str(role["name"]),
                msg(
                    "{binding} gives it to the account that the pods run as, and all of them were ready once.",
                    binding=f"rolebinding/{binding['metadata']['name']}",
                ),
                was_there=True,
            )
    return None
