# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' control loops, spoken over the API only, so that each can also run against a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubetwin.apiserver.server import ApiServer
    from kubetwin.client import Api
    from kubetwin.kubelet.settings import KubeletSettings


async def run_all(
    api: Api, kubelet: KubeletSettings | None = None, *, server: ApiServer | None = None, nodes: int = 2
) -> None:
    """Run a whole cluster's controllers, scheduler and nodes until cancelled.

    With ``server``, the embedded API server behind ``api``, logs are served through it and its CA is published.
    """
    # Late: the kubelet uses modules of this package.
    from kubetwin.controllers.run import ControlPlane, RunSettings

    settings = RunSettings(nodes=nodes) if kubelet is None else RunSettings(nodes=nodes, kubelet=kubelet)
    await ControlPlane(api, settings, server=server).run()
