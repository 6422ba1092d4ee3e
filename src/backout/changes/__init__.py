# SPDX-License-Identifier: Apache-2.0
"""The ledger: what changed, who did it, when."""
