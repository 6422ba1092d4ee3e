# SPDX-License-Identifier: Apache-2.0
"""Helm release records, read natively: payload, records, manifest."""
