# SPDX-License-Identifier: Apache-2.0
"""Addresses of Services of type LoadBalancer."""

from __future__ import annotations

import zlib

from kubetwin.client import Obj
from kubetwin.controllers.base import ObjectController
from kubetwin.kinds import SERVICES
from kubetwin.meta import status_of


class LoadBalancerController(ObjectController):
    """Gives Services of type LoadBalancer an address, as a cloud's controller does; nothing listens there."""

    name = "service"
    component = "service-controller"
    resource = SERVICES
    user_agent = "cloud-controller-manager"

    async def reconcile(self, obj: Obj) -> None:
        balanced = obj["spec"].get("type") == "LoadBalancer" and not obj["spec"].get("loadBalancerClass")
        current = (status_of(obj).get("loadBalancer") or {}).get("ingress")
        if balanced and not current:
            self.recorder.event(obj, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
            address = obj["spec"].get("loadBalancerIP") or self._address(obj)
            status = {**status_of(obj), "loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
            await self.write_status(obj, status)
            self.recorder.event(obj, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        elif not balanced and current and obj["spec"].get("type") != "LoadBalancer":
            await self.write_status(obj, {**status_of(obj), "loadBalancer": {}})

    def _address(self, service: Obj) -> str:
        number = zlib.crc32(str(service["metadata"].get("uid")).encode()) % 250 + 1
        return f"{self.ctx.settings.load_balancer_prefix}{number}"
