# SPDX-License-Identifier: Apache-2.0
"""The files that ConfigMaps and Secrets become in a pod.

Facts (pkg/volume/configmap, pkg/volume/util/atomic_writer.go, pkg/kubelet/volumemanager): a volume is written when the
pod starts and again at the pod's next sync after a change; when the object is gone, or a key that is not optional, the
old files stay. A subPath mount and the environment keep what they had when the container started.

A config reloader (prometheus-operator cmd/prometheus-config-reloader, thanos pkg/reloader) writes its ``--config-file``,
unpacked, to its ``--config-envsubst-file``, for the program that shares that volume with it. Its ``$(VARIABLES)`` are left
as they stand: nothing here depends on their values.
"""

from __future__ import annotations

import base64
import gzip
import io
import posixpath
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kubetwin.client import Obj
from kubetwin.kubelet.references import Lookup, missing_in_volume, sources_of
from kubetwin.meta import namespace_of

Files = Mapping[str, bytes]
"""Absolute path in the container → content."""

_LARGEST = 16 * 1024 * 1024
"""Bytes that a packed configuration may have unpacked; an object has at most 1 MiB packed."""


@dataclass(slots=True)
class PodVolumes:
    """The ConfigMap, Secret and projected volumes of one pod. They hold objects; files are made when asked for."""

    _sources: dict[str, tuple[Obj | None, ...]] = field(default_factory=dict)

    def update(self, pod: Obj, lookup: Lookup) -> bool:
        """Write all volumes whose objects are there, as the kubelet does at each sync; True when one changed."""
        changed = False
        for volume in pod["spec"].get("volumes") or ():
            sources = list(sources_of(volume))
            if not sources or missing_in_volume(namespace_of(pod), volume, lookup) is not None:
                continue
            found = tuple(lookup(kind, namespace_of(pod), name) for kind, name, _ in sources)
            before = self._sources.get(volume["name"])
            if before is None or any(not _same(a, b) for a, b in zip(before, found, strict=True)):
                self._sources[volume["name"]] = found
                changed = True
        return changed

    def files(self, pod: Obj, container: Obj) -> dict[str, bytes]:
        """What a container finds below its mounts, whole volumes only."""
        out = self._written(pod, container)
        for mount, content in self._mounted(pod, container):
            if not mount.get("subPath") and not mount.get("subPathExpr"):
                out.update({posixpath.join(mount["mountPath"], name): data for name, data in content.items()})
        return out

    def _written(self, pod: Obj, container: Obj) -> dict[str, bytes]:
        """What config reloaders of the pod wrote into volumes that the container has as well."""
        out: dict[str, bytes] = {}
        spec = pod["spec"]
        for writer in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
            to = _flag(writer, "config-envsubst-file")
            content = _unpacked(self._file(pod, writer, _flag(writer, "config-file"))) if to else None
            if content is None:
                continue
            for mount in writer.get("volumeMounts") or ():
                inside = _below(mount, to)
                for other in container.get("volumeMounts") or () if inside else ():
                    if other["name"] == mount["name"] and not other.get("subPath"):
                        out[posixpath.join(other["mountPath"], inside)] = content
        return out

    def _file(self, pod: Obj, container: Obj, path: str) -> bytes | None:
        for mount, content in self._mounted(pod, container):
            found = content.get(_below(mount, path))
            if found is not None:
                return found
        return None

    def sub_paths(self, pod: Obj, container: Obj) -> dict[str, bytes]:
        """The files of its subPath mounts, to be kept from its start on."""
        out: dict[str, bytes] = {}
        for mount, content in self._mounted(pod, container):
            wanted = mount.get("subPath")
            if not wanted:
                continue
            for name, data in content.items():
                if name == wanted:
                    out[mount["mountPath"]] = data
                elif name.startswith(f"{wanted}/"):
                    out[posixpath.join(mount["mountPath"], name[len(wanted) + 1 :])] = data
        return out

    def places(self, container: Obj) -> tuple[str, ...]:
        """Where the container has such volumes."""
        return tuple(m["mountPath"] for m in container.get("volumeMounts") or () if m["name"] in self._sources)

    def _mounted(self, pod: Obj, container: Obj) -> Iterator[tuple[Obj, dict[str, bytes]]]:
        volumes = {v["name"]: v for v in pod["spec"].get("volumes") or ()}
        for mount in container.get("volumeMounts") or ():
            objects = self._sources.get(mount["name"])
            if objects is not None:
                yield mount, _content(volumes[mount["name"]], objects)


def _flag(container: Obj, name: str) -> str:
    words = (*(container.get("command") or ()), *(container.get("args") or ()))
    return next((word.partition("=")[2] for word in words if word.startswith(f"--{name}=")), "")


def _below(mount: Obj, path: str) -> str:
    """The path inside a mounted volume; empty when it is not there."""
    place = f"{mount['mountPath'].rstrip('/')}/"
    return path[len(place) :] if path.startswith(place) and not mount.get("subPath") else ""


def _unpacked(content: bytes | None) -> bytes | None:
    """None when it is not there, or is packed and broken or too large: then nothing is written."""
    if content is None or not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            found = packed.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error):
        return None
    return found if len(found) <= _LARGEST else None


def _same(old: Obj | None, new: Obj | None) -> bool:
    if old is None or new is None:
        return old is new
    return old is new or all(old.get(field) == new.get(field) for field in ("data", "binaryData"))


def _content(volume: Obj, objects: tuple[Obj | None, ...]) -> dict[str, bytes]:
    out: dict[str, bytes] = {}
    for (_, _, source), obj in zip(sources_of(volume), objects, strict=True):
        data = data_of(obj) if obj is not None else {}
        items = source.get("items")
        if items:
            out.update({item["path"]: data[item["key"]] for item in items if item["key"] in data})
        else:
            out.update(data)
    return out


def data_of(obj: Obj) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret as bytes; what is no base64 (the API refuses it) is left out."""
    if obj.get("kind") == "Secret" or "type" in obj:
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    out = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
    out.update({key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()})
    return out
