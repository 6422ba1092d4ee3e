# SPDX-License-Identifier: Apache-2.0
"""What the servers of a cluster share: HTTPS, certificates, and what API server and kubelet ask of each other."""
