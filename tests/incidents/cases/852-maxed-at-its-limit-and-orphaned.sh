#!/bin/bash
# SOURCE: https://github.com/jordigilh/kubernaut-demo-scenarios – hpa-maxed, pdb-deadlock, orphaned-pvc-no-action
# FAULT: none: an autoscaler at its greatest, a disruption budget that allows nothing, a claim of a finished Job, a cordoned node of nobody's pods, a Deployment that came and is well
# BROKEN: no
# OUTCOME: nothing
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ { app web registry.local/web:1 3; printf -- '---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {minReplicas: 1, maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: {minAvailable: 3, selector: {matchLabels: {app: web}}}\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: nobody}\nspec: {minAvailable: 1, selector: {matchLabels: {app: nobody}}}\n---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: batch-out}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: for-nobody}\nspec: {podSelector: {matchLabels: {app: nobody}}}\n'; } | k apply -f -; }
inject(){ k patch hpa web --subresource=status --type=merge -p "{\"status\":{\"currentReplicas\":3,\"desiredReplicas\":3,\"conditions\":[{\"type\":\"ScalingActive\",\"status\":\"True\",\"reason\":\"ValidMetricFound\"},{\"type\":\"ScalingLimited\",\"status\":\"True\",\"reason\":\"TooManyReplicas\",\"message\":\"the desired replica count is more than the maximum replica count\"}]}}" >/dev/null; printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: batch}\nspec: {template: {spec: {restartPolicy: Never, volumes: [{name: o, persistentVolumeClaim: {claimName: batch-out}}], containers: [{name: b, image: "b:1-exit0", volumeMounts: [{name: o, mountPath: /o}]}]}}}\n' | k apply -f -; app fresh registry.local/fresh:1 | k apply -f -; settled 1; }
main "$@"
