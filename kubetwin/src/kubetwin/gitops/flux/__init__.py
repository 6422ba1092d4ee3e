# SPDX-License-Identifier: Apache-2.0
"""Flux in an embedded cluster: sources, Kustomizations, HelmReleases and image automation.

Written from source-controller, kustomize-controller and helm-controller of mid-2026; each module names the files that its rules come
from.
"""
