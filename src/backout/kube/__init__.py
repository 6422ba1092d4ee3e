# SPDX-License-Identifier: Apache-2.0
"""What Kubernetes means. One definition of each."""
