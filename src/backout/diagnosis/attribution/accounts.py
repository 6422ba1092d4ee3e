# SPDX-License-Identifier: Apache-2.0
"""What was changed, past its owner, of the account that a workload's pods run as: whether they get its token, and what they
pull their images with.

Both are written into a pod when that is made, and only where its own template says nothing of it
(plugin/pkg/admission/serviceaccount).
"""

from __future__ import annotations

import msgspec

from backout.diagnosis.attribution.changes import Change
from backout.diagnosis.attribution.object_change import object_change
from backout.diagnosis.evidence.history import WorkloadHistory
from backout.diagnosis.evidence.namespace import SERVICEACCOUNTS, Namespace
from backout.model.change import FieldChange

TOKEN, LOGINS = "automountServiceAccountToken", "imagePullSecrets"


async def changes_of_account(history: WorkloadHistory, namespace: Namespace) -> list[Change]:
    """What pods that are made since lack. What a release changed of an account is told with that release."""
    spec = history.template.get("spec") or {}
    name = str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default")
    asked = [key for key, said in ((TOKEN, spec.get(TOKEN) is not None), (LOGINS, spec.get(LOGINS))) if not said]
    obj = (await namespace.named(SERVICEACCOUNTS)).get(name) if asked else None
    change = await object_change(namespace, obj, "|".join(f"^{key}" for key in asked)) if obj is not None else None
    if change is None or not change.by_hand:
        return []
    taken = tuple(field for field in change.fields if _takes(field))
    ref = change.touches[0]
    placed = tuple(msgspec.structs.replace(field, path=f"{ref} {field.path}") for field in taken)
    return [msgspec.structs.replace(change, fields=placed)] if placed else []


def _takes(field: FieldChange) -> bool:
    """True for what takes something away: a token that is mounted no more, a login that went or is another."""
    return field.after is False if field.path.startswith(TOKEN) else field.before is not None
