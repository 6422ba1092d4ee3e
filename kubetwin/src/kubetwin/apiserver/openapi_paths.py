# SPDX-License-Identifier: Apache-2.0
"""Paths of OpenAPI documents: what can be done with each resource and with which parameters.

Clients read from them whether the server knows ``fieldValidation`` and ``dryRun``, and which patches a kind takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubetwin.apiserver.resources import ResourceType, Subresource
from kubetwin.apiserver.schema import definition_name

Item = dict[str, Any]
Namer = Callable[[str, str], str]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
PATCH, DELETE_OPTIONS, STATUS = f"{_META}Patch", f"{_META}DeleteOptions", f"{_META}Status"
_REFERENCE = "#/components/schemas/"
_MEDIA = ("application/json", "application/yaml")
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)

_QUERY = {
    "allowWatchBookmarks": ("boolean", "Ask for events of type BOOKMARK, which only tell the current resourceVersion."),
    "continue": ("string", "The token of the last page of a list: go on from there."),
    "dryRun": ("string", "With the value All nothing is stored."),
    "fieldManager": ("string", "The name of the actor that makes the change; at most 128 characters."),
    "fieldSelector": ("string", "Restrict the list by fields of the objects."),
    "fieldValidation": ("string", "What to do about unknown and duplicate fields: Ignore, Warn or Strict."),
    "force": ("boolean", "Take over fields that others own; only for apply patches."),
    "gracePeriodSeconds": ("integer", "Seconds until the object goes; 0 means at once."),
    "labelSelector": ("string", "Restrict the list by labels of the objects."),
    "limit": ("integer", "At most so many objects in one answer."),
    "orphanDependents": ("boolean", "Deprecated: use propagationPolicy."),
    "pretty": ("string", "With the value true the answer is indented."),
    "propagationPolicy": ("string", "What happens to dependents: Orphan, Background or Foreground."),
    "resourceVersion": ("string", "How old the answer may be, together with resourceVersionMatch."),
    "resourceVersionMatch": ("string", "How resourceVersion is applied to a list: Exact or NotOlderThan."),
    "sendInitialEvents": ("boolean", "Begin a watch with the objects that exist."),
    "timeoutSeconds": ("integer", "End a list or watch after so many seconds."),
    "watch": ("boolean", "Stream the changes instead of a list."),
}
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_DELETE = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_SELECT = (
    "continue fieldSelector labelSelector limit resourceVersion resourceVersionMatch sendInitialEvents timeoutSeconds"
)
_LIST = ("allowWatchBookmarks", *_SELECT.split(), "watch")
_DELETE_MANY = tuple(sorted({*_DELETE, *_SELECT.split()}))


def _query(name: str) -> Item:
    kind, text = _QUERY[name]
    return {"name": name, "in": "query", "description": text, "schema": {"type": kind, "uniqueItems": True}}


def _path(name: str, text: str) -> Item:
    schema = {"type": "string", "uniqueItems": True}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _content(definition: str, media: tuple[str, ...] = _MEDIA) -> Item:
    return {kind: {"schema": {"$ref": f"{_REFERENCE}{definition}"}} for kind in media}


def _responses(definition: str, *codes: int) -> Item:
    texts = {200: "OK", 201: "Created", 202: "Accepted"}
    answers: Item = {str(code): {"description": texts[code], "content": _content(definition)} for code in codes}
    answers["401"] = {"description": "Unauthorized"}
    return answers


def camel(group: str, version: str) -> str:
    """``apps``, ``v1`` as operations name them: ``AppsV1``."""
    first = group.removesuffix(".k8s.io").split(".")[0] if group.endswith(".k8s.io") or "." not in group else ""
    name = first or "".join(part.capitalize() for part in reversed(group.split(".")) if part) or "core"
    return "".join(part[:1].upper() + part[1:] for part in name.split("-")) + version[:1].upper() + version[1:]


class Paths:
    """The paths of one API version."""

    def __init__(self, group: str, version: str, name_of: Namer) -> None:
        self.group = group
        self.version = version
        self.name_of = name_of
        self.root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        self.camel = camel(group, version)
        self.tag = f"{self.camel[: -len(version)][:1].lower()}{self.camel[1 : -len(version)]}_{version}"
        self.items: dict[str, Item] = {}
        self.names: set[str] = {STATUS, f"{_META}APIResourceList"}
        self.items[f"{self.root}/"] = {
            "get": {
                "tags": [self.tag],
                "description": "get available resources",
                "operationId": f"get{self.camel}APIResources",
                "responses": _responses(f"{_META}APIResourceList", 200),
            }
        }

    def add(self, resource: ResourceType) -> None:
        """The paths of a resource and its subresources."""
        own = self.name_of(resource.api_version, resource.kind)
        listed = self.name_of(resource.api_version, resource.list_kind)
        scope = "Namespaced" if resource.namespaced else ""
        prefix = f"{self.root}/namespaces/{{namespace}}" if resource.namespaced else self.root
        where = [_path("namespace", "the namespace of the object")] if resource.namespaced else []
        verbs = set(resource.verbs)
        self.names |= {own} if own else set()
        if not own:
            return
        gvk = {"group": self.group, "version": self.version, "kind": resource.kind}
        if "list" in verbs:
            self.names.add(listed)
        if resource.namespaced and "list" in verbs:
            operation = self._operation(
                "list",
                f"list{self.camel}{resource.kind}ForAllNamespaces",
                f"list or watch objects of kind {resource.kind}",
                gvk,
                _responses(listed, 200),
            )
            parameters = [_query(name) for name in sorted((*_LIST, "pretty"))]
            self.items[f"{self.root}/{resource.resource}"] = {"get": operation, "parameters": parameters}
        self._collection(resource, verbs, prefix, where, scope, own, listed, gvk)
        self._object(resource, verbs, prefix, where, scope, own, gvk)
        for subresource in resource.subresources.values():
            self._subresource(resource, subresource, prefix, where, scope)

    def _operation(
        self,
        action: str,
        identifier: str,
        text: str,
        gvk: Item,
        responses: Item,
        query: tuple[str, ...] = (),
        body: Item | None = None,
        *,
        required: bool = True,
    ) -> Item:
        operation: Item = {"tags": [self.tag], "description": text, "operationId": identifier}
        if query:
            operation["parameters"] = [_query(name) for name in query]
        if body is not None:
            operation["requestBody"] = {"content": body, **({"required": True} if required else {})}
        operation["responses"] = responses
        operation["x-kubernetes-action"] = action
        operation["x-kubernetes-group-version-kind"] = gvk
        return operation

    def _collection(
        self,
        resource: ResourceType,
        verbs: set[str],
        prefix: str,
        where: list[Item],
        scope: str,
        own: str,
        listed: str,
        gvk: Item,
    ) -> None:
        kind, item = resource.kind, {}
        if "list" in verbs:
            item["get"] = self._operation(
                "list",
                f"list{self.camel}{scope}{kind}",
                f"list or watch objects of kind {kind}",
                gvk,
                _responses(listed, 200),
                _LIST,
            )
        if "create" in verbs:
            item["post"] = self._operation(
                "post",
                f"create{self.camel}{scope}{kind}",
                f"create {_article(kind)} {kind}",
                gvk,
                _responses(own, 200, 201, 202),
                _WRITE,
                _content(own, ("*/*",)),
            )
        if "deletecollection" in verbs:
            self.names.add(DELETE_OPTIONS)
            item["delete"] = self._operation(
                "deletecollection",
                f"delete{self.camel}Collection{scope}{kind}",
                f"delete collection of {kind}",
                gvk,
                _responses(STATUS, 200),
                _DELETE_MANY,
                _content(DELETE_OPTIONS, ("*/*",)),
                required=False,
            )
        if item:
            self.items[f"{prefix}/{resource.resource}"] = {**item, "parameters": [*where, _query("pretty")]}

    def _object(
        self, resource: ResourceType, verbs: set[str], prefix: str, where: list[Item], scope: str, own: str, gvk: Item
    ) -> None:
        kind = resource.kind
        item = self._reads_and_writes(resource, verbs, f"{self.camel}{scope}{kind}", "the specified " + kind, own, gvk)
        if "delete" in verbs:
            self.names.add(DELETE_OPTIONS)
            item["delete"] = self._operation(
                "delete",
                f"delete{self.camel}{scope}{kind}",
                f"delete {_article(kind)} {kind}",
                gvk,
                _responses(STATUS, 200, 202),
                _DELETE,
                _content(DELETE_OPTIONS, ("*/*",)),
                required=False,
            )
        if item:
            name = _path("name", f"name of the {kind}")
            parameters = [name, *where, _query("pretty")]
            self.items[f"{prefix}/{resource.resource}/{{name}}"] = {**item, "parameters": parameters}

    def _reads_and_writes(
        self, resource: ResourceType, verbs: set[str], suffix: str, what: str, own: str, gvk: Item
    ) -> Item:
        item: Item = {}
        if "get" in verbs:
            item["get"] = self._operation("get", f"read{suffix}", f"read {what}", gvk, _responses(own, 200))
        if "update" in verbs:
            item["put"] = self._operation(
                "put",
                f"replace{suffix}",
                f"replace {what}",
                gvk,
                _responses(own, 200, 201),
                _WRITE,
                _content(own, ("*/*",)),
            )
        if "patch" in verbs:
            self.names.add(PATCH)
            accepted = _PATCHES if resource.crd_version is None else _PATCHES[:-1]
            item["patch"] = self._operation(
                "patch",
                f"patch{suffix}",
                f"partially update {what}",
                gvk,
                _responses(own, 200, 201),
                (*_WRITE, "force"),
                _content(PATCH, accepted),
            )
        return item

    def _subresource(
        self, resource: ResourceType, subresource: Subresource, prefix: str, where: list[Item], scope: str
    ) -> None:
        api_version = f"{subresource.group}/{subresource.version}" if subresource.group else subresource.version
        own = self.name_of(api_version, subresource.kind)
        if not own:
            return
        self.names.add(own)
        gvk = {"group": subresource.group, "version": subresource.version, "kind": subresource.kind}
        title = subresource.name[:1].upper() + subresource.name[1:]
        suffix = f"{self.camel}{scope}{resource.kind}{title}"
        verbs = set(subresource.verbs)
        what = f"{subresource.name} of the specified {resource.kind}"
        item = self._reads_and_writes(resource, verbs, suffix, what, own, gvk)
        if "create" in verbs:
            item["post"] = self._operation(
                "post",
                f"create{suffix}",
                f"create {subresource.name} of {_article(resource.kind)} {resource.kind}",
                gvk,
                _responses(own, 200, 201, 202),
                _WRITE,
                _content(own, ("*/*",)),
            )
        if item:
            name = _path("name", f"name of the {subresource.kind}")
            path = f"{prefix}/{resource.resource}/{{name}}/{subresource.name}"
            self.items[path] = {**item, "parameters": [name, *where, _query("pretty")]}


def _article(kind: str) -> str:
    return "an" if kind[:1] in "AEIOU" else "a"


def built_in_name(api_version: str, kind: str) -> str:
    """The definition of a built-in kind, or an empty text."""
    return definition_name(api_version, kind) or ""


def second(item: Item) -> Item:
    """A path item in the form of an OpenAPI v2 document."""
    out: Item = {}
    for method, operation in item.items():
        if method == "parameters":
            out[method] = [_parameter_second(parameter) for parameter in operation]
            continue
        converted = {k: v for k, v in operation.items() if k not in ("requestBody", "responses", "parameters")}
        parameters = [_parameter_second(parameter) for parameter in operation.get("parameters", ())]
        body = operation.get("requestBody")
        if body is not None:
            kinds = list(body["content"])
            schema = _schema_second(next(iter(body["content"].values()))["schema"])
            required = {"required": True} if body.get("required") else {}
            parameters.insert(0, {"name": "body", "in": "body", **required, "schema": schema})
            converted["consumes"] = kinds
        converted["produces"] = list(_MEDIA)
        converted["schemes"] = ["https"]
        if parameters:
            converted["parameters"] = parameters
        converted["responses"] = {
            code: {
                "description": answer["description"],
                **(
                    {"schema": _schema_second(next(iter(answer["content"].values()))["schema"])}
                    if "content" in answer
                    else {}
                ),
            }
            for code, answer in operation["responses"].items()
        }
        out[method] = converted
    return out


def _schema_second(schema: Item) -> Item:
    return {"$ref": schema["$ref"].replace(_REFERENCE, "#/definitions/")}


def _parameter_second(parameter: Item) -> Item:
    return {**{k: v for k, v in parameter.items() if k != "schema"}, **parameter["schema"]}
