# SPDX-License-Identifier: Apache-2.0
"""Write the schema that the embedded API server ships: one compact file with every built-in type.

Two sources:

* the ``kubernetes-validate`` package (a development dependency, 108 MB, never shipped): the published schema of one
  Kubernetes version with every ``x-kubernetes-*`` mark. Its additions for validating files (types widened by ``null``,
  ``apiVersion`` and ``kind`` pinned) are taken back;
* optionally a Kubernetes source tree (``--source``): what the published schema leaves out and a typed server shows on
  the wire: which absent fields are written as zero values, which empty ones are dropped, defaults, enumerations.
  Without ``--source`` these facts are carried over from the existing file.

Usage: ``python kubetwin/tools/generate_twin_schema.py [--source KUBERNETES-TREE] [--out FILE]``; the same input gives the same
bytes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import re
import sys
import zlib
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "src/kubetwin/apiserver/schema/kubernetes.json.zlib"
PACKAGE = "kubernetes-validate"
KIND_MARK = "x-kubernetes-group-version-kind"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


def newest_version(folder: Path) -> str:
    """The newest ``vX.Y.Z`` that the package carries."""
    versions = [m.group(1) for p in folder.iterdir() if (m := re.fullmatch(r"v(\d+\.\d+\.\d+)-local", p.name))]
    return max(versions, key=lambda v: [int(part) for part in v.split(".")])


def restored(node: Any, *, names: bool = False) -> Any:
    """One schema as published: nullable unions and reference style of the package undone."""
    if isinstance(node, list):
        return [restored(item) for item in node]
    if not isinstance(node, dict):
        return node
    out: dict[str, Any] = {}
    for key, value in sorted(node.items()):
        if names:
            out[key] = restored(value)
        elif key == "type" and isinstance(value, list):
            out[key] = next(item for item in value if item != "null")
        elif key == "$ref":
            out[key] = value.replace("#/$defs/", "#/definitions/")
        else:
            out[key] = restored(value, names=key == "properties")
    return out


def package_definitions(version: str | None = None) -> tuple[str, str, dict[str, Any]]:
    """(package version, Kubernetes version, definitions) of the installed package."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        sys.exit(f"{PACKAGE} is not installed: pip install the dev dependency group first")
    folder = Path(spec.origin).parent / "kubernetes-json-schema"
    version = version or newest_version(folder)
    raw = json.loads((folder / f"v{version}-local" / "_definitions.json").read_text(encoding="utf-8"))
    definitions: dict[str, Any] = {}
    for name, node in sorted(raw["$defs"].items()):
        definition = restored(node)
        if KIND_MARK in definition:
            for field in ("apiVersion", "kind"):
                definition.get("properties", {}).get(field, {}).pop("enum", None)
        if name == INT_OR_STRING:
            definition = {"format": "int-or-string", "type": "string"}
        elif name == QUANTITY:
            definition = {
                "description": node.get("description", "Quantity is a fixed-point representation of a number."),
                "type": "string",
            }
        definitions[name] = definition
    return importlib.metadata.version(PACKAGE), version, definitions


def kinds_of(definitions: dict[str, Any]) -> dict[str, str]:
    """``apiVersion/kind`` to definition name."""
    kinds: dict[str, str] = {}
    for name, definition in definitions.items():
        for mark in definition.get(KIND_MARK, []):
            group_version = f"{mark['group']}/{mark['version']}" if mark["group"] else mark["version"]
            kinds[f"{group_version}/{mark['kind']}"] = name
    return dict(sorted(kinds.items()))


# ---- facts of the Go types -------------------------------------------------------------------------------------------

SCALARS = {"string": "", "bool": False}
NUMBERS = {"int", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"}
MARSHALLED_AS_NULL = {
    "k8s.io/apimachinery/pkg/apis/meta/v1.Time",
    "k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime",
    "k8s.io/apimachinery/pkg/runtime.RawExtension",
}
MARSHALLED_AS_SCALAR = {
    "k8s.io/apimachinery/pkg/api/resource.Quantity": "0",
    "k8s.io/apimachinery/pkg/util/intstr.IntOrString": 0,
    "k8s.io/apimachinery/pkg/apis/meta/v1.Duration": "0s",
}
PACKAGES = (
    "staging/src/k8s.io/api",
    "staging/src/k8s.io/apimachinery/pkg/apis/meta/v1",
    "staging/src/k8s.io/apimachinery/pkg/runtime",
    "staging/src/k8s.io/apimachinery/pkg/types",
    "staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1",
    "staging/src/k8s.io/kube-aggregator/pkg/apis/apiregistration/v1",
)


class GoTypes:
    """Structs, named types and enumerations of the API packages of a Kubernetes source tree."""

    def __init__(self, tree: Path) -> None:
        self.kinds: dict[str, str] = {}
        self.structs: dict[str, list[tuple[str, str, str, str, str | None]]] = {}
        self.enums: dict[str, list[str]] = {}
        self.constants: dict[str, str] = {}
        for root in PACKAGES:
            for path in sorted((tree / root).rglob("*.go")):
                if not path.name.endswith("_test.go") and not path.name.startswith(("zz_", "generated")):
                    self._read(path, str(path.parent.relative_to(tree / "staging/src")))

    def _read(self, path: Path, package: str) -> None:
        text = path.read_text(encoding="utf-8")
        imports = {}
        for alias, target in re.findall(r'^\s*(?:import\s+)?(\w+)?\s*"([\w./-]+)"$', text, re.M):
            imports[alias or target.rsplit("/", 1)[-1]] = target

        def absolute(name: str) -> str:
            if "." in name:
                alias, base = name.split(".", 1)
                return f"{imports.get(alias, alias)}.{base}"
            return name if name in NUMBERS or name in SCALARS or name == "byte" else f"{package}.{name}"

        for name, target in re.findall(r"^\s*type (\w+) =? ?([\w.\[\]*]+)$", text, re.M):
            self.kinds[f"{package}.{name}"] = target if target.startswith(("map", "[")) else absolute(target)
        enum_names = set(re.findall(r"^// \+enum\n(?://.*\n)*type (\w+) string", text, re.M))
        for name, kind, value in re.findall(r'^\s*(?:const )?(\w+)\s+(\w+)\s*=\s*"([^"]*)"', text, re.M):
            self.constants[f"{package}.{name}"] = value
            self.enums.setdefault(f"{package}.{kind}", []).append(value)
        self.marked_enums = getattr(self, "marked_enums", set()) | {f"{package}.{name}" for name in enum_names}
        for match in re.finditer(r"^type (\w+) struct \{\n(.*?)^\}", text, re.M | re.S):
            fields = []
            comments: list[str] = []
            for line in match.group(2).splitlines():
                stripped = line.strip()
                if stripped.startswith("//"):
                    comments.append(stripped)
                    continue
                found = re.match(r'(?:(\w+)\s+)?(\*?[\w.\[\]*]+)\s+`.*?json:"([^"]*)"', stripped)
                if found:
                    default = next((c.split("=", 1)[1] for c in comments if c.startswith("// +default=")), None)
                    go_type = found.group(2)
                    base = go_type.lstrip("*")
                    shape = (
                        go_type if base.startswith(("map", "[")) else ("*" if go_type != base else "") + absolute(base)
                    )
                    fields.append((found.group(1) or "", shape, found.group(3), package, default))
                if stripped:
                    comments = []
            self.structs[f"{package}.{match.group(1)}"] = fields

    def underlying(self, name: str) -> str:
        """``string``, ``bool``, a number type, ``map…``, ``[]…`` or the name of a struct."""
        seen = set()
        while name in self.kinds and name not in seen:
            seen.add(name)
            name = self.kinds[name]
        return name

    def fields(self, struct: str) -> list[tuple[str, str, str | None]]:
        """(type, json tag, default mark) of every field, embedded structs flattened."""
        out = []
        for go_name, shape, tag, package, default in self.structs.get(struct, []):
            name = tag.split(",")[0]
            if name == "-":
                continue
            if "inline" in tag.split(",") or (not name and not go_name):
                base = shape.lstrip("*")
                out += self.fields(base)
            elif name:
                if default and default.startswith("ref("):
                    value = self.constants.get(f"{package}.{default[4:-1]}")
                    default = None if value is None else json.dumps(value)
                out.append((shape, tag, default))
        return out

    def code(self, shape: str, tag: str) -> tuple[str, Any] | None:
        """How an absent or zero field shows on the wire.

        ``z``: dropped when zero or empty; ``a``: written as the given value when absent; None: kept as it is."""
        options = tag.split(",")[1:]
        if "omitzero" in options and not shape.startswith("*") and shape in self.structs:
            return None
        pointer = shape.startswith("*")
        omit = "omitempty" in options or "omitzero" in options
        kind = self.underlying(shape.lstrip("*"))
        if pointer:
            return None if omit else ("a", None)
        if kind.startswith(("map", "[")):
            return ("z", None) if omit else ("a", None)
        if kind in MARSHALLED_AS_NULL:
            return None if "omitzero" in options else ("a", None)
        if kind in MARSHALLED_AS_SCALAR:
            return None if "omitzero" in options else ("a", MARSHALLED_AS_SCALAR[kind])
        if kind in SCALARS or kind in NUMBERS:
            return ("z", None) if omit else ("a", SCALARS.get(kind, 0))
        if kind in self.structs:
            return ("a", {})
        return None


def struct_of(definition: str) -> str:
    """``io.k8s.api.apps.v1.Deployment`` to ``k8s.io/api/apps/v1.Deployment``."""
    package, _, name = definition.rpartition(".")
    package = package.removeprefix("io.k8s.")
    hyphened = package.replace("kube-aggregator", "kube-aggregator")
    return f"k8s.io/{hyphened.replace('.', '/')}.{name}"


def go_facts(tree: Path, definitions: dict[str, Any]) -> dict[str, Any]:
    """``dropped``, ``written``, ``defaults`` and ``enums`` by definition and field."""
    types = GoTypes(tree)
    facts: dict[str, Any] = {"dropped": {}, "written": {}, "defaults": {}, "enums": {}}
    for definition, node in definitions.items():
        known = node.get("properties", {})
        for shape, tag, default in types.fields(struct_of(definition)):
            name = tag.split(",")[0]
            if name not in known:
                continue
            if default is not None:
                facts["defaults"].setdefault(definition, {})[name] = json.loads(default)
            enum = shape.lstrip("*")
            if enum in types.marked_enums and types.enums.get(enum):
                facts["enums"].setdefault(definition, {})[name] = sorted(set(types.enums[enum]))
            code = types.code(shape, tag)
            if code and code[0] == "z":
                facts["dropped"].setdefault(definition, []).append(name)
            elif code:
                facts["written"].setdefault(definition, {})[name] = code[1]
    return {key: dict(sorted(value.items())) for key, value in facts.items()}


def encode(document: dict[str, Any]) -> bytes:
    """The file's bytes."""
    return zlib.compress(json.dumps(document, sort_keys=True, separators=(",", ":")).encode(), 9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--source", type=Path, help="a Kubernetes source tree, for what the published schema leaves out"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    package_version, kubernetes, definitions = package_definitions()
    if options.source:
        facts = go_facts(options.source, definitions)
    else:
        facts = json.loads(zlib.decompress(OUT.read_bytes()))["facts"]
    data = encode(
        {
            "source": {"package": PACKAGE, "version": package_version, "kubernetes": kubernetes},
            "kinds": kinds_of(definitions),
            "definitions": definitions,
            "facts": facts,
        }
    )
    options.out.write_bytes(data)
    print(f"{options.out}: {len(definitions)} definitions of Kubernetes {kubernetes}, {len(data)} bytes")


if __name__ == "__main__":
    main()
