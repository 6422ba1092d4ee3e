# SPDX-License-Identifier: Apache-2.0
"""Programs with a mind of their own: what the containers of a monitoring stack do with their configuration.

A container is recognised by what it is given, never by the names of a stack (see ``recognise``). Its parts read the
files and the environment that the container was started with, print what the real programs print, count what they
count, and may be unable to start. Containers in which nothing is recognised are plain programs (``programs``).
"""
