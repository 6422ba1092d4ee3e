# SPDX-License-Identifier: Apache-2.0
"""The store of several people and processes on several hosts: a PostgreSQL database, and one lease a living process."""
