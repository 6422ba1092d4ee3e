# SPDX-License-Identifier: Apache-2.0
"""Reading an Application: sources, policy, history and operation. Pure.

Facts: argo-cd pkg/apis/application/v1alpha1/types.go (``GetSource``, ``HasMultipleSources``, ``IsAutomatedSyncEnabled``,
``GetRevisionHistoryLimit``, ``SetConditions``), util/argo/argo.go.
"""

from __future__ import annotations

from kubetwin.client import Obj, Resource
from kubetwin.meta import annotations_of, name_of, namespace_of, stamp, status_of

GROUP, VERSION = "argoproj.io", "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
APPLICATIONS = Resource(GROUP, VERSION, "applications", "Application")
PROJECTS = Resource(GROUP, VERSION, "appprojects", "AppProject")
SETS = Resource(GROUP, VERSION, "applicationsets", "ApplicationSet")
REFRESH = "argocd.argoproj.io/refresh"
HYDRATE = "argocd.argoproj.io/hydrate"
GENERATE_PATHS = "argocd.argoproj.io/manifest-generate-paths"
FINALIZER = "resources-finalizer.argocd.argoproj.io"
MANAGER = "argocd-controller"
HISTORY_LIMIT = 10
COMPLETED = ("Failed", "Error", "Succeeded")


def spec_of(app: Obj) -> Obj:
    return app.get("spec") or {}


def several(app: Obj) -> bool:
    """Whether it has ``sources``, which win over ``source``."""
    return bool(spec_of(app).get("sources")) and not spec_of(app).get("sourceHydrator")


def source_of(app: Obj) -> Obj:
    """The one source; of hydrated applications that of the branch that is synced."""
    spec = spec_of(app)
    hydrator = spec.get("sourceHydrator")
    if hydrator:
        sync, dry = hydrator.get("syncSource") or {}, hydrator.get("drySource") or {}
        return {
            "repoURL": sync.get("repoURL") or dry.get("repoURL", ""),
            "path": sync.get("path", ""),
            "targetRevision": sync.get("targetBranch", ""),
        }
    return (spec.get("sources") or [None])[0] or spec.get("source") or {}


def sources_of(app: Obj) -> list[Obj]:
    return list(spec_of(app)["sources"]) if several(app) else [source_of(app)]


def policy_of(app: Obj) -> Obj:
    return spec_of(app).get("syncPolicy") or {}


def automated(app: Obj) -> Obj | None:
    """The policy of automated sync; None when it is off (``enabled: false`` switches it off, too)."""
    found = policy_of(app).get("automated")
    return found if found is not None and found.get("enabled") is not False else None


def options_of(app: Obj) -> list[str]:
    return list(policy_of(app).get("syncOptions") or ())


def option(options: list[str] | None, wanted: str) -> bool:
    return wanted in (options or ())


def history_of(app: Obj) -> list[Obj]:
    return list(status_of(app).get("history") or ())


def history_limit(app: Obj) -> int:
    limit = spec_of(app).get("revisionHistoryLimit")
    return HISTORY_LIMIT if limit is None else int(limit)


def operation_state(app: Obj) -> Obj | None:
    return status_of(app).get("operationState")


def in_progress(app: Obj) -> bool:
    """Whether its operation state is that of one that runs."""
    state = operation_state(app)
    return state is not None and state.get("phase") not in COMPLETED


def refresh_requested(app: Obj) -> str:
    """``normal`` or ``hard``; empty when none is asked for (any other value counts as normal)."""
    value = annotations_of(app).get(REFRESH)
    return "" if value is None else "hard" if value == "hard" else "normal"


def instance_name(app: Obj, namespace: str) -> str:
    """The name in tracking marks: that of applications beside Argo CD's own namespace has their namespace in it."""
    own = namespace_of(app)
    return name_of(app) if own in ("", namespace) else f"{own}_{name_of(app)}"


def destination_namespace(app: Obj) -> str:
    return str((spec_of(app).get("destination") or {}).get("namespace") or "")


def compared_to(app: Obj, sources: list[Obj], multiple: bool) -> Obj:
    """``status.sync.comparedTo``."""
    spec = spec_of(app)
    found: Obj = {"destination": spec.get("destination") or {}}
    if spec.get("ignoreDifferences"):
        found["ignoreDifferences"] = spec["ignoreDifferences"]
    found |= {"sources": sources} if multiple else {"source": sources[0] if sources else {}}
    return found


def condition(kind: str, message: str) -> Obj:
    return {"type": kind, "message": message, "lastTransitionTime": stamp()}


def with_conditions(before: list[Obj] | None, found: list[Obj], evaluated: set[str]) -> list[Obj]:
    """The conditions of a status: those of the ``evaluated`` kinds are the ``found`` ones now, all others stay.

    One that says the same as before keeps its time.
    """
    kept = [each for each in before or () if each["type"] not in evaluated]
    known = {(each["type"], each["message"]): each for each in before or ()}
    kept += [known.get((each["type"], each["message"]), each) for each in found]
    return sorted(kept, key=lambda each: str(each["type"]))
