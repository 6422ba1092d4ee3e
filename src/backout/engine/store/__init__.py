# SPDX-License-Identifier: Apache-2.0
"""Where runs and their events are kept: `port` says what a store does, `opening` opens the one that is configured."""
