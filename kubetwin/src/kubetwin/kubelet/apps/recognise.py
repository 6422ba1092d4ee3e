# SPDX-License-Identifier: Apache-2.0
"""Which program a container is, from its arguments, environment and files; names of a stack play no part.

================  ====================================================================================================
receiver          ``--receive.hashrings-file``; or a mounted file ``*hashring*.json``; or the pod's annotation
                  ``twin.backout.dev/hashring-file`` naming the file
object storage    ``--objstore.config-file``, ``--objstore.config``; or an environment variable or mounted file that is
                  an object storage configuration (``type`` and ``config`` of thanos-io/objstore)
Prometheus        ``--config.file`` and an image, command or container called prometheus
configuration     any other flag ``--…file=PATH`` whose PATH ends in .yaml, .yml or .json, below a mounted ConfigMap or
                  Secret
================  ====================================================================================================
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from kubetwin.client import Obj
from kubetwin.kubelet.apps.base import App, Around, Part
from kubetwin.kubelet.apps.bucket import Bucket, parse_bucket
from kubetwin.kubelet.apps.configfile import ConfigFile
from kubetwin.kubelet.apps.hashring import Hashring
from kubetwin.kubelet.apps.prometheus import Prometheus
from kubetwin.meta import annotations_of

HASHRING_ANNOTATION = "twin.backout.dev/hashring-file"
_FILE_FLAG = re.compile(r"^--[a-z0-9.-]*file=(/.+\.(?:ya?ml|json))$")
_LARGEST = 64 * 1024
"""Bytes. Nobody's object storage configuration is larger; dashboards are."""


def may_be_recognised(container: Obj) -> bool:
    """A quick look: False for containers that surely are plain programs."""
    if container.get("args") or container.get("env") or container.get("envFrom"):
        return True
    words = container.get("command") or ()
    if any(word.startswith("--") for word in words):
        return True
    return any(m["mountPath"] != _SERVICE_ACCOUNT for m in container.get("volumeMounts") or ())


_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def app_for(pod: Obj, container: Obj, around: Around) -> App | None:
    """The program's parts; None when it is a plain one."""
    parts = tuple(_parts(pod, container, around))
    return App(parts) if parts else None


def _parts(pod: Obj, container: Obj, around: Around) -> Iterator[Part]:
    taken: set[str] = set()
    hashring = _hashring_file(pod, around)
    if hashring:
        taken.add(hashring)
        yield Hashring(around, hashring)
    config = around.flag("config.file")
    if config and _is_prometheus(container, around):
        taken.add(config)
        yield Prometheus(around, config, reloads=_reloads(pod, around))
    given = around.flag("objstore.config-file")
    for path in _given_files(around):
        if path not in taken and path != given and _mounted(path, around):
            taken.add(path)
            yield ConfigFile(around, path)
    yield from _buckets(around, given)


def _hashring_file(pod: Obj, around: Around) -> str:
    named = around.flag("receive.hashrings-file") or annotations_of(pod).get(HASHRING_ANNOTATION)
    if named:
        return named if _mounted(named, around) else ""
    for path in around.files():
        name = posixpath.basename(path).lower()
        if "hashring" in name and name.endswith(".json"):
            return path
    return ""


def _given_files(around: Around) -> Iterator[str]:
    for word in around.arguments:
        found = _FILE_FLAG.match(word)
        if found:
            yield found.group(1)


def _mounted(path: str, around: Around) -> bool:
    return any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in around.places)


def _is_prometheus(container: Obj, around: Around) -> bool:
    words = (container["name"], container.get("image", "").rpartition("/")[2], *around.arguments[:1])
    return any("prometheus" in word for word in words)


def _reloads(pod: Obj, around: Around) -> bool:
    if around.flag("config.auto-reload") not in (None, "false"):
        return True
    if "auto-reload-config" in (around.flag("enable-feature") or "").split(","):
        return True
    beside = [c for c in pod["spec"].get("containers") or () if c["name"] != around.container]
    return any("reload" in c["name"] or "reload" in c.get("image", "") for c in beside)


def _buckets(around: Around, given: str | None) -> Iterator[Part]:
    """At most one: a component has one bucket."""
    files = around.files()
    inline = around.flag("objstore.config")
    candidates = [files.get(given)] if given else [inline.encode()] if inline else []
    if not candidates:
        candidates = [value.encode() for value in around.environment.values()]
        candidates += list(files.values())
    for content in candidates:
        document = parse_bucket(content) if content is not None and len(content) <= _LARGEST else None
        if document is not None:
            yield Bucket(around, document)
            return
