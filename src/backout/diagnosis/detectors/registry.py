# SPDX-License-Identifier: Apache-2.0
"""The detectors that look at a namespace as a whole: a file and a line each.

Those that look at pods, Services, Ingresses, programs and releases bring evidence of their own and are called where that
is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from backout.diagnosis.detectors import (
    absent,
    applications,
    autoscaling,
    cronjobs,
    customs,
    elsewhere,
    emptied,
    ingress_class,
    lost_nodes,
    old_references,
    pod_labels,
    port_names,
    replicas,
    selectors,
    service_name,
    service_ports,
)
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import Namespace

Detector = Callable[[Namespace, State, Events], Awaitable[list[Seen]]]

DETECTORS: tuple[tuple[str, Detector], ...] = (
    ("absent", absent.detect),
    ("replicas", replicas.detect),
    ("lost-nodes", lost_nodes.detect),
    ("service-name", service_name.detect),
    ("selectors", selectors.detect),
    ("pod-labels", pod_labels.detect),
    ("port-names", port_names.detect),
    ("service-ports", service_ports.detect),
    ("elsewhere", elsewhere.detect),
    ("emptied", emptied.detect),
    ("ingress-class", ingress_class.detect),
    ("autoscaling", autoscaling.detect),
    ("cron-jobs", cronjobs.detect),
    ("old-references", old_references.detect),
    ("custom-resources", customs.detect),
    ("applications", applications.detect),
)


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """What all of them see."""
    found = await asyncio.gather(*(detector(namespace, state, events) for _, detector in DETECTORS))
    return [seen for some in found for seen in some]
