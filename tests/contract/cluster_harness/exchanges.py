# SPDX-License-Identifier: Apache-2.0
"""Recorded exchanges: scenes of requests, written by hand, whose answers were recorded from a real control plane.

A scene file (`exchanges/NAME.yaml`) maps the name of each scene to its steps; `exchanges/NAME.answers.json` holds what
a real cluster answered. `BACKOUT_TEST_RECORD=1` with `BACKOUT_TEST_KUBECONFIG` records anew. What differs from run to
run (uids, versions, times, addresses) is replaced by marks before answers are compared; everything else must be equal.

A step: `send: METHOD PATH` and any of `body` (JSON), `raw` (text), `type`, `accept`, `query`, `headers`, `token`,
`user`, `groups`, `save: {name: path.in.answer}`; `only: [paths]` keeps just those parts of the answer, `without: key`
drops a key wherever it stands; `twin: REASON` marks an answer in which the twin is known to differ; `mask: REGEX` is
text that differs. `{ns}` and saved names are filled in.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Any

import yaml

from cluster_harness.http import Answer, Cluster

Obj = dict[str, Any]

FOLDER = Path(__file__).parent.parent / "cluster" / "exchanges"

_TIME = re.compile(r"\b20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_TOKEN_VOLUME = re.compile(r"kube-api-access-[a-z0-9]{5}")
_SCHEME = re.compile(r"[\w./]+/api/legacyscheme")  # depends on where the server was built
_PROTOBUF = ", application/vnd.kubernetes.protobuf"  # which the twin alone does not speak, on purpose
_GIVEN_YEAR = "2026-01-01T"  # times of the scenes' own requests
_VERSION = re.compile(r"""(resourceVersion[\\"': ]+|ResourceVersion in record \()(\d+)""")
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ADDRESS = re.compile(r"\b10\.\d+\.\d+\.\d+\b")
_AGE = re.compile(r"^\d+(s|ms)$")


def scenes(name: str) -> dict[str, list[Obj]]:
    """The scenes of a file."""
    found: dict[str, list[Obj]] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return found


def all_scenes() -> list[tuple[str, str]]:
    """(file, scene) of every scene there is."""
    return [(path.stem, scene) for path in sorted(FOLDER.glob("*.yaml")) for scene in scenes(path.stem)]


def answers_path(name: str) -> Path:
    return FOLDER / f"{name}.answers.json"


def play(cluster: Cluster, ns: str, steps: list[Obj]) -> list[Obj]:
    """Send the requests of a scene in order; their answers, ready to be compared."""
    saved = {"ns": ns}
    found = []
    for step in steps:
        step = _fill(step, saved)
        method, path = step["send"].split(" ", 1)
        answer = cluster.request(
            method,
            path,
            step.get("raw", step.get("body")),
            query=step.get("query"),
            headers=step.get("headers"),
            content_type=step.get("type", "application/json"),
            accept=step.get("accept", "application/json"),
            token=step.get("token"),
            user=step.get("user"),
            groups=tuple(step.get("groups", ())),
        )
        for name, where in step.get("save", {}).items():
            value = _at(answer.body, where)
            assert value is not None, f"{step['send']} answered nothing at {where}: {answer.text[:1000]}"
            saved[name] = str(value)
        found.append(_normal(answer, step, saved))
    return found


def _fill(value: Any, saved: dict[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda m: saved.get(m[1], m[0]), value)
    if isinstance(value, dict):
        return {_fill(key, saved): _fill(item, saved) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, saved) for item in value]
    return value


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _normal(answer: Answer, step: Obj, saved: dict[str, str]) -> Obj:
    kept: Obj = {"status": answer.status, "type": answer.headers.get("content-type", "")}
    if warnings := answer.headers.get_list("warning"):
        kept["warnings"] = [_text(warning, saved) for warning in warnings]
    try:
        body = answer.body
    except ValueError:
        kept["text"] = _text(answer.text, saved)
        return kept
    if "mask" in step:
        body = json.loads(re.sub(step["mask"], "<masked>", json.dumps(body)))
    if "without" in step:
        body = _without(body, step["without"])
    body = _mark(body, "", saved)
    kept["body"] = {path: _at(body, path) for path in step["only"]} if "only" in step else body
    return kept


def _without(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, key) for name, item in value.items() if name != key}
    return [_without(item, key) for item in value] if isinstance(value, list) else value


def _text(text: str, saved: dict[str, str]) -> str:
    for name, value in saved.items():
        if name == "ns" or len(value) > 8:
            text = text.replace(value, f"{{{name}}}")
    text = text.replace(_PROTOBUF, "")
    text = _SCHEME.sub("pkg/api/legacyscheme", text)
    text = _TOKEN_VOLUME.sub("kube-api-access-<random>", text)
    text = _VERSION.sub(r"\1<resourceVersion>", _ADDRESS.sub("<ip>", _UID.sub("<uid>", text)))
    return _TIME.sub(lambda match: match[0] if match[0].startswith(_GIVEN_YEAR) else "<time>", text)


def _mark(value: Any, key: str, saved: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {_text(name, saved): _mark(item, name, saved) for name, item in value.items()}
    if isinstance(value, list):
        return [_mark(item, key, saved) for item in value]
    if isinstance(value, str):
        if key in ("resourceVersion", "continue") and value:
            return f"<{key}>"
        if key == "cells" and _AGE.match(value):
            return "<age>"
        return _text(value, saved)
    if key in ("nodePort", "healthCheckNodePort") and isinstance(value, int):
        return "<port>"
    return value


def difference(wanted: Any, found: Any) -> str:
    """A readable diff of two answers; empty when they are equal."""
    if wanted == found:
        return ""

    def lines(value: Any) -> list[str]:
        return json.dumps(value, indent=1, sort_keys=True).splitlines()

    return "\n".join(difflib.unified_diff(lines(wanted), lines(found), "real cluster", "this cluster", "", "", 4))
