# SPDX-License-Identifier: Apache-2.0
"""Write the table with which the embedded API server reads protobuf request bodies.

Generated Go clients (kubectl, Helm) send built-in kinds as protobuf and do not fall back to JSON, so the field numbers
are needed. They are facts of the published ``generated.proto`` files; the JSON names come from the struct tags in
``types.go`` (they differ for embedded structs and for JSON schema properties).

Usage: ``python kubetwin/tools/generate_twin_protobuf.py KUBERNETES-TREE [--out FILE]``; the same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zlib
from pathlib import Path

OUT = Path(__file__).parents[1] / "src/kubetwin/apiserver/protobuf.json.zlib"
SKIPPED = ("alpha", "beta", "testapigroup", "example", "audit", "sample")
FIELD = re.compile(r"^\s+(optional|repeated|map<string,\s*([\w.]+)>)\s*([\w.]*)\s+(\w+) = (\d+);")
TAG = re.compile(r'json:"([^"]*)".*protobuf:"\w+,(\d+)')
STRUCT = re.compile(r"^type (\w+) struct \{")


def json_names(folder: Path) -> dict[tuple[str, int], str]:
    """(struct, field number) → JSON name, empty for a field whose own fields stand in its place."""
    names: dict[tuple[str, int], str] = {}
    for path in sorted(folder.glob("*.go")):
        struct = ""
        for line in path.read_text().splitlines():
            if found := STRUCT.match(line):
                struct = found[1]
            elif line == "}":
                struct = ""
            elif struct and (tag := TAG.search(line)):
                names[struct, int(tag[2])] = tag[1].split(",")[0]
    return names


def read_messages(path: Path) -> dict[str, list[list[object]]]:
    """Every message of a file: [number, JSON name, type, shape], shape being "", "repeated" or "map"."""
    messages: dict[str, list[list[object]]] = {}
    names = json_names(path.parent)
    package, message = "", ""
    for line in path.read_text().splitlines():
        if line.startswith("package "):
            package = line.removeprefix("package ").rstrip(";")
        elif found := re.match(r"message (\w+) \{", line):
            message = found[1]
            messages[f"{package}.{message}"] = []
        elif line == "}":
            message = ""
        elif message and (field := FIELD.match(line)):
            label, mapped, kind, name, number = field.groups()
            shape = "map" if mapped else "repeated" if label == "repeated" else ""
            kind = (mapped or kind).lstrip(".")
            if "." not in kind and kind[0].isupper():
                kind = f"{package}.{kind}"
            messages[f"{package}.{message}"].append([int(number), names.get((message, int(number)), name), kind, shape])
    return messages


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    messages: dict[str, list[list[object]]] = {}
    for path in sorted((options.tree / "staging/src/k8s.io").rglob("generated.proto")):
        if not any(word in str(path) for word in SKIPPED):
            messages.update(read_messages(path))
    if not messages:
        parser.error(f"no generated.proto below {options.tree}")
    text = json.dumps(messages, sort_keys=True, separators=(",", ":"))
    options.out.write_bytes(zlib.compress(text.encode(), 9))
    sys.stdout.write(f"{len(messages)} messages, {options.out.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
