# SPDX-License-Identifier: Apache-2.0
"""The audit as verbs: checkpoints, a proof that nothing was changed, and a copy that is proven elsewhere."""
