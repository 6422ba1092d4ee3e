# SPDX-License-Identifier: Apache-2.0
"""Forms of names, keys and numbers, and what is said of those that do not keep to them.

Every function returns the reasons; none means that the value is fine. Source: apimachinery's pkg/util/validation."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_PERCENT = "[0-9]+%"
_HTTP_HEADER = "[-A-Za-z0-9]+"

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character"
)
_WILDCARD_TEXT = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character"
)
_CONFIG_KEY_TEXT = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"

NameRule = Callable[[str], tuple[str, ...]]


def _pattern(text: str, pattern: str, *examples: str) -> str:
    shown = "".join(f"'{example}', " if i == 0 else f" or '{example}', " for i, example in enumerate(examples))
    return f"{text} (e.g. {shown}regex used for validation is '{pattern}')"


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} characters"


@lru_cache(maxsize=4096)
def dns_label(value: str) -> tuple[str, ...]:
    """An RFC 1123 label: names of containers, namespaces, ports of services …"""
    out = [_too_long(63)] if len(value) > 63 else []
    if not re.fullmatch(_LABEL, value):
        if re.fullmatch(_SUBDOMAIN, value):
            out.append("must not contain dots")
        else:
            out.append(_pattern(_LABEL_TEXT, _LABEL, "my-name", "123-abc"))
    return tuple(out)


@lru_cache(maxsize=4096)
def dns_subdomain(value: str) -> tuple[str, ...]:
    """An RFC 1123 subdomain: the name of most objects."""
    out = [_too_long(253)] if len(value) > 253 else []
    if not re.fullmatch(_SUBDOMAIN, value):
        out.append(_pattern(_SUBDOMAIN_TEXT, _SUBDOMAIN, "example.com"))
    return tuple(out)


@lru_cache(maxsize=1024)
def dns_1035_label(value: str) -> tuple[str, ...]:
    """A label that begins with a letter: names of services."""
    out = [_too_long(63)] if len(value) > 63 else []
    if not re.fullmatch(_LABEL_1035, value):
        out.append(_pattern(_LABEL_1035_TEXT, _LABEL_1035, "my-name", "abc-123"))
    return tuple(out)


def wildcard_subdomain(value: str) -> tuple[str, ...]:
    """``*.example.com``."""
    out = [_too_long(253)] if len(value) > 253 else []
    if not re.fullmatch(_WILDCARD, value):
        out.append(_pattern(_WILDCARD_TEXT, _WILDCARD, "*.example.com"))
    return tuple(out)


@lru_cache(maxsize=4096)
def qualified_name(value: str) -> tuple[str, ...]:
    """Keys of labels and annotations, finalizers: ``example.com/name``."""
    parts = value.split("/")
    if len(parts) > 2:
        text = _pattern(f"a valid label key {_QUALIFIED_TEXT}", _QUALIFIED, "MyName", "my.name", "123-abc")
        return (f"{text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    out: list[str] = []
    name = parts[-1]
    if len(parts) == 2:
        if not parts[0]:
            out.append("prefix part must be non-empty")
        else:
            out += [f"prefix part {reason}" for reason in dns_subdomain(parts[0])]
    if not name:
        out.append("name part must be non-empty")
    elif len(name) > 63:
        out.append("name part must be no more than 63 bytes")
    if not re.fullmatch(_QUALIFIED, name):
        out.append(f"name part {_pattern(_QUALIFIED_TEXT, _QUALIFIED, 'MyName', 'my.name', '123-abc')}")
    return tuple(out)


@lru_cache(maxsize=4096)
def label_value(value: str) -> tuple[str, ...]:
    """The value of a label."""
    out = ["must be no more than 63 bytes"] if len(value) > 63 else []
    if not re.fullmatch(_LABEL_VALUE, value):
        out.append(_pattern(_LABEL_VALUE_TEXT, _LABEL_VALUE, "MyValue", "my_value", "12345"))
    return tuple(out)


def config_key(value: str) -> tuple[str, ...]:
    """A key of a ConfigMap or Secret."""
    out = [_too_long(253)] if len(value) > 253 else []
    if not re.fullmatch(_CONFIG_KEY, value):
        out.append(_pattern(_CONFIG_KEY_TEXT, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if value == ".":
        out.append("must not be '.'")
    elif value == "..":
        out.append("must not be '..'")
    elif value.startswith(".."):
        out.append("must not start with '..'")
    return tuple(out)


def path_segment(value: str) -> tuple[str, ...]:
    """Names that only have to fit in a path: those of RBAC."""
    if value in (".", ".."):
        return (f"may not be '{value}'",)
    return tuple(f"may not contain '{letter}'" for letter in "/%" if letter in value)


def port_number(value: int) -> tuple[str, ...]:
    """1 to 65535."""
    return () if 1 <= value <= 65535 else ("must be between 1 and 65535, inclusive",)


def port_name(value: str) -> tuple[str, ...]:
    """The name of a container's port."""
    out: list[str] = []
    if len(value) > 15:
        out.append("must be no more than 15 characters")
    if not re.fullmatch("[-a-z0-9]+", value):
        out.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        out.append("must contain at least one letter (a-z)")
    if "--" in value:
        out.append("must not contain consecutive hyphens")
    if value and (value[0] == "-" or value[-1] == "-"):
        out.append("must not begin or end with a hyphen")
    return tuple(out)


def percent(value: str) -> tuple[str, ...]:
    """``25%``."""
    text = "a valid percent string must be a numeric string followed by an ending '%'"
    return () if re.fullmatch(_PERCENT, value) else (_pattern(text, _PERCENT, "1%", "93%"),)


def environment_name(value: str) -> tuple[str, ...]:
    """The name of an environment variable: printable ASCII without ``=``."""
    if not value:
        return ("environment variable name must not be empty",)
    if all(" " <= letter <= "~" and letter != "=" for letter in value):
        return ()
    return ("a valid environment variable name must consist only of printable ASCII characters other than '='",)


def http_header(value: str) -> tuple[str, ...]:
    """The name of an HTTP header."""
    text = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return () if re.fullmatch(_HTTP_HEADER, value) else (_pattern(text, _HTTP_HEADER, "X-Header-Name"),)
