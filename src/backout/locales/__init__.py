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

from backout.errors import fill

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


class Dress(Protocol):
    """How a text is written so that a page takes it for text and nothing else."""

    def sentence(self, text: str) -> str:
        """A sentence of ours, or one that is kept as it is."""
        ...

    def data(self, value: Any) -> Any:
        """What is put into a sentence."""
        ...


def translate(template: str, args: Mapping[str, Any], lang: str, dress: Dress | None = None) -> str:
    """The template in the language ``lang`` with its arguments; English where there is no translation.

    A text without arguments may hold braces of its own. Arguments of several words that are sentences of ours
    (``reason="it is missing"``) are translated too; single words may be names, and stay. ``dress`` is put on each
    sentence and each argument by itself, so that an argument can't take off what is put on the whole.
    """
    found = _catalogue(lang).gettext(template) if template and lang != "en" else template
    worn = dress.sentence(found) if dress is not None else found
    if not args:
        return worn
    args = {name: _argument(value, lang, dress) for name, value in args.items()}
    try:
        said = fill(worn, args)
    except KeyError:
        # A damaged catalogue or argument must not take the sentence away.
        try:
            return fill(template, args) if found != template else worn
        except KeyError:
            return worn
    if lang == "ko" and found != template:
        from backout.locales.korean import particles

        return particles(said)
    return said


def say(sentence: Sentence, lang: str, dress: Dress | None = None) -> str:
    """A stored message in the language ``lang``."""
    if lang == "en" and dress is None:
        return sentence.text
    return translate(sentence.template or sentence.text, sentence.args, lang, dress)


def _argument(value: Any, lang: str, dress: Dress | None) -> Any:
    if isinstance(value, Mapping) and "text" in value:
        return translate(value.get("template") or value["text"], value.get("args") or {}, lang, dress)
    said = _catalogue(lang).gettext(value) if type(value) is str and lang != "en" and " " in value.strip() else value
    return dress.data(said) if dress is not None else said


@cache
def _catalogue(lang: str) -> NullTranslations:
    from gettext import GNUTranslations, NullTranslations

    file = resources.files(__package__).joinpath(lang, "LC_MESSAGES", f"{DOMAIN}.mo")
    if lang not in LANGUAGES or not file.is_file():
        return NullTranslations()
    with file.open("rb") as stream:
        return GNUTranslations(stream)
