# SPDX-License-Identifier: Apache-2.0
"""What one cluster is made of: its objects, its types, its users, and what follows the objects to keep the rest in step."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kubetwin.apiserver import bootstrap
from kubetwin.apiserver.crd import Definitions
from kubetwin.apiserver.faults import Faults
from kubetwin.apiserver.quota import Quotas
from kubetwin.apiserver.rbac import Authorizer
from kubetwin.apiserver.resources import Registry
from kubetwin.apiserver.store import Store
from kubetwin.apiserver.tokens import TokenSigner
from kubetwin.serving import certs
from kubetwin.serving.http import User
from kubetwin.serving.logs import LogSource
from kubetwin.serving.proxying import Dialer

AUTHENTICATED = "system:authenticated"
ADMIN = User("kubernetes-admin", ("system:masters", AUTHENTICATED))


@dataclass(slots=True)
class Settings:
    """``bookmark_interval`` in seconds; ``history_limit`` in changes of one resource."""

    name: str = "twin"
    git_version: str = "v1.36.2+backout-twin"
    admin_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    bookmark_interval: float = 60.0
    history_limit: int = 4096


class ClusterState:
    """All that handlers of requests work on. ``log_source`` and ``dialer`` are set by whoever runs the pods."""

    def __init__(
        self, settings: Settings, identity: certs.Identity | None = None, faults: Faults | None = None
    ) -> None:
        self.settings = settings
        self.faults = faults
        self.registry = Registry()
        self.store = Store(settings.history_limit)
        self.authorizer = Authorizer(self.store)
        self.quotas = Quotas(self.store)
        self.log_source: LogSource | None = None
        self.dialer: Dialer | None = None
        self.tokens: dict[str, User] = {settings.admin_token: ADMIN}
        self._definitions = Definitions(self.store, self.registry)
        self._identity = identity
        bootstrap.populate(self.store, self.registry)

    @property
    def identity(self) -> certs.Identity:
        """Certificates and keys, made on first use."""
        if self._identity is None:
            self._identity = certs.new_identity(self.settings.name)
        return self._identity

    @cached_property
    def signer(self) -> TokenSigner:
        """Issues and checks service account tokens."""
        return TokenSigner(self.identity.token_key)

    def save(self, path: Path) -> None:
        """Write the objects to a file that only the owner can read."""
        self.store.save(path)

    def load(self, path: Path) -> None:
        """Replace the objects by saved ones; raises OSError, and ValueError when it is not a saved state."""
        self.store.load(path.read_bytes())
        self.authorizer.invalidate()
        self._definitions.reload()
        self.quotas.reload()
