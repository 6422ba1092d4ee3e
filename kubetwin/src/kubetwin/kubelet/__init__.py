# SPDX-License-Identifier: Apache-2.0
"""A simulated kubelet: nodes and pods that behave as real ones do in the API, without running anything."""

from kubetwin.kubelet.settings import KubeletSettings

__all__ = ["KubeletSettings"]
