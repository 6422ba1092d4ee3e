# SPDX-License-Identifier: Apache-2.0
"""The definitions in the ``crds/`` folder of a recorded chart. Pure.

Helm makes them at the first install, and never touches them again (helm docs, chart_best_practices/custom_resource_definitions).
A record holds the files of its chart, and not those of charts that it depends on (helm pkg/chart/v2/chart.go).
"""

from __future__ import annotations

from typing import Any

import msgspec

from backout.errors import BackoutError
from backout.helm.manifest import entries
from backout.helm.payload import unpack
from backout.model.decoding import UNREADABLE

FOLDER = "crds/"


class _File(msgspec.Struct, frozen=True):
    name: str = ""
    data: bytes | None = None


class _Chart(msgspec.Struct, frozen=True):
    files: tuple[_File, ...] | None = ()


class _Release(msgspec.Struct, frozen=True):
    chart: _Chart | None = None


def definitions_in(body: str, name: str, *, wrapped: bool) -> tuple[dict[str, Any], ...]:
    """The definitions of the record in ``body`` (as `payload.decode` takes it); what can't be read is left out.

    Raises:
        TooLarge, Invalid: the record can't be unpacked.
    """
    try:
        release = msgspec.json.decode(unpack(body, name, wrapped=wrapped), type=_Release)
    except UNREADABLE:
        return ()
    found = []
    for file in (release.chart.files or ()) if release.chart else ():
        if not file.name.startswith(FOLDER) or not file.data:
            continue
        try:
            found += [entry.object for entry in entries(file.data.decode("utf-8"), {"CustomResourceDefinition"})]
        except (BackoutError, UnicodeDecodeError):
            continue
    return tuple(found)
