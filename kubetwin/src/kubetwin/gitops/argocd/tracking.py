# SPDX-License-Identifier: Apache-2.0
"""The marks by which Argo CD knows the objects of an application again. Pure.

Facts: argo-cd util/argo/resource_tracking.go, controller/state.go (``isSelfReferencedObj``); the method is
``application.resourceTrackingMethod`` of argocd-cm (default ``annotation``), the label ``application.instanceLabelKey``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kubetwin.client import Obj
from kubetwin.gitops.documents import Key, group_of

ANNOTATION = "argocd.argoproj.io/tracking-id"
DEFAULT_LABEL = "app.kubernetes.io/instance"
_LABEL_LENGTH = 63


@dataclass(frozen=True, slots=True)
class Tracking:
    """How marks are set and read; ``method`` is ``annotation``, ``label`` or ``annotation+label``."""

    method: str = "annotation"
    label: str = DEFAULT_LABEL

    @classmethod
    def of(cls, settings: dict[str, str]) -> Tracking:
        """From the data of argocd-cm."""
        method = settings.get("application.resourceTrackingMethod") or "annotation"
        return cls(method, settings.get("application.instanceLabelKey") or DEFAULT_LABEL)

    def marked(self, obj: Obj, app: str, namespace: str) -> Obj:
        """The object with the marks of an application; ``namespace`` is that of its destination."""
        meta = dict(obj["metadata"])
        if self.method != "label":
            place = meta.get("namespace") or namespace
            told = f"{app}:{group_of(obj)}/{obj['kind']}:{place}/{meta.get('name', '')}"
            meta["annotations"] = {**(meta.get("annotations") or {}), ANNOTATION: told}
        if self.method != "annotation":
            value = app if self.method == "label" else re.sub(r"[^A-Za-z0-9]+$", "", app[:_LABEL_LENGTH])
            meta["labels"] = {**(meta.get("labels") or {}), self.label: value}
        return {**obj, "metadata": meta}

    def app_of(self, obj: Obj) -> str:
        """The application whose marks an object has; empty when there are none."""
        meta = obj["metadata"]
        if self.method == "label":
            return str((meta.get("labels") or {}).get(self.label) or "")
        told = parsed((meta.get("annotations") or {}).get(ANNOTATION) or "")
        return told[0] if told else ""

    def own(self, live: Obj | None, target: Obj | None) -> bool:
        """Whether the marks were made for this very object, and not copied from another one."""
        if live is None or self.method == "label":
            return True
        meta = live["metadata"]
        if target is not None:
            wanted = Key(
                group_of(target), target["kind"], target["metadata"].get("namespace") or "", target["metadata"]["name"]
            )
        else:
            told = parsed((meta.get("annotations") or {}).get(ANNOTATION) or "")
            if told is None:
                return True
            wanted = told[1]
        return ((wanted.group, wanted.kind, wanted.name) == (group_of(live), live["kind"], meta["name"])) and meta.get(
            "namespace", ""
        ) in ("", wanted.namespace)


def parsed(value: str) -> tuple[str, Key] | None:
    """``APP:GROUP/KIND:NAMESPACE/NAME`` taken apart; None when it is none."""
    parts = value.split(":", 2)
    if len(parts) != 3 or parts[1].count("/") != 1 or parts[2].count("/") != 1:
        return None
    group, _, kind = parts[1].partition("/")
    namespace, _, name = parts[2].partition("/")
    return parts[0], Key(group, kind, namespace, name)
