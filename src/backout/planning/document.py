# SPDX-License-Identifier: Apache-2.0
"""The plan as a file: YAML that people read, with a hash that `run` holds to. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from backout.errors import PlanChanged, UsageError
from backout.model.plan import API_VERSION, Plan

HASH_PREFIX = "sha256:"


def digest(plan: Plan) -> str:
    """SHA-256 over every field but the hash itself, in canonical JSON (sorted keys)."""
    plain = msgspec.to_builtins(msgspec.structs.replace(plan, hash=""))
    return HASH_PREFIX + hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()


def seal(plan: Plan) -> Plan:
    """The plan with its hash."""
    return msgspec.structs.replace(plan, hash=digest(plan))


def check(plan: Plan) -> None:
    """Holds the plan to its hash.

    Raises:
        PlanChanged: it is not the plan that was sealed.
    """
    found = digest(plan)
    if plan.hash != found:
        raise PlanChanged(
            "The plan is not the one that was made: its content does not match its hash.",
            expected="{sealed}",
            found="{computed}",
            sealed=plan.hash or "a hash",
            computed=found,
            hint="Make a new plan: backout plan {target} -n {namespace} --out FILE.",
            target=str(plan.target),
            namespace=plan.namespace,
        )


def dump(plans: list[Plan]) -> str:
    """One YAML document a plan."""
    import yaml

    documents = [msgspec.to_builtins(plan) for plan in plans]
    return yaml.dump_all(
        documents,
        Dumper=yaml.CSafeDumper,
        sort_keys=False,
        allow_unicode=True,
        width=1000,
        explicit_start=len(plans) > 1,
    )


def load(text: str, filename: str) -> list[Plan]:
    """Reads what `dump` wrote, and holds each plan to its hash.

    Raises:
        UsageError: this is no plan, or one of a newer version.
        PlanChanged: it was edited.
    """
    import yaml

    try:
        documents: list[Any] = [d for d in yaml.load_all(text, Loader=yaml.CSafeLoader) if d]
    except yaml.YAMLError as error:
        raise UsageError("{file} is not YAML.", file=filename, hint="Make it with: backout plan --out FILE") from error
    if not documents:
        raise UsageError("{file} holds no plan.", file=filename, hint="Make one with: backout plan --out FILE")
    plans = []
    for document in documents:
        if not isinstance(document, dict) or document.get("kind") != "Plan":
            kind = document.get("kind") if isinstance(document, dict) else document
            raise UsageError(
                "{file} is not a plan.", file=filename, expected="kind: Plan", found="{kind}", kind=str(kind)[:60]
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
            plan = msgspec.convert(document, Plan)
        except msgspec.ValidationError as error:
            raise PlanChanged(
                "{file} is not a plan as it was made: {problem}.",
                file=filename,
                problem=str(error),
                hint="Make it again with: backout plan --out FILE",
            ) from error
        check(plan)
        plans.append(plan)
    return plans
