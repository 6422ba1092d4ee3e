# SPDX-License-Identifier: Apache-2.0
"""Validation of ``metadata`` and of label selectors. Source: apimachinery's pkg/api/validation."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.validation import names
from kubetwin.apiserver.validation.errors import Errors

Object = dict[str, Any]

_ANNOTATIONS_LIMIT = 256 * 1024

# Services joined with 1.36, where the relaxed rule for their names is on by default.
_LABEL_NAMES = {"Namespace", "Service"}
_PATH_NAMES = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "PriorityLevelConfiguration", "FlowSchema"}
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def name_rule(kind: str, *, custom: bool) -> names.NameRule:
    """The form of the names of a kind."""
    if custom:
        return names.dns_subdomain
    if kind in _LABEL_NAMES:
        return names.dns_label
    if kind in _PATH_NAMES:
        return names.path_segment
    return names.dns_subdomain


def created(errors: Errors, metadata: Object, rule: names.NameRule, *, custom: bool = False) -> None:
    """Metadata of a new object."""
    prefix = metadata.get("generateName")
    if prefix:
        # What will be appended ends with a letter or digit, so a prefix may end with a hyphen.
        masked = prefix[:-1] + "a" if prefix.endswith("-") else prefix
        errors.invalid_all("metadata.generateName", prefix, rule(masked))
    name = metadata.get("name") or ""
    if not name:
        errors.required("metadata.name", "name or generateName is required")
    else:
        errors.invalid_all("metadata.name", name, rule(name))
    _common(errors, metadata, custom=custom)


def updated(errors: Errors, new: Object, old: Object, *, custom: bool = False) -> None:
    """Metadata of a changed object."""
    # A server looks at every update as such and then lets the resource's own rules do it again: causes come twice.
    _common(errors, new, custom=custom)
    for _ in range(2):
        _kept(errors, new, old)


def _kept(errors: Errors, new: Object, old: Object) -> None:
    """What a change may not touch."""
    if old.get("deletionTimestamp") is not None:
        added = [name for name in new.get("finalizers") or () if name not in (old.get("finalizers") or ())]
        if added:
            listed = ", ".join(f'"{name}"' for name in sorted(added))
            text = "no new finalizers can be added if the object is being deleted, found new finalizers "
            errors.forbidden("metadata.finalizers", f"{text}[]string{{{listed}}}")
    if not new.get("resourceVersion"):
        errors.invalid("metadata.resourceVersion", "", "must be specified for an update")
    if (new.get("generation") or 0) < (old.get("generation") or 0):
        errors.invalid("metadata.generation", new.get("generation") or 0, "must not be decremented")
    for field in _IMMUTABLE:
        errors.immutable(f"metadata.{field}", new.get(field, ""), old.get(field, ""))


def _common(errors: Errors, metadata: Object, *, custom: bool) -> None:
    labels(errors, metadata.get("labels"), "metadata.labels")
    annotation_map(errors, metadata.get("annotations"), "metadata.annotations")
    _owners(errors, metadata.get("ownerReferences"))
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        reasons = names.qualified_name(finalizer)
        errors.invalid_all("metadata.finalizers", finalizer, reasons)
        # Only built-in kinds look closer (pkg/apis/core/validation); Argo CD's own finalizer has no slash.
        if (
            not custom
            and not reasons
            and "/" not in finalizer
            and finalizer not in ("orphan", "foregroundDeletion", "kubernetes")
        ):
            text = "name is neither a standard finalizer name nor is it fully qualified"
            errors.invalid(f"metadata.finalizers[{index}]", finalizer, text)


def labels(errors: Errors, values: dict[str, str] | None, path: str) -> None:
    """Keys and values of labels."""
    for name, value in sorted((values or {}).items()):
        errors.invalid_all(path, name, names.qualified_name(name))
        errors.invalid_all(path, value, names.label_value(value))


def annotation_map(errors: Errors, values: dict[str, str] | None, path: str) -> None:
    """Keys of annotations, and their size together."""
    if not values:
        return
    total = 0
    for name, value in values.items():
        errors.invalid_all(path, name, names.qualified_name(name.lower()))
        total += len(name.encode()) + len(value.encode())
    if total > _ANNOTATIONS_LIMIT:
        errors.too_long(path, _ANNOTATIONS_LIMIT)


def _owners(errors: Errors, owners: list[Object] | None) -> None:
    controller = ""
    path = "metadata.ownerReferences"  # the real server names no index here
    for owner in owners or ():
        api_version = owner.get("apiVersion", "")
        if not api_version.rpartition("/")[2]:
            errors.invalid(f"{path}.apiVersion", api_version, "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not owner.get(field):
                errors.invalid(f"{path}.{field}", owner.get(field, ""), "must not be empty")
        if api_version == "v1" and owner.get("kind") == "Event":
            errors.invalid(path, "/v1, Kind=Event", "is disallowed from being an owner")
        if owner.get("controller"):
            if controller:
                text = (
                    "Only one reference can have Controller set to true. Found "
                    f'"true" in references for {controller} and {owner.get("name")}'
                )
                errors.invalid("metadata.ownerReferences", owners, text)
            controller = owner.get("name", "")


def selector(errors: Errors, value: Object | None, path: str) -> None:
    """A label selector."""
    if not value:
        return
    for name, wanted in sorted((value.get("matchLabels") or {}).items()):
        errors.invalid_all(f"{path}.matchLabels", name, names.qualified_name(name))
        errors.invalid_all(f"{path}.matchLabels", wanted, names.label_value(wanted))
    for index, expression in enumerate(value.get("matchExpressions") or ()):
        place = f"{path}.matchExpressions[{index}]"
        operator, wanted_values = expression.get("operator", ""), expression.get("values") or []
        if operator in ("In", "NotIn"):
            if not wanted_values:
                errors.required(f"{place}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if wanted_values:
                errors.forbidden(
                    f"{place}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
        else:
            errors.invalid(f"{place}.operator", operator, "not a valid selector operator")
        errors.invalid_all(f"{place}.key", expression.get("key", ""), names.qualified_name(expression.get("key", "")))
        for number, item in enumerate(wanted_values):
            errors.invalid_all(f"{place}.values[{number}]", item, names.label_value(item))


def matches(value: Object | None, values: dict[str, str] | None) -> bool:
    """Whether labels satisfy a selector; one without requirements matches everything, none at all nothing."""
    if value is None:
        return False
    have = values or {}
    for name, wanted in (value.get("matchLabels") or {}).items():
        if have.get(name) != wanted:
            return False
    for expression in value.get("matchExpressions") or ():
        key, operator = expression.get("key"), expression.get("operator")
        inside = key in have and have[key] in (expression.get("values") or ())
        if operator == "In" and not inside:
            return False
        if operator == "NotIn" and inside:
            return False
        if operator == "Exists" and key not in have:
            return False
        if operator == "DoesNotExist" and key in have:
            return False
    return True


def well_formed(value: Object | None) -> bool:
    """Whether a selector can be evaluated at all."""
    for expression in (value or {}).get("matchExpressions") or ():
        operator, wanted = expression.get("operator"), expression.get("values")
        if operator not in _OPERATORS or (operator in ("In", "NotIn")) != bool(wanted):
            return False
    return True


def is_empty(value: Object) -> bool:
    """A selector without any requirement."""
    return not value.get("matchLabels") and not value.get("matchExpressions")
