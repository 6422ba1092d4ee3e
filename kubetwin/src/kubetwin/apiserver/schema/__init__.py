# SPDX-License-Identifier: Apache-2.0
"""Types of resources: built-in kinds from the published Kubernetes schema, custom ones from their definitions."""

from kubetwin.apiserver.schema.builtin import definition, definition_name, for_kind, kubernetes_version
from kubetwin.apiserver.schema.clone import clone
from kubetwin.apiserver.schema.crd import from_crd, metadata_only, object_meta
from kubetwin.apiserver.schema.node import FREE, Schema
from kubetwin.apiserver.schema.wire import TypeMismatch, decode

__all__ = [
    "FREE",
    "Schema",
    "TypeMismatch",
    "clone",
    "decode",
    "definition",
    "definition_name",
    "for_kind",
    "from_crd",
    "kubernetes_version",
    "metadata_only",
    "object_meta",
]
