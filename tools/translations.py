# SPDX-License-Identifier: Apache-2.0
"""Catalogues of other languages: collects every sentence of the source, updates the .po files, compiles the .mo files.

    python tools/translations.py update     # new sentences into the .po files, empty; gone ones out
    python tools/translations.py compile    # .po → .mo
    python tools/translations.py check      # fails when a sentence has no translation, or a .mo is not its .po

Sentences are the literal texts given to a call that translates or stores one (`CALLS`), the text, ``expected``,
``found`` and ``hint`` of an error, the heads of a table, and texts of several words among the arguments of a sentence
or an error (``reason="it is missing"``), which are translated before they are put in. Followed are both sides of a
conditional expression, local names, the values of a dictionary, what a function of the same module returns, and the
values of a ``Literal`` type of the model (``page.say(run.state)``). Values of several words of an enumeration of texts
(``StrEnum``) are sentences, too.
"""

from __future__ import annotations

import ast
import builtins
import gettext
import io
import re
import string
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "backout"
TWIN = ROOT / "kubetwin" / "src" / "kubetwin"
"""The embedded cluster speaks as Kubernetes does, in English; ours are only its errors and the scenarios' titles."""
LOCALES = SOURCE / "locales"
LANGUAGES = ("ko",)

CALLS = {"msg": 0, "say": 0, "told": 0, "label": 0, "note": 0, "translate": 0, "N_": 0, "table": 0, "ask": 1, "fail": 1}
"""Calls whose argument at this place is a sentence, or holds some."""
WORDS = ("expected", "found", "hint")
TITLES = {"Scenario": 1}
SHOWN = 70
DEEP = 6
"""So often a name, a branch or a call is followed."""


def errors() -> frozenset[str]:
    """Names of the classes of the error tree."""
    trees = [ast.parse((source / "errors.py").read_text(encoding="utf-8")) for source in (SOURCE, TWIN)]
    return frozenset(node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))


def sentences() -> dict[str, list[tuple[str, int]]]:
    """Every sentence → where it is."""
    return _sentences((SOURCE, TWIN), ROOT)


@cache
def _sentences(sources: tuple[Path, ...], root: Path) -> dict[str, list[tuple[str, int]]]:
    classes, values = errors(), literal_fields(SOURCE / "model")
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for root_folder, file in sorted((each, file) for each in sources for file in each.rglob("*.py")):
        calls = TITLES if root_folder == TWIN else CALLS
        place = file.relative_to(root).as_posix()
        tree = ast.parse(file.read_text(encoding="utf-8"))
        told = (one for scope in scopes(tree, values) for one in _of_scope(scope, calls, classes))
        for text, line in (*told, *(_enumerated(tree) if calls is CALLS else ())):
            if re.search(r"[^\W\d_]", re.sub(r"\{[^}]*\}", "", text)):
                found[text].append((place, line))
    return dict(found)


def _enumerated(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The values of several words of the enumerations of texts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "StrEnum" for base in node.bases):
            for value in (one.value for one in node.body if isinstance(one, ast.Assign)):
                if isinstance(value, ast.Constant) and isinstance(value.value, str) and " " in value.value:
                    yield value.value, value.lineno


def literal_fields(model: Path) -> dict[str, tuple[str, ...]]:
    """Fields of the model that have one of a few words as value → these words."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in sorted(model.glob("*.py"))]
    types: dict[str, tuple[str, ...]] = {}
    for alias in (node for tree in trees for node in tree.body if isinstance(node, ast.Assign)):
        name, value = alias.targets[0], alias.value
        if isinstance(name, ast.Name) and isinstance(value, ast.Subscript) and ast.unparse(value.value) == "Literal":
            types[name.id] = tuple(ast.literal_eval(value.slice))
    fields: dict[str, tuple[str, ...]] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            for alias_name, words in types.items():
                if ast.unparse(node.annotation) in (alias_name, f"{alias_name} | None"):
                    fields[node.target.id] = fields.get(node.target.id, ()) + words
    return fields


def _of_scope(scope: Scope, calls: Mapping[str, int], classes: frozenset[str]) -> Iterator[tuple[str, int]]:
    for node in scope.calls:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        known = name in classes
        # A class chosen at run time, `kind(…, hint=…)`, is told by its keywords.
        error = known or any(keyword.arg in WORDS for keyword in node.keywords)
        place = 0 if known else calls.get(name, len(node.args))
        for argument in node.args[place : place + 1]:
            yield from scope.literals(argument)
        for keyword in node.keywords:
            if error and keyword.arg in WORDS:
                yield from scope.literals(keyword.value)
            elif known or (name in calls and calls is CALLS):
                yield from _phrases(scope, keyword.value)
    if calls is CALLS:
        for node in scope.raised:
            for argument in node.args:
                yield from _phrases(scope, argument)


def _phrases(scope: Scope, node: ast.expr) -> Iterator[tuple[str, int]]:
    """The texts of several words."""
    return ((text, line) for text, line in scope.literals(node) if " " in text.strip())


class Scope:
    """A function, or the module around it: its calls, and what its names stand for."""

    def __init__(self, root: ast.AST, outer: Scope | None, values: Mapping[str, tuple[str, ...]]) -> None:
        self.root, self.outer, self.values = root, outer, values
        self.calls: list[ast.Call] = []
        self.raised: list[ast.Call] = []
        self.inner: list[Scope] = []
        self.names: dict[str, list[ast.expr]] = defaultdict(list)
        self._visit(root)

    def _visit(self, parent: ast.AST) -> None:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.inner.append(Scope(node, self, self.values))
                continue
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                if not hasattr(builtins, getattr(node.exc.func, "id", "")):
                    self.raised.append(node.exc)
            elif isinstance(node, ast.Call):
                self.calls.append(node)
            elif isinstance(node, ast.Assign):
                self._bind(node.targets[0], node.value)
            elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                self._bind(node.target, node.value)
            elif isinstance(node, ast.For):
                for item in _items(node.iter, self):
                    self._bind(node.target, item)
            self._visit(node)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id].append(value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for part, given in zip(target.elts, value.elts, strict=True):
                self._bind(part, given)

    def known(self, name: str) -> list[ast.expr]:
        """What the name was given, here or further out."""
        return self.names.get(name) or (self.outer.known(name) if self.outer else [])

    def returned(self, name: str) -> list[ast.expr]:
        """What the function of that name returns."""
        for scope in self.inner:
            if getattr(scope.root, "name", "") == name:
                returns = (node for node in ast.walk(scope.root) if isinstance(node, ast.Return))
                return [node.value for node in returns if isinstance(node.value, ast.Constant | ast.IfExp)]
        return self.outer.returned(name) if self.outer else []

    def dictionary(self, node: ast.expr) -> list[ast.expr]:
        """The values of the dictionary that the expression is."""
        known = self.known(node.id) if isinstance(node, ast.Name) else [node]
        return [value for given in known if isinstance(given, ast.Dict) for value in given.values]

    def literals(self, node: ast.expr, deep: int = 0) -> Iterator[tuple[str, int]]:
        """The sentences that the expression can be."""
        parts: list[ast.expr] = []
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno
        elif isinstance(node, ast.IfExp):
            parts = [node.body, node.orelse]
        elif isinstance(node, ast.BoolOp):
            parts = node.values
        elif isinstance(node, ast.Tuple | ast.List):
            parts = node.elts
        elif isinstance(node, ast.Subscript):
            parts = self.dictionary(node.value)
        elif isinstance(node, ast.Name):
            parts = self.known(node.id)
        elif isinstance(node, ast.Attribute):
            yield from ((value, node.lineno) for value in self.values.get(node.attr, ()))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            parts = [*self.dictionary(node.func.value), *node.args[1:]]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            parts = self.returned(node.func.id)
        if deep < DEEP:
            for part in parts:
                yield from self.literals(part, deep + 1)


def scopes(tree: ast.AST, values: Mapping[str, tuple[str, ...]]) -> Iterator[Scope]:
    """The module and every function in it."""
    waiting = [Scope(tree, None, values)]
    while waiting:
        scope = waiting.pop()
        waiting += scope.inner
        yield scope


def _items(node: ast.expr, scope: Scope) -> list[ast.expr]:
    """What a loop goes through: pairs for ``.items()`` of a dictionary."""
    if isinstance(node, ast.Name):
        return [item for known in scope.known(node.id) for item in getattr(known, "elts", [])]
    if isinstance(node, ast.Tuple | ast.List):
        return node.elts
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        values = scope.dictionary(node.func.value)
        if node.func.attr == "items":
            return [ast.Tuple([value, value], ast.Load()) for value in values]
        return values if node.func.attr == "values" else []
    return []


def po_file(lang: str) -> Path:
    return LOCALES / lang / "LC_MESSAGES" / "backout.po"


def load(lang: str) -> Catalog:
    path = po_file(lang)
    if not path.exists():
        return Catalog(locale=lang, domain="backout")
    with path.open("rb") as stream:
        return read_po(stream, locale=lang, domain="backout")


def update(lang: str) -> None:
    old = load(lang)
    new = Catalog(
        locale=lang,
        domain="backout",
        project="Backout",
        copyright_holder="The Backout authors",
        charset="utf-8",
        header_comment="# SPDX-License-Identifier: Apache-2.0\n# Translations of Backout's sentences.",
        fuzzy=False,
    )
    new.revision_date = new.creation_date = old.creation_date if old.header_comment else new.creation_date
    for text in sorted(sentences()):
        known = old.get(text)
        new.add(text, known.string if known else "")
    po_file(lang).parent.mkdir(parents=True, exist_ok=True)
    with po_file(lang).open("wb") as stream:
        write_po(stream, new, width=120, no_location=True, sort_output=True)


def _texts(mo: bytes) -> dict[str, str]:
    """What a compiled catalogue says, without the header: there each version of Babel names itself."""
    with io.BytesIO(mo) as stream:
        catalog = dict(gettext.GNUTranslations(stream)._catalog)  # type: ignore[attr-defined]
    catalog.pop("", None)
    return catalog


def compiled(lang: str) -> bytes:
    stream = io.BytesIO()
    write_mo(stream, load(lang))
    return stream.getvalue()


def problems(lang: str) -> Iterator[str]:
    """A line for each sentence that is not translated, or with other arguments, and for a .mo that is not its .po."""
    catalogue = load(lang)
    for text, places in sentences().items():
        entry = catalogue.get(text)
        place = f"{places[0][0].removeprefix('src/backout/')}:{places[0][1]}"
        if entry is None or not entry.string:
            yield f"{place}: no {lang}: {short(text)}"
        elif fields(str(entry.string)) != fields(text):
            yield f"{place}: other arguments in {lang}: {short(text)}"
    mo = po_file(lang).with_suffix(".mo")
    if not mo.exists() or _texts(mo.read_bytes()) != _texts(compiled(lang)):
        yield f"{mo.relative_to(ROOT)} is not compiled from its .po: run `python tools/translations.py compile`"


def short(text: str) -> str:
    """The beginning of a sentence."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def fields(template: str) -> set[str]:
    """Names of the arguments in a template."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name}
    except ValueError:
        return set()


def main() -> int:
    verb = sys.argv[1] if len(sys.argv) > 1 else "check"
    failed = 0
    for lang in LANGUAGES:
        if verb == "update":
            update(lang)
        if verb in ("update", "compile"):
            po_file(lang).with_suffix(".mo").write_bytes(compiled(lang))
        if verb == "check":
            for problem in problems(lang):
                failed += 1
                print(problem)
    if failed:
        print(f"{failed} problems. Run `python tools/translations.py update`, translate what is empty, and compile.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
