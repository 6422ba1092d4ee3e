# SPDX-License-Identifier: Apache-2.0
"""The kinds of situations, a module an area; importing them registers them."""

from bench.incidents.kinds import (  # noqa: F401
    callers,
    configuration,
    customs,
    drift,
    limits,
    network,
    outside,
    own_change,
    routes,
    scheduling,
    several,
    standing,
)
