# SPDX-License-Identifier: Apache-2.0
"""Sentences in the reader's language. English is the source; other languages are gettext catalogues beside this file.

Translated are templates, before their arguments are put in. A sentence without a translation stays English: a missing
word must never hide a fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gettext import NullTranslations

LANGUAGES = ("en", "ko")
DOMAIN = "backout"


class Sentence(Protocol):
    """A stored text: what was said, and the template and arguments it was made from."""

    @property
    def text(self) -> str: ...
    @property
    def template(self) -> str: ...
    @property
    def args(self) -> Mapping[str, Any]: ...


def N_(template: str) -> str:
    """Marks a template for the catalogues where it is not given to a function that translates it."""
    return template


def translate(template: str, args: Mapping[str, Any], lang: str) -> str:
    """The template in the language ``lang`` with its arguments; English where there is no translation.

    A text without arguments may hold braces of its own. Arguments of several words that are sentences of ours
    (``reason="it is missing"``) are translated too; single words may be names, and stay.
    """
    found = _catalogue(lang).gettext(template) if template and lang != "en" else template
    if not args:
        return found
    args = {name: _argument(value, lang) for name, value in args.items()}
    try:
        said = found.format(**args)
    except (KeyError, IndexError, ValueError):
        # A damaged catalogue or argument must not take the sentence away.
        return template.format(**args) if found != template else template
    if lang == "ko" and found != template:
        from backout.locales.korean import particles

        return particles(said)
    return said


def say(sentence: Sentence, lang: str) -> str:
    """A stored message in the language ``lang``."""
    if lang == "en":
        return sentence.text
    return translate(sentence.template or sentence.text, sentence.args, lang)


def _argument(value: Any, lang: str) -> Any:
    if isinstance(value, Mapping) and "text" in value:
        return translate(value.get("template") or value["text"], value.get("args") or {}, lang)
    return _catalogue(lang).gettext(value) if type(value) is str and lang != "en" and " " in value.strip() else value


@cache
def _catalogue(lang: str) -> NullTranslations:
    from gettext import GNUTranslations, NullTranslations

    file = resources.files(__package__).joinpath(lang, "LC_MESSAGES", f"{DOMAIN}.mo")
    if lang not in LANGUAGES or not file.is_file():
        return NullTranslations()
    with file.open("rb") as stream:
        return GNUTranslations(stream)
