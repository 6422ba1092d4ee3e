# SPDX-License-Identifier: Apache-2.0
"""What may change in a pod after it was created. Source: ``ValidatePodUpdate`` of pkg/apis/core/validation."""

from __future__ import annotations

import difflib
import json
from typing import Any

from kubetwin.apiserver.validation.errors import Errors

Object = dict[str, Any]

_UPDATABLE = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)
_NO_LIMIT = 2**31 - 1


def changed(errors: Errors, new: Object, old: Object) -> None:
    """Compare the specs of a pod before and after."""
    for field in ("containers", "initContainers"):
        before, after = old.get(field) or [], new.get(field) or []
        if len(before) != len(after):
            errors.forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
        for index, container in enumerate(after):
            image = container.get("image") or ""
            if not image:
                errors.required(f"spec.{field}[{index}].image")
            if image.strip() != image:
                text = "must not have leading or trailing whitespace"
                errors.invalid(f"spec.{field}[{index}].image", image, text)
    deadline, before_deadline = new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if deadline is not None:
        if not 0 <= deadline <= _NO_LIMIT:
            errors.invalid("spec.activeDeadlineSeconds", deadline, f"must be between 0 and {_NO_LIMIT}, inclusive")
            return
        if before_deadline is not None and before_deadline < deadline:
            errors.invalid("spec.activeDeadlineSeconds", deadline, "must be less than or equal to previous value")
            return
    elif before_deadline is not None:
        errors.invalid("spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil value")
    _tolerations(errors, new.get("tolerations") or [], old.get("tolerations") or [])
    gates = [gate for gate in new.get("schedulingGates") or () if gate not in (old.get("schedulingGates") or ())]
    if gates:
        listed = ", ".join(f'"{gate.get("name", "")}"' for gate in gates)
        text = f"only deletion is allowed, but found new scheduling gates '[{listed}]'"
        errors.forbidden("spec.schedulingGates", text.replace('"', ""))
    munged = _with_updatable(new, old)
    if munged != old:
        text = f"pod updates may not change fields other than {','.join(_UPDATABLE)}\n{difference(old, munged)}"
        errors.forbidden("spec", text)


def _tolerations(errors: Errors, new: list[Object], old: list[Object]) -> None:
    def without_seconds(toleration: Object) -> Object:
        return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}

    kept = [without_seconds(toleration) for toleration in new]
    if any(without_seconds(toleration) not in kept for toleration in old):
        text = "existing toleration can not be modified except its tolerationSeconds"
        errors.forbidden("spec.tolerations", text)


def _with_updatable(new: Object, old: Object) -> Object:
    """The new spec with what may change set back to the old."""
    out = dict(new)
    for field in ("containers", "initContainers"):
        if out.get(field):
            out[field] = [
                {**container, "image": before.get("image")}
                for container, before in zip(out[field], old[field], strict=True)
            ]
    for field in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        out.pop(field, None)
        if field in old:
            out[field] = old[field]
    if (old.get("terminationGracePeriodSeconds") or 0) < 0 and out.get("terminationGracePeriodSeconds") == 1:
        out["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"]
    return out


def difference(old: Object, new: Object) -> str:
    """The unified difference of two values, as the server adds it to a message."""
    before = json.dumps(old, indent=1, sort_keys=True).splitlines()
    after = json.dumps(new, indent=1, sort_keys=True).splitlines()
    lines = list(difflib.unified_diff(before, after, lineterm="", n=3))
    return "\n".join(lines[2:]) + "\n" if lines else ""
