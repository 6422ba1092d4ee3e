# SPDX-License-Identifier: Apache-2.0
"""Validation of Deployments, ReplicaSets, StatefulSets and DaemonSets. Source: pkg/apis/apps/validation."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.validation import core, metadata, names, pods
from kubetwin.apiserver.validation.errors import Errors, Struct

Object = dict[str, Any]

_MISMATCH = "`selector` does not match template `labels`"
_STATEFUL_FROZEN = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_MUTABLE = (
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
)


def deployment(errors: Errors, new: Object, old: Object | None) -> None:
    """A Deployment."""
    spec = new.get("spec") or {}
    errors.non_negative("spec.replicas", spec.get("replicas"))
    _selected_template(errors, spec, "deployment")
    _deployment_strategy(errors, spec.get("strategy") or {})
    errors.non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    errors.non_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        errors.non_negative("spec.progressDeadlineSeconds", deadline)
        if deadline <= (spec.get("minReadySeconds") or 0):
            errors.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    _selector_kept(errors, spec, old)


def replica_set(errors: Errors, new: Object, old: Object | None) -> None:
    """A ReplicaSet."""
    spec = new.get("spec") or {}
    errors.non_negative("spec.replicas", spec.get("replicas"))
    errors.non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    _selected_template(errors, spec, "deployment")
    _selector_kept(errors, spec, old)


def _selector_kept(errors: Errors, spec: Object, old: Object | None) -> None:
    if old is not None:
        errors.immutable("spec.selector", spec.get("selector"), (old.get("spec") or {}).get("selector"))


def _selected_template(errors: Errors, spec: Object, word: str) -> None:
    template = spec.get("template") or {}
    if _selects(errors, spec, word, "invalid label selector"):
        pods.template(errors, template, "spec.template")
        _always_running(errors, template, "ReplicaSet")


def _selects(errors: Errors, spec: Object, word: str, malformed: str) -> bool:
    """Check the selector against the template's labels; False when it cannot be read, which ``malformed`` says."""
    selector = spec.get("selector")
    if selector is None:
        errors.required("spec.selector")
    else:
        metadata.selector(errors, selector, "spec.selector")
        if metadata.is_empty(selector):
            errors.invalid("spec.selector", selector, f"empty selector is invalid for {word}")
    if not metadata.well_formed(selector):
        errors.invalid("spec.selector", selector, malformed)
        return False
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if (selector is None or not metadata.is_empty(selector)) and not metadata.matches(selector, labels):
        errors.invalid("spec.template.metadata.labels", labels, _MISMATCH)
    return True


def _always_running(errors: Errors, template: Object, word: str) -> None:
    spec = template.get("spec") or {}
    restart = spec.get("restartPolicy") or ""
    if restart != "Always":
        errors.not_supported("spec.template.spec.restartPolicy", restart, ("Always",))
    if spec.get("activeDeadlineSeconds") is not None:
        text = f"activeDeadlineSeconds in {word} is not Supported"
        errors.forbidden("spec.template.spec.activeDeadlineSeconds", text)


def _deployment_strategy(errors: Errors, strategy: Object) -> None:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            text = "may not be specified when strategy `type` is 'Recreate'"
            errors.forbidden("spec.strategy.rollingUpdate", text)
    elif kind == "RollingUpdate":
        if rolling is None:
            errors.required("spec.strategy.rollingUpdate", "this should be defaulted and never be nil")
            return
        path = "spec.strategy.rollingUpdate"
        unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
        int_or_percent(errors, unavailable, f"{path}.maxUnavailable")
        int_or_percent(errors, surge, f"{path}.maxSurge")
        if _amount(unavailable) == 0 and _amount(surge) == 0:
            errors.invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
        at_most_all(errors, unavailable, f"{path}.maxUnavailable")
    else:
        # The server prints its own form of the strategy here.
        limits = rolling and Struct(
            MaxUnavailable=rolling.get("maxUnavailable", 0), MaxSurge=rolling.get("maxSurge", 0)
        )
        shown = Struct(Type=kind, RollingUpdate=limits)
        errors.not_supported("spec.strategy", shown, ("Recreate", "RollingUpdate"))


def int_or_percent(errors: Errors, value: Any, path: str) -> None:
    """A number that is not negative, or ``25%``."""
    if isinstance(value, str):
        errors.invalid_all(path, value, names.percent(value))
    else:
        errors.non_negative(path, value)


def at_most_all(errors: Errors, value: Any, path: str) -> None:
    """Not more than ``100%``."""
    if isinstance(value, str) and not names.percent(value) and int(value[:-1]) > 100:
        errors.invalid(path, value, "must not be greater than 100%")


def _amount(value: Any) -> int:
    if isinstance(value, str):
        return int(value[:-1]) if not names.percent(value) else 1
    return int(value or 0)


def daemon_set(errors: Errors, new: Object, old: Object | None) -> None:
    """A DaemonSet."""
    spec = new.get("spec") or {}
    selector = spec.get("selector")
    if old is not None:
        errors.immutable("spec.selector", selector, (old.get("spec") or {}).get("selector"))
    metadata.selector(errors, selector, "spec.selector")
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    if metadata.well_formed(selector) and not metadata.matches(selector, labels):
        errors.invalid("spec.template.metadata.labels", labels, _MISMATCH)
    if selector is not None and metadata.is_empty(selector):
        errors.invalid("spec.selector", selector, "empty selector is invalid for daemonset")
    pods.template(errors, template, "spec.template")
    _always_running(errors, template, "DaemonSet")
    errors.non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    _daemon_strategy(errors, spec.get("updateStrategy") or {})
    errors.non_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))


def _daemon_strategy(errors: Errors, strategy: Object) -> None:
    kind, rolling, path = strategy.get("type") or "", strategy.get("rollingUpdate"), "spec.updateStrategy"
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        errors.not_supported(path, Struct(Type=kind, RollingUpdate=rolling), ("RollingUpdate", "OnDelete"))
        return
    if rolling is None:
        errors.required(f"{path}.rollingUpdate")
        return
    path += ".rollingUpdate"
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    for name, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        int_or_percent(errors, value, f"{path}.{name}")
    for name, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        at_most_all(errors, value, f"{path}.{name}")
    if _amount(unavailable) and _amount(surge):
        errors.invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
    elif not _amount(unavailable) and not _amount(surge):
        errors.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def stateful_set(errors: Errors, new: Object, old: Object | None) -> None:
    """A StatefulSet."""
    spec = new.get("spec") or {}
    _stateful_strategy(errors, spec)
    if old is None:
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            _claim_template(errors, claim, f"spec.volumeClaimTemplates[{index}]")
    errors.non_negative("spec.replicas", spec.get("replicas"))
    errors.non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    errors.non_negative("spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))
    service = spec.get("serviceName")
    if old is None and service:
        errors.invalid_all("spec.serviceName", service, names.dns_label(service))
    template = spec.get("template") or {}
    if _selects(errors, spec, "statefulset", ""):
        pods.template(errors, _as_created(template, spec), "spec.template")
    _always_running(errors, template, "StatefulSet")
    if old is not None:
        before, after = old.get("spec") or {}, spec
        if _frozen_part(before) != _frozen_part(after):
            errors.forbidden("spec", _STATEFUL_FROZEN)


def _frozen_part(spec: Object) -> Object:
    return {name: value for name, value in spec.items() if name not in _STATEFUL_MUTABLE}


def _as_created(template: Object, spec: Object) -> Object:
    """The template with the volumes that the claims will give each pod."""
    claims = [(claim.get("metadata") or {}).get("name", "") for claim in spec.get("volumeClaimTemplates") or ()]
    pod = dict(template.get("spec") or {})
    pod.pop("hostname", None)
    pod.pop("subdomain", None)
    if claims:
        given = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims if name]
        pod["volumes"] = given + [v for v in pod.get("volumes") or () if v.get("name") not in claims]
    return {**template, "spec": pod}


def _claim_template(errors: Errors, claim: Object, path: str) -> None:
    name = (claim.get("metadata") or {}).get("name") or ""
    errors.well_named(f"{path}.metadata.name", name, names.dns_subdomain)
    core.claim_spec(errors, claim.get("spec") or {}, f"{path}.spec")


def _stateful_strategy(errors: Errors, spec: Object) -> None:
    management = spec.get("podManagementPolicy") or ""
    if not management:
        errors.required("spec.podManagementPolicy")
    elif management not in ("OrderedReady", "Parallel"):
        errors.invalid("spec.podManagementPolicy", management, "must be 'OrderedReady' or 'Parallel'")
    strategy = spec.get("updateStrategy") or {}
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if not kind:
        errors.required("spec.updateStrategy")
    elif kind == "OnDelete":
        if rolling is not None:
            shown = Struct(Partition=rolling.get("partition", 0), MaxUnavailable=rolling.get("maxUnavailable"))
            text = "only allowed for updateStrategy 'RollingUpdate'"
            errors.invalid("spec.updateStrategy.rollingUpdate", shown, text)
    elif kind == "RollingUpdate":
        if rolling is not None:
            errors.non_negative("spec.updateStrategy.rollingUpdate.partition", rolling.get("partition"))
            unavailable = rolling.get("maxUnavailable")
            if unavailable is not None:
                path = "spec.updateStrategy.rollingUpdate.maxUnavailable"
                int_or_percent(errors, unavailable, path)
                if _amount(unavailable) == 0:
                    errors.invalid(path, unavailable, "cannot be 0")
                at_most_all(errors, unavailable, path)
    else:
        shown = Struct(Type=kind, RollingUpdate=rolling)
        errors.invalid("spec.updateStrategy", shown, "must be 'RollingUpdate' or 'OnDelete'")
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        value = retention.get(field)
        if value is not None and value not in ("Retain", "Delete"):
            path = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
            errors.not_supported(path, value, ("Retain", "Delete"))
