# SPDX-License-Identifier: Apache-2.0
"""Way back for Deployments, StatefulSets and DaemonSets that nobody else owns: their pod template, and only that."""
