# SPDX-License-Identifier: Apache-2.0
"""Scopes as they are worked in: opened, identified, locked. `port` says what every kind can do."""
