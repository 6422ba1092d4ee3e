# SPDX-License-Identifier: Apache-2.0
"""The words of the house: frozen structs, no I/O. Everything that flows from `observe` to `report` is one of these."""
