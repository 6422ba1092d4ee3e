# SPDX-License-Identifier: Apache-2.0
"""Plays incidents that are scripts, and scores what Backout said and did. Standard library only."""
