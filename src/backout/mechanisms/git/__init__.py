# SPDX-License-Identifier: Apache-2.0
"""The way back of what Argo CD deploys from Git: the commit is taken back there, and Argo CD brings that to the cluster."""
