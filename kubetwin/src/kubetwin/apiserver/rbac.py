# SPDX-License-Identifier: Apache-2.0
"""Role based access control: what a user may do, from the (Cluster)Roles and their bindings in the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kubetwin.apiserver import selectors
from kubetwin.apiserver.status import ApiError, forbidden
from kubetwin.apiserver.store import Change, Object, Store, object_key
from kubetwin.serving.http import User

GROUP = "rbac.authorization.k8s.io"
MASTERS = "system:masters"
Rule = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attributes:
    """One question to the authorizer: a verb on a resource, or on a ``path`` that is no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def combined(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Authorizer:
    """Answers from an index of the bindings that is rebuilt after they changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._dirty = True
        self._cluster: list[tuple[frozenset[tuple[str, str]], list[Rule], str]] = []
        self._local: dict[str, list[tuple[frozenset[tuple[str, str]], list[Rule], str]]] = {}
        for resource in ("roles", "rolebindings", "clusterroles", "clusterrolebindings"):
            store.collection((GROUP, resource)).watchers.add(self._changed)
        store.collection((GROUP, "clusterroles")).watchers.add(self._aggregate)

    def invalidate(self) -> None:
        self._dirty = True

    def _changed(self, change: Change) -> None:
        self._dirty = True

    def _aggregate(self, change: Change) -> None:
        """Keep aggregated ClusterRoles up to date (a controller's work on a real cluster)."""
        collection = self._store.collection((GROUP, "clusterroles"))
        for entry in list(collection.entries.values()):
            rule = entry.obj.get("aggregationRule")
            if not rule:
                continue
            rules: list[Rule] = []
            for selector in rule.get("clusterRoleSelectors") or ():
                for other in collection.scan():
                    labels = other.obj["metadata"].get("labels") or {}
                    if other is entry or not selectors.matches_label_selector(selector, labels):
                        continue
                    rules += [r for r in other.obj.get("rules") or () if r not in rules]
            if rules != (entry.obj.get("rules") or []):
                obj = entry.copy()
                obj["rules"] = rules
                collection.put(entry.key, obj)
                return

    def _build(self) -> None:
        self._dirty = False
        self._cluster, self._local = [], {}
        for entry in self._store.collection((GROUP, "clusterrolebindings")).scan():
            rules, missing = self._rules(entry.obj, "")
            self._cluster.append((_subjects(entry.obj, ""), rules, missing))
        for entry in self._store.collection((GROUP, "rolebindings")).scan():
            namespace = entry.obj["metadata"]["namespace"]
            rules, missing = self._rules(entry.obj, namespace)
            self._local.setdefault(namespace, []).append((_subjects(entry.obj, namespace), rules, missing))

    def _rules(self, binding: Object, namespace: str) -> tuple[list[Rule], str]:
        """The rules that a binding grants; the complaint when its role does not exist."""
        reference = binding["roleRef"]
        kind, name = reference["kind"], reference["name"]
        where = namespace if kind == "Role" else ""
        collection = self._store.collection((GROUP, "roles" if where else "clusterroles"))
        entry = collection.entries.get(object_key(where, name))
        if entry is None:
            return [], f'{kind.lower()}.{GROUP} "{name}" not found'
        return list(entry.obj.get("rules") or ()), ""

    def rules_for(self, user: User, namespace: str, complaints: list[str] | None = None) -> Iterator[Rule]:
        """Every rule that applies to the user, in the namespace (empty: at cluster scope)."""
        if self._dirty:
            self._build()
        identities = {("User", user.name), *(("Group", group) for group in user.groups)}
        bindings = [self._cluster, self._local.get(namespace, [])] if namespace else [self._cluster]
        for listed in bindings:
            for subjects, rules, missing in listed:
                if subjects & identities:
                    if missing and complaints is not None:
                        complaints.append(missing)
                    yield from rules

    def allowed(self, user: User, attributes: Attributes, complaints: list[str] | None = None) -> bool:
        if MASTERS in user.groups:
            return True
        rules = self.rules_for(user, attributes.namespace, complaints)
        return any(covers(rule, attributes) for rule in rules)

    def reason(self, user: User, attributes: Attributes) -> str | None:
        """Why the user may (an empty text for administrators), None when not: what an access review shows.

        Source of the words: plugin/pkg/auth/authorizer/rbac.
        """
        if MASTERS in user.groups:
            return ""
        if not self.allowed(user, attributes):
            return None
        identities = {("User", user.name), *(("Group", group) for group in user.groups)}
        for kind, resource in (("ClusterRoleBinding", "clusterrolebindings"), ("RoleBinding", "rolebindings")):
            for entry in self._store.collection((GROUP, resource)).scan():
                binding = entry.obj
                namespace = binding["metadata"].get("namespace", "")
                if namespace != (attributes.namespace if kind == "RoleBinding" else ""):
                    continue
                rules, _ = self._rules(binding, namespace)
                subject = next(
                    (s for s in binding.get("subjects") or () if _identity(s, namespace) in identities), None
                )
                if subject is not None and any(covers(rule, attributes) for rule in rules):
                    return f"RBAC: allowed by {_described(kind, binding, subject)}"
        return ""

    def require(self, user: User, attributes: Attributes) -> None:
        """Raises ApiError 403 in the real server's words when the user may not."""
        complaints: list[str] = []
        if not self.allowed(user, attributes, complaints):
            raise denied(user, attributes, complaints)


def denied(user: User, attributes: Attributes, complaints: Iterable[str] = ()) -> ApiError:
    reasons = list(complaints)
    why = f": RBAC: {reasons[0] if len(reasons) == 1 else '[' + ', '.join(reasons) + ']'}" if reasons else ""
    if attributes.path:
        return forbidden("", "", f'User "{user.name}" cannot {attributes.verb} path "{attributes.path}"{why}')
    scope = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    group_resource = f"{attributes.resource}.{attributes.group}" if attributes.group else attributes.resource
    text = (
        f'User "{user.name}" cannot {attributes.verb} resource "{attributes.combined}" in API group'
        f' "{attributes.group}" {scope}{why}'
    )
    return forbidden(group_resource, attributes.name, text)


def _described(kind: str, binding: Object, subject: Object) -> str:
    metadata, reference = binding["metadata"], binding["roleRef"]
    namespace = metadata.get("namespace", "")
    name = f"{metadata['name']}/{namespace}" if namespace else metadata["name"]
    who = subject["name"]
    if subject["kind"] == "ServiceAccount":
        who = f"{who}/{subject.get('namespace') or namespace}"
    return f'{kind} "{name}" of {reference["kind"]} "{reference["name"]}" to {subject["kind"]} "{who}"'


def _identity(subject: Object, namespace: str) -> tuple[str, str]:
    kind, name = subject["kind"], subject["name"]
    if kind == "ServiceAccount":
        return ("User", f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}")
    return (kind, name)


def _subjects(binding: Object, namespace: str) -> frozenset[tuple[str, str]]:
    return frozenset(_identity(subject, namespace) for subject in binding.get("subjects") or ())


def covers(rule: Rule, attributes: Attributes) -> bool:
    """Whether one PolicyRule allows what is asked."""
    verbs = rule.get("verbs") or ()
    if attributes.verb not in verbs and "*" not in verbs:
        return False
    if attributes.path:
        return any(_path_matches(pattern, attributes.path) for pattern in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if attributes.group not in groups and "*" not in groups:
        return False
    resources = rule.get("resources") or ()
    if not (
        "*" in resources
        or attributes.combined in resources
        or (attributes.subresource and f"*/{attributes.subresource}" in resources)
    ):
        return False
    names = rule.get("resourceNames") or ()
    return not names or attributes.name in names


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def uncovered(owned: list[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """The single permissions of ``wanted`` that ``owned`` does not grant."""
    missing = []
    for rule in wanted:
        for single in _singles(rule):
            if not any(_grants(mine, single) for mine in owned):
                missing.append(single)
    return missing


def _singles(rule: Rule) -> Iterator[Rule]:
    for verb in rule.get("verbs") or ():
        for url in rule.get("nonResourceURLs") or ():
            yield {"nonResourceURLs": [url], "verbs": [verb]}
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                names = rule.get("resourceNames") or ()
                base = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                yield from ({**base, "resourceNames": [name]} for name in names) if names else (base,)


def _grants(mine: Rule, single: Rule) -> bool:
    def has(field: str) -> bool:
        owned = mine.get(field) or ()
        return "*" in owned or all(value in owned for value in single.get(field) or ())

    if not has("verbs"):
        return False
    if "nonResourceURLs" in single:
        url = single["nonResourceURLs"][0]
        return any(_path_matches(pattern, url) for pattern in mine.get("nonResourceURLs") or ())
    if not has("apiGroups"):
        return False
    resource = single["resources"][0]
    owned = mine.get("resources") or ()
    if not ("*" in owned or resource in owned or ("/" in resource and f"*/{resource.partition('/')[2]}" in owned)):
        return False
    names = mine.get("resourceNames") or ()
    return not names or ("resourceNames" in single and single["resourceNames"][0] in names)
