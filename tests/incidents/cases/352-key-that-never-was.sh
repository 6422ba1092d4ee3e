#!/bin/bash
# SOURCE: labs – secretKeyRef (HolmesGPT 83, k8sgpt pod analyzer)
# FAULT: kubectl set env asks for a key that the Secret never had; the Secret itself got a harmless label just before
# NAMES: deployment/pay pay-db|key
# NOT_BLAMED: secret/pay-db
# OUTCOME: recovered
# REST: secret/pay-db.labels
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: pay-db}\nstringData: {password: a}\n---\n'; app pay registry.local/pay:1 2; } | k apply -f -; }
inject(){ k label secret pay-db team=pay; k patch deploy pay -p '{"spec":{"template":{"spec":{"containers":[{"name":"pay","env":[{"name":"PW","valueFrom":{"secretKeyRef":{"name":"pay-db","key":"passwd"}}}]}]}}}}'; }
main "$@"
