# SPDX-License-Identifier: Apache-2.0
"""A request to argocd-server, and what it is refused with: the codes of gRPC and their statuses over HTTP.

Facts: grpc-gateway 1.16 runtime/errors.go (``HTTPStatusFromCode``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from kubetwin.client import Obj
from kubetwin.serving.http import Request

CODES = {
    "Unknown": (2, 500),
    "InvalidArgument": (3, 400),
    "NotFound": (5, 404),
    "AlreadyExists": (6, 409),
    "PermissionDenied": (7, 403),
    "FailedPrecondition": (9, 400),
    "Aborted": (10, 409),
    "Unimplemented": (12, 501),
    "Internal": (13, 500),
    "Unavailable": (14, 503),
    "Unauthenticated": (16, 401),
}


class Refused(Exception):
    """An answer other than 200, by the name of its gRPC code."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(slots=True)
class Call:
    """A request with who makes it."""

    request: Request
    claims: Obj = field(default_factory=dict)

    @property
    def subjects(self) -> list[str]:
        """The names by which rules know who asks."""
        subject = str(self.claims.get("sub") or "")
        return [subject] if subject.startswith("proj:") else [self.user]

    @property
    def user(self) -> str:
        """The name in ``initiatedBy``."""
        subject = str(self.claims.get("sub") or "")
        return subject if subject.startswith("proj:") else subject.partition(":")[0]

    def body(self) -> Obj:
        """Raises Refused when it is no JSON object."""
        try:
            found = json.loads(self.request.body or b"{}")
        except ValueError as error:
            raise Refused("InvalidArgument", str(error)) from None
        if not isinstance(found, dict):
            raise Refused("InvalidArgument", "json: cannot unmarshal the body into an object")
        return found
