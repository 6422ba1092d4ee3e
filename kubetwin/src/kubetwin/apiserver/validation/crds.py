# SPDX-License-Identifier: Apache-2.0
"""Validation of CustomResourceDefinitions. Source: apiextensions-apiserver's pkg/apis/apiextensions/validation."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.validation import names
from kubetwin.apiserver.validation.errors import Errors

Object = dict[str, Any]

_SCOPES = ("Cluster", "Namespaced")
_STRUCTURAL_TYPES = ("array", "boolean", "integer", "number", "object", "string")


def definition(errors: Errors, new: Object, old: Object | None) -> None:
    """A CustomResourceDefinition."""
    spec = new.get("spec") or {}
    name = (new.get("metadata") or {}).get("name") or ""
    given = spec.get("names") or {}
    if old is None and name and name != f"{given.get('plural', '')}.{spec.get('group', '')}":
        errors.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    _group(errors, spec.get("group") or "")
    scope = spec.get("scope") or ""
    errors.one_of("spec.scope", scope, _SCOPES)
    versions = spec.get("versions") or []
    for index, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            errors.required(f"spec.versions[{index}].schema.openAPIV3Schema")
    for index, version in enumerate(versions):
        _version(errors, version, f"spec.versions[{index}]")
    served = [version.get("name") for version in versions]
    if len(set(served)) != len(served):
        errors.invalid("spec.versions", versions, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        errors.invalid("spec.versions", versions or None, "must have exactly one version marked as storage version")
    _names(errors, given)
    _stored(errors, (new.get("status") or {}).get("storedVersions") or [], versions)
    if old is not None:
        _fixed(errors, spec, old)


def _names(errors: Errors, given: Object) -> None:
    for field in ("plural", "singular", "kind", "listKind"):
        value = given.get(field) or ""
        if not value:
            errors.required(f"spec.names.{field}")
        else:
            label = value if field in ("plural", "singular") else value.lower()
            errors.invalid_all(f"spec.names.{field}", value, names.dns_1035_label(label))
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        errors.invalid("spec.names.listKind", given["listKind"], "kind and listKind may not be the same")


def _stored(errors: Errors, stored: list[str], versions: list[Object]) -> None:
    if not stored and not any(version.get("storage") for version in versions):
        errors.invalid("status.storedVersions", None, "must have at least one stored version")
    served = [version.get("name") for version in versions]
    for index, version in enumerate(stored):
        if version not in served:
            text = f"missing from spec.versions; {version} was previously a storage version, and must remain in "
            text += "spec.versions until a storage migration ensures no data remains persisted in "
            text += f"{version} and removes {version} from status.storedVersions"
            errors.invalid(f"status.storedVersions[{index}]", version, text)


def _fixed(errors: Errors, spec: Object, old: Object) -> None:
    """What never changes, and what does not once the names are established."""
    before, given = old.get("spec") or {}, spec.get("names") or {}
    names_before = before.get("names") or {}
    errors.immutable("spec.group", spec.get("group"), before.get("group"))
    errors.immutable("spec.names.plural", given.get("plural"), names_before.get("plural"))
    conditions = (old.get("status") or {}).get("conditions") or ()
    if any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions):
        errors.immutable("spec.scope", spec.get("scope") or "", before.get("scope"))
        errors.immutable("spec.names.kind", given.get("kind"), names_before.get("kind"))


def _group(errors: Errors, group: str) -> None:
    if not group:
        errors.required("spec.group")
        return
    reasons = names.dns_subdomain(group)
    if reasons:
        errors.invalid("spec.group", group, ",".join(reasons))
    elif "." not in group:
        errors.invalid("spec.group", group, "should be a domain with at least one dot")


def _version(errors: Errors, version: Object, path: str) -> None:
    name = version.get("name") or ""
    reasons = names.dns_1035_label(name)
    if reasons:
        errors.invalid(f"{path}.name", name, ",".join(reasons))
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is not None:
        place = f"{path}.schema.openAPIV3Schema"
        kind = schema.get("type") or ""
        if kind != "object":
            if kind:
                errors.invalid(f"{place}.type", kind, "must be object at the root")
            else:
                errors.required(f"{place}.type", "must not be empty at the root")
        _structural(errors, schema, place)
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        where = f"{path}.additionalPrinterColumns[{index}]"
        for field in ("name", "type"):
            if not column.get(field):
                errors.required(f"{where}.{field}")
        if not column.get("jsonPath"):
            errors.required(f"{where}.JSONPath")
        elif not column["jsonPath"].startswith("."):
            text = f"is not a valid json path: {column['jsonPath']}"
            errors.invalid(f"{where}.JSONPath", column["jsonPath"], text)


def _structural(errors: Errors, schema: Object, path: str) -> None:
    """Every value has to have a type, unless it is kept whatever it is."""
    for name, child in sorted((schema.get("properties") or {}).items()):
        if isinstance(child, dict):
            _typed(errors, child, f"{path}.properties[{name}]")
    for field in ("items", "additionalProperties"):
        child = schema.get(field)
        if isinstance(child, dict):
            _typed(errors, child, f"{path}.{field}")


def _typed(errors: Errors, schema: Object, path: str) -> None:
    kind = schema.get("type") or ""
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")
    if not kind and not free:
        errors.required(f"{path}.type", "must not be empty for specified object fields")
    elif kind and kind not in _STRUCTURAL_TYPES:
        errors.not_supported(f"{path}.type", kind, _STRUCTURAL_TYPES)
    if kind == "array" and schema.get("items") is None:
        errors.required(f"{path}.items", "must be specified")
    if schema.get("x-kubernetes-list-type") == "map" and not schema.get("x-kubernetes-list-map-keys"):
        errors.required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
    _structural(errors, schema, path)
