# SPDX-License-Identifier: Apache-2.0
"""The clusters that applications go to: Argo CD's own, and those of Secrets.

Facts: argo-cd docs/operator-manual/declarative-setup.md (label ``argocd.argoproj.io/secret-type: cluster``; ``name``, ``server`` and
``config`` as JSON), util/argo/argo.go (``GetDestinationCluster``).
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from kubetwin.client import Api, Obj
from kubetwin.gitops.argocd.application import spec_of
from kubetwin.gitops.argocd.projects import IN_CLUSTER, IN_CLUSTER_NAME
from kubetwin.gitops.argocd.repo_server import SECRET_TYPE
from kubetwin.gitops.cluster import Changed, Cluster
from kubetwin.informer import SharedInformers
from kubetwin.meta import labels_of
from kubetwin.transport import HttpTransport


class Destinations:
    """``secrets`` gives the Secrets of Argo CD's namespace now; ``changed`` is called for every watched object."""

    def __init__(self, own: Cluster, secrets: Callable[[], Iterable[Obj]], changed: Changed, user_agent: str) -> None:
        self._own = own
        self._secrets = secrets
        self._changed = changed
        self._user_agent = user_agent
        self._remote: dict[str, tuple[str, Cluster, SharedInformers, Api]] = {}
        own.on_change(changed)

    def known(self) -> dict[str, str]:
        """Name → server of every cluster."""
        found = {IN_CLUSTER_NAME: IN_CLUSTER}
        for data in self._declared():
            found[data.get("name") or data["server"]] = data["server"].rstrip("/")
        return found

    def _declared(self) -> list[dict[str, str]]:
        found = []
        for secret in self._secrets():
            if labels_of(secret).get(SECRET_TYPE) == "cluster":
                data = {k: base64.b64decode(v).decode() for k, v in (secret.get("data") or {}).items()}
                if data.get("server"):
                    found.append(data)
        return found

    def of(self, app: Obj) -> Cluster:
        """The cluster of an application. Raises KeyError when it is not known."""
        destination = spec_of(app).get("destination") or {}
        server = (destination.get("server") or "").rstrip("/") or self.known()[destination.get("name") or ""]
        if server == IN_CLUSTER:
            return self._own
        data = next(each for each in self._declared() if each["server"].rstrip("/") == server)
        told = json.dumps(data, sort_keys=True)
        known = self._remote.get(server)
        if known is None or known[0] != told:
            api = Api(_transport(server, json.loads(data.get("config") or "{}")), user_agent=self._user_agent)
            informers = SharedInformers(api)
            cluster = Cluster(api, informers)
            cluster.on_change(self._changed)
            informers.start()
            known = self._remote[server] = (told, cluster, informers, api)
        return known[1]

    async def close(self) -> None:
        """Ends the connections to other clusters."""
        for _, _, informers, api in self._remote.values():
            await informers.stop()
            await api.close()
        self._remote.clear()
        await asyncio.sleep(0)


def _transport(server: str, config: dict[str, Any]) -> HttpTransport:
    import httpx2

    tls = config.get("tlsClientConfig") or {}
    authority = base64.b64decode(tls["caData"]).decode() if tls.get("caData") else None
    context = ssl.create_default_context(cadata=authority)
    if tls.get("insecure"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    headers = {"authorization": f"Bearer {config['bearerToken']}"} if config.get("bearerToken") else {}
    client = httpx2.AsyncClient(
        base_url=server,
        headers=headers,
        verify=context,
        timeout=httpx2.Timeout(30.0, read=None),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        trust_env=False,
    )
    return HttpTransport(client, server)
