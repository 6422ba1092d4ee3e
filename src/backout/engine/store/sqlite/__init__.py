# SPDX-License-Identifier: Apache-2.0
"""The store of one person on one machine: a SQLite file, and one lock file a living process."""
