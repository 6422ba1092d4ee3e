# SPDX-License-Identifier: Apache-2.0
"""Way back for ConfigMaps, Secrets, Services and Ingresses: their content from a snapshot, and what reads them."""
