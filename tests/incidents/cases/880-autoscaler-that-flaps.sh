#!/bin/bash
# SOURCE: own, after runbooks – KubeHpaReplicasMismatch, and warnings of an autoscaler at its start
# FAULT: none: an autoscaler went up and down three times and had no metrics for a moment; probes failed once while pods began
# BROKEN: no
# OUTCOME: nothing
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
baseline(){ { app chat registry.local/chat:1 2; printf -- '---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: chat}\nspec: {minReplicas: 1, maxReplicas: 6, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: chat}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}\n'; } | k apply -f -; }
inject(){ for n in 4 1 3; do k patch --field-manager=kube-controller-manager deploy chat --subresource=scale --type merge -p "{\"spec\":{\"replicas\":$n}}"; ev hpa/chat SuccessfulRescale "New size: $n" Normal; settled 1; done; ev hpa/chat FailedGetResourceMetric 'failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API'; ev hpa/chat FailedComputeMetricsReplicas 'invalid metrics (1 invalid out of 1)'; for p in $(k get pod -l app=chat -o name); do ev $p Unhealthy 'Readiness probe failed: Get "http://10.244.0.9:8080/healthz": dial tcp 10.244.0.9:8080: connect: connection refused'; done; k patch hpa chat --subresource=status --type=merge -p '{"status":{"currentReplicas":3,"desiredReplicas":3,"conditions":[{"type":"ScalingActive","status":"True","reason":"ValidMetricFound"}]}}'; }
main "$@"
