# SPDX-License-Identifier: Apache-2.0
"""The environment and arguments that a container is started with; they never change while it runs."""

from __future__ import annotations

import re

from kubetwin.client import Obj
from kubetwin.kubelet.references import Lookup
from kubetwin.kubelet.volumes import data_of
from kubetwin.meta import annotations_of, labels_of, name_of, namespace_of, uid_of

_VARIABLE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")


def environment(pod: Obj, container: Obj, lookup: Lookup, pod_ip: str) -> dict[str, str]:
    """All variables, later ones over earlier ones, ``$(NAME)`` replaced."""
    namespace = namespace_of(pod)
    out: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            found = lookup(kind, namespace, source[field]["name"]) if source.get(field) else None
            if found is not None:
                prefix = source.get("prefix") or ""
                out.update({prefix + key: value.decode(errors="replace") for key, value in data_of(found).items()})
    for variable in container.get("env") or ():
        value_from = variable.get("valueFrom")
        if not value_from:
            out[variable["name"]] = expand(variable.get("value") or "", out)
            continue
        value = _value(value_from, pod, namespace, lookup, pod_ip)
        if value is not None:
            out[variable["name"]] = value
    return out


def _value(value_from: Obj, pod: Obj, namespace: str, lookup: Lookup, pod_ip: str) -> str | None:
    for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        ref = value_from.get(field)
        if ref:
            found = lookup(kind, namespace, ref["name"])
            data = data_of(found).get(ref["key"]) if found is not None else None
            return data.decode(errors="replace") if data is not None else None
    path = (value_from.get("fieldRef") or {}).get("fieldPath", "")
    plain = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace,
        "metadata.uid": uid_of(pod),
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
    }
    if path in plain:
        return str(plain[path])
    for prefix, values in (("metadata.labels['", labels_of(pod)), ("metadata.annotations['", annotations_of(pod))):
        if path.startswith(prefix):
            return values.get(path[len(prefix) :].removesuffix("']"), "")
    return ""


def expand(text: str, variables: dict[str, str]) -> str:
    """``$(NAME)`` replaced where NAME is known, ``$$`` is a dollar (third_party/forked/golang/expansion)."""
    return _VARIABLE.sub(lambda m: "$" if m.group() == "$$" else variables.get(m.group(1), m.group()), text)


def arguments(container: Obj, variables: dict[str, str]) -> list[str]:
    """Command and arguments."""
    return [expand(word, variables) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
