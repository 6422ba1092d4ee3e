# SPDX-License-Identifier: Apache-2.0
"""Backout takes a Kubernetes deployment from "it went wrong" to "verified healthy, and written up"."""

__version__ = "0.1.0"
