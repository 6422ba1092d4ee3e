# SPDX-License-Identifier: Apache-2.0
"""Tables of volumes, claims, storage classes and CSI objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kubetwin.apiserver.tables.columns import AGE, NAME, Cell, Column, Printer, wide
from kubetwin.apiserver.tables.text import Obj, age, quantity_text

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def _access_modes(modes: Sequence[str] | None) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _class_name(obj: Obj) -> str:
    annotated = (obj["metadata"].get("annotations") or {}).get(_BETA_CLASS)
    return str(annotated if annotated is not None else obj["spec"].get("storageClassName") or "")


def _storage(amounts: Obj | None) -> str:
    return quantity_text((amounts or {}).get("storage", 0))


def _phase(obj: Obj) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else (obj.get("status") or {}).get("phase", "")


def _or_unset(value: str | None) -> str:
    return "<unset>" if value is None else value


def _volume(obj: Obj, now: datetime) -> list[Cell]:
    spec, claim = obj["spec"], obj["spec"].get("claimRef")
    return [
        obj["metadata"]["name"],
        _storage(spec.get("capacity")),
        _access_modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _class_name(obj),
        _or_unset(spec.get("volumeAttributesClassName")),
        (obj.get("status") or {}).get("reason", ""),
        age(obj, now),
        _or_unset(spec.get("volumeMode")),
    ]


def _claim(obj: Obj, now: datetime) -> list[Cell]:
    spec, status = obj["spec"], obj.get("status") or {}
    volume = spec.get("volumeName", "")
    return [
        obj["metadata"]["name"],
        _phase(obj),
        volume,
        _storage(status.get("capacity")) if volume else "",
        _access_modes(status.get("accessModes")) if volume else "",
        _class_name(obj),
        _or_unset(spec.get("volumeAttributesClassName")),
        age(obj, now),
        _or_unset(spec.get("volumeMode")),
    ]


def _storage_class(obj: Obj, now: datetime) -> list[Cell]:
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    default = any(annotations.get(key) == "true" for key in _DEFAULT_CLASS)
    return [
        f"{metadata['name']} (default)" if default else metadata["name"],
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        age(obj, now),
    ]


def _attributes_class(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], obj.get("driverName", ""), age(obj, now)]


def _attachment(obj: Obj, now: datetime) -> list[Cell]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec.get("attacher", ""),
        (spec.get("source") or {}).get("persistentVolumeName", ""),
        spec.get("nodeName", ""),
        (obj.get("status") or {}).get("attached", False),
        age(obj, now),
    ]


def _csi_node(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], len((obj.get("spec") or {}).get("drivers") or ()), age(obj, now)]


def _csi_driver(obj: Obj, now: datetime) -> list[Cell]:
    spec = obj.get("spec") or {}
    requests = spec.get("tokenRequests")
    return [
        obj["metadata"]["name"],
        spec.get("attachRequired", True),
        spec.get("podInfoOnMount", False),
        spec.get("storageCapacity", False),
        "<unset>" if requests is None else ",".join(request.get("audience", "") for request in requests),
        spec.get("requiresRepublish", False),
        ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>",
        age(obj, now),
    ]


_PV = "@v1/PersistentVolume"
_PVC = "@v1/PersistentVolumeClaim"
_SC = "@storage.k8s.io/v1/StorageClass"
_DRIVER = "@storage.k8s.io/v1/CSIDriver:spec"
_ATTACHMENT = "@storage.k8s.io/v1/VolumeAttachment"

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "persistentvolumes"): Printer(
        (
            NAME,
            Column("Capacity", f"{_PV}:spec.capacity"),
            Column("Access Modes", f"{_PV}:spec.accessModes"),
            Column("Reclaim Policy", f"{_PV}:spec.persistentVolumeReclaimPolicy"),
            Column("Status", f"{_PV}:status.phase"),
            Column("Claim", f"{_PV}:spec.claimRef"),
            Column("StorageClass", "StorageClass of the pv"),
            Column("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
            Column("Reason", f"{_PV}:status.reason"),
            AGE,
            wide("VolumeMode", f"{_PV}:spec.volumeMode"),
        ),
        _volume,
    ),
    ("", "persistentvolumeclaims"): Printer(
        (
            NAME,
            Column("Status", f"{_PVC}:status.phase"),
            Column("Volume", f"{_PVC}:spec.volumeName"),
            Column("Capacity", f"{_PVC}:status.capacity"),
            Column("Access Modes", f"{_PVC}:status.accessModes"),
            Column("StorageClass", "StorageClass of the pvc"),
            Column("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
            AGE,
            wide("VolumeMode", f"{_PVC}:spec.volumeMode"),
        ),
        _claim,
    ),
    ("storage.k8s.io", "storageclasses"): Printer(
        (
            NAME,
            Column("Provisioner", f"{_SC}:provisioner"),
            Column("ReclaimPolicy", f"{_SC}:reclaimPolicy"),
            Column("VolumeBindingMode", f"{_SC}:volumeBindingMode"),
            Column("AllowVolumeExpansion", f"{_SC}:allowVolumeExpansion"),
            AGE,
        ),
        _storage_class,
    ),
    ("storage.k8s.io", "volumeattributesclasses"): Printer(
        (NAME, Column("DriverName", "@storage.k8s.io/v1/VolumeAttributesClass:driverName"), AGE), _attributes_class
    ),
    ("storage.k8s.io", "volumeattachments"): Printer(
        (
            NAME,
            Column("Attacher", f"{_ATTACHMENT}:spec.attacher", format="name"),
            Column("PV", f"{_ATTACHMENT}:spec.source.persistentVolumeName"),
            Column("Node", f"{_ATTACHMENT}:spec.nodeName"),
            Column("Attached", f"{_ATTACHMENT}:status.attached", "boolean"),
            AGE,
        ),
        _attachment,
    ),
    ("storage.k8s.io", "csinodes"): Printer(
        (NAME, Column("Drivers", "Drivers indicates the number of CSI drivers registered on the node", "integer"), AGE),
        _csi_node,
    ),
    ("storage.k8s.io", "csidrivers"): Printer(
        (
            NAME,
            Column("AttachRequired", f"{_DRIVER}.attachRequired", "boolean"),
            Column("PodInfoOnMount", f"{_DRIVER}.podInfoOnMount", "boolean"),
            Column("StorageCapacity", f"{_DRIVER}.storageCapacity", "boolean"),
            Column("TokenRequests", f"{_DRIVER}.tokenRequests"),
            Column("RequiresRepublish", f"{_DRIVER}.requiresRepublish", "boolean"),
            Column("Modes", f"{_DRIVER}.volumeLifecycleModes"),
            AGE,
        ),
        _csi_driver,
    ),
}
