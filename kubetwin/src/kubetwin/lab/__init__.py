# SPDX-License-Identifier: Apache-2.0
"""The laboratory: builds the stack of the scenarios on any cluster and breaks one thing, the way people break it."""
