# SPDX-License-Identifier: Apache-2.0
"""Hooks, waves and options that annotations of a manifest ask for. Pure.

Facts: argo-cd gitops-engine/pkg/sync/hook/*.go, hook/helm/*.go, syncwaves/waves.go, sync_phase.go, resource/annotations.go.
"""

from __future__ import annotations

from kubetwin.client import Obj
from kubetwin.gitops.argocd.health import HOOK_FINALIZER

HOOK, HELM_HOOK = "argocd.argoproj.io/hook", "helm.sh/hook"
DELETE_POLICY, HELM_DELETE_POLICY = "argocd.argoproj.io/hook-delete-policy", "helm.sh/hook-delete-policy"
WAVE, HELM_WEIGHT = "argocd.argoproj.io/sync-wave", "helm.sh/hook-weight"
SYNC_OPTIONS, COMPARE_OPTIONS = "argocd.argoproj.io/sync-options", "argocd.argoproj.io/compare-options"
FINALIZER = HOOK_FINALIZER
PHASES = ("PreSync", "Sync", "PostSync", "SyncFail")
_TYPES = frozenset((*PHASES, "Skip", "PreDelete", "PostDelete"))
_HELM_TYPES = {
    "pre-install": "PreSync",
    "pre-upgrade": "PreSync",
    "post-install": "PostSync",
    "post-upgrade": "PostSync",
}
_HELM_POLICIES = {
    "before-hook-creation": "BeforeHookCreation",
    "hook-succeeded": "HookSucceeded",
    "hook-failed": "HookFailed",
}


def _listed(obj: Obj, name: str) -> list[str]:
    text = (obj["metadata"].get("annotations") or {}).get(name) or ""
    return [each.strip() for each in text.split(",") if each.strip()]


def types(obj: Obj) -> list[str]:
    """Its hook types; those of Helm count where Argo CD's own are not given."""
    own = [each for each in _listed(obj, HOOK) if each in _TYPES]
    return own or [_HELM_TYPES[each] for each in _listed(obj, HELM_HOOK) if each in _HELM_TYPES]


def skipped(obj: Obj) -> bool:
    """Whether it is never applied."""
    return types(obj) == ["Skip"]


def is_hook(obj: Obj) -> bool:
    annotations: dict[str, str] = obj["metadata"].get("annotations") or {}
    if HOOK in annotations:
        return not skipped(obj)
    return annotations.get(HELM_HOOK, "crd-install") != "crd-install"


def ignored(obj: Obj) -> bool:
    """A hook of a kind that does not exist here, such as ``helm.sh/hook: test`` or ``pre-rollback``."""
    return is_hook(obj) and not types(obj)


def phases(obj: Obj) -> list[str]:
    """The phases of a sync in which it is applied."""
    if skipped(obj):
        return []
    return [each for each in PHASES if each in types(obj)] if is_hook(obj) else ["Sync"]


def on_delete_only(obj: Obj) -> bool:
    """Whether it belongs to the deletion of an application, and to no phase of a sync."""
    return bool({"PreDelete", "PostDelete"} & set(types(obj))) and is_hook(obj) and not phases(obj)


def wave(obj: Obj) -> int:
    for name in (WAVE, HELM_WEIGHT):
        text = (obj["metadata"].get("annotations") or {}).get(name)
        if text is not None and text.strip().lstrip("+-").isdigit():
            return int(text)
    return 0


def delete_policies(obj: Obj) -> list[str]:
    found = [p for p in _listed(obj, DELETE_POLICY) if p in _HELM_POLICIES.values()]
    found += [_HELM_POLICIES[p] for p in _listed(obj, HELM_DELETE_POLICY) if p in _HELM_POLICIES]
    return found or ["BeforeHookCreation"]


def has_option(obj: Obj | None, annotation: str, wanted: str) -> bool:
    """Whether ``Name=value`` stands in an annotation of options."""
    return obj is not None and wanted in _listed(obj, annotation)
