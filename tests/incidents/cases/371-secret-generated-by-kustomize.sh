#!/bin/bash
# SOURCE: own, after https://github.com/kubernetes-sigs/kustomize – secretGenerator; https://github.com/SREGym/SREGym – secrets
# FAULT: kubectl apply -k with a changed password: a Secret under a new hashed name, which the program can't log in with; the old Secret was cleaned away
# NAMES: deployment/ledger-api db-credentials*|secret/db-credentials*
# NOT_BLAMED: service/ledger-api
# OUTCOME: recovered|approval
# APPROVE: takeover|deletes
# REST: secret/ service/ledger-api
# WAIT: 18
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
kz(){ mkdir -p "$W/kz"; app ledger-api registry.local/ledger:2 2 > "$W/kz/app.yaml"; C='        envFrom: [{secretRef: {name: db-credentials}}]' app ledger-api registry.local/ledger:2 2 > "$W/kz/app.yaml"; printf 'resources: [app.yaml]\nsecretGenerator:\n- {name: db-credentials, literals: ["DB_USER=ledger", "DB_PASSWORD=%s"]}\n' "$1" > "$W/kz/kustomization.yaml"; k apply -k "$W/kz"; }
baseline(){ kz right; }
inject(){ old=$(k get secret -o name | grep db-credentials); kz wrong; shown ledger-api crash 'FATAL: password authentication failed for user "ledger"'; sleep 4; k delete $old; k label svc ledger-api seen=yes; }
main "$@"
