#!/bin/bash
# SOURCE: own
# FAULT: a person lets the autoscaler of a release look at another Deployment, which does not exist; pods are well
# NAMES: horizontalpodautoscaler/feed scaleTargetRef
# NOT_BLAMED: deployment/feed "helm/news went to revision"
# OUTCOME: recovered|approval|refused
# APPROVE: takeover
# WAIT: 8
. "$(dirname "$0")/../lib.sh"
st(){ k patch hpa feed --subresource=status --type=merge -p "{\"status\":{\"currentReplicas\":2,\"desiredReplicas\":2,\"conditions\":[{\"type\":\"AbleToScale\",\"status\":\"$1\",\"reason\":\"$2\",\"message\":\"$3\",\"lastTransitionTime\":\"$(date -u +%FT%TZ)\"}]}}" >/dev/null; }
baseline(){ chart news; { app feed registry.local/feed:1 2 | sed '/^  replicas:/d'; printf -- '---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: feed}\nspec: {minReplicas: 2, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: feed}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]}\n'; } > $CH/templates/a.yaml; h install news $CH >/dev/null; k scale deploy feed --replicas=2; sleep 3; st True ReadyForNewScale 'recommended size matches current size'; }
inject(){ k patch hpa feed --field-manager=kubectl-edit --type=merge -p '{"spec":{"scaleTargetRef":{"name":"feeds"}}}'; sleep 1; st False FailedGetScale 'the HPA controller was unable to get the targets current scale: deployments.apps feeds not found'; }
cured(){ [ "$(k get hpa feed -o jsonpath='{.spec.scaleTargetRef.name}')" = feed ]; }
mend(){ st True ReadyForNewScale 'recommended size matches current size'; }
main "$@"
