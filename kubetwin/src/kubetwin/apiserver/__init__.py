# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API server on plain dicts (one :class:`~kubetwin.apiserver.server.ApiServer` is one cluster)."""
