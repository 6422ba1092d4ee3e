# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' control loops, spoken over the API only, so that each can also run against a real API server."""
