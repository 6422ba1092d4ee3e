# SPDX-License-Identifier: Apache-2.0
"""Incidents as data, played on an embedded cluster: is the cause named, and is nothing harmed? `python -m bench incidents`."""
