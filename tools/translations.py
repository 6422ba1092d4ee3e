# SPDX-License-Identifier: Apache-2.0
"""Catalogues of other languages: collects every sentence of the source, updates the .po files, compiles the .mo files.

    python tools/translations.py update     # new sentences into the .po files, empty; gone ones out
    python tools/translations.py compile    # .po → .mo
    python tools/translations.py check      # fails when a sentence has no translation, or a .mo is not its .po

A sentence is the literal first argument of a call that translates or stores one (`CALLS`), the ``expected``, ``found``
and ``hint`` of an error, and a literal given to ``N_``. Both sides of a conditional expression count.
"""

from __future__ import annotations

import ast
import io
import re
import string
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "backout"
LOCALES = SOURCE / "locales"
LANGUAGES = ("ko",)

CALLS = frozenset({"msg", "say", "told", "note", "translate", "N_"})
WORDS = ("expected", "found", "hint")
SKIPPED = ("twin",)


def errors() -> frozenset[str]:
    """Names of the classes of the error tree."""
    tree = ast.parse((SOURCE / "errors.py").read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.ClassDef))


def sentences() -> dict[str, list[tuple[str, int]]]:
    """Every sentence → where it is."""
    return _sentences(SOURCE, ROOT)


@cache
def _sentences(source: Path, root: Path) -> dict[str, list[tuple[str, int]]]:
    classes = errors()
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for file in sorted(source.rglob("*.py")):
        if file.relative_to(source).parts[0] in SKIPPED:
            continue
        place = file.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                for text, line in _of_call(node, classes):
                    if re.search(r"[^\W\d_]", re.sub(r"\{[^}]*\}", "", text)):
                        found[text].append((place, line))
    return dict(found)


def _of_call(node: ast.Call, classes: frozenset[str]) -> Iterator[tuple[str, int]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in CALLS | classes and node.args:
        yield from _literals(node.args[0])
    if name in classes:
        for keyword in node.keywords:
            if keyword.arg in WORDS:
                yield from _literals(keyword.value)


def _literals(node: ast.expr) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value, node.lineno
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _literals(value)


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
        locale=lang, domain="backout", project="Backout", copyright_holder="The Backout authors", charset="utf-8",
        header_comment="# SPDX-License-Identifier: Apache-2.0\n# Translations of Backout's sentences.",
        fuzzy=False,
    )  # fmt: skip
    new.revision_date = new.creation_date = old.creation_date if old.header_comment else new.creation_date
    for text, places in sorted(sentences().items(), key=lambda item: (item[1][0], item[0])):
        known = old.get(text)
        new.add(
            text, known.string if known else "", locations=[(place, 0) for place in dict.fromkeys(p for p, _ in places)]
        )
    po_file(lang).parent.mkdir(parents=True, exist_ok=True)
    with po_file(lang).open("wb") as stream:
        write_po(stream, new, width=120, include_lineno=False)


def compiled(lang: str) -> bytes:
    stream = io.BytesIO()
    write_mo(stream, load(lang))
    return stream.getvalue()


def problems(lang: str) -> Iterator[str]:
    catalogue = load(lang)
    for text, places in sentences().items():
        entry = catalogue.get(text)
        if entry is None or not entry.string:
            yield f"{places[0][0]}:{places[0][1]}: no {lang} translation of {text!r}"
        elif not fields(str(entry.string)) <= fields(text):
            yield f"{places[0][0]}:{places[0][1]}: the {lang} translation of {text!r} names other arguments"
    mo = po_file(lang).with_suffix(".mo")
    if not mo.exists() or mo.read_bytes() != compiled(lang):
        yield f"{mo.relative_to(ROOT)} is not compiled from its .po: run `python tools/translations.py compile`"


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
                failed = 1
                print(problem)
    return failed


if __name__ == "__main__":
    sys.exit(main())
