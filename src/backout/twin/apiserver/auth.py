# SPDX-License-Identifier: Apache-2.0
"""Who a request comes from: bearer tokens, service account tokens, impersonation."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from backout.twin.apiserver.http import Request, User
from backout.twin.apiserver.status import unauthorized

if TYPE_CHECKING:
    from backout.twin.apiserver.server import ApiServer

AUTHENTICATED = "system:authenticated"
ADMIN = User("kubernetes-admin", ("system:masters", AUTHENTICATED))
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def authenticate(server: ApiServer, request: Request) -> User:
    """The user of the request; raises ApiError 401."""
    if request.user is not None:
        return request.user
    token = bearer(request)
    if not token:
        return ANONYMOUS
    for known, user in server.tokens.items():
        if hmac.compare_digest(known.encode(), token.encode()):
            return user
    raise unauthorized()
