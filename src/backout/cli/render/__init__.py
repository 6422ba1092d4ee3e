# SPDX-License-Identifier: Apache-2.0
"""How documents look on a terminal. Pure: a struct in, lines out."""
