#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 85_hpa_not_scaling (k8sgpt HPA analyzer, labs)
# FAULT: kubectl patch takes the CPU requests away that an autoscaler computes with; all pods are well
# NAMES: deployment/eagle|horizontalpodautoscaler/eagle resources|requests
# OUTCOME: recovered|approval|refused
# WAIT: 8
. "$(dirname "$0")/../lib.sh"
st(){ k patch hpa eagle --subresource=status --type=merge -p "{\"status\":{\"currentReplicas\":2,\"desiredReplicas\":2,\"conditions\":[{\"type\":\"AbleToScale\",\"status\":\"True\",\"reason\":\"SucceededGetScale\",\"lastTransitionTime\":\"$(date -u +%FT%TZ)\"},{\"type\":\"ScalingActive\",\"status\":\"$1\",\"reason\":\"$2\",\"message\":\"$3\",\"lastTransitionTime\":\"$(date -u +%FT%TZ)\"}]}}" >/dev/null; }
baseline(){ { C='        resources: {requests: {cpu: 50m}}' app eagle registry.local/eagle:1 2; printf -- '---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: eagle}\nspec: {minReplicas: 2, maxReplicas: 6, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: eagle}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]}\n'; } | k apply -f -; st True ValidMetricFound 'the HPA was able to successfully calculate a replica count from cpu resource utilization'; }
inject(){ k patch deploy eagle --type=json -p '[{"op":"remove","path":"/spec/template/spec/containers/0/resources"}]'; settled 1; st False FailedGetResourceMetric 'the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container eagle of Pod eagle-5c7'; }
cured(){ [ "$(k get deploy eagle -o jsonpath='{.spec.template.spec.containers[0].resources.requests.cpu}')" = 50m ]; }
mend(){ st True ValidMetricFound 'the HPA was able to successfully calculate a replica count from cpu resource utilization'; }
main "$@"
