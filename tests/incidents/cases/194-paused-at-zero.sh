#!/bin/bash
# SOURCE: own, after KEDA's documentation – paused-replicas
# FAULT: kubectl pauses a ScaledObject at zero replicas: KEDA scales a program, which people ask for, to nothing; an innocent image before
# NAMES: scaledobject/shelf paused* kubectl*
# NOT_BLAMED: deployment/shelf
# REST: deployment/shelf.spec.template
# OUTCOME: recovered|approval|refused
# APPROVE: owner
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
say(){ said scaledobject/shelf "{\"conditions\":[$(cond Ready True ScaledObjectReady),$(cond Active $1 ScalerActive),$(cond Paused $2 ScaledObjectPaused)]}" keda; }
n(){ k patch --field-manager=keda deploy shelf --subresource=scale --type merge -p "{\"spec\":{\"replicas\":$1}}"; }
baseline(){ crd keda.sh v1alpha1 ScaledObject scaledobjects; { app shelf registry.local/shelf:1 2; printf -- '---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shelf}\nspec: {rules: [{host: shelf.example.org, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shelf, port: {number: 8080}}}}]}}]}\n---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: shelf}\nspec: {scaleTargetRef: {name: shelf}, minReplicaCount: 2, maxReplicaCount: 6, triggers: [{type: cpu, metadata: {value: "60"}}]}\n'; } | k apply -f -; say True False; }
inject(){ k set image deploy/shelf shelf=registry.local/shelf:1.1; settled 1; sleep 10; k annotate scaledobject shelf autoscaling.keda.sh/paused-replicas=0; say False True; n 0; }
cured(){ [ -z "$(k get scaledobject shelf -o jsonpath='{.metadata.annotations.autoscaling\.keda\.sh/paused-replicas}')" ]; }
mend(){ n 2; say True False; }
main "$@"
