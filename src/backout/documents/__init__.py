# SPDX-License-Identifier: Apache-2.0
"""The JSON and YAML documents of the outside: one struct each, one spelling, one shape whatever the number found.

`backout.documents.kinds` lists them; their JSON Schemas are made from the structs and shipped in ``schemas``.
"""
