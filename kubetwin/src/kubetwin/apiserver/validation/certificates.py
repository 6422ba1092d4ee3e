# SPDX-License-Identifier: Apache-2.0
"""Certificate signing requests: who may say what of them. Source: pkg/apis/certificates/validation/validation.go."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.validation.errors import Errors

Object = dict[str, Any]

_DECIDED = ("Approved", "Denied")
_FINAL = (*_DECIDED, "Failed")
_PATH = "status.conditions"


def update(errors: Errors, new: Object, old: Object, subresource: str) -> None:
    """A change of the object itself, of its ``approval`` or of its ``status``."""
    before, after = _conditions(old), _conditions(new)
    _well_formed(errors, after, before)
    for kind in _FINAL:
        if len(_of(after, kind)) < len(_of(before, kind)):
            errors.forbidden(_PATH, f'updates may not remove a condition of type "{kind}"')
    if subresource != "approval":
        for kind in _DECIDED:
            if len(_of(after, kind)) > len(_of(before, kind)):
                errors.forbidden(_PATH, f'updates may not add a condition of type "{kind}"')
    issued, was = _certificate(new), _certificate(old)
    if issued != was and subresource != "status":
        errors.forbidden("status.certificate", "updates may not set certificate content")
    elif issued != was and was:
        errors.forbidden("status.certificate", "updates may not modify existing certificate content")


def _well_formed(errors: Errors, conditions: list[Object], before: list[Object]) -> None:
    # What is wrong already may stay so.
    both = all(_of(before, kind) for kind in _DECIDED)
    doubled = len({c.get("type", "") for c in before}) < len(before)
    seen: set[str] = set()
    for index, item in enumerate(conditions):
        kind, status, path = item.get("type", ""), item.get("status", ""), f"{_PATH}[{index}]"
        if not kind:
            errors.required(f"{path}.type")
        allowed = ("True",) if kind in _FINAL else ("False", "True", "Unknown")
        errors.one_of(f"{path}.status", status, allowed)
        if not both and kind in _DECIDED and seen.intersection(_DECIDED) - {kind}:
            errors.invalid(_PATH, kind, "Approved and Denied conditions are mutually exclusive")
        if kind in seen and not doubled:
            errors.duplicate(f"{path}.type", kind)
        seen.add(kind)


def _conditions(obj: Object) -> list[Object]:
    return list((obj.get("status") or {}).get("conditions") or ())


def _certificate(obj: Object) -> str:
    return str((obj.get("status") or {}).get("certificate") or "")


def _of(conditions: list[Object], kind: str) -> list[Object]:
    return [item for item in conditions if item.get("type") == kind]
