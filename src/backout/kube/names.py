# SPDX-License-Identifier: Apache-2.0
"""Well-known labels and annotations (kubernetes.io/docs/reference/labels-annotations-taints, and each project's own)."""

from __future__ import annotations

from typing import Final

TEMPLATE_HASH: Final = "pod-template-hash"
"""On ReplicaSets and pods of a Deployment: of which template."""
REVISION_HASH: Final = "controller-revision-hash"
"""On pods of StatefulSets (the whole name of the revision) and DaemonSets (the hash at its end)."""
ROLLOUT_HASH: Final = "rollouts-pod-template-hash"
"""On ReplicaSets and pods of a Rollout of Argo Rollouts (pkg/apis/rollouts/v1alpha1, DefaultRolloutUniqueLabelKey)."""
POD_NAME: Final = "statefulset.kubernetes.io/pod-name"
REVISION_LABELS: Final = {"Deployment": TEMPLATE_HASH, "StatefulSet": REVISION_HASH, "DaemonSet": REVISION_HASH}
"""The label that tells of which revision a pod of that kind of workload is."""

REVISION_NUMBER: Final = "deployment.kubernetes.io/revision"
"""On Deployments and their ReplicaSets: which revision, counted from 1."""
REVISION_HISTORY: Final = "deployment.kubernetes.io/revision-history"
"""On ReplicaSets that came back: the numbers they had before, by commas (SetNewReplicaSetAnnotations)."""
CHANGE_CAUSE: Final = "kubernetes.io/change-cause"
RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
"""In pod templates: when somebody asked for new pods (`kubectl rollout restart`)."""
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
HELM_RELEASE: Final = "meta.helm.sh/release-name"
HELM_NAMESPACE: Final = "meta.helm.sh/release-namespace"
HELM_KEEP: Final = "helm.sh/resource-policy"
HELM_HOOK: Final = "helm.sh/hook"
ARGOCD_TRACKING: Final = "argocd.argoproj.io/tracking-id"
ARGOCD_INSTANCE: Final = "argocd.argoproj.io/instance"
ASKED_AGAIN: Final = "backout.dev/asked-again"
"""On workloads whose pods were refused: when a run had their controller look again."""
SERVICE_OF_SLICE: Final = "kubernetes.io/service-name"
"""On EndpointSlices: the Service that they belong to."""
SLICE_MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
"""On EndpointSlices: the controller that writes them, if any does."""
