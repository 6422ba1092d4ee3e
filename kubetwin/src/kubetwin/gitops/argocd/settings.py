# SPDX-License-Identifier: Apache-2.0
"""What Argo CD is started with. All times are seconds; the defaults are a twin's, :meth:`ArgoSettings.real` are the real ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ArgoSettings:
    """Facts: argo-cd cmd/argocd-application-controller (flags and their defaults), common/common.go."""

    namespace: str = "argocd"
    reconciliation: float = 3.0
    """``timeout.reconciliation``: an application is compared with its repository at the latest after so long."""
    jitter: float = 0.0
    """Up to so much is added to it."""
    self_heal_timeout: float = 1.0
    """First wait between two self-heals of the same revision; it grows by ``self_heal_factor``."""
    self_heal_factor: float = 3.0
    self_heal_cap: float = 300.0
    repo_error_grace: float = 1.0
    """An error of the repository is passed over for so long before an application says it."""
    wave_delay: float = 0.1
    """Between two waves of a sync."""
    sync_timeout: float = 0.0
    """After that a sync is terminated; 0: never."""
    server: bool = True
    """Whether argocd-server's API is served, on a loopback port."""

    @classmethod
    def real(cls) -> ArgoSettings:
        """As Argo CD comes."""
        return cls(reconciliation=120.0, jitter=60.0, self_heal_timeout=2.0, repo_error_grace=180.0, wave_delay=2.0)
