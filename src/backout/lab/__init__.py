# SPDX-License-Identifier: Apache-2.0
"""Plays scenarios on embedded clusters or on given ones, with the public face of Backout and nothing else of it."""
