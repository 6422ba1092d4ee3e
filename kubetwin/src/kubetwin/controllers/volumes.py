# SPDX-License-Identifier: Apache-2.0
"""Binding, provisioning, reclaiming and protecting volumes (facts: pkg/controller/volume).

Provisioned volumes are hostPath volumes that nothing creates: the simulated kubelet does not touch a disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubetwin import quantity
from kubetwin.client import Api, ApiException, Obj
from kubetwin.controllers.base import Context, Controller
from kubetwin.informer import key_of, split_key
from kubetwin.kinds import PODS, PVCS, PVS, STORAGECLASSES
from kubetwin.meta import (
    annotations_of,
    deleting,
    label_selector,
    labels_of,
    name_of,
    namespace_of,
    pod_ended,
    status_of,
    uid_of,
    with_meta,
)

PROVISIONER = "twin.backout.dev/hostpath"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
_BOUND_BY = "pv.kubernetes.io/bound-by-controller"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
_BETA_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
PVC_PROTECTION = "kubernetes.io/pvc-protection"
PV_PROTECTION = "kubernetes.io/pv-protection"
STORAGE_CLASSES: tuple[Obj, ...] = tuple(
    {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": mode,
    }
    for name, mode, annotations in (
        ("standard", "Immediate", {DEFAULT_CLASS: "true"}),
        ("standard-wait", "WaitForFirstConsumer", {}),
    )
)


def claims_of(pod: Obj) -> Iterable[str]:
    """Index: namespace/claim of every PersistentVolumeClaim a pod mounts, generic ephemeral ones included."""
    namespace = namespace_of(pod)
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield f"{namespace}/{volume['persistentVolumeClaim']['claimName']}"
        elif volume.get("ephemeral"):
            yield f"{namespace}/{name_of(pod)}-{volume['name']}"


def add_claim_index(ctx: Context) -> None:
    ctx.pods.add_index("claim", claims_of)


async def ensure_storage_classes(api: Api) -> None:
    """The classes ``standard`` (default) and ``standard-wait``, unless the cluster has classes already."""
    if (await api.list(STORAGECLASSES))["items"]:
        return
    for item in STORAGE_CLASSES:
        try:
            await api.create(STORAGECLASSES, item)
        except ApiException as error:
            if not error.already_exists:
                raise


class VolumeController(Controller):
    name = "persistentvolume"
    component = "persistentvolume-controller"

    def setup(self) -> None:
        self.claims = self.enqueue_on(PVCS)
        self.volumes = self.inform(PVS)
        self.volumes.add_index("claim", _claim_ref)
        self.volumes.add_handler(self._volume_changed)
        self.classes = self.inform(STORAGECLASSES)
        self.classes.add_handler(self._class_changed)
        add_claim_index(self.ctx)
        self.pods = self.inform(PODS)
        self.pods.add_handler(self._pod_changed)

    def _volume_changed(self, old: Obj | None, new: Obj | None) -> None:
        volume = new or old or {}
        self.queue.add(f"pv:/{name_of(volume)}")
        for key in filter(None, _claim_ref(volume)):
            self.queue.add(key)
        if new is not None and not new["spec"].get("claimRef"):
            for claim in self.claims.all():
                if not claim["spec"].get("volumeName"):
                    self.queue.add(key_of(claim))

    def _class_changed(self, old: Obj | None, new: Obj | None) -> None:
        for claim in self.claims.all():
            if not claim["spec"].get("volumeName"):
                self.queue.add(key_of(claim))

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        for key in claims_of(new or old or {}):
            self.queue.add(key)

    async def sync(self, key: str) -> None:
        namespace, name = split_key(key)
        if namespace == "pv:":
            volume = self.volumes.get(name)
            if volume is not None:
                await self._sync_volume(volume)
            return
        claim = self.claims.get(name, namespace)
        if claim is None:
            for volume in self.volumes.by_index("claim", key):
                self.queue.add(f"pv:/{name_of(volume)}")
            return
        if deleting(claim):
            await self._unprotect_claim(key, claim)
            return
        if PVC_PROTECTION not in (claim["metadata"].get("finalizers") or ()):
            finalizers = [*(claim["metadata"].get("finalizers") or ()), PVC_PROTECTION]
            claim = await self.write.replace(PVCS, with_meta(claim, finalizers=finalizers))
        if claim["spec"].get("volumeName"):
            await self._sync_bound(claim)
        else:
            await self._bind_or_provision(key, claim)

    # -- claims ----------------------------------------------------------------------------------------------------

    async def _unprotect_claim(self, key: str, claim: Obj) -> None:
        finalizers = claim["metadata"].get("finalizers") or []
        if PVC_PROTECTION not in finalizers:
            return
        if any(not pod_ended(p) for p in self.pods.by_index("claim", key)):
            return
        rest = [f for f in finalizers if f != PVC_PROTECTION]
        await _remove_finalizer(self, PVCS, claim, rest)

    async def _sync_bound(self, claim: Obj) -> None:
        volume = self.volumes.get(claim["spec"]["volumeName"])
        bound_before = _BIND_COMPLETED in annotations_of(claim)
        if volume is None:
            if bound_before and status_of(claim).get("phase") != "Lost":
                await self._phase(claim, {"phase": "Lost"})
                text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
                self.recorder.event(claim, "Warning", "ClaimLost", text)
            elif not bound_before:
                await self._phase(claim, {"phase": "Pending"})
            return
        ref = volume["spec"].get("claimRef")
        ours = ref and ref.get("namespace") == namespace_of(claim) and ref.get("name") == name_of(claim)
        if ref is None or (ours and ref.get("uid") in (None, "", uid_of(claim))):
            await self._bind(claim, volume)
        elif bound_before and status_of(claim).get("phase") != "Lost":
            await self._phase(claim, {"phase": "Lost"})
            text = "Two claims are bound to the same volume, this one is bound incorrectly"
            self.recorder.event(claim, "Warning", "ClaimMisbound", text)

    async def _bind_or_provision(self, key: str, claim: Obj) -> None:
        claim = await self._default_class(claim)
        class_name = claim["spec"].get("storageClassName") or ""
        storage_class = self.classes.get(class_name) if class_name else None
        waits = storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
        selected = annotations_of(claim).get(SELECTED_NODE)
        volume = self._find_volume(claim, prebound_only=waits and not selected)
        if volume is not None:
            await self._bind(claim, volume)
            return
        if status_of(claim).get("phase") != "Pending":
            await self._phase(claim, {"phase": "Pending"})
        if not class_name:
            text = "no persistent volumes available for this claim and no storage class is set"
            self.recorder.event(claim, "Normal", "FailedBinding", text)
            return
        if storage_class is None:
            text = f'storageclass.storage.k8s.io "{class_name}" not found'
            self.recorder.event(claim, "Warning", "ProvisioningFailed", text)
            return
        if waits and not selected:
            pods = [p for p in self.pods.by_index("claim", key) if not p["spec"].get("nodeName")]
            if pods:
                names = ",".join(sorted(name_of(p) for p in pods))
                text = f"waiting for pod {names} to be scheduled"
                self.recorder.event(claim, "Normal", "WaitForPodScheduled", text)
            else:
                text = "waiting for first consumer to be created before binding"
                self.recorder.event(claim, "Normal", "WaitForFirstConsumer", text)
            return
        await self._provision(claim, storage_class, selected)

    async def _default_class(self, claim: Obj) -> Obj:
        """A claim made before there was a default class gets it when there is one."""
        if claim["spec"].get("storageClassName") is not None:
            return claim
        defaults = [c for c in self.classes.all() if annotations_of(c).get(DEFAULT_CLASS) == "true"]
        if not defaults:
            return claim
        newest = max(defaults, key=lambda c: (c["metadata"].get("creationTimestamp") or "", name_of(c)))
        spec = {**claim["spec"], "storageClassName": name_of(newest)}
        return await self.write.replace(PVCS, {**claim, "spec": spec})

    def _find_volume(self, claim: Obj, *, prebound_only: bool) -> Obj | None:
        spec = claim["spec"]
        key = key_of(claim)
        for volume in self.volumes.by_index("claim", key):
            if volume["spec"]["claimRef"].get("uid") in (None, "", uid_of(claim)):
                return volume
        if prebound_only:
            return None
        matches = label_selector(spec["selector"]) if spec.get("selector") else None
        wanted = quantity.units(((spec.get("resources") or {}).get("requests") or {}).get("storage", 0))
        best: tuple[int, str, Obj] | None = None
        for volume in self.volumes.by_index("claim", ""):
            theirs = volume["spec"]
            if (
                deleting(volume)
                or status_of(volume).get("phase") not in ("Available", None)
                or (theirs.get("storageClassName") or "") != (spec.get("storageClassName") or "")
                or (theirs.get("volumeMode") or "Filesystem") != (spec.get("volumeMode") or "Filesystem")
                or not set(spec.get("accessModes") or ()) <= set(theirs.get("accessModes") or ())
                or (matches is not None and not matches(labels_of(volume)))
            ):
                continue
            size = quantity.units((theirs.get("capacity") or {}).get("storage", 0))
            if size >= wanted and (best is None or (size, name_of(volume)) < best[:2]):
                best = (size, name_of(volume), volume)
        return best[2] if best else None

    async def _bind(self, claim: Obj, volume: Obj) -> None:
        ref = volume["spec"].get("claimRef")
        if ref is None or not ref.get("uid"):
            annotations = dict(annotations_of(volume))
            if ref is None:
                annotations[_BOUND_BY] = "yes"
            spec = {**volume["spec"], "claimRef": claim_reference(claim)}
            volume = await self.write.replace(PVS, {**with_meta(volume, annotations=annotations), "spec": spec})
        if status_of(volume).get("phase") != "Bound":
            volume = await self.write.update_status(PVS, volume, {"phase": "Bound"})
        annotations = dict(annotations_of(claim))
        if not claim["spec"].get("volumeName"):
            annotations[_BOUND_BY] = "yes"
        annotations[_BIND_COMPLETED] = "yes"
        if annotations != annotations_of(claim) or claim["spec"].get("volumeName") != name_of(volume):
            spec = {**claim["spec"], "volumeName": name_of(volume)}
            claim = await self.write.replace(PVCS, {**with_meta(claim, annotations=annotations), "spec": spec})
        await self._phase(
            claim,
            {
                "phase": "Bound",
                "accessModes": list(volume["spec"].get("accessModes") or ()),
                "capacity": dict(volume["spec"].get("capacity") or {}),
            },
        )

    async def _phase(self, claim: Obj, status: Obj) -> None:
        before = status_of(claim)
        if before.get("conditions"):
            status = {**status, "conditions": before["conditions"]}
        if status != before:
            await self.write.update_status(PVCS, claim, status)

    async def _provision(self, claim: Obj, storage_class: Obj, node: str | None) -> None:
        provisioner = storage_class["provisioner"]
        wanted = {_STORAGE_PROVISIONER: provisioner, _BETA_PROVISIONER: provisioner}
        annotations = {**annotations_of(claim), **wanted}
        if annotations != annotations_of(claim):
            claim = await self.write.replace(PVCS, with_meta(claim, annotations=annotations))
        if provisioner not in self.ctx.settings.provisioners:
            text = (
                f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by "
                "the system administrator. If volume creation is delayed, please verify that the provisioner is "
                "running and correctly registered."
            )
            self.recorder.event(claim, "Normal", "ExternalProvisioning", text)
            return
        name = f"pvc-{uid_of(claim)}"
        spec: Obj = {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": list(claim["spec"].get("accessModes") or ()),
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": name_of(storage_class),
            "volumeMode": claim["spec"].get("volumeMode") or "Filesystem",
            "hostPath": {"path": f"/var/lib/backout-twin/volumes/{name}", "type": ""},
            "claimRef": claim_reference(claim),
        }
        if storage_class.get("mountOptions"):
            spec["mountOptions"] = storage_class["mountOptions"]
        if node:
            term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
            spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [term]}}
        volume: Obj = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {_PROVISIONED_BY: provisioner}, "finalizers": [PV_PROTECTION]},
            "spec": spec,
        }
        try:
            created = await self.write.create(PVS, volume)
        except ApiException as error:
            if error.already_exists:
                return
            self.recorder.event(claim, "Warning", "ProvisioningFailed", error.message)
            raise
        text = f"Successfully provisioned volume {name} using {provisioner}"
        self.recorder.event(claim, "Normal", "ProvisioningSucceeded", text)
        await self._bind(claim, created)

    # -- volumes ---------------------------------------------------------------------------------------------------

    async def _sync_volume(self, volume: Obj) -> None:
        phase = status_of(volume).get("phase")
        if deleting(volume):
            finalizers = volume["metadata"].get("finalizers") or []
            if PV_PROTECTION in finalizers and (phase != "Bound" or not self._claim_alive(volume)):
                await _remove_finalizer(self, PVS, volume, [f for f in finalizers if f != PV_PROTECTION])
            return
        if PV_PROTECTION not in (volume["metadata"].get("finalizers") or ()):
            finalizers = [*(volume["metadata"].get("finalizers") or ()), PV_PROTECTION]
            volume = await self.write.replace(PVS, with_meta(volume, finalizers=finalizers))
        ref = volume["spec"].get("claimRef")
        if ref is None or not ref.get("uid"):
            if phase != "Available":
                await self.write.update_status(PVS, volume, {"phase": "Available"})
            return
        if self._claim_alive(volume):
            return
        if phase != "Released" and phase != "Failed":
            volume = await self.write.update_status(PVS, volume, {"phase": "Released"})
        policy = volume["spec"].get("persistentVolumeReclaimPolicy")
        provisioner = annotations_of(volume).get(_PROVISIONED_BY)
        if policy == "Delete" and provisioner in self.ctx.settings.provisioners:
            await self.write.delete(PVS, volume)

    def _claim_alive(self, volume: Obj) -> bool:
        ref = volume["spec"].get("claimRef") or {}
        claim = self.claims.get(ref.get("name", ""), ref.get("namespace", ""))
        return claim is not None and uid_of(claim) == ref.get("uid")


def _claim_ref(volume: Obj) -> tuple[str, ...]:
    """Index: namespace/name of the claim a volume belongs to; "" for free ones."""
    ref: dict[str, Any] | None = volume["spec"].get("claimRef")
    return (f"{ref.get('namespace')}/{ref.get('name')}",) if ref else ("",)


def claim_reference(claim: Obj) -> Obj:
    return {
        "kind": "PersistentVolumeClaim",
        "namespace": namespace_of(claim),
        "name": name_of(claim),
        "uid": uid_of(claim),
        "apiVersion": "v1",
        "resourceVersion": claim["metadata"].get("resourceVersion", ""),
    }


async def _remove_finalizer(controller: Controller, resource: Any, obj: Obj, rest: list[str]) -> None:
    try:
        await controller.write.replace(resource, with_meta(obj, finalizers=rest))
    except ApiException as error:
        if not error.not_found:
            raise
