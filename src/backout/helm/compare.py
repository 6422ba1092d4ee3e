# SPDX-License-Identifier: Apache-2.0
"""What two rendered manifests differ in, object by object. Pure; nothing live is looked at."""

from __future__ import annotations

from backout.helm.manifest import entries
from backout.kube.diff import diff_objects
from backout.model.change import Action, ObjectChange


def compare(before: str, after: str, namespace: str) -> tuple[ObjectChange, ...]:
    """The objects that differ, in the order of the manifests, those that went away last.

    Raises:
        TooLarge, Invalid: a manifest can't be read.
    """
    left = {entry.key(namespace): entry for entry in entries(before)}
    right = {entry.key(namespace): entry for entry in entries(after)}
    found = []
    for key in [*right, *(key for key in left if key not in right)]:
        old, new = left.get(key), right.get(key)
        if old and new and old.text_digest == new.text_digest:
            continue
        fields = diff_objects(old.object if old else None, new.object if new else None)
        action: Action = "update" if old and new else "create" if new else "delete"
        entry = new or old
        if entry is not None and (fields or action != "update"):
            # Of an object that came or went, every field differs; its name says enough.
            shown = fields if action == "update" else ()
            found.append(ObjectChange(ref=entry.ref(namespace), action=action, fields=shown))
    return tuple(found)
