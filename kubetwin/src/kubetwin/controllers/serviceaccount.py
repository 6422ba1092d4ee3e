# SPDX-License-Identifier: Apache-2.0
"""The ServiceAccount and the root CA that every namespace has."""

from __future__ import annotations

from kubetwin.client import ApiException, Obj, Resource
from kubetwin.controllers.base import Controller
from kubetwin.kinds import CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS
from kubetwin.meta import deleting, name_of, namespace_of


class ServiceAccountController(Controller):
    """The ``default`` ServiceAccount and the ConfigMap ``kube-root-ca.crt`` of every active namespace."""

    name = "serviceaccount"

    def setup(self) -> None:
        self.namespaces = self.enqueue_on(NAMESPACES)
        self.accounts = self.inform(SERVICEACCOUNTS)
        self.accounts.add_handler(self._content_changed)
        self.maps = self.inform(CONFIGMAPS)
        self.maps.add_handler(self._map_changed)

    def _content_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None and old is not None and name_of(old) == "default":
            self.queue.add(namespace_of(old))

    def _map_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and name_of(old) == "kube-root-ca.crt":
            self.queue.add(namespace_of(old))

    async def sync(self, key: str) -> None:
        namespace = self.namespaces.get(key)
        if namespace is None or deleting(namespace):
            return
        if self.accounts.get("default", key) is None:
            await self._create(SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": key}})
        certificate = self.ctx.settings.ca_certificate
        if not certificate:
            return
        existing = self.maps.get("kube-root-ca.crt", key)
        if existing is None:
            note = (
                "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such "
                "as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
                "distributions of Kubernetes clusters."
            )
            await self._create(
                CONFIGMAPS,
                {
                    "metadata": {
                        "name": "kube-root-ca.crt",
                        "namespace": key,
                        "annotations": {"kubernetes.io/description": note},
                    },
                    "data": {"ca.crt": certificate},
                },
            )
        elif existing.get("data") != {"ca.crt": certificate}:
            await self.write.replace(CONFIGMAPS, {**existing, "data": {"ca.crt": certificate}})

    async def _create(self, kind: Resource, obj: Obj) -> None:
        try:
            await self.write.create(kind, {"apiVersion": "v1", "kind": kind.kind, **obj})
        except ApiException as error:
            if not error.already_exists and not error.namespace_terminating and not error.not_found:
                raise
