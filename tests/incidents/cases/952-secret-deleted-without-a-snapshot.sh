#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 83_secret_not_found, without a snapshot
# FAULT: a Secret is deleted and the pods made anew; no snapshot: who knows its content?
# NAMES: secret/database-secret
# NOT_BLAMED: deployment/database
# OUTCOME: refused
# SNAP: no
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: database-secret}\nstringData: {password: a}\n---\n'; C='        envFrom: [{secretRef: {name: database-secret}}]' app database registry.local/db:1 2 5432; } | k apply -f -; }
inject(){ k delete secret database-secret; k delete pods -l app=database --now; }
main "$@"
