#!/bin/bash
# SOURCE: own, after reports of external-secrets – a key that is gone from the store
# FAULT: a program that keeps Secrets writes one anew with one key less; pods that are made since can't be
# NAMES: secret/crm-db password|DB_PASSWORD
# NOT_BLAMED: deployment/crm
# OUTCOME: recovered|approval|refused
# APPROVE: takeover
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
sec(){ printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: crm-db}\ndata: {user: Y3Jt%s}\n' "${1:-}"; }
baseline(){ sec ', password: cDE=' | k apply --server-side --field-manager=external-secrets -f -; C='        env: [{name: DB_USER, valueFrom: {secretKeyRef: {name: crm-db, key: user}}}, {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: crm-db, key: password}}}]' app crm registry.local/crm:8 2 | k apply -f -; }
inject(){ sec | k apply --server-side --field-manager=external-secrets -f -; sleep 5; k delete pod -l app=crm --wait=false; }
main "$@"
