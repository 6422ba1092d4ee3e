# SPDX-License-Identifier: Apache-2.0
"""Which change brought it, if any did: hypotheses with reasons for and against."""
