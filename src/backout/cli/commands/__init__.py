# SPDX-License-Identifier: Apache-2.0
"""One file a command: parses, calls the verb in `backout.app`, and has the answer rendered."""
