# SPDX-License-Identifier: Apache-2.0
"""What each resource's registry does to an object before it is validated and stored (``strategy.go`` of each)."""

from kubetwin.apiserver.strategies.context import Context
from kubetwin.apiserver.strategies.prepare import prepare_create, prepare_update

__all__ = ["Context", "prepare_create", "prepare_update"]
