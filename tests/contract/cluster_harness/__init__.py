# SPDX-License-Identifier: Apache-2.0
"""What the contract suite speaks with: raw HTTP to any cluster, so that bodies and headers are seen exactly."""

from cluster_harness.http import Answer, Cluster, Watch, connect
from cluster_harness.objects import container, deployment, pod_template

__all__ = ["Answer", "Cluster", "Watch", "connect", "container", "deployment", "pod_template"]
