# SPDX-License-Identifier: Apache-2.0
"""The embedded cluster: API server, controllers and simulated kubelet in one process."""

__version__ = "0.1.0"
