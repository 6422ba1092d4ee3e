# SPDX-License-Identifier: Apache-2.0
"""Resource quantities ("250m", "1Gi") as exact numbers."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

_SUFFIXES: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}


@lru_cache(maxsize=4096)
def parse(text: str | int | float) -> Fraction:
    """The quantity in its base unit. Raises ValueError when it is not one."""
    raw = str(text).strip()
    end = len(raw)
    while end and not (raw[end - 1].isdigit() or raw[end - 1] == "."):
        end -= 1
    number, suffix = raw[:end], raw[end:]
    if suffix in _SUFFIXES:
        return Fraction(number) * _SUFFIXES[suffix]
    return Fraction(raw)


def milli(text: str | int | float) -> int:
    """Rounded up to thousandths, as CPU is counted."""
    value = parse(text) * 1000
    return -(-value.numerator // value.denominator)


def units(text: str | int | float) -> int:
    """Rounded up to whole units, as bytes are counted."""
    value = parse(text)
    return -(-value.numerator // value.denominator)
