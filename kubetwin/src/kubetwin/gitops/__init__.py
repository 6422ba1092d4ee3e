# SPDX-License-Identifier: Apache-2.0
"""Controllers that keep a cluster as Git says: Argo CD and Flux, over the API alone, on real repositories."""
