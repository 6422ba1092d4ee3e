# SPDX-License-Identifier: Apache-2.0
"""Argo CD in an embedded cluster: applications, projects, sets of applications, and the API of argocd-server.

Written from argo-cd 3.5 (commit 37ee009 of August 2026); each module names the files that its rules come from.
"""
