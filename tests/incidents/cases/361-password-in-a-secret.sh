#!/bin/bash
# SOURCE: after https://github.com/microsoft/AIOpsLab – valkey and database authentication; own
# FAULT: kubectl patches the password in a Secret of a Helm release, and the reader is restarted: the database refuses it
# NAMES: secret/db-auth password
# NOT_BLAMED: deployment/rate
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  rate: {image: "registry.local/hotel:1.4", replicas: 2, container: {env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db-auth, key: password}}}]}}\n  search: {image: "registry.local/hotel:1.4"}\nsecrets: {db-auth: {user: rate, password: right}}\n'; }
baseline(){ v | up hotel; }
inject(){ k patch secret db-auth -p '{"stringData":{"password":"rotten"}}'; k rollout restart deploy/rate; sleep 1; brk deployment/rate crash 'MongoServerError: Authentication failed.'; }
cured(){ [ "$(k get secret db-auth -o jsonpath='{.data.password}' | base64 -d)" = right ]; }
mend(){ mendd deployment/rate; }
main "$@"
