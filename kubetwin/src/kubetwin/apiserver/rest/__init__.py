# SPDX-License-Identifier: Apache-2.0
"""The verbs, one module a concern; each works on a :class:`~kubetwin.apiserver.call.Call`."""
