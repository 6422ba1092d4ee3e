# SPDX-License-Identifier: Apache-2.0
"""Validation of pod specs: containers, ports, variables, probes, mounts. Source: pkg/apis/core/validation."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.validation import metadata, names, volumes
from kubetwin.apiserver.validation.errors import Errors
from kubetwin.apiserver.validation.resources import requirements

Object = dict[str, Any]

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_FIELD_PATHS = frozenset(
    (
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    )
)
_NO_LIMIT = 2**31 - 1


def spec(errors: Errors, value: Object, path: str, *, pod_name: str = "") -> None:
    """The spec of a pod or template."""
    known = volumes.volumes(errors, value.get("volumes"), f"{path}.volumes", pod_name)
    _containers(errors, value, known, path)
    _init_containers(errors, value, known, path)
    restart = value.get("restartPolicy") or ""
    errors.one_of(f"{path}.restartPolicy", restart, _RESTART_POLICIES)
    dns = value.get("dnsPolicy") or ""
    errors.one_of(f"{path}.dnsPolicy", dns, _DNS_POLICIES)
    metadata.labels(errors, value.get("nodeSelector"), f"{path}.nodeSelector")
    for index, secret in enumerate(value.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            errors.required(f"{path}.imagePullSecrets[{index}].name")
    account = value.get("serviceAccountName")
    if account:
        errors.invalid_all(f"{path}.serviceAccountName", account, names.dns_subdomain(account))
    node = value.get("nodeName")
    if node:
        errors.invalid_all(f"{path}.nodeName", node, names.dns_subdomain(node))
    deadline = value.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _NO_LIMIT:
        errors.invalid(f"{path}.activeDeadlineSeconds", deadline, f"must be between 1 and {_NO_LIMIT}, inclusive")
    for field in ("hostname", "subdomain"):
        if value.get(field):
            errors.invalid_all(f"{path}.{field}", value[field], names.dns_label(value[field]))
    _tolerations(errors, value.get("tolerations"), f"{path}.tolerations")
    priority = value.get("priorityClassName")
    if priority:
        errors.invalid_all(f"{path}.priorityClassName", priority, names.dns_subdomain(priority))


def _containers(errors: Errors, value: Object, known: set[str], path: str) -> None:
    containers = value.get("containers") or []
    if not containers:
        errors.required(f"{path}.containers")
        return
    seen: set[str] = set()
    for index, container in enumerate(containers):
        place = f"{path}.containers[{index}]"
        _container(errors, container, known, place)
        name = container.get("name", "")
        if name in seen:
            errors.duplicate(f"{place}.name", name)
        seen.add(name)
        _behaviour(errors, container, place)
    _host_ports(errors, containers, f"{path}.containers")


def _init_containers(errors: Errors, value: Object, known: set[str], path: str) -> None:
    seen = {container.get("name", "") for container in value.get("containers") or ()}
    for index, container in enumerate(value.get("initContainers") or ()):
        place = f"{path}.initContainers[{index}]"
        _container(errors, container, known, place)
        name = container.get("name", "")
        if name in seen:
            errors.duplicate(f"{place}.name", name)
        elif name:
            seen.add(name)
        if container.get("restartPolicy") == "Always":
            _behaviour(errors, container, place)
            continue
        for field in ("lifecycle", *_PROBES):
            if container.get(field) is not None:
                errors.forbidden(f"{place}.{field}", "may not be set for init containers without restartPolicy=Always")


def _container(errors: Errors, container: Object, known: set[str], path: str) -> None:
    name = container.get("name") or ""
    errors.well_named(f"{path}.name", name, names.dns_label)
    if not container.get("image"):
        errors.required(f"{path}.image")
    policy = container.get("terminationMessagePolicy") or ""
    errors.one_of(f"{path}.terminationMessagePolicy", policy, _MESSAGE_POLICIES)
    _ports(errors, container.get("ports"), f"{path}.ports")
    _environment(errors, container.get("env"), f"{path}.env")
    _environment_from(errors, container.get("envFrom"), f"{path}.envFrom")
    _mounts(errors, container, known, f"{path}.volumeMounts")
    pull = container.get("imagePullPolicy") or ""
    errors.one_of(f"{path}.imagePullPolicy", pull, _PULL_POLICIES)
    requirements(errors, container.get("resources"), f"{path}.resources")
    _security(errors, container.get("securityContext"), f"{path}.securityContext")


def _behaviour(errors: Errors, container: Object, path: str) -> None:
    for hook, handler in sorted((container.get("lifecycle") or {}).items()):
        if isinstance(handler, dict):
            _handler(errors, handler, f"{path}.lifecycle.{hook}")
    for name in _PROBES:
        probe = container.get(name)
        if probe is None:
            continue
        place = f"{path}.{name}"
        _handler(errors, probe, place)
        for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
            errors.non_negative(f"{place}.{field}", probe.get(field))
        grace = probe.get("terminationGracePeriodSeconds")
        if grace is not None and grace <= 0:
            errors.invalid(f"{place}.terminationGracePeriodSeconds", grace, "must be greater than 0")
        if name == "readinessProbe":
            if grace is not None:
                errors.invalid(f"{place}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
        elif probe.get("successThreshold", 0) != 1:
            errors.invalid(f"{place}.successThreshold", probe.get("successThreshold", 0), "must be 1")


def _handler(errors: Errors, handler: Object, path: str) -> None:
    found = [kind for kind in _HANDLERS if handler.get(kind) is not None]
    if not found:
        errors.required(path, "must specify a handler type")
    for kind in found[1:]:
        errors.forbidden(f"{path}.{kind}", "may not specify more than 1 handler type")
    for kind in found[:1]:
        action, place = handler[kind], f"{path}.{kind}"
        if kind == "exec" and not action.get("command"):
            errors.required(f"{place}.command")
        if kind == "httpGet":
            if not action.get("path"):
                errors.required(f"{place}.path")
            port_or_name(errors, action.get("port", 0), f"{place}.port")
            if action.get("scheme") not in ("HTTP", "HTTPS"):
                errors.not_supported(f"{place}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
            for header in action.get("httpHeaders") or ():
                reasons = names.http_header(header.get("name", ""))
                errors.invalid_all(f"{place}.httpHeaders", header.get("name", ""), reasons)
        elif kind == "tcpSocket":
            port_or_name(errors, action.get("port", 0), f"{place}.port")
        elif kind == "grpc":
            errors.invalid_all(f"{place}.port", action.get("port", 0), names.port_number(action.get("port", 0)))


def port_or_name(errors: Errors, value: Any, path: str) -> None:
    """A port by number or by name."""
    if isinstance(value, int):
        errors.invalid_all(path, value, names.port_number(value))
    else:
        errors.invalid_all(path, value, names.port_name(value))


def _ports(errors: Errors, ports: list[Object] | None, path: str) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports or ()):
        place = f"{path}[{index}]"
        name = port.get("name")
        if name:
            reasons = names.port_name(name)
            errors.invalid_all(f"{place}.name", name, reasons)
            if not reasons and name in seen:
                errors.duplicate(f"{place}.name", name)
            elif not reasons:
                seen.add(name)
        number = port.get("containerPort", 0)
        errors.well_named(f"{place}.containerPort", number, names.port_number)
        host = port.get("hostPort")
        if host:
            errors.invalid_all(f"{place}.hostPort", host, names.port_number(host))
        protocol = port.get("protocol") or ""
        errors.one_of(f"{place}.protocol", protocol, _PROTOCOLS)


def _host_ports(errors: Errors, containers: list[Object], path: str) -> None:
    seen: set[tuple[str, str, int]] = set()
    for index, container in enumerate(containers):
        for number, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort")
            if not host:
                continue
            key = (port.get("protocol", ""), port.get("hostIP", ""), host)
            if key in seen:
                text = f"{key[0]}/{key[1]}/{key[2]}"
                errors.duplicate(f"{path}[{index}].ports[{number}].hostPort", text)
            seen.add(key)


def _environment(errors: Errors, variables: list[Object] | None, path: str) -> None:
    for index, variable in enumerate(variables or ()):
        place = f"{path}[{index}]"
        name = variable.get("name") or ""
        errors.well_named(f"{place}.name", name, names.environment_name)
        source = variable.get("valueFrom")
        if source is not None:
            _value_from(errors, source, variable, f"{place}.valueFrom")


def _value_from(errors: Errors, source: Object, variable: Object, path: str) -> None:
    found = [kind for kind in _SOURCES if source.get(kind) is not None]
    for kind in found:
        reference, place = source[kind], f"{path}.{kind}"
        if kind == "fieldRef":
            field_reference(errors, reference, place, _FIELD_PATHS)
        elif kind == "resourceFieldRef":
            if not reference.get("resource"):
                errors.required(f"{place}.resource")
        elif kind in ("configMapKeyRef", "secretKeyRef"):
            if not reference.get("name"):
                errors.required(f"{place}.name")
            key = reference.get("key")
            errors.well_named(f"{place}.key", key, names.config_key)
    if not found:
        text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        errors.invalid(path, "", text)
    elif variable.get("value"):
        errors.invalid(path, "", "may not be specified when `value` is not empty")
    elif len(found) > 1:
        errors.invalid(path, "", "may not have more than one field specified at a time")


def field_reference(errors: Errors, reference: Object, path: str, allowed: frozenset[str]) -> None:
    """A reference to a field of the pod itself."""
    if not reference.get("apiVersion"):
        errors.required(f"{path}.apiVersion")
        return
    field = reference.get("fieldPath") or ""
    if not field:
        errors.required(f"{path}.fieldPath")
        return
    plain, bracket, key = field.partition("['")
    if bracket and key.endswith("']"):
        if plain not in ("metadata.labels", "metadata.annotations"):
            errors.invalid(
                f"{path}.fieldPath",
                field,
                f"error converting fieldPath: field label does not support subscript: {plain}",
            )
        return
    convertible = allowed | _FIELD_PATHS | {"metadata.labels", "metadata.annotations", "status.phase"}
    if field not in convertible:
        errors.invalid(f"{path}.fieldPath", field, f"error converting fieldPath: field label not supported: {field}")
    elif field not in allowed:
        errors.not_supported(f"{path}.fieldPath", field, sorted(allowed))


def _environment_from(errors: Errors, sources: list[Object] | None, path: str) -> None:
    for index, source in enumerate(sources or ()):
        place = f"{path}[{index}]"
        if source.get("prefix"):
            errors.invalid_all(f"{place}.prefix", source["prefix"], names.environment_name(source["prefix"]))
        found = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
        for kind in found:
            if not source[kind].get("name"):
                errors.required(f"{place}.{kind}.name")
        if not found:
            errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(found) > 1:
            errors.invalid(path, "", "may not have more than one field specified at a time")


def _mounts(errors: Errors, container: Object, known: set[str], path: str) -> None:
    points: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        place = f"{path}[{index}]"
        name, point = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            errors.required(f"{place}.name")
        if name not in known:
            errors.not_found(f"{place}.name", name)
        if not point:
            errors.required(f"{place}.mountPath")
        if point in points:
            errors.invalid(f"{place}.mountPath", point, "must be unique")
        points.add(point)
        for field in ("subPath", "subPathExpr"):
            inner = mount.get(field)
            if inner and inner.startswith("/"):
                errors.invalid(f"{path}.{field}", inner, "must be a relative path")
            if inner and ".." in inner.split("/"):
                errors.invalid(f"{path}.{field}", inner, "must not contain '..'")
        if mount.get("subPath") and mount.get("subPathExpr"):
            text = "subPathExpr and subPath are mutually exclusive"
            errors.invalid(f"{place}.subPathExpr", mount["subPathExpr"], text)


def _security(errors: Errors, context: Object | None, path: str) -> None:
    if not context:
        return
    for field in ("runAsUser", "runAsGroup"):
        value = context.get(field)
        if value is not None and not 0 <= value <= _NO_LIMIT:
            errors.invalid(f"{path}.{field}", value, f"must be between 0 and {_NO_LIMIT}, inclusive")
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            errors.invalid(path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.invalid(path, context, text)


def _tolerations(errors: Errors, values: list[Object] | None, path: str) -> None:
    for index, toleration in enumerate(values or ()):
        place = f"{path}[{index}]"
        key, operator, effect = (toleration.get(field) or "" for field in ("key", "operator", "effect"))
        if key:
            errors.invalid_all(f"{place}.key", key, names.qualified_name(key))
        if not key and operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            errors.invalid(f"{place}.operator", operator, text)
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.invalid(f"{place}.effect", effect, text)
        if operator in ("", "Equal"):
            errors.invalid_all(
                f"{place}.operator", toleration.get("value", ""), names.label_value(toleration.get("value", ""))
            )
        elif operator == "Exists":
            if toleration.get("value"):
                errors.invalid(f"{place}.operator", toleration, "value must be empty when `operator` is 'Exists'")
        else:
            errors.not_supported(f"{place}.operator", operator, ("Equal", "Exists"))
        if effect and effect not in _EFFECTS:
            errors.not_supported(f"{place}.effect", effect, _EFFECTS)


def template(errors: Errors, value: Object | None, path: str) -> None:
    """A pod template of a workload."""
    value = value or {}
    meta = value.get("metadata") or {}
    metadata.labels(errors, meta.get("labels"), f"{path}.metadata.labels")
    metadata.annotation_map(errors, meta.get("annotations"), f"{path}.metadata.annotations")
    spec(errors, value.get("spec") or {}, f"{path}.spec")
    if (value.get("spec") or {}).get("ephemeralContainers"):
        errors.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def pod(errors: Errors, obj: Object) -> None:
    """A new pod's spec."""
    value = obj.get("spec") or {}
    spec(errors, value, "spec", pod_name=(obj.get("metadata") or {}).get("name", ""))
    for field in ("containers", "initContainers"):
        for index, container in enumerate(value.get(field) or ()):
            image = container.get("image") or ""
            if image and image.strip() != image:
                text = "must not have leading or trailing whitespace"
                errors.invalid(f"spec.{field}[{index}].image", image, text)
