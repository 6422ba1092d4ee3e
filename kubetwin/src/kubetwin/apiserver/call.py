# SPDX-License-Identifier: Apache-2.0
"""One request to one resource, with everything its handler needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kubetwin.apiserver import negotiate
from kubetwin.apiserver.paths import RequestInfo
from kubetwin.apiserver.resources import ResourceType
from kubetwin.apiserver.state import ClusterState
from kubetwin.apiserver.status import Cause, bad_request, invalid
from kubetwin.apiserver.store import Collection, Object
from kubetwin.serving.http import Request, User

OBJECT_TARGETS = ("Table", "PartialObjectMetadata")
LIST_TARGETS = ("Table", "PartialObjectMetadataList")
WATCH_TARGETS = ("Table", "PartialObjectMetadata")


@dataclass(slots=True)
class Call:
    """``warnings`` collects what the answer's ``Warning`` headers will say."""

    cluster: ClusterState
    request: Request
    info: RequestInfo
    type: ResourceType
    user: User
    warnings: list[str] = field(default_factory=list)

    @property
    def collection(self) -> Collection:
        return self.cluster.store.collection(self.type.storage_key)

    @property
    def namespace(self) -> str:
        return self.info.namespace if self.type.namespaced else ""

    @property
    def name(self) -> str:
        return self.info.name

    def accept(self, targets: tuple[str, ...] = OBJECT_TARGETS) -> negotiate.MediaType:
        return negotiate.accept(self.request.headers.get("accept", ""), targets)

    @property
    def dry_run(self) -> bool:
        """Raises ApiError 422 for a value other than ``All``."""
        values = [v for v in self.request.query.get("dryRun", ()) if v]
        return check_dry_run(values, _OPTIONS.get(self.request.method, "CreateOptions"))

    @property
    def field_validation(self) -> str:
        value = self.request.param("fieldValidation")
        if value not in ("", "Ignore", "Warn", "Strict"):
            kind = _OPTIONS.get(self.request.method, "CreateOptions")
            cause = Cause.of(
                "FieldValueNotSupported", "fieldValidation", value, 'supported values: "", "Ignore", "Strict", "Warn"'
            )
            raise invalid(f"{kind}.meta.k8s.io", "", [cause])
        return value or "Warn"

    @property
    def field_manager(self) -> str:
        """The manager named by the request, else the client's program name from its User-Agent."""
        name = self.request.param("fieldManager")
        if name:
            causes = []
            if len(name) > 128:
                causes.append(Cause.of("FieldValueTooLong", "fieldManager", detail="may not be more than 128 bytes"))
            bad = next((i for i, char in enumerate(name) if not char.isprintable()), None)
            if bad is not None:
                text = f"invalid character U+{ord(name[bad]):04X} (at position {bad})"
                causes.append(Cause.invalid("fieldManager", name, text))
            if causes:
                kind = _OPTIONS.get(self.request.method, "CreateOptions")
                raise invalid(f"{kind}.meta.k8s.io", "", causes)
            return name
        prefix = self.request.headers.get("user-agent", "").partition("/")[0][:128]
        return "".join(c for c in prefix if c.isprintable()) or "unknown"


_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}


def check_dry_run(values: list[str], kind: str) -> bool:
    """Whether a list of dryRun values asks for a dry run; raises ApiError 422 for unknown ones."""
    if any(v != "All" for v in values):
        cause = Cause.of("FieldValueNotSupported", "dryRun", values, 'supported values: "All"')
        raise invalid(f"{kind}.meta.k8s.io", "", [cause])
    return bool(values)


def meta_of(obj: Object) -> dict[str, Any]:
    """The object's metadata, which must be a mapping (ApiError 400 otherwise)."""
    meta = obj.setdefault("metadata", {})
    if not isinstance(meta, dict):
        raise bad_request("metadata: must be an object")
    return meta
