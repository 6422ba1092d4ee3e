# SPDX-License-Identifier: Apache-2.0
"""What has to be told apart, and which of the project's own situations try it: at least six each."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

LEAST = 6
TOPICS: dict[str, tuple[str, ...]] = {
    "a change that does not touch what fails": ("upgrade-of-the-caller*", "loud-canary*", "innocent-edit*", "15?-*"),
    "a field that cannot cause the symptom": ("environment-*", "node-selector*", "image-that-never*", "1??-*"),
    "a revision that ran well": ("dependency-*", "disk-*", "password-*", "7[5-9]?-*"),
    "several at once: a dependency": ("dependency-that-is-down*",),
    "several at once: names": ("names-that-do-not-resolve*",),
    "several at once: a certificate": ("certificate-that-ran-out*",),
    "several at once: a registry": ("registry-that-does-not-answer*",),
    "a node": ("node-that-fails*",),
    "a taint or a cordon": ("node-that-was-tainted*",),
    "a disk": ("disk-that-is-full*",),
    "a password rotated elsewhere": ("password-that-was-rotated-elsewhere*",),
    "a Secret rotated on purpose": ("secret-rotated-on-purpose*",),
    "rights that the program misses": ("rights-that-were-*",),
    "a Role that was cut": ("rights-that-were-cut*",),
    "a binding that was deleted": ("rights-that-were-taken*",),
    "rights of a release, without a snapshot": ("rights-of-a-release*",),
    "memory": ("memory-limit*",),
    "a ServiceAccount": ("service-account-*", "account-that-was-deleted*"),
    "an account that was deleted": ("account-that-was-deleted*",),
    "an image secret": ("pull-secret-*",),
    "a quota": ("request-beyond-the-quota*", "scaled-beyond-the-quota*", "quota-that-was-lowered*", "quota-of-others*"),
    "a quota that was lowered": ("quota-that-was-lowered*",),
    "a quota used up by others": ("quota-used-by-others*",),
    "a LimitRange": ("limit-range-*",),
    "a reason of the scheduler": ("node-selector*", "affinity*", "larger-than-any-node*", "toleration-*"),
    "a claim": ("claim-that-is-not-there*",),
    "a StorageClass": ("storage-class-*",),
    "a NetworkPolicy": ("policy-that-shuts-out*",),
    "a NetworkPolicy that was narrowed": ("policy-that-was-narrowed*",),
    "an IngressClass": ("class-of-an-ingress*",),
    "a governing Service": ("name-of-the-governing-service*", "headless-service-*"),
    "an autoscaler's target": ("target-of-an-autoscaler*",),
    "Jobs and CronJobs": ("schedule-whose-jobs-fail*",),
    "a rollout under way": ("healthy-rollout-under-way*", "85?-*", "8[6-9]?-*"),
    "drift of a field": ("*-overwritten*", "variable-changed*", "field-taken-away*", "image-set-by-hand*"),
    "drift: what was added": (
        "init-container-added*",
        "selector-of-nodes-added*",
        "volume-added*",
        "variable-added*",
        "container-added*",
    ),
    "an object of a release that is missing": ("*-that-was-deleted*", "552-*"),
    "replicas at 0": ("scaled-to-nothing*",),
    "actor and time": ("two-programs-two-actors*", "two-bad-changes*", "152-*"),
    "a key that was removed": ("key-that-was-removed*",),
    "one release changes what another reads": ("key-renamed-by-another-release*",),
    "two causes at once": ("two-programs-*", "image-and-service*", "change-and-outage*"),
    "snapshots speak for workloads": ("applied-anew*", "hashed-name*", "scaled-to-nothing*"),
    "nothing good is left": ("dependency-*", "names-that-*", "registry-*", "certificate-that-ran-out*"),
    "the way back and its obstacles": ("6[5-9]?-*",),
}
"""Topic → globs on the names of generated situations and of scripts."""


def counted(names: Iterable[str]) -> dict[str, int]:
    """How many of ``names`` try each topic."""
    every = list(names)
    return {
        topic: sum(any(fnmatch.fnmatch(name, each) for each in globs) for name in every)
        for topic, globs in TOPICS.items()
    }
