# SPDX-License-Identifier: Apache-2.0
"""Pods that the API server does not take, though nothing of their workload was changed: webhooks that do not answer or that refuse
them, policies, and the pod security of the namespace.

The texts: kubernetes staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook (``failed calling webhook``, ``admission webhook …
denied the request``), …/policy/validating (``ValidatingAdmissionPolicy … denied request``), staging/src/k8s.io/pod-security-admission
(``violates PodSecurity``).
"""

from __future__ import annotations

import re

from backout.diagnosis.attribution.circumstances import Circumstance, codes_of, kinds_of
from backout.diagnosis.attribution.failures import Kind
from backout.diagnosis.attribution.hypotheses import Situation
from backout.diagnosis.evidence.namespace import Namespace
from backout.model.message import Message, msg

_SILENT = re.compile(r"failed (?:calling|to call) webhook:? \\?\"?([\w.-]+)")
_DENIED = re.compile(r"admission webhook \\?\"?([\w.-]+)\\?\"? denied")
_POLICY = re.compile(r"ValidatingAdmissionPolicy '([\w.-]+)'")
_SECURITY = re.compile(r"violates PodSecurity \\?\"?([\w.:-]+)")


async def admission(situation: Situation, namespace: Namespace) -> Circumstance | None:
    """Who does not let the pods in; None where that is somebody else."""
    if Kind.NOT_CREATED not in kinds_of(situation):
        return None
    text = " ".join(failure.text for failure in situation.failures)
    codes = codes_of(situation)
    if (match := _SILENT.search(text)) is not None:
        name = match.group(1)
        return _found(
            f"webhook/{name}",
            msg(
                "{codes}: the webhook {name} does not answer, so that no pods are taken; no change of the workload did that",
                codes=codes,
                name=name,
            ),
            msg("Look at the program behind {name}: is it ready, and does its certificate hold?", name=name),
        )
    if (match := _DENIED.search(text) or _POLICY.search(text)) is not None:
        name = match.group(1)
        return _found(
            f"policy/{name}",
            msg(
                "{codes}: {name} refuses the pods; no change of the workload brought what it refuses",
                codes=codes,
                name=name,
            ),
            msg("Look at {name}, and at who changed what it asks for.", name=name),
        )
    if (match := _SECURITY.search(text)) is not None:
        level = match.group(1)
        return _found(
            f"pod-security/{namespace.name}",
            msg(
                "{codes}: the pod security of the namespace ({level}) refuses the pods; no change of the workload did that",
                codes=codes,
                level=level,
            ),
            msg(
                "Look at the label pod-security.kubernetes.io/enforce of namespace/{name}, and at who set it.",
                name=namespace.name,
            ),
        )
    return None


def _found(key: str, cause: Message, note: Message) -> Circumstance:
    return Circumstance(key=key, confidence="likely", cause=cause, notes=(note,))
