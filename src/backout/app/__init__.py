# SPDX-License-Identifier: Apache-2.0
"""The verbs as a library: what a command, a console or a program of somebody else's asks for. Nothing here prints.

What people should know while a verb works is told as typed events (`backout.app.events`) to whoever called it.
"""
