#!/bin/bash
# FAULT: a custom resource that was made with kubectl apply is edited by hand; its operator says that it can't carry that out. No snapshot was ever taken: its last apply says what it was
# NAMES: relay* "spec.upstream"|upstream
# NOT_BLAMED: deployment/front
# OUTCOME: recovered
# SNAP: no
# WAIT: 4
# LEFT: relays.net.example/edge {.spec.upstream} = inner:80
# READY: no
. "$(dirname "$0")/../lib.sh"
baseline(){ kc apply -f - >/dev/null <<'Y'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: relays.net.example}
spec:
  group: net.example
  scope: Namespaced
  names: {kind: Relay, plural: relays, singular: relay}
  versions: [{name: v1, served: true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
Y
for i in $(seq 1 30); do k get relays >/dev/null 2>&1 && break; sleep 0.5; done
printf 'apiVersion: net.example/v1\nkind: Relay\nmetadata: {name: edge}\nspec: {upstream: "inner:80", retries: 2}\n' | k apply -f - >/dev/null
dep front front:1.0 1 | k apply -f - >/dev/null; ready deploy/front; k set env deploy/front NOTE=1 >/dev/null; says True Accepted; settled 1; }
says(){ g=$(k get relay edge -o jsonpath='{.metadata.generation}'); k patch relay edge --subresource=status --type merge --field-manager relay-operator -p "{\"status\": {\"observedGeneration\": $g, \"conditions\": [{\"type\": \"Ready\", \"status\": \"$1\", \"reason\": \"$2\", \"message\": \"upstream: $2\", \"lastTransitionTime\": \"$(date -u +%FT%TZ)\", \"observedGeneration\": $g}]}}" >/dev/null; }
inject(){ k patch relay edge --type merge -p '{"spec": {"upstream": "inner:eighty"}}' >/dev/null; sleep 1; says False InvalidUpstream; }
cured(){ [ "$(k get relay edge -o jsonpath='{.spec.upstream}')" = inner:80 ]; }
mend(){ says True Accepted; }
main "$@"
