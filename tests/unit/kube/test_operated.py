# SPDX-License-Identifier: Apache-2.0
"""How a custom resource is: by its own status, and by what its operator makes of it. Who tells nothing is not ready."""

from __future__ import annotations

from typing import Any

import pytest

from backout.kube.operated import Child, Known, operated
from backout.kube.rollout import Rollout, RolloutState
from backout.model.message import msg


def child(*, complete: bool = True, generation: int = 1, uid: str = "u1", name: str = "store-main") -> Child:
    state = RolloutState.COMPLETE if complete else RolloutState.UNDER_WAY
    rollout = Rollout(state=state, why=msg("0 of 1 pods are ready"))
    return Child(kind="StatefulSet", name=name, uid=uid, generation=generation, rollout=rollout)


def resource(observed: int | None = None, ready: str = "", *, spec: dict[str, Any] | None = None) -> dict[str, Any]:
    status: dict[str, Any] = {"observedGeneration": observed} if observed is not None else {}
    if ready:
        status["conditions"] = [{"type": "Ready", "status": ready, "message": "told so"}]
    return {"metadata": {"name": "main", "generation": 2}, "spec": spec or {}, "status": status}


KNOWN = (Known(kind="StatefulSet", name="store-main", namespace="ns", uid="u1", generation=1),)
PAUSED = {"paused": True}

NEVER = {"metadata": {"name": "main", "generation": 2}, "spec": {}}
SUSPENDED = {"metadata": {"name": "main", "generation": 2}, "spec": {"suspend": True}, "status": {}}

CASES = [
    ("nobody has ever said anything", NEVER, (), (), False, "unknown"),
    ("nobody says anything, and it was changed", NEVER, (), (), True, "unknown"),
    ("nobody says anything, but what is made of it is ready", NEVER, (child(),), (), False, "ready"),
    ("nobody says anything, and what is made of it is not", NEVER, (child(complete=False),), (), False, "waiting"),
    ("suspended, and nothing is made of it", SUSPENDED, (), (), False, "ready"),
    ("it is gone", None, (), (), False, "failed"),
    ("its operator says ready", resource(2, "True"), (), (), True, "ready"),
    ("ready, of the spec before", resource(1, "True"), (), (), True, "waiting"),
    ("its operator refuses it", resource(2, "False"), (child(),), KNOWN, True, "failed"),
    ("ready, but a pod is not", resource(2, "True"), (child(complete=False),), KNOWN, True, "waiting"),
    ("no word of generations, and nothing moved", resource(None, "True"), (child(),), KNOWN, True, "unknown"),
    (
        "no word of generations, but what it makes moved",
        resource(None, "True"),
        (child(generation=2),),
        KNOWN,
        True,
        "ready",
    ),
    ("made anew since", resource(None, ""), (child(uid="u2"),), KNOWN, True, "ready"),
    ("another one since", resource(None, ""), (child(), child(name="store-1", uid="u3")), KNOWN, True, "ready"),
    ("no word at all, nothing was changed", resource(), (child(),), KNOWN, False, "ready"),
    ("no word at all, and nothing is made of it", resource(), (), (), True, "unknown"),
    ("no word at all, seen all the same", resource(2), (), (), True, "unknown"),
    ("what it had made is gone", resource(2, "True"), (), KNOWN, True, "waiting"),
    (
        "paused, so what was put back has no effect",
        resource(2, "True", spec=PAUSED),
        (child(),),
        KNOWN,
        True,
        "unknown",
    ),
    ("paused, and nothing was changed", resource(2, "True", spec=PAUSED), (child(),), KNOWN, False, "ready"),
]


@pytest.mark.parametrize(("what", "obj", "children", "known", "changed", "state"), CASES, ids=[c[0] for c in CASES])
def test_how_it_is(
    what: str,
    obj: dict[str, Any] | None,
    children: tuple[Child, ...],
    known: tuple[Known, ...],
    changed: bool,
    state: str,
) -> None:
    found = operated(obj, children, known, changed=changed)
    assert found.state == state, f"{what}: {found.why.text}"
    assert found.why.text


@pytest.mark.parametrize("changed", [False, True])
def test_what_only_configures_something_is_as_it_was_written(changed: bool) -> None:
    found = operated(NEVER, (), changed=changed, answers=False)
    assert found.state == "ready" and not found.taken_up and "no status" in found.why.text
