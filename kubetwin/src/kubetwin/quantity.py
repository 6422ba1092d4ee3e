# SPDX-License-Identifier: Apache-2.0
"""Resource quantities, ``500m`` or ``1Gi``: value and canonical form as apimachinery's pkg/api/resource has them."""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

MALFORMED = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

_FORM = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]+)?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {power: suffix for suffix, power in _BINARY.items()}
_NANO = Decimal(1).scaleb(-9)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Decimal, str]:
    """(value, format): format is ``decimal``, ``binary`` or ``exponent``."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(MALFORMED)
    number, suffix = Decimal(match.group(1)), match.group(2) or ""
    if suffix in _BINARY:
        value, form = number * (1024 ** _BINARY[suffix]), "binary"
    elif suffix in _DECIMAL:
        value, form = number.scaleb(_DECIMAL[suffix]), "decimal"
    else:
        value, form = number.scaleb(int(suffix[1:])), "exponent"
    if value % _NANO:
        value = value.quantize(_NANO, rounding=ROUND_CEILING)
    return value, form


def value_of(quantity: str | int | float) -> Decimal:
    """The amount in base units. ValueError when it is no quantity."""
    return _parsed(str(quantity))[0]


@lru_cache(maxsize=4096)
def canonical(quantity: str | int | float) -> str:
    """The form in which a server stores it: the largest suffix that leaves no fraction. ValueError when malformed."""
    value, form = _parsed(str(quantity))
    if form == "binary" and -1024 < value < 1024:
        form = "decimal"
    if form == "binary":
        whole = int(value.to_integral_value(rounding=ROUND_CEILING))
        power = 0
        while power < 6 and whole % 1024 == 0:
            whole //= 1024
            power += 1
        return f"{whole}{_BINARY_SUFFIX.get(power, '')}"
    nano, exponent = int(value.scaleb(9)), -9
    if nano == 0:
        return "0"
    while exponent < 18 and nano % 1000 == 0:
        nano //= 1000
        exponent += 3
    if form == "exponent":
        return f"{nano}e{exponent}" if exponent else str(nano)
    return f"{nano}{_DECIMAL_SUFFIX[exponent]}"


def milli(quantity: str | int | float) -> int:
    """Rounded up to thousandths, as CPU is counted. ValueError when malformed."""
    return math.ceil(value_of(quantity) * 1000)


def units(quantity: str | int | float) -> int:
    """Rounded up to whole units, as bytes are counted. ValueError when malformed."""
    return math.ceil(value_of(quantity))
