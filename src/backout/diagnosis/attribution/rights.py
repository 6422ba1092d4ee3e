# SPDX-License-Identifier: Apache-2.0
"""What was taken away, past its owner, from the rights of the account that a workload's pods run as.

Rights only add up, so a rule that was added takes nothing from anybody; what counts is what was allowed and is not any more
(kubernetes.io/docs/reference/access-authn-authz/rbac: rules, subjects, wildcards, resourceNames).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from backout.changes.authors import author_of, authors
from backout.cluster.port import Object
from backout.diagnosis.attribution.changes import Change
from backout.diagnosis.evidence.history import WorkloadHistory
from backout.diagnosis.evidence.namespace import ROLEBINDINGS, ROLES, Namespace
from backout.kube.diff import diff_objects
from backout.kube.names import HELM_RELEASE
from backout.mechanisms import registry
from backout.model.change import FieldChange
from backout.model.message import Message, msg
from backout.model.target import ObjectRef, Target

ALL = "*"
_DENIED = re.compile(r'cannot (\w+) resource "([^"]+)"(?: in API group "([^"]*)")?')
"""As the API server words it (k8s.io/apiserver pkg/endpoints/handlers/responsewriters/errors.go: forbiddenMessage)."""


class Right(msgspec.Struct, frozen=True, order=True):
    """One verb on one resource of one API group (of that name alone, where one is told); ``*`` stands for all."""

    verb: str
    resource: str
    group: str | None = None
    name: str = ""

    def covers(self, other: Right) -> bool:
        """True when whoever has this has the other one, too."""
        pairs = ((self.verb, other.verb), (self.resource, other.resource), (self.group, other.group))
        return all(mine in (ALL, theirs) or theirs is None for mine, theirs in pairs) and self.name in ("", other.name)


def rights_of(role: Object) -> frozenset[Right]:
    """Everything that a Role allows."""
    return frozenset(
        Right(str(verb), str(resource), str(group), str(name))
        for rule in role.get("rules") or ()
        for verb in rule.get("verbs") or ()
        for resource in rule.get("resources") or ()
        for group in rule.get("apiGroups") or ("",)
        for name in rule.get("resourceNames") or ("",)
    )


def taken(before: Iterable[Right], after: Iterable[Right]) -> tuple[Right, ...]:
    """What was allowed and is not any more."""
    left = tuple(after)
    return tuple(sorted(one for one in before if not any(other.covers(one) for other in left)))


def denied(text: str) -> tuple[Right, ...]:
    """What a program says that it is not allowed."""
    return tuple(Right(*match.groups()) for match in _DENIED.finditer(text))


async def changes_of_rights(history: WorkloadHistory, namespace: Namespace) -> list[Change]:
    """What people took away of Roles, and of RoleBindings, that give rights to the account of the pods."""
    spec = history.template.get("spec") or {}
    account = str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default")
    bindings, roles = await namespace.objects(ROLEBINDINGS), await namespace.named(ROLES)
    found, bound = [], set()
    for binding in bindings.items:
        before = await _before(namespace, binding)
        had = before is not None and _binds(before[0], account, namespace.name)
        has = _binds(binding, account, namespace.name)
        ref = (binding.get("roleRef") or {}) if has else ((before[0].get("roleRef") or {}) if before else {})
        if (has or had) and ref.get("kind") == "Role":
            bound.add(str(ref.get("name")))
        if before is not None and had and not has:
            gone = rights_of(roles.get(str(ref.get("name"))) or {}) or {Right(ALL, ALL, ALL)}
            found.append(_change(namespace, binding, *before, tuple(sorted(gone))))
    for name in sorted(bound & roles.keys()):
        before = await _before(namespace, roles[name])
        if before is not None and (lost := taken(rights_of(before[0]), rights_of(roles[name]))):
            found.append(_change(namespace, roles[name], *before, lost))
    return found


def _binds(binding: Object, account: str, namespace: str) -> bool:
    for one in binding.get("subjects") or ():
        kind, name = one.get("kind"), str(one.get("name"))
        if kind == "ServiceAccount" and name == account and one.get("namespace") in (None, "", namespace):
            return True
        if kind == "Group" and name in ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"):
            return True
    return False


async def _before(namespace: Namespace, obj: Object) -> tuple[Object, Message] | None:
    """What it should be, by its release, else by the last good snapshot; None where it is as it was when all was well."""
    meta, baseline = obj["metadata"], await namespace.baseline()
    kept = baseline.kept(ObjectRef.of(obj))
    if kept is not None and not _fields(kept, obj):
        return None
    release = (await namespace.releases()).get(str((meta.get("annotations") or {}).get(HELM_RELEASE) or ""))
    if release is not None:
        given = [(await release.contents(r) or {}).get((obj["kind"], meta["name"])) for r in release.since_in_force]
        if given and given[0] is not None:
            if any(one is not None and not _fields(one, obj) for one in given):
                return None
            number = release.in_force.revision
            return given[0], msg("revision {number} of {release}", number=number, release=str(release.target))
    if kept is None or baseline.good is None:
        return None
    return kept, msg("snapshot {snapshot}", snapshot=baseline.good.short)


def _fields(before: Object, after: Object) -> tuple[FieldChange, ...]:
    def told(obj: Object) -> dict[str, Any]:
        subjects = [{k: v for k, v in one.items() if k in ("kind", "name")} for one in obj.get("subjects") or ()]
        return {"rules": obj.get("rules") or [], "subjects": subjects, "roleRef": obj.get("roleRef") or {}}

    return diff_objects(told(before), told(after))


def _change(namespace: Namespace, obj: Object, before: Object, source: Message, lost: tuple[Right, ...]) -> Change:
    ref, fields = ObjectRef.of(obj), _fields(before, obj)
    people = [author for author in authors(obj) if author.by == "other"]
    author = author_of(people, fields[0].path) if people else None
    kind = ref.kind.lower()
    names = ", ".join(dict.fromkeys(re.split(r"[.\[]", field.path)[0] for field in fields))
    return Change(
        at=author.at if author else None,
        actor=author.manager if author else "",
        source="managedfields",
        target=Target(kind, ref.name, namespace.name, namespace.cluster.name),
        mechanism=registry.OF_KIND.get(kind, ""),
        touches=(ObjectRef(ref.api_version, ref.kind, ref.name, namespace.name),),
        fields=tuple(msgspec.structs.replace(field, path=f"{ref} {field.path}") for field in fields),
        before=source,
        by_hand=True,
        lost=tuple((one.verb, one.resource, one.group or "") for one in lost),
        summary=msg(
            "{manager} changed {fields} of {object}",
            manager=author.manager if author else "?",
            fields=names,
            object=str(ref),
        ),
    )
