# SPDX-License-Identifier: Apache-2.0
"""YAML and JSON files that a program is given by a flag: read at its start only, and it does not start without them."""

from __future__ import annotations

from kubetwin.kubelet.apps.base import Around, Ended, Part, Unparsable, logfmt, parse_yaml


class ConfigFile(Part):
    """One such file."""

    def __init__(self, around: Around, path: str) -> None:
        self._around = around
        self._path = path

    def begin(self, now: float) -> Ended | None:
        content = self._around.files().get(self._path)
        if content is None:
            return self._refused(now, f"open {self._path}: no such file or directory")
        try:
            document = parse_yaml(content)
        except Unparsable as error:
            return self._refused(now, str(error))
        if document is not None and not isinstance(document, dict | list):
            return self._refused(now, "yaml: unmarshal errors: cannot unmarshal value into the configuration")
        return None

    def _refused(self, now: float, why: str) -> Ended:
        command = self._around.subcommand or self._around.container
        text = f"preparing {command} command failed: unable to load config initially: {self._path}: {why}"
        after = self._around.settings.crash_after
        return Ended((logfmt(now + after, "error", err=text),), after)
