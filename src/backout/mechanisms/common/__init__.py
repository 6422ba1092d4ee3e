# SPDX-License-Identifier: Apache-2.0
"""What several ways back share: workloads and their pods, how they are followed, judged, waited for and changed."""
