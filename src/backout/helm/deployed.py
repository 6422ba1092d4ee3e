# SPDX-License-Identifier: Apache-2.0
"""Several revisions of one release that all say deployed. Pure.

Helm means one at most: a rollback or upgrade that succeeds marks all others superseded. Two helms at the same time leave more
(helm pkg/storage/storage.go, Deployed: "If executed concurrently, Helm's database gets corrupted and multiple releases are
DEPLOYED. Take the latest."), and so would a record that comes back as it once was. Each wrote its objects, in no known order:
what is live may be a mixture. The next rollback that succeeds sets it right.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable

import msgspec

from backout.cluster.port import Object
from backout.errors import Invalid
from backout.helm.payload import unpack
from backout.model.decoding import UNREADABLE
from backout.model.message import Message, msg

DEPLOYED = "deployed"
SUPERSEDED = "superseded"


def several(statuses: Iterable[tuple[int, str]]) -> tuple[int, ...]:
    """The revisions that say deployed, where there are more than one; of each its number and status."""
    found = tuple(sorted(number for number, status in statuses if status == DEPLOYED))
    return found if len(found) > 1 else ()


def told(numbers: Iterable[int]) -> Message:
    """What there is to know of them."""
    return msg(
        "Revisions {numbers} all say deployed, which Helm means of one only: two helms wrote at the same time, it seems, and what is "
        "live may be a mixture of both.",
        numbers=", ".join(map(str, numbers)),
    )


def superseded(record: Object) -> Object:
    """A stored record of a revision that is in force no more: its label and its content both say so, since Helm reads both
    (pkg/storage/driver: the label finds it; pkg/action/upgrade.go: the content decides). Any other status stays.

    Raises:
        TooLarge, Invalid: it can't be read.
    """
    meta, data = dict(record["metadata"]), dict(record.get("data") or {})
    labels = dict(meta.get("labels") or {})
    if labels.get("status") != DEPLOYED:
        return record
    name, wrapped = str(meta.get("name")), record.get("kind") == "Secret"
    try:
        fields = msgspec.json.decode(
            unpack(str(data.get("release")), name, wrapped=wrapped), type=dict[str, msgspec.Raw]
        )
        info = msgspec.json.decode(fields["info"], type=dict[str, msgspec.Raw])
    except (KeyError, *UNREADABLE) as error:
        raise Invalid("Release record {name} can't be read: its content is not a Helm release.", name=name) from error
    info["status"] = msgspec.Raw(msgspec.json.encode(SUPERSEDED))
    fields["info"] = msgspec.Raw(msgspec.json.encode(info))
    packed = base64.b64encode(gzip.compress(msgspec.json.encode(fields), mtime=0))
    data["release"] = (base64.b64encode(packed) if wrapped else packed).decode()
    return {**record, "metadata": {**meta, "labels": {**labels, "status": SUPERSEDED}}, "data": data}
