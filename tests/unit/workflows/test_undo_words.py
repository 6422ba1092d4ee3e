# SPDX-License-Identifier: Apache-2.0
"""What an undo says of its steps."""

from __future__ import annotations

import msgspec

from backout.model.message import Message, msg
from backout.workflows.undo import _other_title


def test_an_undo_of_an_undo_does_the_step_again() -> None:
    title = msg("Put the pod template of revision {n} back", n=2)
    undone = _other_title(title)
    assert undone.text == "Take back: Put the pod template of revision 2 back"
    # A plan comes back from the disk before it is undone.
    kept = msgspec.json.decode(msgspec.json.encode(undone), type=Message)
    assert _other_title(kept).text == title.text
    assert _other_title(_other_title(kept)).text == undone.text
