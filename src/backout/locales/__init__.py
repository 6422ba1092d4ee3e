# SPDX-License-Identifier: Apache-2.0
"""Texts in the reader's language. English is what the templates are written in; others come from gettext catalogues."""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "ko")
_DIRECTORY = Path(__file__).parent


def translate(template: str, args: Mapping[str, Any], lang: str) -> str:
    """``template`` in ``lang`` with ``args`` put in; English where there is no translation."""
    text = template if lang == "en" or not template else _catalogue(lang).gettext(template)
    return text.format(**args) if args else text


@cache
def _catalogue(lang: str) -> gettext.NullTranslations:
    return gettext.translation("backout", _DIRECTORY, [lang], fallback=True)
