# SPDX-License-Identifier: Apache-2.0
"""The operation as a file: YAML that people read, with a hash that `run` holds to. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from backout.errors import PlanChanged, UsageError, fill
from backout.model.message import Message
from backout.model.operation import API_VERSION, KIND, Operation
from backout.model.redacted import without_secrets
from backout.model.spelling import read, written
from backout.model.yamltext import Unbounded, load_all, to_yaml_all
from backout.planning.derived import require_questions
from backout.planning.order import in_order
from backout.planning.reach import hold
from backout.planning.waves import require_whole

HASH_PREFIX = "sha256:"
_FORMER = "Plan"
"""What the document was called while it held one target."""


def digest(operation: Operation) -> str:
    """SHA-256 over every field but the hash itself, in canonical JSON: sorted keys, and nothing that is empty.

    Whether an empty field is written depends on which object holds its value, and says nothing.
    """
    plain = _without_empty(msgspec.to_builtins(msgspec.structs.replace(operation, hash="")))
    return HASH_PREFIX + hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()


def _without_empty(node: Any) -> Any:
    if isinstance(node, dict):
        kept = {key: _without_empty(value) for key, value in node.items()}
        return {key: value for key, value in kept.items() if value not in (None, "", {}, [])}
    if isinstance(node, list | tuple):
        return [_without_empty(item) for item in node]
    return node


def seal(operation: Operation) -> Operation:
    """The operation without secrets, and with its hash.

    Raises:
        PlanChanged: its parts can't be put in order, or don't fit its waves.
    """
    _require_order(operation)
    plain = without_secrets(operation)
    return msgspec.structs.replace(plain, hash=digest(plain))


def check(operation: Operation) -> None:
    """Holds the operation to its hash.

    Raises:
        PlanChanged: it is not the one that was sealed, or its parts can't be put in order, or don't fit its waves.
    """
    found = digest(operation)
    if operation.hash != found:
        part = operation.parts[0] if operation.parts else None
        raise PlanChanged(
            "The plan is not the one that was made: its content does not match its hash.",
            expected="{sealed}",
            found="{computed}",
            sealed=operation.hash or "a hash",
            computed=found,
            hint="Make a new plan: backout plan {target} -n {namespace} --out FILE.",
            target=" ".join(dict.fromkeys(str(part.target) for part in operation.parts)),
            namespace=part.scope.namespace if part else "",
        )
    _require_order(operation)


def _require_order(operation: Operation) -> None:
    """
    Raises:
        PlanChanged: the parts can't be put in order, or the waves don't have each once.
    """
    in_order(operation.parts)
    if operation.fleet is not None:
        require_whole(operation.fleet, operation.parts)


def dump(operations: list[Operation]) -> str:
    """One YAML document an operation."""
    return to_yaml_all(written(operation) for operation in operations)


def load(text: str, filename: str) -> list[Operation]:
    """Reads what `dump` wrote, and holds each operation to its hash.

    Raises:
        UsageError: this is no plan.
        PlanChanged: it was edited, or made by a version that wrote plans in another way.
        PlanChanged: a question that its steps ask is left out.
        RefusedError: an action is not known, or a step would write out of the reach of its part.
    """
    import yaml

    try:
        documents: list[Any] = [d for d in load_all(text) if d]
    except Unbounded as error:
        raise UsageError("{file} is no plan: {problem}.", file=filename, problem=str(error)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError("{file} is not YAML.", file=filename, hint="Make it with: backout plan --out FILE") from error
    if not documents:
        raise UsageError("{file} holds no plan.", file=filename, hint="Make one with: backout plan --out FILE")
    return [_operation(document, filename) for document in documents]


def _operation(document: Any, filename: str) -> Operation:
    kind = document.get("kind") if isinstance(document, dict) else document
    if kind == _FORMER and document.get("apiVersion") == API_VERSION:
        raise PlanChanged(
            "{file} was made by an earlier version of Backout, and can't be carried out any more.",
            file=filename,
            expected="kind: {kind}",
            found="kind: {former}",
            kind=KIND,
            former=_FORMER,
            hint="Make it again with: backout plan --out FILE",
        )
    if kind != KIND:
        raise UsageError(
            "{file} is not a plan.", file=filename, expected="kind: Operation", found="{kind}", kind=str(kind)[:60]
        )
    if document.get("apiVersion") != API_VERSION:
        raise UsageError(
            "{file} is a plan of another version.",
            file=filename,
            expected=API_VERSION,
            found="{version}",
            version=str(document.get("apiVersion"))[:60],
        )
    try:
        operation = msgspec.convert(read(document, Operation), Operation)
    except msgspec.ValidationError as error:
        raise PlanChanged(
            "{file} is not a plan as it was made: {problem}.",
            file=filename,
            problem=str(error),
            hint="Make it again with: backout plan --out FILE",
        ) from error
    if not operation.parts:
        raise UsageError("{file} holds no plan.", file=filename, hint="Make one with: backout plan --out FILE")
    check(operation)
    for part in operation.parts:
        hold(part)
        require_questions(part)
    _require_words(operation, filename)
    return operation


def _require_words(value: Any, filename: str) -> None:
    """Each sentence says in every language and format what it says in the others: it is read as a text, and as a template
    with arguments.

    Raises:
        PlanChanged: one does not.
    """
    if isinstance(value, Message):
        if _said(value.text, value.template, value.args):
            return
        raise PlanChanged(
            "{file} says one thing as a text and another as a template: {text}.",
            file=filename,
            text=value.text[:80],
            hint="The plan was edited, it seems. Make it again.",
        )
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _require_words(getattr(value, name), filename)
    elif isinstance(value, tuple | list):
        for item in value:
            _require_words(item, filename)


def _said(text: str, template: str, args: Mapping[str, Any]) -> bool:
    for inner in args.values():
        if isinstance(inner, dict) and not (
            isinstance(inner.get("text"), str)
            and isinstance(inner.get("template", ""), str)
            and isinstance(inner.get("args") or {}, dict)
            and _said(inner["text"], inner.get("template", ""), inner.get("args") or {})
        ):
            return False
    try:
        return not template or fill(template, args) == text
    except KeyError:
        return False
