#!/bin/bash
# SOURCE: after runbooks – KubeHpaMaxedOut; AIOpsLab load
# FAULT: a campaign brings more requests than ever: the autoscaler went to its greatest number, and all pods answer 503 to their probes; an innocent variable by Helm 40 s before
# NOT_BLAMED: helm/store deployment/store-web horizontalpodautoscaler/store-web
# OUTCOME: nothing
# WAIT: 18
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
v(){ printf 'services:\n  store-web: {image: "registry.local/store-web:11", replicas: 2, container: {env: [{name: THEME, value: %s}]}}\n  search: {image: "registry.local/search:2"}\n' $1; }
baseline(){ v autumn | h upgrade -i store $CHART -f - >/dev/null; printf 'apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: store-web}\nspec: {minReplicas: 2, maxReplicas: 4, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: store-web}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]}\n' | k apply -f -; }
inject(){ v winter | h upgrade store $CHART -f - >/dev/null; settled 1; sleep 30; k patch --field-manager=kube-controller-manager deploy store-web --subresource=scale --type merge -p '{"spec":{"replicas":4}}'; settled 1; k patch hpa store-web --subresource=status --type=merge -p '{"status":{"currentReplicas":4,"desiredReplicas":4,"conditions":[{"type":"ScalingLimited","status":"True","reason":"TooManyReplicas","message":"the desired replica count is more than the maximum replica count"}]}}'; ev hpa/store-web SuccessfulRescale 'New size: 4; reason: cpu resource utilization (percentage of request) above target' Normal; sleep 6; brk deployment/store-web unready; }
main "$@"
