# SPDX-License-Identifier: Apache-2.0
"""Label and field selectors: parsing (with the real server's complaints) and matching."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from kubetwin.apiserver.resources import ResourceType
from kubetwin.apiserver.status import bad_request

LabelMatch = Callable[[Mapping[str, str]], bool]
_TOKEN = re.compile(r"\s*(==|!=|[=!<>(),]|[^\s=!<>(),]+)")
_QUALIFIED = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)")
_KEY_HINT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_HINT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
    " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def _check_key(key: str) -> str:
    if not _QUALIFIED.fullmatch(key.rpartition("/")[2]):
        raise bad_request(f'unable to parse requirement: <nil>: Invalid value: "{key}": {_KEY_HINT}')
    return key


def _check_value(key: str, value: str) -> str:
    if value and not _QUALIFIED.fullmatch(value):
        raise bad_request(f'unable to parse requirement: values[0][{key}]: Invalid value: "{value}": {_VALUE_HINT}')
    return value


class _Tokens:
    def __init__(self, text: str) -> None:
        self.items = _TOKEN.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.items[self.at] if self.at < len(self.items) else ""

    def next(self) -> str:
        word = self.peek()
        self.at += 1
        return word


def _values(tokens: _Tokens, key: str) -> frozenset[str]:
    if tokens.next() != "(":
        raise bad_request(f"unable to parse requirement: found '{tokens.items[tokens.at - 1]}' expected: '('")
    found: list[str] = []
    expect_value = True
    while True:
        word = tokens.next()
        if word == ")":
            if expect_value:
                found.append("")
            break
        if word == ",":
            if expect_value:
                found.append("")
            expect_value = True
        elif word == "" or not expect_value:
            raise bad_request(f"unable to parse requirement: found '{word}', expected: ',' or ')'")
        else:
            found.append(_check_value(key, word))
            expect_value = False
    return frozenset(found)


@lru_cache(maxsize=512)
def parse_labels(text: str) -> LabelMatch | None:
    """The predicate of a label selector, None when it selects everything.

    Raises ApiError 400 when the text is not a selector.
    """
    tokens = _Tokens(text)
    tests: list[LabelMatch] = []
    while tokens.peek():
        tests.append(_requirement(tokens))
        separator = tokens.next()
        if separator not in ("", ","):
            raise bad_request(f"found '{separator}', expected: ',' or 'end of string'")
        if separator == "," and not tokens.peek():
            raise bad_request("unable to parse requirement: found '', expected: identifier after ','")
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda labels: all(test(labels) for test in tests)


def _requirement(tokens: _Tokens) -> LabelMatch:
    word = tokens.next()
    if word == "!":
        absent = _check_key(tokens.next())
        return lambda labels: absent not in labels
    key = _check_key(word)
    operator = tokens.peek()
    if operator in ("", ","):
        return lambda labels: key in labels
    tokens.next()
    if operator in ("=", "==", "!="):
        value = "" if tokens.peek() in ("", ",") else _check_value(key, tokens.next())
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if operator == "in":
        allowed = _values(tokens, key)
        return lambda labels: labels.get(key) in allowed
    if operator == "notin":
        refused = _values(tokens, key)
        return lambda labels: labels.get(key) not in refused
    if operator in ("<", ">"):
        bound = tokens.next()
        if not bound.lstrip("-").isdigit():
            raise bad_request(
                f"unable to parse requirement: values[0][{key}]: Invalid value: \"{bound}\": for 'Gt', 'Lt'"
                " operators, the value must be an integer"
            )
        limit, above = int(bound), operator == ">"

        def compare(labels: Mapping[str, str]) -> bool:
            value = labels.get(key, "")
            return value.lstrip("-").isdigit() and (int(value) > limit if above else int(value) < limit)

        return compare
    raise bad_request(
        f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt, =, !="
        if operator.isalpha()
        else f"unable to parse requirement: found '{operator}', expected: ',' or 'end of string'"
    )


def matches_label_selector(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a ``LabelSelector`` object selects ``labels``: None selects nothing, an empty one everything."""
    if selector is None:
        return False
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    for term in selector.get("matchExpressions") or ():
        key, values = term.get("key", ""), term.get("values") or ()
        match term.get("operator"):
            case "In":
                ok = labels.get(key) in values
            case "NotIn":
                ok = labels.get(key) not in values
            case "Exists":
                ok = key in labels
            case "DoesNotExist":
                ok = key not in labels
            case _:
                ok = False
        if not ok:
            return False
    return True


class FieldMatch:
    """A parsed field selector: ``terms`` are (path, wanted equal?, value) on the stored object."""

    __slots__ = ("terms",)

    def __init__(self, terms: tuple[tuple[str, bool, str], ...]) -> None:
        self.terms = terms

    def exact(self, path: str) -> str | None:
        """The value that ``path`` must have, if the selector demands one."""
        return next((value for p, equal, value in self.terms if p == path and equal), None)

    def __call__(self, obj: Mapping[str, Any]) -> bool:
        return all((field_value(obj, path) == value) is equal for path, equal, value in self.terms)


# events.k8s.io names of fields that are stored under their core names.
_EVENT_FIELDS = {
    "regarding.kind": "involvedObject.kind",
    "regarding.namespace": "involvedObject.namespace",
    "regarding.name": "involvedObject.name",
    "regarding.uid": "involvedObject.uid",
    "regarding.apiVersion": "involvedObject.apiVersion",
    "regarding.resourceVersion": "involvedObject.resourceVersion",
    "regarding.fieldPath": "involvedObject.fieldPath",
    "reportingController": "reportingComponent",
    "reason": "reason",
    "type": "type",
}
_ZERO = {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.replicas": "0", "status.successful": "0"}


def field_value(obj: Mapping[str, Any], path: str) -> str:
    """The value of a selectable field as selectors compare it."""
    if path == "source":
        return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")
    if path == "status.successful":
        path = "status.succeeded"
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if path == "status.podIPs":
        return ",".join(item.get("ip", "") for item in value or ())
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return _ZERO.get(path, "0" if path == "status.succeeded" else "")
    return str(value)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def parse_fields(text: str, resource_type: ResourceType) -> FieldMatch | None:
    """The field selector of a request, None when it selects everything.

    Raises ApiError 400 for text that is no selector and for fields the resource cannot be selected by.
    """
    terms: list[tuple[str, bool, str]] = []
    for term in filter(None, re.split(r"(?<!\\),", text)):
        found = re.fullmatch(r"((?:\\.|[^=!\\])+?)(==|!=|=)(.*)", term, re.S)
        if found is None:
            raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
        path, operator, value = _unescape(found[1]), found[2], _unescape(found[3])
        terms.append((_canonical(path, resource_type), operator != "!=", value))
    return FieldMatch(tuple(terms)) if terms else None


def _canonical(path: str, resource_type: ResourceType) -> str:
    if path == "metadata.name" or (path == "metadata.namespace" and resource_type.resource not in ("nodes",)):
        return path
    if resource_type.group == "events.k8s.io":
        if path in _EVENT_FIELDS:
            return _EVENT_FIELDS[path]
        raise bad_request(f"field label not supported: {path}")
    if path == "spec.host" and resource_type.group_resource == "pods":
        return "spec.nodeName"
    if path in resource_type.selectable:
        return path
    if resource_type.selectable:
        raise bad_request(f"field label not supported: {path}")
    raise bad_request(f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"')
