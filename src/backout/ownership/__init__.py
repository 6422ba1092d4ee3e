# SPDX-License-Identifier: Apache-2.0
"""Who would undo what we do."""
