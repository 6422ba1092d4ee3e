#!/bin/bash
# SOURCE: own, after reports of false alarms – KEDA scales to zero
# FAULT: none: KEDA scaled a worker and a web program to zero, as their ScaledObjects say; a Service and an Ingress stand before the latter; a third one was woken up
# BROKEN: no
# OUTCOME: nothing
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
so(){ printf 'apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: %s}\nspec: {scaleTargetRef: {name: %s}, minReplicaCount: 0, maxReplicaCount: 5, triggers: [{type: rabbitmq, metadata: {queueName: %s}}]}\n' $1 $1 $1 | k apply -f - >/dev/null; }
baseline(){ crd keda.sh v1alpha1 ScaledObject scaledobjects; { app worker registry.local/worker:1 2; app reports registry.local/reports:1 1; app thumbs registry.local/thumbs:1 0; } | k apply -f -; printf 'apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: reports}\nspec: {rules: [{host: reports.example.org, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: reports, port: {number: 8080}}}}]}}]}\n' | k apply -f -; for d in worker reports thumbs; do so $d; said scaledobject/$d "{\"conditions\":[$(cond Ready True ScaledObjectReady),$(cond Active True ScalerActive),$(cond Fallback False NoFallbackFound)]}" keda; done; }
inject(){ for d in worker reports; do k patch --field-manager=keda deploy $d --subresource=scale --type merge -p '{"spec":{"replicas":0}}'; said scaledobject/$d "{\"conditions\":[$(cond Ready True ScaledObjectReady),$(cond Active False ScalerNotActive 'Scaling is not performed because triggers are not active')]}" keda; ev scaledobject/$d KEDAScaleTargetDeactivated "Deactivated apps/v1.Deployment $NS/$d from 2 to 0" Normal; done; k patch --field-manager=keda deploy thumbs --subresource=scale --type merge -p '{"spec":{"replicas":2}}'; settled 1; }
main "$@"
