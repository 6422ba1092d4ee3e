# SPDX-License-Identifier: Apache-2.0
"""What running programs say of themselves: metrics, HTTP answers, log lines. Reads only, through the API server."""
