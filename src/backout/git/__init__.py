# SPDX-License-Identifier: Apache-2.0
"""What Git means to a way back: a repository's history, which applications a commit reaches, reverts, and their push.

Everything is read from a bare mirror of Backout's own (`mirror`), by the user's git. No folder in which the user works is
ever opened, so none can be dirty, detached or changed.
"""
