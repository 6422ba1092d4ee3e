#!/bin/bash
# SOURCE: own
# FAULT: an upgrade shuts a NetworkPolicy of the release; its programs can't reach their store any more and crash, ever more rarely; their templates stay
# NAMES: helm/till networkpolicy
# OUTCOME: recovered
# KEPT: pods app=store kept
# LEFT: pods app=front replaced
# WAIT: 60
. "$(dirname "$0")/../lib.sh"
baseline(){ chart till; { dep store store:1.0 1; echo ---; dep front front:1.0 2 | sed 's/containers:/containers: # reaches store/'; echo ---; printf 'apiVersion: v1\nkind: Service\nmetadata: {name: store}\nspec: {selector: {app: store}, ports: [{port: 8080}]}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: store}\nspec: {podSelector: {matchLabels: {app: store}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: "{{ .Values.from }}"}}}]}]}\n'; } > $CH/templates/all.yaml; printf 'from: front\n' > $CH/values.yaml; h install till $CH --wait >/dev/null; }
inject(){ h upgrade till $CH --set from=fornt >/dev/null; sleep 2; brk deployment/front crash "dial tcp store:8080: i/o timeout"; }
cured(){ [ "$(k get netpol store -o jsonpath='{.spec.ingress[0].from[0].podSelector.matchLabels.app}')" = front ]; }
mend(){ mendd deployment/front; }
main "$@"
