# SPDX-License-Identifier: Apache-2.0
"""JSON patch, RFC 6902, with the ways of the API server's library (gopkg.in/evanphx/json-patch.v4): ``replace`` of a
missing key of an object adds it, and negative indexes count from the end."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.schema import clone
from kubetwin.apiserver.status import ApiError

#: pkg/endpoints/handlers: more operations are refused with 413.
MAX_OPERATIONS = 10000


class PatchFailed(Exception):
    """An operation that does not fit the document; the text is the library's own."""


def apply(doc: dict[str, Any], operations: Any) -> dict[str, Any]:
    """The patched document (``doc`` is left alone).

    Raises ApiError: 400 for what is no JSON patch, 413 for too many operations, 422 when one does not apply.
    """
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        text = f"error decoding patch: json: cannot unmarshal {_go(operations)} into Go value of type "
        raise ApiError(400, "BadRequest", f"{text}[]handlers.jsonPatchOp")
    if len(operations) > MAX_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity is too large: {text}")
    try:
        return evaluate(doc, operations)
    except PatchFailed as error:
        # The server keeps the reason to itself; it travels as the exception's cause for the log.
        text = "the server rejected our request due to an error in our request"
        raise ApiError(422, "Invalid", text, {}) from error


def evaluate(doc: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """``apply`` without its HTTP face. Raises PatchFailed."""
    document: Any = clone(doc)
    for operation in operations:
        document = _operate(document, operation)
    if not isinstance(document, dict):
        raise PatchFailed("replace operation value must be object or array")
    return document


def _operate(document: Any, operation: dict[str, Any]) -> Any:
    name = operation.get("op")
    path = operation.get("path")
    if not isinstance(path, str):
        raise PatchFailed(f"{name} operation failed to decode path: missing value")
    value = clone(operation.get("value"))
    if name == "add":
        parent, key = _parent(document, path, 'add operation does not apply: doc is missing path: "%s": missing value')
        _add(parent, key, value, path)
    elif name == "remove":
        parent, key = _parent(
            document, path, 'remove operation does not apply: doc is missing path: "%s": missing value'
        )
        _remove(parent, key, path, "remove")
    elif name == "replace":
        if path == "":
            if not isinstance(value, dict | list):
                raise PatchFailed("replace operation value must be object or array")
            return value
        parent, key = _parent(
            document, path, "replace operation does not apply: doc is missing path: %s: missing value"
        )
        _set(parent, key, value, path)
    elif name == "move":
        source = _source(operation)
        parent, key = _parent(
            document, source, "move operation does not apply: doc is missing from path: %s: missing value"
        )
        moved = _get(parent, key, "move")
        _remove(parent, key, source, "move")
        parent, key = _parent(
            document, path, "move operation does not apply: doc is missing destination path: %s: missing value"
        )
        _add(parent, key, moved, path)
    elif name == "copy":
        source = _source(operation)
        parent, key = _parent(
            document, source, "copy operation does not apply: doc is missing from path: %s: missing value"
        )
        copied = clone(_get(parent, key, "copy"))
        parent, key = _parent(
            document, path, "copy operation does not apply: doc is missing destination path: %s: missing value"
        )
        _add(parent, key, copied, path)
    elif name == "test":
        _test(document, path, value)
    else:
        raise PatchFailed(f"Unexpected kind: {name or 'unknown'}")
    return document


def _source(operation: dict[str, Any]) -> str:
    source = operation.get("from")
    if not isinstance(source, str):
        raise PatchFailed(f"{operation['op']} operation failed to decode from: missing value")
    return source


def _test(document: Any, path: str, value: Any) -> None:
    if path == "":
        if document != value:
            raise PatchFailed("testing value  failed: test failed")
        return
    parent, key = _parent(document, path, "test operation does not apply: is missing path: %s: missing value")
    found = _get(parent, key, "test")
    if found != value or isinstance(found, bool) != isinstance(value, bool):
        raise PatchFailed(f"testing value {path} failed: test failed")


def _parent(document: Any, path: str, missing: str) -> tuple[Any, str]:
    """The container that ``path`` ends in, and the last token."""
    tokens = path.split("/")
    if len(tokens) < 2:
        raise PatchFailed(missing % path)
    for token in tokens[1:-1]:
        try:
            document = _get(document, _plain(token), "")
        except PatchFailed:
            document = None
        if not isinstance(document, dict | list):
            raise PatchFailed(missing % path)
    return document, _plain(tokens[-1])


def _plain(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def _index(key: str, length: int) -> int:
    try:
        index = int(key)
    except ValueError:
        raise PatchFailed(f'strconv.Atoi: parsing "{key}": invalid syntax') from None
    if index < -length or index >= length:
        raise PatchFailed(f"Unable to access invalid index: {index}: invalid index referenced")
    return index + length if index < 0 else index


def _get(container: Any, key: str, name: str) -> Any:
    if isinstance(container, dict):
        return container.get(key)
    try:
        return container[_index(key, len(container))]
    except PatchFailed as error:
        raise PatchFailed(f"error in {name} for path: '{key}': {error}") from None


def _add(container: Any, key: str, value: Any, path: str) -> None:
    if isinstance(container, dict):
        container[key] = value
    elif key == "-":
        container.append(value)
    else:
        try:
            container.insert(_index(key, len(container) + 1), value)
        except PatchFailed as error:
            raise PatchFailed(f"error in add for path: '{path}': {error}") from None


def _set(container: Any, key: str, value: Any, path: str) -> None:
    if isinstance(container, dict):
        container[key] = value
        return
    try:
        container[_index(key, len(container))] = value
    except PatchFailed:
        raise PatchFailed(f"replace operation does not apply: doc is missing key: {path}: missing value") from None


def _remove(container: Any, key: str, path: str, name: str) -> None:
    if isinstance(container, dict):
        if key not in container:
            raise PatchFailed(
                f"error in {name} for path: '{path}': Unable to remove nonexistent key: {key}: missing value"
            )
        del container[key]
        return
    try:
        del container[_index(key, len(container))]
    except PatchFailed as error:
        raise PatchFailed(f"error in {name} for path: '{path}': {error}") from None


def _go(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return "string" if isinstance(value, str) else "number"
