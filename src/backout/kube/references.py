# SPDX-License-Identifier: Apache-2.0
"""Every ConfigMap and Secret that a pod spec, an Ingress or a custom resource reads, and how. Pure.

Facts: kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1 (volumes, env, envFrom), ingress-v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import join
from typing import Any, Literal

import msgspec

How = Literal["volume", "subPath", "env", "projected", "pullSecret", "custom", "tls", "backend"]
"""``volume`` and ``projected``: files that follow the object. ``subPath`` and ``env``: fixed as a container starts."""
FIXED: tuple[How, ...] = ("subPath", "env")
"""What a container that runs keeps, whatever becomes of the object."""


class Reference(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """One way in which something names a ConfigMap, Secret or Service.

    ``path`` is where it is mounted (a folder; with ``subPath`` what is mounted there; for ``custom`` the field that
    names it), ``keys`` are the keys that are read (none: all), and ``files`` the whole path of each of ``keys``.
    ``optional`` readers start without it.
    """

    kind: str
    name: str
    container: str = ""
    how: How
    path: str = ""
    keys: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    optional: bool = False

    def file(self, key: str) -> str:
        """The path at which a container sees ``key``; empty when it does not."""
        if self.how not in ("volume", "subPath", "projected") or not self.path:
            return ""
        if self.keys:
            return dict(zip(self.keys, self.files, strict=False)).get(key, "")
        return join(self.path, key)


def references(spec: dict[str, Any]) -> tuple[Reference, ...]:
    """What a pod spec (``spec`` of a pod, ``spec.template.spec`` of a workload) reads, in a fixed order."""
    volumes = {str(v.get("name")): list(_sources(v)) for v in spec.get("volumes") or () if isinstance(v, dict)}
    found: set[Reference] = set()
    mounted: set[str] = set()
    for container in _containers(spec):
        name = str(container.get("name", ""))
        found.update(_env(container, name))
        for mount in container.get("volumeMounts") or ():
            mounted.add(str(mount.get("name")))
            for source in volumes.get(str(mount.get("name")), ()):
                found.update(_mounted(source, mount, name))
    for volume, sources in volumes.items():
        if volume not in mounted:
            found.update(sources)
    for entry in spec.get("imagePullSecrets") or ():
        if entry.get("name"):
            found.add(Reference(kind="Secret", name=str(entry["name"]), how="pullSecret", optional=True))
    return tuple(sorted(found))


def _containers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from (entry for entry in spec.get(field) or () if isinstance(entry, dict))


def _sources(volume: dict[str, Any]) -> Iterator[Reference]:
    """What a volume is made of; ``files`` are relative to the mount here."""
    if isinstance(entry := volume.get("configMap"), dict) and entry.get("name"):
        yield _source("ConfigMap", str(entry["name"]), entry, "volume")
    if isinstance(entry := volume.get("secret"), dict) and entry.get("secretName"):
        yield _source("Secret", str(entry["secretName"]), entry, "volume")
    for part in (volume.get("projected") or {}).get("sources") or ():
        for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
            if isinstance(entry := part.get(field), dict) and entry.get("name"):
                yield _source(kind, str(entry["name"]), entry, "projected")
    publish = (volume.get("csi") or {}).get("nodePublishSecretRef") or {}
    if publish.get("name"):
        yield Reference(kind="Secret", name=str(publish["name"]), how="volume")


def _source(kind: str, name: str, entry: dict[str, Any], how: How) -> Reference:
    items = [(str(item.get("key", "")), str(item.get("path", ""))) for item in entry.get("items") or ()]
    return Reference(
        kind=kind,
        name=name,
        how=how,
        keys=tuple(key for key, _ in items),
        files=tuple(path for _, path in items),
        optional=bool(entry.get("optional")),
    )


def _mounted(source: Reference, mount: dict[str, Any], container: str) -> Iterator[Reference]:
    path = str(mount.get("mountPath", ""))
    sub = str(mount.get("subPath") or mount.get("subPathExpr") or "").strip("/")
    if not sub:
        files = tuple(join(path, file) for file in source.files)
        yield msgspec.structs.replace(source, container=container, path=path, files=files)
        return
    if not source.keys:
        # A key is a file name: what stands before a slash can't be one of an object without items.
        yield msgspec.structs.replace(source, container=container, how="subPath", path=path, keys=(sub,), files=(path,))
        return
    pairs = [
        (key, path if file == sub else join(path, file.removeprefix(f"{sub}/")))
        for key, file in zip(source.keys, source.files, strict=True)
        if file == sub or file.startswith(f"{sub}/")
    ]
    if pairs:
        yield msgspec.structs.replace(
            source,
            container=container,
            how="subPath",
            path=path,
            keys=tuple(key for key, _ in pairs),
            files=tuple(file for _, file in pairs),
        )


def _env(container: dict[str, Any], name: str) -> Iterator[Reference]:
    for variable in container.get("env") or ():
        value = variable.get("valueFrom") or {}
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if isinstance(entry := value.get(field), dict) and entry.get("name"):
                yield Reference(
                    kind=kind,
                    name=str(entry["name"]),
                    container=name,
                    how="env",
                    keys=(str(entry.get("key", "")),),
                    optional=bool(entry.get("optional")),
                )
    for source in container.get("envFrom") or ():
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if isinstance(entry := source.get(field), dict) and entry.get("name"):
                yield Reference(
                    kind=kind, name=str(entry["name"]), container=name, how="env", optional=bool(entry.get("optional"))
                )


def words_of(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Container and text of each argument and variable in a pod spec: where other programs are named."""
    for container in _containers(spec):
        name = str(container.get("name", ""))
        for word in (*(container.get("command") or ()), *(container.get("args") or ())):
            yield name, str(word)
        for entry in container.get("env") or ():
            if entry.get("value"):
                yield name, str(entry["value"])


def mentions(text: str, service: str) -> bool:
    """Whether ``text`` holds that name as a whole, not within a longer one: it may mean the Service, or anything."""
    return re.search(rf"(?<![A-Za-z0-9-]){re.escape(service)}(?![A-Za-z0-9-])", text) is not None


def calls(text: str, service: str, namespace: str) -> bool:
    """Whether ``text`` holds the address of that Service: a scheme before its name, or a port, path or domain behind.

    A bare word may mean anything.
    """
    if service not in text:
        return False
    host = rf"(?<![\w.-]){re.escape(service)}(?=[:/\"'\s]|\.{re.escape(namespace)}\b|\.svc\b|$)"
    for match in re.finditer(host, text):
        before, after = text[: match.start()], text[match.end() : match.end() + 1]
        if before.endswith(("//", "@")) or after in (":", "/", "."):
            return True
    return False


def of_ingress(ingress: dict[str, Any]) -> tuple[Reference, ...]:
    """The TLS Secrets and the Services that an Ingress names."""
    spec = ingress.get("spec") or {}
    found = {
        Reference(kind="Secret", name=str(entry["secretName"]), how="tls", path=", ".join(entry.get("hosts") or ()))
        for entry in spec.get("tls") or ()
        if entry.get("secretName")
    }
    default = (spec.get("defaultBackend") or {}).get("service") or {}
    if default.get("name"):
        found.add(Reference(kind="Service", name=str(default["name"]), how="backend"))
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            service = (path.get("backend") or {}).get("service") or {}
            if service.get("name"):
                where = f"{rule.get('host') or '*'}{path.get('path') or '/'}"
                found.add(Reference(kind="Service", name=str(service["name"]), how="backend", path=where))
    return tuple(sorted(found))


def ports_of_ingress(ingress: dict[str, Any]) -> Iterator[tuple[str, int | str]]:
    """The Services that an Ingress names, with the port of each, by name or number."""
    spec = ingress.get("spec") or {}
    backends = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or ():
        backends += [path.get("backend") or {} for path in (rule.get("http") or {}).get("paths") or ()]
    for backend in backends:
        service = backend.get("service") or {}
        port = service.get("port") or {}
        wanted = port.get("name") or port.get("number")
        if service.get("name") and wanted:
            yield str(service["name"]), wanted


def of_custom(obj: dict[str, Any]) -> tuple[Reference, ...]:
    """The ConfigMaps and Secrets that the ``spec`` of a custom resource names, by the usual shapes of such fields.

    Known shapes: ``…Secret: {name}``, ``…ConfigMap: {name}``, ``secretName: x``, ``secrets: [x]``, ``configMaps: [x]``,
    and selectors ``{name, key}``, which mean a Secret unless the field says otherwise (prometheus-operator
    pkg/apis/monitoring/v1: SecretKeySelector). Pod specs inside are read as such.
    """
    return tuple(sorted(set(_walk(obj.get("spec"), "spec"))))


def _walk(node: Any, path: str) -> Iterator[Reference]:
    if isinstance(node, list):
        for item in node:
            if isinstance(item, str) and (kind := _list_kind(path)):
                yield Reference(kind=kind, name=item, how="custom", path=path)
            yield from _walk(item, path)
        return
    if not isinstance(node, dict):
        return
    field = path.rpartition(".")[2]
    name, key = node.get("name") or node.get("secretName"), node.get("key")
    if isinstance(name, str) and (kind := _kind(field) or ("Secret" if isinstance(key, str) else "")):
        yield Reference(kind=kind, name=name, how="custom", path=path, keys=(key,) if isinstance(key, str) else ())
    for inner, value in node.items():
        if isinstance(value, str) and value and inner.lower().endswith(("secretname", "secretref", "configmapname")):
            yield Reference(kind=_kind(inner), name=value, how="custom", path=f"{path}.{inner}")
        yield from _walk(value, f"{path}.{inner}")


def _list_kind(path: str) -> str:
    return {"secrets": "Secret", "configmaps": "ConfigMap"}.get(path.rpartition(".")[2].lower(), "")


def _kind(field: str) -> str:
    lowered = field.lower()
    if "configmap" in lowered:
        return "ConfigMap"
    return "Secret" if "secret" in lowered else ""
