# SPDX-License-Identifier: Apache-2.0
"""The platforms that repositories live on: pull and merge requests by their REST APIs. `port` says what each can do."""
