#!/bin/bash
# SOURCE: own
# FAULT: a ConfigMap is edited, which running pods do not see (environment); later a person scales up, and only the new pods fail
# NAMES: configmap/pricing-env CURRENCY
# NOT_BLAMED: "scaled deployment/pricing"
# OUTCOME: recovered|approval
# REST: deployment/pricing.spec.replicas
# LEFT: configmap/pricing-env {.data.CURRENCY} = EUR
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: pricing-env}\ndata: {CURRENCY: EUR, ROUNDING: "2"}\n---\n'; C='        envFrom: [{configMapRef: {name: pricing-env}}]' app pricing registry.local/pricing:4 2; } | k apply -f -; }
inject(){ k patch cm pricing-env -p '{"data":{"CURRENCY":"EURO"}}'; sleep 14; old=$(k get pods -l app=pricing -o name); k scale deploy pricing --replicas=4; for i in 1 2 3 4 5 6 7 8; do [ $(k get pods -l app=pricing -o name | wc -l) -ge 4 ] && break; sleep 0.3; done; n=0; for p in $(k get pods -l app=pricing -o name); do echo "$old" | grep -q "$p" || { n=$((n+1)); brk $p crash 'unknown currency EURO: env CURRENCY'; echo ${p##*/} >> $W/new; }; done; }
cured(){ [ "$(k get cm pricing-env -o jsonpath='{.data.CURRENCY}')" = EUR ]; }
mend(){ mendd $(cat $W/new); }
main "$@"
