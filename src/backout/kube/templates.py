# SPDX-License-Identifier: Apache-2.0
"""Pod templates: without what controllers add, what they name, and which one the server made a live one from. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from backout.kube.diff import index, same
from backout.kube.intent import canonical_template
from backout.kube.names import POD_NAME, REVISION_HASH, ROLLOUT_HASH, TEMPLATE_HASH

_HASHES = (TEMPLATE_HASH, REVISION_HASH, ROLLOUT_HASH, POD_NAME)


def digest_of(value: Any) -> str:
    """A short name of any JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def plain_template(template: dict[str, Any]) -> dict[str, Any]:
    """A pod template without the labels that controllers add and without the null creation time."""
    meta = dict(template.get("metadata") or {})
    meta.pop("creationTimestamp", None)
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key not in _HASHES}
    if "labels" in meta:
        meta["labels"] = labels
    return {**{key: value for key, value in template.items() if not key.startswith("$")}, "metadata": meta}


def images(template: dict[str, Any]) -> Iterator[str]:
    """The images of a template, init containers first."""
    spec = template.get("spec") or {}
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or []:
            if isinstance(container, dict) and container.get("image"):
                yield str(container["image"])


def references(node: Any) -> Iterator[str]:
    """Names of the ConfigMaps and Secrets that a pod template reads."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in {"configMapRef", "secretRef", "configMapKeyRef", "secretKeyRef", "configMap", "secret"}:
                name = value.get("name") or value.get("secretName") if isinstance(value, dict) else None
                if name:
                    yield str(name)
            yield from references(value)


def fits(live: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """True when everything that the pod template ``wanted`` says stands in ``live``, defaults and zero values aside.

    Admission may put more into ``live`` (sidecars, mounts); it is not an exact comparison, which `kube.intent` is.
    """
    return covers(canonical_template(plain_template(live)), canonical_template(plain_template(wanted)))


def covers(live: Any, wanted: Any, field: str = "", parent: str = "") -> bool:
    """True when everything that ``wanted`` says stands in ``live`` too: the server fills in defaults, never less."""
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return not wanted and live is None
        return all(covers(live.get(key), value, str(key), field) for key, value in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(live, list):
            return not wanted and live is None
        left, right = index(field, live), index(field, wanted)
        if field == "ports" and wanted and "protocol" not in str(wanted):
            # protocol is defaulted to TCP by the server, so it is no part of the key here
            return len(live) == len(wanted) and all(map(covers, live, wanted))
        if len(live) != len(wanted):
            return False
        return all(key in left and covers(left[key], value, "", field) for key, value in right.items())
    if wanted is None:
        return True
    return same(live, wanted, parent) or ((parent == "env" or field == "value") and str(live) == str(wanted))


class Templates:
    """Templates by digest, against which many live ones are held."""

    def __init__(self, templates: Mapping[str, dict[str, Any]]) -> None:
        self._known = {digest: canonical_template(plain_template(template)) for digest, template in templates.items()}

    def best_match(self, template: dict[str, Any]) -> str | None:
        """Which of them the server made ``template`` from; None when none or more than one can be meant.

        One that says less fits wherever one fits that says more, so the one that says most is meant.
        """
        live = canonical_template(plain_template(template))
        fitting = {digest: known for digest, known in self._known.items() if covers(live, known)}
        winners = [
            digest
            for digest, known in fitting.items()
            if not any(
                other != digest and covers(richer, known) and not covers(known, richer)
                for other, richer in fitting.items()
            )
        ]
        return winners[0] if len(winners) == 1 else None


def repository_of(image: str) -> str:
    """Where an image lies in its registry, without its tag and its digest: who may pull one of it may pull all.

    ``HOST:PORT/PATH:TAG@DIGEST``: a colon before the last slash is of the port (distribution/reference).
    """
    name = image.partition("@")[0]
    path, slash, last = name.rpartition("/")
    return f"{path}{slash}{last.partition(':')[0]}"
