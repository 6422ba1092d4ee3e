# SPDX-License-Identifier: Apache-2.0
"""Way back for Helm releases: by the user's helm, judged by the release records and by what is live."""
