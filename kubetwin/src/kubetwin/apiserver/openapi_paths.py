# SPDX-License-Identifier: Apache-2.0
"""Paths of OpenAPI documents: what can be done with each resource and with which parameters.

Clients read from them whether the server knows ``fieldValidation`` and ``dryRun``, and which patches a kind takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from kubetwin.apiserver.builtin import RETURNS_DELETED
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


class _Operation(NamedTuple):
    """What one verb does: ``answer`` and ``body`` say which definitions, ``word`` and ``infix`` are of its identifier."""

    verb: str
    method: str
    action: str
    word: str
    text: str
    answer: str
    codes: tuple[int, ...]
    query: tuple[str, ...] = ()
    body: str = ""
    infix: str = ""


class _About(NamedTuple):
    """What operations are on."""

    suffix: str
    """Of their identifiers."""
    texts: dict[str, str]
    gvk: Item
    definitions: dict[str, str]
    patches: tuple[str, ...]


_LISTING = _Operation("list", "get", "list", "list", "{listed} objects of kind {kind}", "list", (200,), _LIST)
_MAKING = _Operation("create", "post", "post", "create", "create{made}", "own", (200, 201, 202), _WRITE, "own")
_READING = _Operation("get", "get", "get", "read", "read {what}", "own", (200,))
_REPLACING = _Operation("update", "put", "put", "replace", "replace {what}", "own", (200, 201), _WRITE, "own")
_PATCHING = _Operation(
    "patch", "patch", "patch", "patch", "partially update {what}", "own", (200, 201), (*_WRITE, "force"), "patch"
)
_DELETING = _Operation(
    "delete", "delete", "delete", "delete", "delete{made}", "deleted", (200, 202), _DELETE, "options"
)
_DELETING_ALL = _Operation(
    verb="deletecollection",
    method="delete",
    action="deletecollection",
    word="delete",
    text="delete collection of {kind}",
    answer="status",
    codes=(200,),
    query=_DELETE_MANY,
    body="options",
    infix="Collection",
)
_COLLECTION = (_LISTING, _MAKING, _DELETING_ALL)
_OBJECT = (_READING, _REPLACING, _PATCHING, _DELETING)
_SUBRESOURCE = (_READING, _REPLACING, _PATCHING, _MAKING)


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
    own = group.endswith(".k8s.io") or "." not in group
    parts = group.removesuffix(".k8s.io").split(".") if own else list(reversed(group.split(".")))
    name = "".join(part[:1].upper() + part[1:] for part in parts) or "core"
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
        if not own:
            return
        self.names.add(own)
        kind, scope = resource.kind, "Namespaced" if resource.namespaced else ""
        listed = self.name_of(resource.api_version, resource.list_kind)
        gvk = {"group": self.group, "version": self.version, "kind": kind}
        verbs = set(resource.verbs)
        listed_as = "list or watch" if "watch" in verbs else "list"
        texts = {"kind": kind, "what": f"the specified {kind}", "made": f" {_article(kind)}{kind}", "listed": listed_as}
        # Namespaces are answered with the object, too, but not by their documentation.
        deleted = own if resource.storage_key in RETURNS_DELETED - {("", "namespaces")} else STATUS
        definitions = {"own": own, "list": listed, "deleted": deleted}
        about = _About(f"{scope}{kind}", texts, gvk, definitions, _patches(resource))
        where = [_path("namespace", "the namespace of the object")] if resource.namespaced else []
        path = f"{self.root}/{resource.resource}"
        if resource.namespaced:
            if "list" in verbs:
                everywhere = about._replace(suffix=f"{kind}ForAllNamespaces")
                operation = self._operation(_LISTING._replace(query=()), everywhere)
                parameters = [_query(name) for name in sorted((*_LIST, "pretty"))]
                self.items[path] = {"get": operation, "parameters": parameters}
            path = f"{self.root}/namespaces/{{namespace}}/{resource.resource}"
        self._put(path, verbs, _COLLECTION, about, where)
        path = f"{path}/{{name}}"
        self._put(path, verbs, _OBJECT, about, [_path("name", f"name of the {kind}"), *where])
        for subresource in resource.subresources.values():
            self._subresource(f"{path}/{subresource.name}", subresource, about, where)

    def _subresource(self, path: str, subresource: Subresource, parent: _About, where: list[Item]) -> None:
        api_version = f"{subresource.group}/{subresource.version}" if subresource.group else subresource.version
        own = self.name_of(api_version, subresource.kind)
        if not own:
            return
        self.names.add(own)
        name, texts = subresource.name, parent.texts
        about = parent._replace(
            suffix=f"{parent.suffix}{name[:1].upper()}{name[1:]}",
            texts={**texts, "what": f"{name} of {texts['what']}", "made": f" {name} of{texts['made']}"},
            gvk={"group": subresource.group, "version": subresource.version, "kind": subresource.kind},
            definitions={"own": own},
        )
        parameters = [_path("name", f"name of the {subresource.kind}"), *where]
        self._put(path, set(subresource.verbs), _SUBRESOURCE, about, parameters)

    def _put(
        self, path: str, verbs: set[str], operations: tuple[_Operation, ...], about: _About, parameters: list[Item]
    ) -> None:
        """The path with those operations for which there is a verb."""
        item = {each.method: self._operation(each, about) for each in operations if each.verb in verbs}
        if item:
            self.items[path] = {**item, "parameters": [*parameters, _query("pretty")]}

    def _operation(self, operation: _Operation, about: _About) -> Item:
        definitions = {**about.definitions, "status": STATUS, "options": DELETE_OPTIONS, "patch": PATCH}
        self.names |= {definitions[operation.answer], definitions[operation.body or "own"]}
        found: Item = {
            "tags": [self.tag],
            "description": operation.text.format(**about.texts),
            "operationId": f"{operation.word}{self.camel}{operation.infix}{about.suffix}",
        }
        if operation.query:
            found["parameters"] = [_query(name) for name in operation.query]
        if operation.body:
            media = about.patches if operation.body == "patch" else ("*/*",)
            required = {} if operation.body == "options" else {"required": True}
            found["requestBody"] = {"content": _content(definitions[operation.body], media), **required}
        found["responses"] = _responses(definitions[operation.answer], *operation.codes)
        found["x-kubernetes-action"] = operation.action
        found["x-kubernetes-group-version-kind"] = about.gvk
        return found


def _patches(resource: ResourceType) -> tuple[str, ...]:
    return _PATCHES if resource.crd_version is None else _PATCHES[:-1]


def _article(kind: str) -> str:
    """With the space after it; plurals have none."""
    if kind.endswith("s") and not kind.endswith("ss"):
        return ""
    return "an " if kind[:1] in "AEIOU" else "a "


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
