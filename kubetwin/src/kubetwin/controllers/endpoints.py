# SPDX-License-Identifier: Apache-2.0
"""Endpoints and EndpointSlices of Services (facts: pkg/controller/endpoint, staging/src/k8s.io/endpointslice)."""

from __future__ import annotations

from kubetwin.client import Obj
from kubetwin.controllers.base import ObjectController
from kubetwin.informer import key_of
from kubetwin.kinds import ENDPOINTS, ENDPOINTSLICES, NODES, SERVICES
from kubetwin.meta import (
    SERVICE_NAME,
    annotations_of,
    canonical_json,
    deleting,
    equality_selector,
    labels_of,
    name_of,
    namespace_index,
    namespace_of,
    owner_reference,
    pod_ended,
    pod_ready,
    service_index,
    status_of,
    uid_of,
    with_meta,
)

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_SLICE_CONTROLLER = "endpointslice-controller.k8s.io"
_HEADLESS = "service.kubernetes.io/headless"
_ENDPOINTS_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
_LAST_CHANGE = "endpoints.kubernetes.io/last-change-trigger-time"
_PER_SLICE = 100


class _ServiceController(ObjectController):
    """Queues a Service when it, or a pod it selects, changes."""

    resource = SERVICES

    def setup(self) -> None:
        super().setup()
        self.objects.add_index("namespace", namespace_index)
        self.pods = self.ctx.pods
        self.pods.add_handler(self._pod_changed)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old or {}
        if old is not None and new is not None and _relevant(old) == _relevant(new):
            return
        for service in self.objects.by_index("namespace", namespace_of(pod)):
            selector = service["spec"].get("selector")
            if not selector:
                continue
            matches = equality_selector(selector)
            if any(p is not None and matches(labels_of(p)) for p in (old, new)):
                self.add_soon(key_of(service), self.pods.index_size("namespace", namespace_of(pod)))

    def selected(self, service: Obj) -> list[Obj]:
        """The pods behind a Service that have an address, by name."""
        matches = equality_selector(service["spec"]["selector"])
        found = self.pods.by_index("namespace", namespace_of(service))
        pods = [p for p in found if status_of(p).get("podIP") and matches(labels_of(p))]
        return sorted(pods, key=name_of)


def _relevant(pod: Obj) -> tuple[object, ...]:
    status = status_of(pod)
    return (
        labels_of(pod),
        deleting(pod),
        status.get("podIP"),
        status.get("phase"),
        pod_ready(pod),
        pod["spec"].get("nodeName"),
    )


def target_port(port: Obj, pod: Obj) -> int | None:
    """The number of a Service port on one pod; None when the pod has no port of that name."""
    target = port.get("targetPort")
    if target in (None, "", 0):
        return int(port["port"])
    if isinstance(target, int):
        return target
    containers = [*(pod["spec"].get("containers") or ()), *_sidecars(pod)]
    for container in containers:
        for declared in container.get("ports") or ():
            if declared.get("name") == target and (declared.get("protocol") or "TCP") == (
                port.get("protocol") or "TCP"
            ):
                return int(declared["containerPort"])
    return None


def _sidecars(pod: Obj) -> list[Obj]:
    return [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]


def _ports(service: Obj, pod: Obj) -> list[Obj]:
    out: list[Obj] = []
    for port in service["spec"].get("ports") or ():
        number = target_port(port, pod)
        if number is None:
            continue
        entry: Obj = {"name": port.get("name") or "", "port": number, "protocol": port.get("protocol") or "TCP"}
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        out.append(entry)
    return out


def _target(pod: Obj) -> Obj:
    return {"kind": "Pod", "name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)}


def _hostname(service: Obj, pod: Obj) -> str:
    spec = pod["spec"]
    if spec.get("hostname") and spec.get("subdomain") == name_of(service):
        return str(spec["hostname"])
    return ""


def _external(service: Obj) -> bool:
    return service["spec"].get("type") == "ExternalName" or not service["spec"].get("selector")


class EndpointsController(_ServiceController):
    name = "endpoint"
    component = "endpoint-controller"

    def setup(self) -> None:
        super().setup()
        self.endpoints = self.inform(ENDPOINTS)
        self.endpoints.add_handler(self._endpoints_changed)

    def _endpoints_changed(self, old: Obj | None, new: Obj | None) -> None:
        self.queue.add(key_of(new or old or {}))

    async def sync(self, key: str) -> None:
        existing, service = self.endpoints.by_key(key), self.objects.by_key(key)
        if service is not None and not deleting(service):
            await self.reconcile(service)
        elif existing is not None and labels_of(existing).get(_ENDPOINTS_MANAGED_BY) == "endpoint-controller":
            await self.write.delete(ENDPOINTS, existing)

    async def reconcile(self, obj: Obj) -> None:
        service, existing = obj, self.endpoints.by_key(key_of(obj))
        if _external(service):
            return
        subsets = self._subsets(service)
        labels = {k: v for k, v in labels_of(service).items() if k not in (_HEADLESS, _ENDPOINTS_MANAGED_BY)} | {
            _ENDPOINTS_MANAGED_BY: "endpoint-controller"
        }
        if service["spec"].get("clusterIP") == "None":
            labels[_HEADLESS] = ""
        if existing is not None and not deleting(existing):
            if (
                canonical_json(existing.get("subsets") or []) == canonical_json(subsets)
                and labels_of(existing) == labels
            ):
                return
            changed: Obj = {**with_meta(existing, labels=labels), "subsets": subsets}
            _touch(changed, self._changed_at(service))
            await self.write.replace(ENDPOINTS, changed)
            return
        fresh: Obj = {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": name_of(service), "namespace": namespace_of(service), "labels": labels},
            "subsets": subsets,
        }
        _touch(fresh, self._changed_at(service))
        await self.write.create(ENDPOINTS, fresh)

    def _changed_at(self, service: Obj) -> str:
        times = [_ready_time(p) for p in self.selected(service)]
        return max([t for t in times if t], default=str(service["metadata"].get("creationTimestamp") or ""))

    def _subsets(self, service: Obj) -> list[Obj]:
        groups: dict[bytes, Obj] = {}
        publish = bool(service["spec"].get("publishNotReadyAddresses"))
        headless = service["spec"].get("clusterIP") == "None"
        for pod in self.selected(service):
            if pod_ended(pod) or (deleting(pod) and not publish):
                continue
            ports = _ports(service, pod)
            if not ports and not (headless and not service["spec"].get("ports")):
                continue
            address: Obj = {"ip": status_of(pod)["podIP"]}
            if _hostname(service, pod):
                address["hostname"] = _hostname(service, pod)
            if pod["spec"].get("nodeName"):
                address["nodeName"] = pod["spec"]["nodeName"]
            address["targetRef"] = _target(pod)
            cleaned = [{k: v for k, v in p.items() if v != ""} for p in ports]
            group = groups.setdefault(canonical_json(cleaned), {"ports": cleaned})
            side = "addresses" if publish or pod_ready(pod) else "notReadyAddresses"
            group.setdefault(side, []).append(address)
        out: list[Obj] = []
        for group in groups.values():
            for side in ("addresses", "notReadyAddresses"):
                if side in group:
                    group[side].sort(key=lambda a: str(a["ip"]))
            out.append({k: v for k, v in group.items() if v})
        return out


def _touch(endpoints: Obj, when: str) -> None:
    if when:
        annotations = {**annotations_of(endpoints), _LAST_CHANGE: when}
        endpoints["metadata"] = {**endpoints["metadata"], "annotations": annotations}


def _ready_time(pod: Obj) -> str:
    for item in status_of(pod).get("conditions") or ():
        if item["type"] == "Ready":
            return str(item.get("lastTransitionTime") or "")
    return ""


class EndpointSliceController(_ServiceController):
    name = "endpointslice"
    component = "endpoint-slice-controller"

    def setup(self) -> None:
        super().setup()
        self.slices = self.inform(ENDPOINTSLICES)
        self.slices.add_index("service", service_index)
        self.slices.add_handler(self._slice_changed)
        self.nodes = self.inform(NODES)

    def _slice_changed(self, old: Obj | None, new: Obj | None) -> None:
        for obj in (old, new):
            if obj is not None:
                for key in service_index(obj):
                    self.queue.add(key)

    async def reconcile(self, obj: Obj) -> None:
        if _external(obj):
            return
        existing = [
            s
            for s in self.slices.by_index("service", key_of(obj))
            if labels_of(s).get(MANAGED_BY) == _SLICE_CONTROLLER and not deleting(s)
        ]
        for family in obj["spec"].get("ipFamilies") or ["IPv4"]:
            ours = sorted((s for s in existing if s.get("addressType") == family), key=name_of)
            await self._write_slices(obj, family, ours)

    async def _write_slices(self, service: Obj, family: str, existing: list[Obj]) -> None:
        # A Service without endpoints has one slice, whose lists are null.
        wanted = self._slices(service, family)
        # A slice with the same ports is kept, so that its name stays.
        unused = list(existing)
        for ports, endpoints in wanted:
            same = next((s for s in unused if canonical_json(s.get("ports") or []) == canonical_json(ports)), None)
            if same is None and unused:
                same = unused[0]
            labels = self._labels(service)
            if same is None:
                await self.write.create(
                    ENDPOINTSLICES,
                    {
                        "apiVersion": "discovery.k8s.io/v1",
                        "kind": "EndpointSlice",
                        "metadata": {
                            "generateName": f"{name_of(service)}-",
                            "namespace": namespace_of(service),
                            "labels": labels,
                            "ownerReferences": [owner_reference(service)],
                        },
                        "addressType": family,
                        "endpoints": endpoints or None,
                        "ports": ports or None,
                    },
                )
                continue
            unused.remove(same)
            new = {**with_meta(same, labels=labels), "endpoints": endpoints or None, "ports": ports or None}
            if canonical_json(
                [same.get("endpoints") or [], same.get("ports") or [], labels_of(same)]
            ) != canonical_json([endpoints, ports, labels]):
                await self.write.replace(ENDPOINTSLICES, new)
        for leftover in unused:
            await self.write.delete(ENDPOINTSLICES, leftover)

    def _labels(self, service: Obj) -> dict[str, str]:
        labels = {k: v for k, v in labels_of(service).items() if k != _HEADLESS}
        labels.update({SERVICE_NAME: name_of(service), MANAGED_BY: _SLICE_CONTROLLER})
        if service["spec"].get("clusterIP") == "None":
            labels[_HEADLESS] = ""
        return labels

    def _slices(self, service: Obj, family: str) -> list[tuple[list[Obj], list[Obj]]]:
        groups: dict[bytes, tuple[list[Obj], list[Obj]]] = {}
        for pod in self.selected(service):
            address = self._address(pod, family)
            if address is None or pod_ended(pod):
                continue
            ports = _ports(service, pod)
            group = groups.setdefault(canonical_json(ports), (ports, []))
            group[1].append(self._endpoint(service, pod, address))
        if not groups:
            return [([], [])]
        out: list[tuple[list[Obj], list[Obj]]] = []
        for ports, endpoints in groups.values():
            for start in range(0, len(endpoints), _PER_SLICE):
                out.append((ports, endpoints[start : start + _PER_SLICE]))
        return out

    @staticmethod
    def _address(pod: Obj, family: str) -> str | None:
        for entry in status_of(pod).get("podIPs") or ({"ip": status_of(pod).get("podIP")},):
            ip = entry.get("ip")
            if ip and (":" in ip) == (family == "IPv6"):
                return str(ip)
        return None

    def _endpoint(self, service: Obj, pod: Obj, address: str) -> Obj:
        serving = pod_ready(pod)
        terminating = deleting(pod)
        publish = bool(service["spec"].get("publishNotReadyAddresses"))
        endpoint: Obj = {
            "addresses": [address],
            "conditions": {
                "ready": publish or (serving and not terminating),
                "serving": serving,
                "terminating": terminating,
            },
        }
        if _hostname(service, pod):
            endpoint["hostname"] = _hostname(service, pod)
        node_name = pod["spec"].get("nodeName")
        if node_name:
            endpoint["nodeName"] = node_name
            node = self.nodes.get(node_name)
            zone = labels_of(node).get("topology.kubernetes.io/zone") if node else None
            if zone:
                endpoint["zone"] = zone
        endpoint["targetRef"] = _target(pod)
        return endpoint
