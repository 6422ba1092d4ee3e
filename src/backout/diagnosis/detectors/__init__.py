# SPDX-License-Identifier: Apache-2.0
"""What is wrong: each detector tells of one kind of failure, in the words that the cluster itself uses."""
