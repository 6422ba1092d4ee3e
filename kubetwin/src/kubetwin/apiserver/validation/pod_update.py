# SPDX-License-Identifier: Apache-2.0
"""What may change in a pod after it was created. Source: pkg/apis/core/validation (``ValidatePodUpdate`` and others)."""

from __future__ import annotations

import difflib
import json
from typing import Any

from kubetwin.apiserver.validation.errors import Errors
from kubetwin.apiserver.validation.resources import qos_class

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


_RESIZABLE = ("cpu", "memory")


def resized(errors: Errors, new: Object, old: Object) -> None:
    """A change of containers' resources. Source: ``ValidatePodResize``."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    status = old.get("status") or {}
    quality = status.get("qosClass") or qos_class(before)
    if quality != qos_class(spec):
        errors.invalid("spec", quality, "Pod QOS Class may not change as a result of resizing")
    running = [c for c in status.get("containerStatuses") or () if "running" in (c.get("state") or {})]
    if running and running[0].get("resources") is None:
        errors.forbidden("spec", "Pod running on node without support for resize")
    if not _in_order(errors, spec, before):
        return
    for part in ("initContainers", "containers"):
        for index, (container, was) in enumerate(zip(spec.get(part) or (), before.get(part) or (), strict=True)):
            for kind in ("requests", "limits"):
                if not _amounts(was, kind).keys() <= _amounts(container, kind).keys():
                    text = f"resource {kind} cannot be removed"
                    errors.forbidden(f"spec.{part}[{index}].resources.{kind}", text)
    for container, was in zip(spec.get("containers") or (), before.get("containers") or (), strict=True):
        if _without_resizable(container, was) != was:
            errors.forbidden("spec", "only cpu and memory resources are mutable")
    _initial_resized(errors, spec.get("initContainers") or [], before.get("initContainers") or [])


def _initial_resized(errors: Errors, new: list[Object], old: list[Object]) -> None:
    for index, (container, was) in enumerate(zip(new, old, strict=True)):
        if container != was and was.get("restartPolicy") != "Always":
            errors.forbidden("spec", "resources for non-sidecar init containers are immutable")
        elif _without_resizable(container, was) != was:
            text = "only cpu and memory resources for init or sidecar containers are mutable"
            errors.forbidden(f"spec.initContainers[{index}]", text)


def _in_order(errors: Errors, new: Object, old: Object) -> bool:
    count = len(errors.causes)
    for part in ("containers", "initContainers"):
        after, before = new.get(part) or (), old.get(part) or ()
        if len(after) != len(before):
            errors.forbidden(f"spec.{part}", f"{part} may not be added or removed on resize")
            continue
        for index, (container, was) in enumerate(zip(after, before, strict=True)):
            if container.get("name") != was.get("name"):
                text = f"{part} may not be renamed or reordered on resize"
                errors.forbidden(f"spec.{part}[{index}].name", text)
    return len(errors.causes) == count


def _amounts(container: Object, kind: str) -> Object:
    return (container.get("resources") or {}).get(kind) or {}


def _without_resizable(container: Object, was: Object) -> Object:
    """The container with CPU, memory and resize policy as they were."""
    out = {name: value for name, value in container.items() if name != "resizePolicy"}
    if "resizePolicy" in was:
        out["resizePolicy"] = was["resizePolicy"]
    resources = dict(out.pop("resources", None) or {})
    for kind in ("requests", "limits"):
        kept = {name: value for name, value in _amounts(container, kind).items() if name not in _RESIZABLE}
        kept |= {name: value for name, value in _amounts(was, kind).items() if name in _RESIZABLE}
        resources.pop(kind, None)
        if kept:
            resources[kind] = kept
    if resources or "resources" in was:
        out["resources"] = resources
    return out


def debugged(errors: Errors, new: Object, old: Object) -> None:
    """Ephemeral containers are added, never changed or removed. Source: ``ValidatePodEphemeralContainersUpdate``."""
    path, found = "spec.ephemeralContainers", {item.get("name"): item for item in new.get("ephemeralContainers") or ()}
    for item in old.get("ephemeralContainers") or ():
        name = item.get("name", "")
        if name not in found:
            errors.forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n')
        elif found[name] != item:
            shown = difference(item, found[name])
            errors.forbidden(path, f'existing ephemeral containers "{name}" may not be changed\n{shown}')


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
