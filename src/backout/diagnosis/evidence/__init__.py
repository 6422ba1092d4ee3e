# SPDX-License-Identifier: Apache-2.0
"""What was seen: read once from the cluster, the snapshots and the release records."""
