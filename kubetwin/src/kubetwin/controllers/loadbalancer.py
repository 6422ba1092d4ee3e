# SPDX-License-Identifier: Apache-2.0
"""Addresses of Services of type LoadBalancer."""

from __future__ import annotations

import zlib

from kubetwin.client import Obj
from kubetwin.controllers.base import Controller
from kubetwin.informer import split_key
from kubetwin.kinds import SERVICES
from kubetwin.meta import deleting, status_of


class LoadBalancerController(Controller):
    """Gives Services of type LoadBalancer an address, as a cloud's controller does; nothing listens there."""

    name = "service"
    component = "service-controller"
    user_agent = "cloud-controller-manager"

    def setup(self) -> None:
        self.services = self.enqueue_on(SERVICES)

    async def sync(self, key: str) -> None:
        namespace, name = split_key(key)
        service = self.services.get(name, namespace)
        if service is None or deleting(service):
            return
        balanced = service["spec"].get("type") == "LoadBalancer" and not service["spec"].get("loadBalancerClass")
        current = (status_of(service).get("loadBalancer") or {}).get("ingress")
        if balanced and not current:
            self.recorder.event(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
            address = service["spec"].get("loadBalancerIP") or self._address(service)
            status = {**status_of(service), "loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
            await self.write.update_status(SERVICES, service, status)
            self.recorder.event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        elif not balanced and current and service["spec"].get("type") != "LoadBalancer":
            await self.write.update_status(SERVICES, service, {**status_of(service), "loadBalancer": {}})

    def _address(self, service: Obj) -> str:
        number = zlib.crc32(str(service["metadata"].get("uid")).encode()) % 250 + 1
        return f"{self.ctx.settings.load_balancer_prefix}{number}"
