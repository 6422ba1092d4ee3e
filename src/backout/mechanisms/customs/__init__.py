# SPDX-License-Identifier: Apache-2.0
"""Way back for custom resources that nobody else owns: what they say, by snapshots and by the templates that their pods were made
from, as ``kubectl argo rollouts undo`` does it for a Rollout."""
