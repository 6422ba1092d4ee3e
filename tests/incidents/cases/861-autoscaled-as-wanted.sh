#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 37 and 38 (autoscaling), 41 (limits removed)
# FAULT: none: an autoscaler's thresholds were lowered by a program and more pods run, limits were taken away, a node selector fits, a chaos experiment killed a pod, which came back
# BROKEN: no
# OUTCOME: nothing
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy | up astronomy; printf 'apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: frontend}\nspec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: frontend}, minReplicas: 1, maxReplicas: 5, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}\n' | k apply -f -; }
inject(){ api patch hpa frontend --type json -p '[{"op":"replace","path":"/spec/metrics/0/resource/target/averageUtilization","value":30}]'; k patch --field-manager=kube-controller-manager deploy frontend --subresource=scale --type merge -p '{"spec":{"replicas":3}}'; api patch deploy cart --type json -p '[{"op":"remove","path":"/spec/template/spec/containers/0/resources/limits"}]'; settled 1; k delete pod -l app=ad --wait=false; settled 2; }
main "$@"
