# SPDX-License-Identifier: Apache-2.0
"""Tables of volumes, claims, storage classes and CSI objects."""

from __future__ import annotations

from collections.abc import Callable

from kubetwin.apiserver.tables.columns import AGE, NAME, Column, Printer, column, count, field, items, part, printer
from kubetwin.apiserver.tables.columns import name_with_default as named
from kubetwin.apiserver.tables.text import Obj, quantity_text

_STORAGE = "storage.k8s.io"
_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def _access_modes(path: str) -> Callable[[Obj], str]:
    modes = items(path)
    return lambda obj: ",".join(short for mode, short in _MODES.items() if mode in modes(obj))


def _capacity(path: str) -> Callable[[Obj], str]:
    amounts = part(path)
    return lambda obj: quantity_text((amounts(obj) or {}).get("storage", 0))


def _if_bound(cell: Callable[[Obj], str]) -> Callable[[Obj], str]:
    return lambda obj: cell(obj) if obj["spec"].get("volumeName") else ""


def _class_name(obj: Obj) -> str:
    annotated = (obj["metadata"].get("annotations") or {}).get(_BETA_CLASS)
    return str(annotated if annotated is not None else obj["spec"].get("storageClassName") or "")


def _classes(short: str) -> tuple[Column, Column]:
    attributes, doc = "VolumeAttributesClass", f"VolumeAttributesClass of the {short}"
    return (
        column("StorageClass", f"StorageClass of the {short}", _class_name),
        field(attributes, "spec.volumeAttributesClassName", "<unset>", doc=doc),
    )


def _phase(obj: Obj) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else (obj.get("status") or {}).get("phase", "")


def _claim(obj: Obj) -> str:
    claim = obj["spec"].get("claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


def _token_requests(obj: Obj) -> str:
    requests = (obj.get("spec") or {}).get("tokenRequests")
    return "<unset>" if requests is None else ",".join(request.get("audience", "") for request in requests)


_lifecycle_modes = items("spec.volumeLifecycleModes")
_VOLUME_MODE = field("VolumeMode", "spec.volumeMode", "<unset>", wide=True)

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "persistentvolumes"): printer(
        "v1/PersistentVolume",
        NAME,
        column("Capacity", "@spec.capacity", _capacity("spec.capacity")),
        column("Access Modes", "@spec.accessModes", _access_modes("spec.accessModes")),
        field("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"),
        column("Status", "@status.phase", _phase),
        column("Claim", "@spec.claimRef", _claim),
        *_classes("pv"),
        field("Reason", "status.reason"),
        AGE,
        _VOLUME_MODE,
    ),
    ("", "persistentvolumeclaims"): printer(
        "v1/PersistentVolumeClaim",
        NAME,
        column("Status", "@status.phase", _phase),
        field("Volume", "spec.volumeName"),
        column("Capacity", "@status.capacity", _if_bound(_capacity("status.capacity"))),
        column("Access Modes", "@status.accessModes", _if_bound(_access_modes("status.accessModes"))),
        *_classes("pvc"),
        AGE,
        _VOLUME_MODE,
    ),
    (_STORAGE, "storageclasses"): printer(
        f"{_STORAGE}/v1/StorageClass",
        named(*_DEFAULT_CLASS),
        field("Provisioner", "provisioner"),
        field("ReclaimPolicy", "reclaimPolicy", "Delete"),
        field("VolumeBindingMode", "volumeBindingMode", "Immediate"),
        field("AllowVolumeExpansion", "allowVolumeExpansion", False),
        AGE,
    ),
    (_STORAGE, "volumeattributesclasses"): printer(
        f"{_STORAGE}/v1/VolumeAttributesClass", NAME, field("DriverName", "driverName"), AGE
    ),
    (_STORAGE, "volumeattachments"): printer(
        f"{_STORAGE}/v1/VolumeAttachment",
        NAME,
        Column("Attacher", "@spec.attacher", lambda obj, _: obj["spec"].get("attacher", ""), format="name"),
        field("PV", "spec.source.persistentVolumeName"),
        field("Node", "spec.nodeName"),
        field("Attached", "status.attached", False, "boolean"),
        AGE,
    ),
    (_STORAGE, "csinodes"): printer(
        f"{_STORAGE}/v1/CSINode",
        NAME,
        count(
            "Drivers", "spec.drivers", "Drivers indicates the number of CSI drivers registered on the node", "integer"
        ),
        AGE,
    ),
    (_STORAGE, "csidrivers"): printer(
        f"{_STORAGE}/v1/CSIDriver",
        NAME,
        field("AttachRequired", "spec.attachRequired", True, "boolean"),
        field("PodInfoOnMount", "spec.podInfoOnMount", False, "boolean"),
        field("StorageCapacity", "spec.storageCapacity", False, "boolean"),
        column("TokenRequests", "@spec.tokenRequests", _token_requests),
        field("RequiresRepublish", "spec.requiresRepublish", False, "boolean"),
        column("Modes", "@spec.volumeLifecycleModes", lambda obj: ",".join(_lifecycle_modes(obj)) or "<none>"),
        AGE,
    ),
}
